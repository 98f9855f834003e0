//! When may a freed page be used again?
//!
//! A page born in epoch B and freed in epoch F can be seen by the roots r with B <= r < F. It may be used again
//! once F is published (so that no committed state that readers may still ask for lies before F) and no
//! retained root can see it. Retained are the roots of live readers, of the newest and of the older durable
//! checkpoint, of a checkpoint under way, and the published root.
//!
//! ```text
//!   epochs   ----B=======(visible to these roots)=======F------->
//!   retained      r1 older   r2 newest   r3 reader         r4 published >= F
//! ```

use std::collections::{BTreeMap, VecDeque};

use llmdb_base::Epoch;

use crate::range::PageRange;

/// What keeps a freed page from being used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing.
    Reusable,
    /// Its freeing has not been published.
    NotPublished,
    /// This retained root can see it. Of several, the oldest.
    Blocked(Epoch),
}

/// The reuse rule: what keeps a page that was born in `born` and freed in `freed` from being used again.
/// `retained` is in ascending order.
pub fn verdict(born: Epoch, freed: Epoch, published: Epoch, retained: &[Epoch]) -> Verdict {
    debug_assert!(retained.is_sorted());
    if freed > published {
        return Verdict::NotPublished;
    }
    let oldest = retained.partition_point(|root| *root < born);
    match retained.get(oldest) {
        Some(root) if *root < freed => Verdict::Blocked(*root),
        _ => Verdict::Reusable,
    }
}

/// Pages freed together, of one birth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Freed {
    pub range: PageRange,
    pub born: Epoch,
}

/// What one epoch freed.
#[derive(Debug)]
pub(crate) struct Batch {
    pub freed: Epoch,
    pub pages: Vec<Freed>,
}

impl Batch {
    pub fn new(freed: Epoch) -> Self {
        Self { freed, pages: Vec::new() }
    }

    /// Adds pages, joining them to the last ones where that loses nothing.
    pub fn push(&mut self, range: PageRange, born: Epoch) {
        if let Some(last) = self.pages.last_mut()
            && last.born == born
            && let Some(joined) = last.range.joined(range)
        {
            last.range = joined;
        } else {
            self.pages.push(Freed { range, born });
        }
    }

    /// Pages in all.
    pub fn page_count(&self) -> u64 {
        self.pages.iter().map(|page| page.range.count()).sum()
    }
}

/// Freed pages that cannot be used yet.
///
/// Invariants:
/// 1. `pending` is in ascending order of `freed`.
/// 2. Every page under a key of `parked` was seen by the retained root of that name when it was last tested, or
///    waits for another root than that one to be published;
///    it is tested again when that root is no longer retained, and not before.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    pending: VecDeque<Batch>,
    parked: BTreeMap<Epoch, Parked>,
}

/// Freed pages that a root can see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Share {
    /// Pages that no other retained root can see.
    pub alone_pages: u64,
    /// Pages that others can see as well.
    pub shared_pages: u64,
    /// Pages that no firm root can see: they would be free if it and others were let go of.
    pub loose_pages: u64,
}

/// Pages that wait for a root to go.
#[derive(Debug, Default)]
struct Parked {
    page_count: u64,
    batches: Vec<Batch>,
}

impl Retention {
    /// Takes over what a commit freed. Batches come in ascending order of their epoch.
    pub fn push(&mut self, batch: Batch) {
        debug_assert!(self.pending.back().is_none_or(|last| last.freed < batch.freed));
        if !batch.pages.is_empty() {
            self.pending.push_back(batch);
        }
    }

    /// Parks pages under a root that is known to see them.
    pub fn park(&mut self, root: Epoch, batch: Batch) {
        if !batch.pages.is_empty() {
            let parked = self.parked.entry(root).or_default();
            parked.page_count += batch.page_count();
            parked.batches.push(batch);
        }
    }

    /// Hands the pages that may be used again to `free`. `retained` is in ascending order.
    pub fn release(&mut self, published: Epoch, retained: &[Epoch], free: &mut impl FnMut(PageRange)) {
        let gone: Vec<Epoch> =
            self.parked.keys().copied().filter(|root| retained.binary_search(root).is_err()).collect();
        for root in gone {
            for batch in self.parked.remove(&root).unwrap_or_default().batches {
                self.sort(batch, published, retained, free);
            }
        }
        while let Some(batch) = self.pending.pop_front_if(|batch| batch.freed <= published) {
            self.sort(batch, published, retained, free);
        }
    }

    fn sort(&mut self, batch: Batch, published: Epoch, retained: &[Epoch], free: &mut impl FnMut(PageRange)) {
        let mut blocked: Option<(Epoch, Batch)> = None;
        for page in batch.pages {
            let root = match verdict(page.born, batch.freed, published, retained) {
                Verdict::Reusable => {
                    free(page.range);
                    continue;
                }
                Verdict::Blocked(root) => root,
                // Parked at open under a generation that claims to be younger than the newest: tested again with
                // every publication.
                Verdict::NotPublished => published,
            };
            if blocked.as_ref().is_none_or(|(last, _)| *last != root) {
                if let Some((last, batch)) = blocked.take() {
                    self.park(last, batch);
                }
                blocked = Some((root, Batch::new(batch.freed)));
            }
            if let Some((_, batch)) = &mut blocked {
                batch.pages.push(page);
            }
        }
        if let Some((root, batch)) = blocked {
            self.park(root, batch);
        }
    }

    /// Everything that is held, in no particular order.
    pub fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.pending.iter().chain(self.parked.values().flat_map(|parked| &parked.batches))
    }

    /// Takes over what another retention held. All of it is tested again at the next release.
    pub fn adopt(mut batches: Vec<Batch>) -> Self {
        batches.sort_by_key(|batch| batch.freed);
        Self { pending: batches.into(), parked: BTreeMap::new() }
    }

    /// How many of them the root of `epoch` can see.
    pub fn pages_seen_by(&self, epoch: Epoch) -> u64 {
        let batches = self.batches().filter(|batch| epoch < batch.freed);
        let pages = batches.flat_map(|batch| &batch.pages).filter(|page| page.born <= epoch);
        pages.map(|page| page.range.count()).sum()
    }

    /// Pages that wait for nothing but publication and for `checkpoints`, the roots of these, to be replaced: two
    /// checkpoints make them free. Those that an older reader sees as well are not among them.
    pub fn settling(&self, checkpoints: &[Epoch]) -> u64 {
        let pending: u64 = self.pending.iter().map(Batch::page_count).sum();
        let mut roots = checkpoints.to_vec();
        roots.dedup();
        let parked = roots.iter().filter_map(|root| self.parked.get(root)).map(|parked| parked.page_count);
        pending + parked.sum::<u64>()
    }

    /// What each of `roots` keeps from being used, by the rule of [`verdict`]. `roots` ascend strictly; each says
    /// whether it is firm. Cost: looks at every range of freed pages.
    pub fn shares(&self, roots: &[(Epoch, bool)]) -> Vec<Share> {
        let mut shares = vec![Share::default(); roots.len()];
        let pages = self.batches().flat_map(|batch| batch.pages.iter().map(|page| (page, batch.freed)));
        for (page, freed) in pages {
            let first = roots.partition_point(|(root, _)| *root < page.born);
            let end = roots.partition_point(|(root, _)| *root < freed).max(first);
            let (viewers, count) = (first..end, page.range.count());
            let is_loose = roots[viewers.clone()].iter().all(|(_, is_firm)| !is_firm);
            let is_alone = viewers.len() == 1;
            for share in &mut shares[viewers] {
                *(if is_alone { &mut share.alone_pages } else { &mut share.shared_pages }) += count;
                share.loose_pages += if is_loose { count } else { 0 };
            }
        }
        shares
    }

    /// The oldest root that pages are parked under, and how many.
    pub fn oldest(&self) -> Option<(Epoch, u64)> {
        self.parked.first_key_value().map(|(root, parked)| (*root, parked.page_count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn e(raw: u64) -> Epoch {
        Epoch::new(raw)
    }

    #[test]
    fn a_page_is_seen_from_its_birth_until_it_is_freed() {
        let verdict = |published, retained: &[u64]| {
            verdict(e(5), e(9), e(published), &retained.iter().map(|root| e(*root)).collect::<Vec<_>>())
        };
        assert_eq!(verdict(8, &[]), Verdict::NotPublished);
        assert_eq!(verdict(9, &[4, 9]), Verdict::Reusable);
        assert_eq!(verdict(9, &[5]), Verdict::Blocked(e(5)));
        assert_eq!(verdict(9, &[4, 6, 8, 9]), Verdict::Blocked(e(6)));
        assert_eq!(verdict(20, &[8, 20]), Verdict::Blocked(e(8)));
    }

    #[test]
    fn parked_pages_are_tested_again_when_their_root_goes() {
        let mut retention = Retention::default();
        let mut batch = Batch::new(e(9));
        batch.push(PageRange::new(100, 1), e(5));
        batch.push(PageRange::new(101, 1), e(5));
        batch.push(PageRange::new(102, 1), e(8));
        assert_eq!(batch.pages.len(), 2, "neighbours of one birth are one range");
        retention.push(batch);
        let mut free = Vec::new();
        let mut release = |retention: &mut Retention, published, retained: &[Epoch]| {
            free.clear();
            retention.release(e(published), retained, &mut |range| free.push(range.first()));
            free.clone()
        };
        assert_eq!(release(&mut retention, 8, &[e(8)]), []);
        assert_eq!(release(&mut retention, 9, &[e(6), e(7), e(9)]), [102]);
        assert_eq!(retention.oldest(), Some((e(6), 2)));
        assert_eq!(release(&mut retention, 9, &[e(7), e(9)]), []);
        assert_eq!(retention.oldest(), Some((e(7), 2)));
        assert_eq!(release(&mut retention, 10, &[e(10)]), [100]);
        assert_eq!(retention.oldest(), None);
    }

    #[test]
    fn each_root_has_its_share() {
        let mut retention = Retention::default();
        for (freed, first, born) in [(9, 100, 5), (9, 200, 8), (12, 300, 9), (13, 400, 2)] {
            let mut batch = Batch::new(e(freed));
            batch.push(PageRange::new(first, 10), e(born));
            retention.park(e(born), batch);
        }
        let shares = |roots: &[u64]| {
            // Even roots are firm.
            let roots: Vec<_> = roots.iter().map(|root| (e(*root), root % 2 == 0)).collect();
            let figures = |share: Share| (share.alone_pages, share.shared_pages, share.loose_pages);
            retention.shares(&roots).into_iter().map(figures).collect::<Vec<_>>()
        };
        assert_eq!(shares(&[6]), [(20, 0, 0)], "born in 5 and in 2");
        assert_eq!(shares(&[7]), [(20, 0, 20)]);
        assert_eq!(shares(&[6, 8]), [(0, 20, 0), (10, 20, 0)]);
        assert_eq!(shares(&[1, 12, 13]), [(0, 0, 0), (10, 0, 0), (0, 0, 0)]);
        assert_eq!(shares(&[9, 11, 12]), [(0, 20, 10), (0, 20, 10), (0, 10, 0)]);
        assert_eq!(shares(&[]), []);
    }

    #[test]
    fn what_was_parked_before_its_freeing_was_published_waits_for_that() {
        let mut retention = Retention::default();
        let mut batch = Batch::new(e(9));
        batch.push(PageRange::new(100, 1), e(0));
        retention.park(e(8), batch);
        let mut freed = 0;
        for (published, expected) in [(5, 0), (8, 0), (9, 1)] {
            retention.release(e(published), &[e(published)], &mut |_| freed += 1);
            assert_eq!(freed, expected);
        }
    }
}
