//! Everything a crashable disk consists of, behind one lock.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
};

use crate::LockKind;

use super::{
    chooser::Chooser,
    fault::{Failure, Faults},
    image::PAGE,
    inode::{Inode, Route, Seq},
    names::{Ino, Names},
    share::Areas,
};

/// Names, files, and what decides about failures.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) names: Names,
    pub(super) inodes: BTreeMap<Ino, Inode>,
    pub(super) locks: BTreeMap<PathBuf, Vec<Held>>,
    pub(super) faults: Faults,
    pub(super) chooser: Chooser,
    pub(super) capacity_pages: Option<u64>,
    pub(super) sync_lies: bool,
    pub(super) clock_us: u64,
    pub(super) op_count: u64,
    /// Numbers of the processes that were killed.
    pub(super) killed: BTreeSet<u32>,
    pub(super) process_count: u32,
    /// Direct writes under way, and whose they are.
    pub(super) sent: BTreeMap<Seq, u32>,
    pub(super) areas: Areas,
    next_number: u64,
}

/// A lock that somebody holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) number: u64,
    pub(super) kind: LockKind,
    pub(super) note: Arc<str>,
    pub(super) process: u32,
}

/// Virtual time that passes with every call.
const CALL_US: u64 = 20;

impl State {
    /// An empty disk.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            names: Names::default(),
            inodes: BTreeMap::new(),
            locks: BTreeMap::new(),
            faults: Faults::default(),
            chooser: Chooser::new(seed),
            capacity_pages: None,
            sync_lies: false,
            clock_us: 0,
            op_count: 0,
            killed: BTreeSet::new(),
            process_count: 1,
            sent: BTreeMap::new(),
            areas: Areas::default(),
            next_number: 1,
        }
    }

    /// What the next process finds: these names and files, no locks, no planned faults.
    pub(super) fn restarted(&self, names: Names, mut inodes: BTreeMap<Ino, Inode>, seed: u64) -> Self {
        inodes.values_mut().for_each(Inode::forget_users);
        Self {
            names,
            inodes,
            locks: BTreeMap::new(),
            faults: Faults::default(),
            chooser: Chooser::new(seed),
            clock_us: self.clock_us + 1_000_000,
            op_count: 0,
            killed: BTreeSet::new(),
            process_count: 1,
            sent: BTreeMap::new(),
            areas: self.areas.left(),
            ..*self
        }
    }

    /// A number for a file, a lock or a call, larger than all before.
    pub(super) fn number(&mut self) -> Seq {
        self.next_number += 1;
        self.next_number
    }

    /// Lets the time pass that a call takes.
    pub(super) fn tick(&mut self) {
        self.clock_us += CALL_US;
    }

    /// Ends a process: its locks, its writes under way (chance draws how far they got), what it shared.
    pub(super) fn kill(&mut self, process: u32) {
        if !self.killed.insert(process) {
            return;
        }
        for held in self.locks.values_mut() {
            held.retain(|held| held.process != process);
        }
        let mut chooser = self.chooser.fork();
        let sent: BTreeSet<Seq> =
            self.sent.iter().filter(|(_, of)| **of == process).map(|(seq, _)| *seq).collect();
        self.sent.retain(|_, of| *of != process);
        for inode in self.inodes.values_mut() {
            inode.abandon_direct(|seq| sent.contains(&seq), &mut chooser);
        }
        self.areas.kill(process);
    }

    /// The file with this number; an open file stays until it is closed, whatever happens to its name.
    pub(super) fn inode(&mut self, ino: Ino) -> &mut Inode {
        self.inodes.get_mut(&ino).expect("a file stays while it has a name or is open")
    }

    /// How many bytes of a write to `offset..offset + len` find space. A lack of space counts as a failure.
    ///
    /// # Errors
    /// `StorageFull` if none of them does.
    pub(super) fn room(&mut self, ino: Ino, offset: u64, len: usize) -> io::Result<usize> {
        let Some(capacity_pages) = self.capacity_pages else { return Ok(len) };
        let used: u64 = self.inodes.values().map(|inode| inode.current.used_pages()).sum();
        let mut free = capacity_pages.saturating_sub(used);
        let inode = &self.inodes[&ino];
        let mut fits = 0;
        while fits < len {
            let here = offset + fits as u64;
            let step = (PAGE - super::image::index_of(here) % PAGE).min(len - fits);
            let missing = inode.missing_pages(here, step);
            if missing > free {
                break;
            }
            free -= missing;
            fits += step;
        }
        if fits < len {
            self.faults.note();
        }
        if fits == 0 && len > 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(fits) }
    }

    /// Lets a write of whole or part of a page, just made, come to nothing or to another place, if `failure` says so.
    pub(super) fn deceive(
        &mut self,
        ino: Ino,
        failure: Option<Failure>,
        seq: Seq,
        offset: u64,
        len: usize,
        route: Route,
    ) {
        // What went through the page cache is seen there; past it, that is a matter of luck.
        let stays_visible = route == Route::Cached || self.chooser.coin();
        let mut chooser = self.chooser.fork();
        match failure {
            Some(Failure::Lost) => self.inode(ino).lose(seq, offset, len, stays_visible),
            Some(Failure::Misdirected) => {
                self.inode(ino).misdirect(seq, offset, len, stays_visible, &mut chooser);
            }
            _ => {}
        }
    }

    /// Forgets files that no name can ever lead to again.
    pub(super) fn sweep(&mut self) {
        let reachable = self.names.reachable();
        self.inodes.retain(|ino, inode| inode.open_count > 0 || reachable.contains(ino));
        let inodes = &self.inodes;
        self.areas.retain(|ino| inodes.contains_key(&ino));
    }
}
