//! One opening of an area, and the table of all.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Weak, atomic::AtomicU64},
};

use super::{Chooser, Ino};
use crate::{
    Create, SharedArea,
    crash::{
        CrashVfs,
        fault::{Failure, OpKind},
        file::CrashFile,
        inode::Inode,
    },
    share::{AREA_BYTES, AreaImage, SimulatedArea, SimulatedHandle, is_as_expected},
};

/// The areas of a disk, and who has them open.
#[derive(Clone, Debug, Default)]
pub(in crate::crash) struct Areas {
    areas: BTreeMap<Ino, Kept>,
    openings: Vec<(u32, Weak<SimulatedHandle>)>,
}

#[derive(Clone, Debug)]
enum Kept {
    /// Opened in this life of the disk.
    Live(Arc<SimulatedArea>),
    /// As a former life left it.
    Left(Arc<AreaImage>),
}

impl Areas {
    /// What the next process finds after all have died.
    pub(in crate::crash) fn left(&self) -> Self {
        let left = |kept: &Kept| match kept {
            Kept::Live(area) => Arc::new(area.image().expect("a file in memory can be read")),
            Kept::Left(image) => Arc::clone(image),
        };
        let areas = self.areas.iter().map(|(ino, kept)| (*ino, Kept::Left(left(kept)))).collect();
        Self { areas, openings: Vec::new() }
    }

    /// What a crash of the machine leaves of what the processes left.
    pub(in crate::crash) fn crash(&mut self, chooser: &mut Chooser) {
        for kept in self.areas.values_mut() {
            if let Kept::Left(image) = kept {
                *image = Arc::new(image.after_crash(chooser));
            }
        }
    }

    /// A process is gone, though its code may go on.
    pub(in crate::crash) fn kill(&mut self, process: u32) {
        self.openings.retain(|(of, opening)| {
            if *of == process
                && let Some(opening) = opening.upgrade()
            {
                opening.sever();
            }
            *of != process && opening.strong_count() > 0
        });
    }

    pub(in crate::crash) fn retain(&mut self, is_kept: impl Fn(Ino) -> bool) {
        self.areas.retain(|ino, _| is_kept(*ino));
    }

    /// Whether any area was opened in this life of the disk.
    pub(in crate::crash) fn is_any_open(&self) -> bool {
        self.areas.values().any(|kept| matches!(kept, Kept::Live(_)))
    }

    fn open(&mut self, process: u32, ino: Ino, file: &Inode) -> io::Result<Arc<SimulatedHandle>> {
        let area = match self.areas.get(&ino) {
            Some(Kept::Live(area)) => Arc::clone(area),
            Some(Kept::Left(image)) => Arc::new(SimulatedArea::new(image)?),
            None => {
                let mut bytes = vec![0; usize::try_from(file.len).map_err(|_| io::ErrorKind::FileTooLarge)?];
                file.read(&mut bytes, 0);
                Arc::new(SimulatedArea::new(&AreaImage::of_file(bytes))?)
            }
        };
        self.areas.insert(ino, Kept::Live(Arc::clone(&area)));
        let opening = Arc::new(SimulatedHandle::open(area)?);
        self.openings.push((process, Arc::downgrade(&opening)));
        Ok(opening)
    }
}

/// One opening of an area. It waits in virtual time.
#[derive(Debug)]
pub(in crate::crash) struct CrashArea {
    /// Keeps the file, and tells the observer of calls.
    file: CrashFile,
    path: Box<Path>,
    opening: Arc<SimulatedHandle>,
}

impl CrashArea {
    pub(in crate::crash) fn open(disk: &CrashVfs, path: &Path) -> io::Result<Self> {
        let file = disk.open_file(path, Create::IfMissing, true)?;
        let mut state = disk.state();
        let state = &mut *state;
        let inode = state.inodes.get(&file.ino()).ok_or(io::ErrorKind::NotFound)?;
        let opening = state.areas.open(disk.process, file.ino(), inode)?;
        Ok(Self { file, path: path.into(), opening })
    }

    fn begin(&self) -> io::Result<()> {
        self.file.begin(OpKind::Area, 0, 0).and_then(Failure::error).map_or(Ok(()), Err)
    }
}

impl SharedArea for CrashArea {
    fn words(&self) -> &[AtomicU64] {
        self.opening.words().get()
    }

    fn try_lock(&self, byte: u64) -> io::Result<bool> {
        self.begin()?;
        Ok(self.opening.try_lock(byte))
    }

    fn unlock(&self, byte: u64) -> io::Result<()> {
        self.begin()?;
        self.opening.unlock(byte);
        Ok(())
    }

    fn is_locked_elsewhere(&self, byte: u64) -> io::Result<bool> {
        self.begin()?;
        Ok(self.opening.is_locked_elsewhere(byte))
    }

    fn wait(&self, word: usize, expected: u64, timeout_us: u64) {
        // Who observes may let the others run meanwhile.
        if self.begin().is_ok() && is_as_expected(&self.words()[word], expected) {
            self.file.disk().advance_us(timeout_us);
        }
    }

    fn wake(&self, _word: usize) {
        // Whoever waits looks again when its time is over, which takes none.
        drop(self.begin());
    }

    fn read_tail(&self) -> io::Result<Vec<u8>> {
        self.begin()?;
        Ok(self.opening.read_tail())
    }

    fn write_tail(&self, bytes: &[u8]) -> io::Result<()> {
        self.file.disk().check_alive()?;
        let failure = self.file.begin(OpKind::Write, AREA_BYTES, bytes.len() as u64);
        let Some(error) = failure.and_then(Failure::error) else {
            self.opening.write_tail(bytes, bytes.len());
            return Ok(());
        };
        if matches!(failure, Some(Failure::Io | Failure::Killed)) {
            let count = self.file.disk().state().chooser.index(bytes.len() + 1);
            self.opening.write_tail(bytes, count);
        }
        Err(error)
    }

    fn is_current(&self) -> io::Result<bool> {
        self.begin()?;
        Ok(self.file.disk().state().names.file(&self.path).is_ok_and(|ino| ino == self.file.ino()))
    }

    fn step(&self) {
        drop(self.begin());
    }
}
