//! A small store that keeps everything in memory, a log, and images of the whole: correct, and with bugs to order,
//! so that the driver can prove that it catches them.
//!
//! ```text
//!   roots     two places, used in turn: generation, length and checksum of its image
//!   image-7   everything, as of checkpoint 7            image-8   everything, as of checkpoint 8
//!   log-7     what was committed between 7 and 8        log-8     what was committed since
//! ```
//!
//! Recovery takes the newest root whose image is whole, and the logs from there on. The older generation is kept,
//! with its log, until the next checkpoint.

mod log;
mod root;
mod wire;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use llmdb_vfs::{Create, File, Open, Vfs, crash::CrashVfs};

use crate::{Change, Commit, Contents, Durability, End, Failure, RootSlot, Store, Subject, Transaction};

use self::{
    log::Log,
    root::{Root, Roots, encode_image},
};

/// Bugs to order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Bug {
    /// A durable commit is acknowledged before the log is forced.
    AckBeforeSync,
    /// Checksums of records are not compared.
    SkipChecksum,
    /// Both generations of the root go to the same place.
    LoseOlderRoot,
    /// The image and the log of the older generation are removed when the newer one is written.
    CutLogAtNewerRoot,
    /// What can be decoded of a torn record is applied.
    AcceptTornTail,
    /// The root is written before its image is durable.
    RootBeforeImage,
    /// The folder is not forced after files were made in it.
    ForgetFolder,
    /// Records need not follow each other: what a lost run left behind the tail may count.
    IgnoreChain,
    /// A bad record is always taken for the torn end of the log.
    HideDamage,
    /// A failed sync is tried again, and believed.
    RetrySync,
    /// Recovery reads the log from the page cache.
    ReadCachedLog,
    /// Recovery does not force what it found in the log.
    ForgetTail,
    /// Transaction numbers of the log are given again after a crash.
    ReuseNumbers,
    /// A snapshot shows the newest state.
    MovingSnapshot,
    /// An aborted transaction leaves its first change behind.
    LeakAborted,
    /// A record holds the first tree of a transaction only.
    SplitTransaction,
}

impl Bug {
    /// All bugs.
    pub const ALL: [Self; 16] = [
        Self::AckBeforeSync,
        Self::SkipChecksum,
        Self::LoseOlderRoot,
        Self::CutLogAtNewerRoot,
        Self::AcceptTornTail,
        Self::RootBeforeImage,
        Self::ForgetFolder,
        Self::IgnoreChain,
        Self::HideDamage,
        Self::RetrySync,
        Self::ReadCachedLog,
        Self::ForgetTail,
        Self::ReuseNumbers,
        Self::MovingSnapshot,
        Self::LeakAborted,
        Self::SplitTransaction,
    ];
}

/// The toy as a subject, with or without bugs.
#[derive(Clone, Default, Debug)]
pub struct Toy {
    bugs: BTreeSet<Bug>,
}

impl Toy {
    /// The toy with these bugs.
    pub fn with_bugs(bugs: impl IntoIterator<Item = Bug>) -> Self {
        Self { bugs: bugs.into_iter().collect() }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bugs.contains(&bug)
    }
}

impl Subject for Toy {
    type Store = ToyStore;

    fn open(&self, vfs: Arc<dyn Vfs>) -> Result<ToyStore, Failure> {
        ToyStore::open(self.clone(), vfs)
    }

    fn root_slots(&self, disk: &CrashVfs) -> Vec<RootSlot> {
        root::slots(disk)
    }
}

/// Where everything is.
const FOLDER: &str = "/toy";

/// The open toy.
#[derive(Debug)]
pub struct ToyStore {
    toy: Toy,
    vfs: Arc<dyn Vfs>,
    roots: Roots,
    log: Log,
    /// Of the log.
    generation: u64,
    contents: Contents,
    txid: u64,
    /// Why nothing more is accepted.
    stopped: Option<String>,
}

impl ToyStore {
    fn open(toy: Toy, vfs: Arc<dyn Vfs>) -> Result<Self, Failure> {
        let roots = Roots::open(&*vfs)?;
        // The newest generation whose image is whole; the older one, if need be.
        let mut damage = Failure::Corrupt("no valid root".to_owned());
        for root in roots.newest_first() {
            match root.read_image(&toy, &*vfs) {
                Ok(contents) => return Self::replay(toy, vfs, roots, root, contents),
                Err(failure) => damage = failure,
            }
        }
        Err(damage)
    }

    /// Applies the logs from `root` on, and goes on in the last of them.
    fn replay(
        toy: Toy,
        vfs: Arc<dyn Vfs>,
        roots: Roots,
        root: Root,
        mut contents: Contents,
    ) -> Result<Self, Failure> {
        let mut txid = root.txid;
        let mut last: Option<(u64, Log)> = None;
        for generation in root.generation.. {
            if last.is_some() && !vfs.exists(&path_of("log", generation)).map_err(|e| open_failure(&e))? {
                break;
            }
            let (mut log, before_end) = Log::open(&toy, &*vfs, generation)?;
            match (&last, before_end) {
                (Some((_, before)), Some(end)) if end != before.end() && !toy.has(Bug::HideDamage) => {
                    return Err(Failure::Corrupt(format!("log-{} should end at {end}", generation - 1)));
                }
                // A log that was never finished, nor used.
                (Some(_), None) => break,
                _ => {}
            }
            for (number, changes) in log.take_records() {
                contents.apply(&changes);
                txid = if toy.has(Bug::ReuseNumbers) { txid } else { number };
            }
            last = Some((generation, log));
        }
        let (generation, log) = last.ok_or_else(|| Failure::Corrupt("no log".to_owned()))?;
        // The names of the logs must be as durable as what was found in them.
        vfs.sync_dir(Path::new(FOLDER)).map_err(|e| open_failure(&e))?;
        Ok(Self { toy, vfs, roots, log, generation, contents, txid, stopped: None })
    }

    /// Runs a change of the disk; after one that failed, nobody knows what is there, so it was the last.
    fn guarded<T>(&mut self, change: impl FnOnce(&mut Self) -> io::Result<T>) -> Result<T, Failure> {
        if let Some(why) = &self.stopped {
            return Err(Failure::Stopped(why.clone()));
        }
        change(self).map_err(|error| {
            self.stopped = Some(error.to_string());
            Failure::Io(error.to_string())
        })
    }

    fn force_log(&mut self) -> Result<(), Failure> {
        self.guarded(|store| match store.log.sync() {
            Err(_) if store.toy.has(Bug::RetrySync) => store.log.sync(),
            result => result,
        })
    }

    fn write_checkpoint(&mut self) -> io::Result<()> {
        let toy = self.toy.clone();
        let generation = self.generation + 1;
        let image = encode_image(&self.contents);
        let root = Root::new(generation, self.txid, &image);
        let mut kept = None;
        if toy.has(Bug::RootBeforeImage) {
            kept = Some(self.roots.write(&toy, root)?);
        }
        root.write_image(&*self.vfs, &image)?;
        self.log = Log::create(&*self.vfs, generation, self.log.end())?;
        self.generation = generation;
        if !toy.has(Bug::ForgetFolder) {
            self.vfs.sync_dir(Path::new(FOLDER))?;
        }
        let kept = kept.map_or_else(|| self.roots.write(&toy, root), Ok)?;
        remove_before(&*self.vfs, if toy.has(Bug::CutLogAtNewerRoot) { generation } else { kept })
    }
}

impl Store for ToyStore {
    type Snapshot = Contents;

    fn transact(&mut self, transaction: &Transaction) -> Result<Commit, Failure> {
        let mut changes = wire::without_savepoints(&transaction.changes);
        let End::Commit(durability) = transaction.end else {
            let leaked = changes.first().filter(|_| self.toy.has(Bug::LeakAborted));
            self.contents.apply(&leaked.cloned().into_iter().collect::<Vec<Change>>());
            return Ok(Commit { txid: 0 });
        };
        if self.toy.has(Bug::SplitTransaction) {
            changes = wire::of_one_tree(changes);
        }
        let txid = self.txid + 1;
        let record = wire::encode_changes(&changes);
        let room = self.guarded(|store| store.log.make_room(&record))?;
        if !room {
            return Err(Failure::NoSpace("the log cannot grow".to_owned()));
        }
        self.guarded(|store| store.log.append(txid, &record))?;
        if durability == Durability::Immediate && !self.toy.has(Bug::AckBeforeSync) {
            self.force_log()?;
        }
        self.contents.apply(&transaction.changes);
        self.txid = txid;
        Ok(Commit { txid })
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.force_log()
    }

    fn checkpoint(&mut self) -> Result<(), Failure> {
        self.force_log()?;
        self.guarded(Self::write_checkpoint)
    }

    fn snapshot(&mut self) -> Result<Contents, Failure> {
        Ok(self.contents.clone())
    }

    fn read(&mut self, snapshot: &Contents, show: crate::store::Show<'_>) -> Result<(), Failure> {
        let shown = if self.toy.has(Bug::MovingSnapshot) { &self.contents } else { snapshot };
        shown.entries().for_each(|(tree, key, value)| show(tree, key, value));
        Ok(())
    }

    fn check(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn close(mut self) -> Result<(), Failure> {
        self.checkpoint()
    }
}

/// The file of a kind that belongs to a generation.
fn path_of(kind: &str, generation: u64) -> PathBuf {
    Path::new(FOLDER).join(format!("{kind}-{generation}"))
}

fn open_file(vfs: &dyn Vfs, path: &Path, create: Create) -> io::Result<Arc<dyn File>> {
    vfs.open(path, Open { write: true, create, direct: true })
}

/// Removes the images and logs of generations before `generation`. If that is cut short, they are removed later.
fn remove_before(vfs: &dyn Vfs, generation: u64) -> io::Result<()> {
    for name in vfs.list_dir(Path::new(FOLDER))? {
        let number = name.split_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
        if number.is_some_and(|number| number < generation) {
            vfs.remove_file(&Path::new(FOLDER).join(name))?;
        }
    }
    Ok(())
}

/// A failure to open: what the disk refused, or bytes that cannot be right.
fn open_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => Failure::Corrupt(error.to_string()),
        _ => Failure::Io(error.to_string()),
    }
}
