//! A file of the crashable disk: what the process sees, what the media surely holds, and everything in between.
//!
//! ```text
//!   sector 9 of a page:   durable  ->  v(seq 4)  ->  v(seq 7)       a crash leaves any one of the three
//!                                                    ^ the process reads this one
//! ```
//!
//! Invariants:
//! 1. The versions of a page ascend in `seq`; a version has a bit for each sector that its call changed.
//! 2. A sector without versions is on the media as `durable` has it. `current` may still show other bytes: a
//!    failed sync marks pages clean that never arrived.
//! 3. `lens` holds the changes of length that are not forced yet, in order. They reach the media in that order,
//!    as a journal writes them: a crash keeps a prefix.
//! 4. Cutting a file writes zeros over what it cuts; a crash that keeps the cut keeps these zeros.

use std::{collections::BTreeMap, sync::Arc};

#[cfg(target_os = "linux")]
use crate::share::Mirror;

use super::{
    chooser::Chooser,
    image::{Image, PAGE, Page, SECTOR, SECTORS, ZEROS, copy_sectors, index_of, sector_range},
};

/// Number of a call that writes; calls are numbered over the whole disk.
pub(super) type Seq = u64;

/// Contents, length and unforced changes of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) durable: Image,
    pub(super) current: Image,
    pub(super) len: u64,
    pub(super) durable_len: u64,
    pub(super) lens: Vec<LenChange>,
    pub(super) unsynced: BTreeMap<usize, Vec<Version>>,
    pub(super) open_count: u32,
    /// The same bytes as `current` for maps that show what others write, if there are any.
    #[cfg(target_os = "linux")]
    pub(super) mirror: Option<Arc<Mirror>>,
}

/// A change of length that is not forced yet.
#[derive(Clone, Debug)]
pub(super) struct LenChange {
    pub(super) seq: Seq,
    pub(super) len: u64,
    pub(super) is_cut: bool,
}

/// What a call made of some sectors of a page.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) seq: Seq,
    pub(super) image: Arc<Page>,
    pub(super) sectors: u8,
    /// Under way past the page cache: a sync of the file does not wait for it.
    pub(super) in_flight: bool,
}

/// Whether a write waits in the page cache for a sync, or is on its way to the media past it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    Cached,
    Direct,
}

impl Inode {
    /// A file that the media holds like this, with nothing unforced.
    pub(super) fn settled(image: Image, len: u64) -> Self {
        Self { durable: image.clone(), current: image, len, durable_len: len, ..Self::default() }
    }

    /// Copies bytes as the process sees them; returns how many lie inside the file.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let count = index_of(self.len.saturating_sub(offset)).min(buf.len());
        for (page, within, part) in pieces(offset, count) {
            buf[part.clone()].copy_from_slice(&self.current.page(page)[within..within + part.len()]);
        }
        count
    }

    /// Copies bytes as a read past the page cache returns them: what was written and not lost by a failed sync.
    pub(super) fn read_media(&self, buf: &mut [u8], offset: u64) -> usize {
        let count = index_of(self.len.saturating_sub(offset)).min(buf.len());
        for (page, within, part) in pieces(offset, count) {
            let mut image = *self.durable.page(page);
            for version in self.unsynced.get(&page).into_iter().flatten() {
                copy_sectors(&mut image, version.sectors, &version.image);
            }
            buf[part.clone()].copy_from_slice(&image[within..within + part.len()]);
        }
        count
    }

    /// Writes bytes; the file grows to hold them.
    pub(super) fn write(&mut self, seq: Seq, offset: u64, bytes: &[u8], route: Route) {
        for (page, within, part) in pieces(offset, bytes.len()) {
            self.write_page(seq, page, within, &bytes[part], route);
        }
        let end = offset + bytes.len() as u64;
        if end > self.len {
            self.change_len(seq, end);
        }
        self.show(offset, bytes.len());
    }

    fn write_page(&mut self, seq: Seq, page: usize, within: usize, bytes: &[u8], route: Route) {
        let mut image = *self.current.page(page);
        image[within..within + bytes.len()].copy_from_slice(bytes);
        let mut changed = 0;
        for sector in within / SECTOR..(within + bytes.len()).div_ceil(SECTOR) {
            let range = sector_range(sector);
            // Equal bytes are one version less to choose from. A direct write still has to force what waits in
            // the cache, so there it must find the sector settled.
            let settled = route == Route::Cached || self.versions_of(page, sector).next().is_none();
            if !settled || image[range.clone()] != self.newest(page, sector)[range] {
                changed |= 1 << sector;
            }
        }
        if changed == 0 && image == *self.current.page(page) {
            self.current.allocate(page);
            return;
        }
        let image = Arc::new(image);
        self.current.set(page, Arc::clone(&image));
        if changed != 0 {
            let version = Version { seq, image, sectors: changed, in_flight: route == Route::Direct };
            self.unsynced.entry(page).or_default().push(version);
        }
    }

    /// Takes space for a range, which reads as zeros until written.
    pub(super) fn allocate(&mut self, seq: Seq, offset: u64, len: u64) {
        for (page, _, _) in pieces(offset, index_of(len)) {
            self.current.allocate(page);
        }
        if offset + len > self.len {
            self.change_len(seq, offset + len);
        }
    }

    /// Number of pages that a write to the range would have to find space for.
    pub(super) fn missing_pages(&self, offset: u64, len: usize) -> u64 {
        pieces(offset, len).filter(|(page, _, _)| self.current.shared(*page).is_none()).count() as u64
    }

    /// Cuts the file, or extends it with zeros that take no space.
    pub(super) fn set_len(&mut self, seq: Seq, len: u64) {
        if len < self.len {
            let last = index_of(self.len).div_ceil(PAGE);
            let first = index_of(len) / PAGE;
            for page in first..last {
                let within = index_of(len).saturating_sub(page * PAGE);
                if self.current.shared(page).is_some() {
                    self.write_page(seq, page, within, &ZEROS[within..], Route::Cached);
                }
            }
            self.current.cut(len);
        }
        if len != self.len {
            self.change_len(seq, len);
        }
    }

    fn change_len(&mut self, seq: Seq, len: u64) {
        self.lens.push(LenChange { seq, len, is_cut: len < self.len });
        self.len = len;
        #[cfg(target_os = "linux")]
        if let Some(mirror) = &self.mirror {
            mirror.set_len(len);
        }
    }

    /// The file as the next process finds it, which has not opened it.
    pub(super) fn forget_users(&mut self) {
        self.open_count = 0;
        #[cfg(target_os = "linux")]
        {
            self.mirror = None;
        }
    }

    /// A map that shows at once what is written to the file.
    #[cfg(target_os = "linux")]
    pub(super) fn map_mirrored(&mut self) -> std::io::Result<crate::Mapping> {
        if let Some(mirror) = &self.mirror {
            return mirror.map();
        }
        let mirror = Arc::new(Mirror::new()?);
        mirror.set_len(self.len);
        self.mirror = Some(Arc::clone(&mirror));
        self.show(0, index_of(self.len));
        mirror.map()
    }

    /// Takes a change of the bytes over into the maps.
    fn show(&self, offset: u64, len: usize) {
        #[cfg(target_os = "linux")]
        if let Some(mirror) = &self.mirror {
            let len = index_of(self.len.saturating_sub(offset)).min(len);
            for (page, within, part) in pieces(offset, len) {
                if self.current.shared(page).is_some() {
                    let bytes = &self.current.page(page)[within..within + part.len()];
                    mirror.write(bytes, offset + part.start as u64);
                }
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, len);
    }

    /// Forces everything but what is on its way past the page cache.
    pub(super) fn sync(&mut self) {
        let durable = &mut self.durable;
        self.unsynced.retain(|&page, versions| {
            let mut done = 0;
            for version in versions.iter_mut().rev() {
                if !version.in_flight {
                    durable.set_sectors(page, version.sectors & !done, &version.image);
                    done |= version.sectors;
                }
                version.sectors &= !done;
            }
            versions.retain(|version| version.sectors != 0);
            !versions.is_empty()
        });
        self.durable_len = self.len;
        self.lens.clear();
    }

    /// A sync that fails: some sectors arrive in some version, all count as clean, the process sees the newest.
    pub(super) fn fail_sync(&mut self, choice: &mut Chooser) {
        for (page, versions) in std::mem::take(&mut self.unsynced) {
            let (in_flight, waiting): (Vec<_>, Vec<_>) = versions.into_iter().partition(|v| v.in_flight);
            for sector in 0..SECTORS {
                let versions: Vec<_> = waiting.iter().filter(|v| v.sectors & 1 << sector != 0).collect();
                if let Some(kept) = choice.index(versions.len() + 1).checked_sub(1) {
                    self.durable.set_sectors(page, 1 << sector, &versions[kept].image);
                }
            }
            if !in_flight.is_empty() {
                self.unsynced.insert(page, in_flight);
            }
        }
    }

    /// Forces what the call `seq` wrote to a range, and the length of the file.
    pub(super) fn force(&mut self, seq: Seq, offset: u64, len: usize) {
        for (page, _, _) in pieces(offset, len) {
            self.force_page(seq, page, u8::MAX);
        }
        let cuts: Vec<Seq> =
            self.lens.iter().filter(|change| change.is_cut).map(|change| change.seq).collect();
        for cut in cuts {
            let pages: Vec<usize> = self.unsynced.keys().copied().collect();
            pages.into_iter().for_each(|page| self.force_page(cut, page, u8::MAX));
        }
        self.durable_len = self.len;
        self.lens.clear();
    }

    /// The sectors of `mask` that the call `seq` wrote to `page` arrive; older versions of them are history.
    fn force_page(&mut self, seq: Seq, page: usize, mask: u8) {
        let Some(versions) = self.unsynced.get_mut(&page) else { return };
        let Some(forced) = versions.iter().position(|version| version.seq == seq) else { return };
        let sectors = versions[forced].sectors & mask;
        self.durable.set_sectors(page, sectors, &versions[forced].image);
        versions[..=forced].iter_mut().for_each(|version| version.sectors &= !sectors);
        self.tidy(page);
    }

    /// A direct write that fails: some of its sectors arrive, the others do not. The process sees what the media
    /// holds, or still what it wrote, as the page cache happened to be involved.
    pub(super) fn fail_direct(&mut self, seq: Seq, offset: u64, len: usize, choice: &mut Chooser) {
        let stays_visible = choice.coin();
        for (page, _, _) in pieces(offset, len) {
            let arrived = choice.next_u64().to_le_bytes()[0];
            self.force_page(seq, page, arrived);
            self.forget(page, seq, stays_visible);
        }
    }

    /// What the call `seq` wrote to a range never reaches the media.
    pub(super) fn lose(&mut self, seq: Seq, offset: u64, len: usize, stays_visible: bool) {
        for (page, _, _) in pieces(offset, len) {
            self.forget(page, seq, stays_visible);
        }
    }

    /// One page of what the call `seq` wrote to a range reaches the media at another place, over what is there.
    pub(super) fn misdirect(
        &mut self,
        seq: Seq,
        offset: u64,
        len: usize,
        stays_visible: bool,
        choice: &mut Chooser,
    ) {
        let pages: Vec<usize> = pieces(offset, len).map(|(page, _, _)| page).collect();
        let Some(&page) = pages.get(choice.index(pages.len())) else { return };
        let Some(image) = self.current.shared(page).cloned() else { return };
        self.forget(page, seq, stays_visible);
        let other = choice.index(index_of(self.len).div_ceil(PAGE));
        self.durable.set_sectors(other, u8::MAX, &image);
        if choice.coin() {
            // The page was not in the cache.
            self.show_media(other, u8::MAX);
        }
    }

    /// The process that started direct writes dies: each of their sectors waits in the device or never got there.
    pub(super) fn abandon_direct(&mut self, is_its: impl Fn(Seq) -> bool, choice: &mut Chooser) {
        let pages: Vec<usize> = self.unsynced.keys().copied().collect();
        for page in pages {
            let lost: Vec<(Seq, u8)> = self.unsynced[&page]
                .iter()
                .filter(|version| version.in_flight && is_its(version.seq))
                .map(|version| (version.seq, version.sectors & choice.next_u64().to_le_bytes()[0]))
                .collect();
            for (seq, sectors) in lost {
                self.forget_sectors(page, seq, sectors, false);
            }
            let versions = self.unsynced.get_mut(&page).into_iter().flatten();
            versions.filter(|version| is_its(version.seq)).for_each(|version| version.in_flight = false);
        }
    }

    fn forget(&mut self, page: usize, seq: Seq, stays_visible: bool) {
        self.forget_sectors(page, seq, u8::MAX, stays_visible);
    }

    /// Drops a version of some sectors that will never reach the media.
    fn forget_sectors(&mut self, page: usize, seq: Seq, mask: u8, stays_visible: bool) {
        let Some(versions) = self.unsynced.get_mut(&page) else { return };
        let Some(version) = versions.iter_mut().find(|version| version.seq == seq) else { return };
        let lost = version.sectors & mask;
        version.sectors &= !mask;
        self.tidy(page);
        if !stays_visible {
            self.show_media(page, lost);
        }
    }

    /// Lets the process see the newest bytes that are on the media or on their way to it.
    fn show_media(&mut self, page: usize, sectors: u8) {
        let mut image = *self.current.page(page);
        copy_sectors(&mut image, sectors, self.durable.page(page));
        for version in self.unsynced.get(&page).into_iter().flatten() {
            copy_sectors(&mut image, sectors & version.sectors, &version.image);
        }
        if image != *self.current.page(page) {
            self.current.set(page, Arc::new(image));
            self.show((page * PAGE) as u64, PAGE);
        }
    }

    /// Forgets what failed syncs left in the page cache.
    pub(super) fn drop_cache(&mut self) {
        for page in 0..index_of(self.len).div_ceil(PAGE) {
            self.show_media(page, u8::MAX);
        }
    }

    /// Whether nothing is unforced.
    pub(super) fn is_settled(&self) -> bool {
        self.unsynced.is_empty() && self.lens.is_empty()
    }

    /// Versions of a sector that are not forced, oldest first.
    pub(super) fn versions_of(&self, page: usize, sector: usize) -> impl Iterator<Item = &Version> {
        let versions = self.unsynced.get(&page).into_iter().flatten();
        versions.filter(move |version| version.sectors & 1 << sector != 0)
    }

    fn newest(&self, page: usize, sector: usize) -> &Page {
        self.versions_of(page, sector).last().map_or(self.durable.page(page), |version| &version.image)
    }

    fn tidy(&mut self, page: usize) {
        let Some(versions) = self.unsynced.get_mut(&page) else { return };
        versions.retain(|version| version.sectors != 0);
        if versions.is_empty() {
            self.unsynced.remove(&page);
        }
    }
}

/// The pages that a range touches: index of the page, where in it the range begins, and which bytes of the
/// range lie in it.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let start = index_of(offset);
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let (page, within) = ((start + done) / PAGE, (start + done) % PAGE);
        let part = done..len.min(done + PAGE - within);
        done = part.end;
        Some((page, within, part))
    })
}
