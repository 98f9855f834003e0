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
};

const PAGE_COUNT: usize = 2;

struct Shared {
    /// Epoch of the published state, and the page that it consists of.
    cell: EpochCell<2>,
    readers: ReaderTable,
    /// Each page holds the epoch it was born in.
    pages: [AtomicU64; PAGE_COUNT],
}

fn read(shared: &Shared) {
    let (slot, [epoch, page]) = shared.readers.enter(&shared.cell);
    let page = &shared.pages[usize::try_from(page).unwrap()];
    assert_eq!(page.load(Relaxed), epoch, "a page was used again while a reader held its root");
    shared.readers.leave(slot);
}

/// Moves the one page of the state `commits` times, to pages that the reuse rule allows. `look` says whether the
/// writer looks at the readers.
fn write(shared: &Shared, commits: u64, look: bool) {
    let (mut page, mut born) = (0, 1);
    let mut free = VecDeque::from([1]);
    let mut freed = Vec::new();
    for epoch in 2..2 + commits {
        let published = shared.cell.epoch();
        let mut retained = vec![published];
        if look {
            shared.readers.scan(&mut retained);
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
        shared.cell.store([epoch, page as u64]);
    }
}

fn model(readers: usize, commits: u64, look: bool) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(if readers > 1 { 1 } else { 2 });
    builder.check(move || {
        let shared = Arc::new(Shared {
            cell: EpochCell::new([1, 0]),
            readers: ReaderTable::new(),
            pages: [AtomicU64::new(1), AtomicU64::new(0)],
        });
        let threads: Vec<_> = (0..readers)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || read(&shared))
            })
            .collect();
        write(&shared, commits, look);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn no_reader_ever_holds_a_root_whose_page_was_used_again() {
    model(2, 2, true);
}

#[test]
fn one_reader_and_one_more_commit() {
    model(1, 3, true);
}

#[test]
#[should_panic(expected = "used again while a reader held its root")]
fn the_model_notices_a_writer_that_does_not_look() {
    model(1, 3, false);
}
