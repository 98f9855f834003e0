//! Readers, publishing and the reuse of pages, under every order of events that loom can think of.

use std::collections::VecDeque;

use llmdb_base::{
    Epoch, SeqWords,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        thread,
    },
};

use crate::{
    readers::{Note, ReaderTable},
    retention::{Verdict, verdict},
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
    /// The same under a lease: the reader rests before each look, is told whether it still holds the root, and says
    /// whether it looks again.
    fn hold_leased(&self, reader: usize, read: impl FnMut([u64; 2], bool) -> bool);
    /// Ends the leases of all that rest on the root of `epoch`.
    fn end_leases(&self, epoch: Epoch);
}

struct Shared<C> {
    common: C,
    /// Each page holds the epoch it was born in.
    pages: [AtomicU64; PAGE_COUNT],
}

/// The memory of one process.
struct Table {
    cell: SeqWords<2>,
    readers: ReaderTable,
}

impl Common for Table {
    fn new() -> Self {
        Self { cell: SeqWords::new([1, 0]), readers: ReaderTable::new() }
    }

    fn publish(&self, root: [u64; 2]) {
        self.cell.store(root);
    }

    fn scan(&self, held: &mut Vec<Epoch>) {
        self.readers.scan(held);
    }

    fn hold(&self, _reader: usize, read: impl FnOnce([u64; 2])) {
        let (slot, root) = self.readers.enter(&self.cell, Note::default());
        read(root);
        self.readers.leave(slot);
    }

    fn hold_leased(&self, _reader: usize, mut read: impl FnMut([u64; 2], bool) -> bool) {
        let (slot, root) = self.readers.enter(&self.cell, Note::default());
        let mut goes_on = true;
        while goes_on {
            self.readers.rest(slot, Epoch::new(root[0]));
            goes_on = read(root, self.readers.wake(slot, Epoch::new(root[0])));
        }
        self.readers.leave(slot);
    }

    fn end_leases(&self, epoch: Epoch) {
        for (slot, _) in self.readers.list() {
            self.readers.end(slot, epoch);
        }
    }
}

const PLACE_WORDS: usize = 4;
const SLOT_WORDS: usize = 4;

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

    fn hold_leased(&self, reader: usize, mut read: impl FnMut([u64; 2], bool) -> bool) {
        let slot = self.slots().claim(reader as u64 + 1, reader).unwrap();
        let root = self.slots().hold_current(slot, &self.ring()).unwrap();
        let mut goes_on = true;
        while goes_on {
            self.slots().rest(slot, Epoch::new(root[0]));
            goes_on = read(root, self.slots().wake(slot, Epoch::new(root[0])));
        }
        self.slots().leave(slot);
    }

    fn end_leases(&self, epoch: Epoch) {
        for slot in 0..2 {
            self.slots().end_lease(slot, epoch);
        }
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

/// Reads as one whose lease may be ended. `obey` says whether it then stops.
fn read_leased<C: Common>(shared: &Shared<C>, obey: bool) {
    let mut looks = 0;
    shared.common.hold_leased(0, |[epoch, page], is_held| {
        if !is_held && obey {
            return false;
        }
        let page = &shared.pages[usize::try_from(page).unwrap()];
        assert_eq!(page.load(Relaxed), epoch, "a page was used again while a reader held its root");
        looks += 1;
        is_held && looks < 2
    });
}

/// One reader under a lease, and a writer that ends it after a commit.
fn lease_model<C: Common>(obey: bool) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let shared =
            Arc::new(Shared::<C> { common: C::new(), pages: [AtomicU64::new(1), AtomicU64::new(0)] });
        let reader = thread::spawn({
            let shared = Arc::clone(&shared);
            move || read_leased(&shared, obey)
        });
        write(&shared, 1, true);
        shared.common.end_leases(Epoch::new(1));
        // The page of the first state is free now, if nobody holds it.
        let mut held = Vec::new();
        shared.common.scan(&mut held);
        if held.iter().all(|epoch| *epoch != Epoch::new(1)) {
            shared.pages[0].store(9, Relaxed);
        }
        reader.join().unwrap();
    });
}

#[test]
fn an_ended_lease_is_noticed_before_its_pages_are_looked_at() {
    lease_model::<Table>(true);
    lease_model::<Area>(true);
}

#[test]
#[should_panic(expected = "used again while a reader held its root")]
fn the_model_notices_a_reader_that_goes_on_after_its_lease() {
    lease_model::<Table>(false);
}

#[test]
#[should_panic(expected = "used again while a reader held its root")]
fn and_one_in_the_shared_area() {
    lease_model::<Area>(false);
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
