//! Readers, publishing and the reuse of pages, under every order of events that loom can think of.

use std::collections::VecDeque;

use llmdb_base::{
    Epoch,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        thread,
    },
};

use crate::{
    readers::ReaderTable,
    retention::{Verdict, verdict},
    roots::EpochCell,
    share::{ring::Ring, slots::Slots},
};

const PAGE_COUNT: usize = 2;

/// Where roots are published and readers stand. A root is its epoch, and the one page that it consists of.
trait Common: Send + Sync + 'static {
    fn new() -> Self;
    fn publish(&self, root: [u64; 2]);
    fn scan(&self, held: &mut Vec<Epoch>);
    /// Holds the published root while `read` reads it. `reader` counts from 0.
    fn hold(&self, reader: usize, read: impl FnOnce([u64; 2]));
}

struct Shared<C> {
    common: C,
    /// Each page holds the epoch it was born in.
    pages: [AtomicU64; PAGE_COUNT],
}

/// The memory of one process.
struct Table {
    cell: EpochCell<2>,
    readers: ReaderTable,
}

impl Common for Table {
    fn new() -> Self {
        Self { cell: EpochCell::new([1, 0]), readers: ReaderTable::new() }
    }

    fn publish(&self, root: [u64; 2]) {
        self.cell.store(root);
    }

    fn scan(&self, held: &mut Vec<Epoch>) {
        self.readers.scan(held);
    }

    fn hold(&self, _reader: usize, read: impl FnOnce([u64; 2])) {
        let (slot, root) = self.readers.enter(&self.cell);
        read(root);
        self.readers.leave(slot);
    }
}

const PLACE_WORDS: usize = 4;
const SLOT_WORDS: usize = 2;

/// The words that processes share: a ring of two places, and two slots.
struct Area {
    published: AtomicU64,
    places: [AtomicU64; 2 * PLACE_WORDS],
    end: AtomicU64,
    slots: [AtomicU64; 2 * SLOT_WORDS],
}

impl Area {
    fn ring(&self) -> Ring<'_, AtomicU64, 2, PLACE_WORDS> {
        Ring { published: &self.published, places: &self.places }
    }

    fn slots(&self) -> Slots<'_, AtomicU64, SLOT_WORDS> {
        Slots { end: &self.end, words: &self.slots }
    }
}

impl Common for Area {
    fn new() -> Self {
        let zero = |_| AtomicU64::new(0);
        let area = Self {
            published: zero(0),
            places: std::array::from_fn(zero),
            end: zero(0),
            slots: std::array::from_fn(zero),
        };
        area.publish([1, 0]);
        area
    }

    fn publish(&self, root: [u64; 2]) {
        self.ring().publish(&root, || ());
    }

    fn scan(&self, held: &mut Vec<Epoch>) {
        self.slots().scan(held);
    }

    fn hold(&self, reader: usize, read: impl FnOnce([u64; 2])) {
        let slot = self.slots().claim(reader as u64 + 1, reader).unwrap();
        read(self.slots().hold_current(slot, &self.ring()).unwrap());
        self.slots().leave(slot);
    }
}

fn read<C: Common>(shared: &Shared<C>, reader: usize) {
    shared.common.hold(reader, |[epoch, page]| {
        let page = &shared.pages[usize::try_from(page).unwrap()];
        assert_eq!(page.load(Relaxed), epoch, "a page was used again while a reader held its root");
    });
}

/// Moves the one page of the state `commits` times, to pages that the reuse rule allows. `look` says whether the
/// writer looks at the readers.
fn write<C: Common>(shared: &Shared<C>, commits: u64, look: bool) {
    let (mut page, mut born, mut published) = (0, 1, Epoch::new(1));
    let mut free = VecDeque::from([1]);
    let mut freed = Vec::new();
    for epoch in 2..2 + commits {
        let mut retained = vec![published];
        if look {
            shared.common.scan(&mut retained);
        }
        retained.sort_unstable();
        freed.retain(|(old, born, freed)| {
            let reusable =
                verdict(Epoch::new(*born), Epoch::new(*freed), published, &retained) == Verdict::Reusable;
            if reusable {
                free.push_back(*old);
            }
            !reusable
        });
        let Some(new) = free.pop_front() else { return };
        shared.pages[new].store(epoch, Relaxed);
        freed.push((page, born, epoch));
        (page, born) = (new, epoch);
        published = Epoch::new(epoch);
        shared.common.publish([epoch, page as u64]);
    }
}

fn model<C: Common>(readers: usize, commits: u64, look: bool) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(if readers > 1 { 1 } else { 2 });
    builder.check(move || {
        let shared = Arc::new(Shared { common: C::new(), pages: [AtomicU64::new(1), AtomicU64::new(0)] });
        let threads: Vec<_> = (0..readers)
            .map(|reader| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || read(&shared, reader))
            })
            .collect();
        write(&shared, commits, look);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn no_reader_ever_holds_a_root_whose_page_was_used_again() {
    model::<Table>(2, 2, true);
}

#[test]
fn one_reader_and_one_more_commit() {
    model::<Table>(1, 3, true);
}

#[test]
#[should_panic(expected = "used again while a reader held its root")]
fn the_model_notices_a_writer_that_does_not_look() {
    model::<Table>(1, 3, false);
}

#[test]
fn no_reader_in_another_process_does_either() {
    model::<Area>(2, 2, true);
}

#[test]
fn one_reader_in_another_process_and_one_more_commit() {
    model::<Area>(1, 3, true);
}

#[test]
#[should_panic(expected = "used again while a reader held its root")]
fn the_model_notices_a_writer_that_ignores_other_processes() {
    model::<Area>(1, 3, false);
}
