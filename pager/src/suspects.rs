//! What turns leave in doubt that were lost with their process.
//!
//! Who takes over from the dead does not know what the lost turn used the free pages of the file for. All of them are
//! suspects: held, as if the first epoch of the new turn had freed them. Should that turn be lost too, only what it could
//! take is suspect anew. So the holder of the turn tells the area, in a *note*, which suspects it still holds:
//!
//! ```text
//!   take-over      e1                        e2                        e3
//!   suspects       S1: all that is free      S2: all that is free,     S3: all that is free, but for
//!                                            but for S1 in the note    what is left of S1 and S2 in the note
//!   released when  no root before e1 is      no root before e2 is
//!                  held any more             held any more
//! ```
//!
//! Invariants:
//! 1. No root from e on names a page that the note calls a suspect of e: it was held all the time.
//! 2. A page leaves the note before it can be used. If that cannot be told, the whole note is taken back.
//! 3. No root before e names a page at the end of the file of e, or behind it.

use std::collections::BTreeMap;

use llmdb_base::Epoch;

use crate::{
    range::PageRange,
    retention::{Batch, Freed, Retention},
    share::Commons,
    space::Space,
};

/// A turn that began with what a dead process left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TakeOver {
    /// Its first epoch, which frees its suspects and nothing else.
    pub epoch: Epoch,
    /// Length of the file at that moment.
    pub file_pages: u64,
}

/// The take-overs since which anything is in doubt, in ascending order of their epochs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Suspects(Vec<TakeOver>);

impl Suspects {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn newest(&self) -> Option<Epoch> {
        self.0.last().map(|last| last.epoch)
    }

    /// Whether the pages that `freed` freed are suspects.
    pub fn contains(&self, freed: Epoch) -> bool {
        self.0.binary_search_by_key(&freed, |take_over| take_over.epoch).is_ok()
    }

    pub fn add(&mut self, take_over: TakeOver) {
        debug_assert!(self.newest().is_none_or(|newest| newest < take_over.epoch));
        self.0.push(take_over);
    }

    /// Forgets what no root is left for that could name suspects. Whether there was any.
    pub fn forget_before(&mut self, oldest_root: Epoch) -> bool {
        let before = self.0.len();
        self.0.retain(|take_over| oldest_root < take_over.epoch);
        self.0.len() < before
    }

    /// The parts of a range of free pages with the earliest birth that each may have had, by invariant 3; `born`, if
    /// nothing better is known.
    pub fn births(&self, range: PageRange, born: Epoch) -> Vec<(PageRange, Epoch)> {
        let mut parts = Vec::new();
        let mut first = range.first();
        while first < range.end() {
            let (mut part_born, mut end) = (born, range.end());
            for take_over in &self.0 {
                if take_over.file_pages <= first {
                    part_born = part_born.max(take_over.epoch);
                } else {
                    end = end.min(take_over.file_pages);
                }
            }
            parts.push((PageRange::new(first, end - first), part_born));
            first = end;
        }
        parts
    }
}

/// What the note says.
#[derive(Debug, Default)]
pub(crate) struct Note {
    pub suspects: Suspects,
    /// Those that were held when it was written, in ascending order of what freed them.
    pub batches: Vec<Batch>,
}

impl Note {
    /// The note about what is held: the number of take-overs, of each the epoch and the length of the file, and then
    /// batches as the record of a hand-over has them. Empty if nothing is in doubt.
    pub fn encode(retention: &Retention) -> Vec<u8> {
        let suspects = &retention.suspects;
        if suspects.is_empty() {
            return Vec::new();
        }
        let take_overs = suspects.0.iter().flat_map(|one| [one.epoch.get(), one.file_pages]);
        let words = std::iter::once(suspects.0.len() as u64).chain(take_overs);
        let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        let held = retention.batches().filter(|batch| suspects.contains(batch.freed));
        held.for_each(|batch| batch.encode(&mut bytes));
        bytes
    }

    /// The note that these bytes are, about a file of `file_pages`; `None` if they are none.
    pub fn decode(mut bytes: &[u8], file_pages: u64, epoch_max: Epoch) -> Option<Self> {
        let mut note = Self::default();
        for _ in 0..take_word(&mut bytes)? {
            let epoch = Epoch::new(take_word(&mut bytes)?);
            let ascends = note.suspects.newest().is_none_or(|newest| newest < epoch) && epoch <= epoch_max;
            let take_over = TakeOver { epoch, file_pages: take_word(&mut bytes)? };
            note.suspects.add(Some(take_over).filter(|_| ascends)?);
        }
        let mut batches = BTreeMap::new();
        while !bytes.is_empty() {
            let batch = Batch::decode(&mut bytes, file_pages, epoch_max)?;
            let batch = Some(batch).filter(|batch| note.suspects.contains(batch.freed))?;
            // What waits for several roots stands in several batches.
            let known = batches.entry(batch.freed).or_insert_with(|| Batch::new(batch.freed));
            known.pages.extend(batch.pages);
        }
        note.batches = batches.into_values().collect();
        Some(note)
    }

    /// Holds the pages of the note, all of which must be free. `false`, and nothing has changed, if they are not.
    pub fn hold(&self, space: &Space) -> bool {
        let ranges = || self.batches.iter().flat_map(|batch| &batch.pages).map(|page| page.range);
        for (count, range) in ranges().enumerate() {
            if space.free_part(range) != [range] {
                ranges().take(count).for_each(|range| space.unhold(range));
                return false;
            }
            space.hold_free(range);
        }
        true
    }

    /// Whether `held` has all pages of the note, as far as counting tells.
    pub fn is_held_by(&self, held: &Retention) -> bool {
        let noted: u64 = self.batches.iter().map(Batch::page_count).sum();
        let batches = held.batches().filter(|batch| self.suspects.contains(batch.freed));
        noted == batches.map(Batch::page_count).sum::<u64>()
    }
}

impl Retention {
    /// Tells the others which suspects are held. Before any other is used: see invariant 2.
    pub fn tell_suspects(&mut self, commons: &Commons) {
        if !commons.set_note(&Note::encode(self)) {
            self.suspects = Suspects::default();
        }
    }
}

impl Batch {
    /// What freed the pages, how many ranges there are, and of each the range and its birth.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        let words = [self.freed.get(), self.pages.len() as u64].into_iter();
        let pages = self.pages.iter().flat_map(|page| [page.range.raw(), page.born.get()]);
        bytes.extend(words.chain(pages).flat_map(u64::to_le_bytes));
    }

    /// Takes a batch from the front of `bytes`.
    pub fn decode(bytes: &mut &[u8], file_pages: u64, epoch_max: Epoch) -> Option<Self> {
        let freed = Epoch::new(take_word(bytes)?);
        let mut batch = Self::new(Some(freed).filter(|freed| *freed <= epoch_max)?);
        for _ in 0..take_word(bytes)? {
            let range = PageRange::from_raw(take_word(bytes)?, file_pages)?;
            batch.pages.push(Freed { range, born: Epoch::new(take_word(bytes)?) });
        }
        Some(batch)
    }
}

/// Takes a word from the front of `bytes`.
pub(crate) fn take_word(bytes: &mut &[u8]) -> Option<u64> {
    let (word, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspects() -> Suspects {
        let of = |(epoch, file_pages)| TakeOver { epoch: Epoch::new(epoch), file_pages };
        Suspects([(10, 100), (20, 300), (30, 200)].map(of).into())
    }

    #[test]
    fn what_lay_behind_the_end_of_the_file_was_born_later() {
        let births = |first, count| {
            let parts = suspects().births(PageRange::new(first, count), Epoch::new(7));
            parts
                .into_iter()
                .map(|(range, born)| (range.first(), range.end(), born.get()))
                .collect::<Vec<_>>()
        };
        assert_eq!(births(0, 50), [(0, 50, 7)]);
        assert_eq!(births(90, 20), [(90, 100, 7), (100, 110, 10)]);
        assert_eq!(births(0, 400), [(0, 100, 7), (100, 200, 10), (200, 300, 30), (300, 400, 30)]);
    }

    #[test]
    fn a_note_says_what_is_held_of_the_suspects() {
        let mut retention = Retention::default();
        retention.suspects = suspects();
        for freed in [10, 15, 20] {
            let mut batch = Batch::new(Epoch::new(freed));
            batch.push(PageRange::new(freed, 5), Epoch::new(3));
            retention.push(batch);
        }
        let bytes = Note::encode(&retention);
        let decode = |bytes: &[u8], file_pages, max| Note::decode(bytes, file_pages, Epoch::new(max));
        let note = decode(&bytes, 400, 30).unwrap_or_default();
        assert_eq!(note.suspects, retention.suspects);
        let freed: Vec<_> = note.batches.iter().map(|batch| batch.freed.get()).collect();
        assert_eq!(freed, [10, 20], "15 is no take-over");
        assert!(note.is_held_by(&retention));
        assert!(decode(&bytes, 400, 29).is_none() && decode(&bytes, 24, 30).is_none());
        let cut = (0..bytes.len()).filter(|len| decode(&bytes[..*len], 400, 30).is_some());
        assert_eq!(cut.collect::<Vec<_>>(), [56, 88], "only between batches");

        let space = Space::new(400);
        assert!(note.hold(&space) && space.held_pages() == 10);
        assert!(!note.hold(&space) && space.held_pages() == 10, "they are free no more");
        space.unhold(PageRange::new(10, 5));
        assert!(!note.hold(&space) && space.held_pages() == 5, "what was held is free again");
    }

    #[test]
    fn take_overs_are_forgotten_when_nobody_is_left_from_before() {
        let mut suspects = suspects();
        assert!(!suspects.forget_before(Epoch::new(9)));
        assert!(suspects.forget_before(Epoch::new(20)) && suspects.newest() == Some(Epoch::new(30)));
        assert!(suspects.forget_before(Epoch::new(30)) && suspects.is_empty());
    }
}
