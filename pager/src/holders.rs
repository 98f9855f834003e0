//! Who keeps freed pages from being used again, and how many.

use llmdb_base::{Epoch, TxnId, sync::lock};

use crate::{
    pager::Pager,
    read::{Held, ReadGuard},
    readers::{Entry, Note},
    retention::Share,
    share::Commons,
};

/// A reader, and what it keeps from being used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    slot: Held,
    /// Whether it reads in this process.
    pub is_here: bool,
    /// Epoch of the root that it holds.
    pub epoch: Epoch,
    /// Last transaction in that root.
    pub txid: TxnId,
    /// What it said of itself.
    pub note: Note,
    /// Whether its lease may be ended while it rests.
    pub may_end: bool,
    /// Whether it rests: has borrowed nothing at this moment.
    pub is_resting: bool,
    /// Freed pages that would be free without it.
    pub alone_pages: u64,
    /// Freed pages that it can see as well as other readers or checkpoints.
    pub shared_pages: u64,
    /// Of all these, pages that would be free if it and all other readers that may be ended were.
    pub loose_pages: u64,
}

impl Holder {
    /// Whether this is the same reading as `other`, seen at another time.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.slot, self.epoch, self.note) == (other.slot, other.epoch, other.note)
    }
}

/// A snapshot that has lent out nothing. It holds its pages as a [`ReadGuard`] does, until [`Pager::end_reader`].
#[derive(Debug)]
pub struct RestingGuard(ReadGuard);

impl ReadGuard {
    /// Lets the lease of this snapshot be ended until it wakes up. Takes the guard, so that nothing can be borrowed
    /// from it meanwhile.
    pub fn rest(self) -> RestingGuard {
        let epoch = self.root().epoch;
        match (self.held(), self.pager().commons()) {
            (Held::InCommon(slot), Some(commons)) => commons.rest(slot, epoch),
            (Held::Here(slot), _) => self.pager().readers.rest(slot, epoch),
            (Held::InCommon(_), None) => unreachable!("what was shared stays so"),
        }
        RestingGuard(self)
    }
}

impl RestingGuard {
    /// The snapshot again; `None` if its lease was ended, and its pages may have been used again.
    pub fn wake(self) -> Option<ReadGuard> {
        let guard = self.0;
        let epoch = guard.root().epoch;
        let is_held = match (guard.held(), guard.pager().commons()) {
            (Held::InCommon(slot), Some(commons)) => commons.wake(slot, epoch),
            (Held::Here(slot), _) => guard.pager().readers.wake(slot, epoch),
            (Held::InCommon(_), None) => false,
        };
        // If it is not, dropping the guard leaves the slot and looks at no page.
        is_held.then_some(guard)
    }
}

impl Pager {
    /// Everybody who reads, with what each keeps from being used: exactly, by the rule of reuse, as of the last
    /// commit. Only the process that writes knows what is freed; another one finds that nothing is kept.
    /// Cost: looks at every reader slot and at every range of freed pages.
    pub fn holders(&self) -> Vec<Holder> {
        let entries = self.entries();
        let mut firm = self.checkpoint_epochs();
        firm.push(self.published.epoch());
        let readers = entries.iter().map(|(_, entry, _)| (entry.epoch, !entry.may_end));
        let all: Vec<(Epoch, bool)> = firm.into_iter().map(|epoch| (epoch, true)).chain(readers).collect();
        let mut roots = all.clone();
        // Of a root that several hold, the firm one counts.
        roots.sort_unstable_by_key(|(epoch, is_firm)| (*epoch, !is_firm));
        roots.dedup_by_key(|(epoch, _)| *epoch);
        let knows = self.commons().is_none_or(Commons::holds_turn);
        let shares = if knows { lock(&self.retention).shares(&roots) } else { Vec::new() };
        let share_of = |epoch: Epoch| {
            let index = roots.binary_search_by_key(&epoch, |(root, _)| *root);
            let share = index.ok().and_then(|index| shares.get(index)).copied().unwrap_or_default();
            // Of a root that others hold too, nobody holds anything alone.
            match all.iter().filter(|(other, _)| *other == epoch).count() {
                1 => share,
                _ => Share { alone_pages: 0, shared_pages: share.alone_pages + share.shared_pages, ..share },
            }
        };
        let holders = entries.into_iter().map(|(slot, entry, is_here)| {
            let Share { alone_pages, shared_pages, loose_pages } = share_of(entry.epoch);
            Holder {
                slot,
                is_here,
                epoch: entry.epoch,
                txid: TxnId::new(entry.txid),
                note: entry.note,
                may_end: entry.may_end,
                is_resting: entry.is_resting,
                alone_pages,
                shared_pages,
                loose_pages,
            }
        });
        holders.collect()
    }

    /// Ends the lease of a reader, if it rests; whether it did. What it held is free with the next write transaction.
    pub fn end_reader(&self, holder: &Holder) -> bool {
        match (holder.slot, self.commons()) {
            (Held::InCommon(slot), Some(commons)) => commons.end_lease(slot, holder.epoch),
            (Held::Here(slot), _) => self.readers.end(slot, holder.epoch),
            (Held::InCommon(_), None) => false,
        }
    }

    fn entries(&self) -> Vec<(Held, Entry, bool)> {
        let here = self.readers.list().into_iter().map(|(slot, entry)| (Held::Here(slot), entry, true));
        let common = self.commons().map(Commons::list).unwrap_or_default();
        here.chain(common.into_iter().map(|(slot, entry, is_here)| (Held::InCommon(slot), entry, is_here)))
            .collect()
    }
}
