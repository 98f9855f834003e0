//! Readers, publishing and the reuse of pages, under every order of events that loom can think of.

use std::collections::VecDeque;

use llmdb_base::{
    Epoch, Lsn, Timestamp, TxnId,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        thread,
    },
};

use crate::{
    readers::ReaderTable,
    retention::{Verdict, verdict},
    roots::{ROOTS_LEN, RootCell, RootRecord, RootState},
};

const PAGE_COUNT: usize = 3;

struct Shared {
    cell: RootCell,
    readers: ReaderTable,
    /// Each page holds the epoch it was born in.
    pages: [AtomicU64; PAGE_COUNT],
}

/// The state of `epoch`, which consists of one page.
fn root(epoch: u64, page: usize) -> RootRecord {
    let mut roots = [0; ROOTS_LEN];
    roots[0] = u8::try_from(page).unwrap();
    let state = RootState { txid: TxnId::new(epoch), timestamp: Timestamp::new(0), lsn: Lsn::new(0), roots };
    RootRecord::new(Epoch::new(epoch), 18, state)
}

fn read(shared: &Shared) {
    let (slot, root) = shared.readers.enter(&shared.cell);
    let page = &shared.pages[usize::from(root.roots[0])];
    // The second look finds a page that was used again while the root was held.
    for _ in 0..2 {
        assert_eq!(
            page.load(Relaxed),
            root.epoch.get(),
            "a page was used again while a reader held its root"
        );
    }
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
        shared.cell.store(&root(epoch, page));
    }
}

fn model(readers: usize, commits: u64, look: bool) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let shared = Arc::new(Shared {
            cell: RootCell::new(&root(1, 0)),
            readers: ReaderTable::new(),
            pages: [AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0)],
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
fn one_reader_and_more_commits() {
    model(1, 3, true);
}

#[test]
#[should_panic(expected = "used again while a reader held its root")]
fn the_model_notices_a_writer_that_does_not_look() {
    model(1, 3, false);
}
