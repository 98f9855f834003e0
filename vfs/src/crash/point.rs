//! A moment at which the power may fail, and the disks that may be found afterwards.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use super::{
    CrashVfs,
    chooser::Chooser,
    image::SECTORS,
    inode::{Inode, Seq},
    names::Ino,
    state::State,
};

/// A moment of a running disk: everything a power failure may leave can be had from it, as often as wanted. The
/// running disk goes on untouched.
#[derive(Clone, Debug)]
pub struct CrashPoint {
    state: Arc<State>,
    /// Choices about names come first, then those of each file: its length, then its sectors.
    choices: Vec<Choice>,
    /// The numbers of the calls that made the options, for all choices one after the other.
    seqs: Vec<Seq>,
    files: Vec<(Ino, Range<usize>)>,
}

/// Something that a crash leaves in one of several ways: option 0 is what is durable, the others are newer.
#[derive(Clone, Copy, Debug)]
struct Choice {
    is_sector: bool,
    first: usize,
    newer_count: u32,
}

/// Ways to choose that have found faults where pure chance rarely does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preset {
    /// Nothing that was not forced is there.
    Nothing,
    /// Everything is there.
    Everything,
    /// Of the contents only what the newest call wrote is there; names and lengths are all there.
    OnlyNewest,
    /// The same of one call drawn by chance.
    OnlyOneCall,
    /// Of the contents only the last sector of what the newest call wrote is there.
    LastSector,
    /// Of the contents only those of one file are there.
    OnlyOneFile,
    /// One thing is missing, or older.
    AllButOne,
    /// The later writes are there, the earlier ones are not.
    Reverse,
    /// What was written first is there first; the write at the edge is torn.
    InOrder,
    /// Everything by chance.
    Random,
    /// Most things are there, or most are not; the others by chance.
    Skewed,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 11] = [
        Self::Nothing,
        Self::Everything,
        Self::OnlyNewest,
        Self::OnlyOneCall,
        Self::LastSector,
        Self::OnlyOneFile,
        Self::AllButOne,
        Self::Reverse,
        Self::InOrder,
        Self::Random,
        Self::Skewed,
    ];
}

impl CrashPoint {
    pub(super) fn new(mut state: State) -> Self {
        // What processes share changes without a call, and would not be that of this moment later.
        state.areas = state.areas.left();
        let mut point =
            Self { state: Arc::new(state), choices: Vec::new(), seqs: Vec::new(), files: Vec::new() };
        let state = Arc::clone(&point.state);
        for seq in state.names.pending() {
            point.add(false, std::iter::once(seq));
        }
        let reachable = state.names.reachable();
        for (ino, inode) in state.inodes.iter().filter(|(ino, _)| reachable.contains(ino)) {
            let first = point.choices.len();
            point.add(false, inode.lens.iter().map(|change| change.seq));
            for &page in inode.unsynced.keys() {
                for sector in 0..SECTORS {
                    point.add(true, inode.versions_of(page, sector).map(|version| version.seq));
                }
            }
            point.files.push((*ino, first..point.choices.len()));
        }
        point
    }

    fn add(&mut self, is_sector: bool, newer: impl Iterator<Item = Seq>) {
        let first = self.seqs.len();
        self.seqs.extend(newer);
        let newer_count = u32::try_from(self.seqs.len() - first).expect("nobody writes a sector that often");
        if newer_count > 0 {
            self.choices.push(Choice { is_sector, first, newer_count });
        }
    }

    /// Number of ways in which the power may fail here; some of them may leave the same disk. `u64::MAX` stands
    /// for more than that.
    pub fn state_count(&self) -> u64 {
        self.choices.iter().fold(1, |count, choice| count.saturating_mul(u64::from(choice.newer_count) + 1))
    }

    /// One disk that may be found after a power failure, in a way drawn by `chooser`.
    pub fn crash(&self, chooser: &mut Chooser) -> CrashVfs {
        let preset = *chooser.pick(&Preset::ALL);
        self.crash_as(preset, chooser)
    }

    /// One disk that may be found after a power failure, chosen in the manner of `preset`.
    pub fn crash_as(&self, preset: Preset, chooser: &mut Chooser) -> CrashVfs {
        let picks = self.picks(preset, chooser);
        self.disk(&picks, chooser.next_u64())
    }

    /// Every disk that may be found, if these are at most `limit`.
    pub fn states(&self, limit: u64) -> Option<CrashStates> {
        let picks = Some(vec![0; self.choices.len()]);
        (self.state_count() <= limit).then(|| CrashStates { point: self.clone(), picks })
    }

    fn picks(&self, preset: Preset, chooser: &mut Chooser) -> Vec<u32> {
        let edge = if self.seqs.is_empty() { 0 } else { *chooser.pick(&self.seqs) };
        let newest = self.sectors().filter_map(|choice| self.newer(choice).last()).max().copied();
        let spared = chooser.index(self.choices.len());
        let file = self.files.get(chooser.index(self.files.len())).map(|(_, range)| range.clone());
        let last = (0..self.choices.len()).rev().find(|index| {
            let choice = &self.choices[*index];
            choice.is_sector && self.newer(choice).last() == newest.as_ref()
        });
        let present_percent = if chooser.coin() { 95 } else { 5 };
        let mut pick = |(index, choice): (usize, &Choice)| {
            let newer = self.newer(choice);
            let all = choice.newer_count;
            let mut any = || chooser_option(chooser, all);
            match preset {
                Preset::Nothing => 0,
                Preset::Everything => all,
                Preset::OnlyNewest if choice.is_sector && newer.last() != newest.as_ref() => 0,
                Preset::Reverse if choice.is_sector && newer.last() < Some(&edge) => 0,
                Preset::OnlyOneCall if choice.is_sector => {
                    let version = newer.iter().position(|seq| *seq == edge).map_or(0, |index| index + 1);
                    u32::try_from(version).unwrap_or(all)
                }
                Preset::LastSector if choice.is_sector && Some(index) != last => 0,
                Preset::OnlyOneFile
                    if choice.is_sector && !file.as_ref().is_some_and(|file| file.contains(&index)) =>
                {
                    0
                }
                Preset::OnlyNewest
                | Preset::Reverse
                | Preset::OnlyOneCall
                | Preset::LastSector
                | Preset::OnlyOneFile => all,
                Preset::AllButOne if index == spared => any().min(all - 1),
                Preset::AllButOne => all,
                Preset::InOrder => {
                    let before = newer.iter().filter(|seq| **seq < edge).count();
                    let torn = newer.get(before) == Some(&edge) && any() > 0;
                    u32::try_from(before).unwrap_or(all) + u32::from(torn)
                }
                Preset::Random => any(),
                Preset::Skewed if chooser.percent(present_percent) => all,
                Preset::Skewed if present_percent < 50 && !chooser.percent(20) => 0,
                Preset::Skewed => chooser_option(chooser, all),
            }
        };
        self.choices.iter().enumerate().map(&mut pick).collect()
    }

    fn sectors(&self) -> impl Iterator<Item = &Choice> {
        self.choices.iter().filter(|choice| choice.is_sector)
    }

    fn newer(&self, choice: &Choice) -> &[Seq] {
        &self.seqs[choice.first..choice.first + choice.newer_count as usize]
    }

    /// The disk that these options make.
    fn disk(&self, picks: &[u32], seed: u64) -> CrashVfs {
        let names = self.state.names.after_crash(|index| picks[index] > 0);
        let named = names.reachable();
        let files = self.files.iter().filter(|(ino, _)| named.contains(ino));
        let inodes = files.map(|(ino, range)| {
            let inode = &self.state.inodes[ino];
            (*ino, after_crash(inode, &picks[range.clone()]))
        });
        let inodes: BTreeMap<Ino, Inode> = inodes.collect();
        let mut state = self.state.restarted(names, inodes, seed);
        state.areas.crash(&mut Chooser::new(seed));
        CrashVfs::from_state(state)
    }
}

fn chooser_option(chooser: &mut Chooser, newer_count: u32) -> u32 {
    u32::try_from(chooser.below(u64::from(newer_count) + 1)).expect("an option has a small number")
}

/// All disks of a crash point, one after the other.
#[derive(Debug)]
pub struct CrashStates {
    point: CrashPoint,
    picks: Option<Vec<u32>>,
}

impl Iterator for CrashStates {
    type Item = CrashVfs;

    fn next(&mut self) -> Option<CrashVfs> {
        let picks = self.picks.as_mut()?;
        let disk = self.point.disk(picks, 0);
        // Counts up, the first choice being the lowest digit.
        for (pick, choice) in picks.iter_mut().zip(&self.point.choices) {
            *pick += 1;
            if *pick <= choice.newer_count {
                return Some(disk);
            }
            *pick = 0;
        }
        self.picks = None;
        Some(disk)
    }
}

/// The file that these options leave: one for the length, if it changed, then one for each changed sector.
fn after_crash(inode: &Inode, picks: &[u32]) -> Inode {
    let mut picks = picks.iter().map(|pick| *pick as usize);
    let kept_lens = if inode.lens.is_empty() { 0 } else { picks.next().unwrap_or(0) };
    let len = kept_lens.checked_sub(1).map_or(inode.durable_len, |last| inode.lens[last].len);
    let cuts: Vec<Cut> = cuts(inode, kept_lens).collect();
    let mut image = inode.durable.clone();
    for (&page, versions) in &inode.unsynced {
        let mut picked = [0; SECTORS];
        for (sector, picked) in picked.iter_mut().enumerate() {
            let count = inode.versions_of(page, sector).count();
            if count > 0 {
                let end = ((page * SECTORS + sector + 1) * super::image::SECTOR) as u64;
                let (low, high) = allowed(inode, page, sector, cuts.iter().filter(|cut| cut.len < end));
                *picked = picks.next().unwrap_or(0).clamp(low, high);
            }
        }
        let mut seen = [0; SECTORS];
        for version in versions {
            let mut arrived = 0;
            for sector in (0..SECTORS).filter(|sector| version.sectors & 1 << sector != 0) {
                seen[sector] += 1;
                arrived |= u8::from(seen[sector] == picked[sector]) << sector;
            }
            image.set_sectors(page, arrived, &version.image);
        }
    }
    image.cut(len);
    Inode::settled(image, len)
}

/// A cut of a file that a crash keeps or undoes.
struct Cut {
    seq: Seq,
    len: u64,
    is_kept: bool,
}

fn cuts(inode: &Inode, kept_lens: usize) -> impl Iterator<Item = Cut> {
    let changes = inode.lens.iter().enumerate().filter(|(_, change)| change.is_cut);
    changes.map(move |(index, change)| Cut { seq: change.seq, len: change.len, is_kept: index < kept_lens })
}

/// The range of options that the cuts of a file leave to a sector behind them: what was there before a cut that
/// was kept is gone, and what was written after a cut that was undone had no place to go to.
fn allowed<'a>(
    inode: &Inode,
    page: usize,
    sector: usize,
    cuts: impl Iterator<Item = &'a Cut>,
) -> (usize, usize) {
    let written = |is_before: &dyn Fn(Seq) -> bool| {
        inode.versions_of(page, sector).filter(|version| is_before(version.seq)).count()
    };
    cuts.fold((0, inode.versions_of(page, sector).count()), |(low, high), cut| {
        if cut.is_kept {
            (low.max(written(&|seq| seq <= cut.seq)), high)
        } else {
            (low, high.min(written(&|seq| seq < cut.seq)))
        }
    })
}
