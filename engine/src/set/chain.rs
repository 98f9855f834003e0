//! The backups of a set, one standing on the other.

use std::{
    io,
    path::{Path, PathBuf},
};

use llmdb_base::Timestamp;
use llmdb_vfs::{Create, Open, OsVfs, Vfs, read_exact_at};

use super::{
    PageProgress, SetBackup,
    manifest::{Base, Manifest, id},
    pages::PagesReader,
};
use crate::{Commit, Engine, Error, Result, open::open_file};

/// A manifest is a page of text. Anything much longer is none.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// The manifests of a set, from the full backup on, each found to stand on the one before.
#[derive(Debug)]
pub(super) struct Chain {
    pub links: Vec<Link>,
}

#[derive(Debug)]
pub(super) struct Link {
    pub manifest: Manifest,
    pub manifest_path: PathBuf,
    pub pages_path: PathBuf,
    manifest_bytes: u64,
}

/// Where the files of backup `number` of the set `dir` are: manifest and pages.
pub(super) fn paths(dir: &Path, number: u64) -> (PathBuf, PathBuf) {
    (dir.join(format!("{number:04}.json")), dir.join(format!("{number:04}.pages")))
}

impl Chain {
    /// Reads the manifests in `dir`; none if it does not exist or holds none.
    ///
    /// # Errors
    /// [`Error::BrokenBackup`] if one is missing, damaged, foreign or out of its place.
    pub fn open(vfs: &dyn Vfs, dir: &Path) -> Result<Self> {
        let names = match vfs.list_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(|error| Error::io("list the backup set", error))?,
        };
        let numbers = names.iter().filter_map(|name| name.strip_suffix(".json"));
        let mut numbers: Vec<u64> = numbers.filter_map(number_of).collect();
        numbers.sort_unstable();
        let mut links: Vec<Link> = Vec::new();
        for (number, expected) in numbers.into_iter().zip(0..) {
            if number != expected {
                let what = format!(
                    "{} is missing, though later backups stand on it",
                    paths(dir, expected).0.display()
                );
                return Err(Error::BrokenBackup(what));
            }
            let link = Link::read(vfs, dir, number)?;
            link.check_place(number, links.last())?;
            links.push(link);
        }
        Ok(Self { links })
    }

    /// As [`Chain::open`], for who needs at least one backup.
    pub fn open_existing(vfs: &dyn Vfs, dir: &Path) -> Result<Self> {
        let chain = Self::open(vfs, dir)?;
        if chain.links.is_empty() {
            return Err(Error::Missing(paths(dir, 0).0));
        }
        Ok(chain)
    }
}

/// The number in the name of a manifest.
fn number_of(digits: &str) -> Option<u64> {
    let plain = digits.len() >= 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|number| format!("{number:04}") == digits)
}

impl Link {
    fn read(vfs: &dyn Vfs, dir: &Path, number: u64) -> Result<Self> {
        let (manifest_path, pages_path) = paths(dir, number);
        let broken = |what: String| Error::BrokenBackup(format!("{} {what}", manifest_path.display()));
        let how = Open { write: false, create: Create::Never, direct: false };
        let file = open_file(vfs, &manifest_path, how)?;
        let len = file.len().map_err(|error| Error::io("ask for the length of a manifest", error))?;
        if len > MANIFEST_BYTES_MAX {
            return Err(broken(format!("has {len} bytes, more than any manifest")));
        }
        let mut text = vec![0; usize::try_from(len).expect("at most a mebibyte")];
        read_exact_at(&*file, &mut text, 0).map_err(|error| Error::io("read a manifest", error))?;
        let manifest = Manifest::decode(&text).map_err(broken)?;
        Ok(Self { manifest, manifest_path, pages_path, manifest_bytes: len })
    }

    /// Whether it stands where it belongs: on `base`, under the name `number`.
    fn check_place(&self, number: u64, base: Option<&Self>) -> Result<()> {
        let manifest = &self.manifest;
        let broken =
            |what: String| Err(Error::BrokenBackup(format!("{} {what}", self.manifest_path.display())));
        if manifest.number != number {
            return broken(format!("is number {} of its set: it was renamed", manifest.number));
        }
        match (base, &manifest.base) {
            (None, None) => Ok(()),
            (None, Some(base)) => broken(format!("is not full, but stands on backup {}", id(base.backup))),
            (Some(_), None) => broken("is a full backup, and belongs into a set of its own".into()),
            (Some(before), Some(_)) if before.manifest.store != manifest.store => {
                let (found, expected) = (manifest.store, before.manifest.store);
                broken(format!("was taken from store {found}, and the set is of store {expected}"))
            }
            (Some(before), Some(base)) if before.as_base() != *base => {
                let (wanted, there) = (id(base.backup), id(before.manifest.backup));
                let path = before.manifest_path.display();
                match base.backup == before.manifest.backup {
                    true => broken(format!("stands on {path} as it was before it was changed")),
                    false => broken(format!("stands on backup {wanted}, but {path} is backup {there}")),
                }
            }
            (Some(before), Some(_)) if before.manifest.root.txid > manifest.root.txid => {
                broken(format!("is older than {}", before.manifest_path.display()))
            }
            (Some(_), Some(_)) => Ok(()),
        }
    }

    /// What a backup that stands on this one says of it.
    pub fn as_base(&self) -> Base {
        let Manifest { backup, root, .. } = &self.manifest;
        Base { backup: *backup, txid: root.txid, epoch: root.epoch, checksum: self.manifest.checksum() }
    }

    pub fn pages<'a>(&'a self, vfs: &dyn Vfs) -> Result<PagesReader<'a>> {
        PagesReader::open(vfs, &self.pages_path, &self.manifest)
    }

    pub fn describe(&self) -> SetBackup {
        let Manifest { number, store, root, taken_us, pages, file, .. } = &self.manifest;
        SetBackup {
            manifest: self.manifest_path.clone(),
            number: *number,
            store: *store,
            commit: Commit::of(root),
            taken: Timestamp::new(*taken_us),
            page_count: *pages,
            file_bytes: file.bytes + self.manifest_bytes,
        }
    }
}

impl Engine {
    /// Reads every byte of the backup set in the folder `set`, and compares: each manifest with its checksum, each
    /// backup with the one it stands on, each file with its manifest. Returns the backups, the full one first.
    ///
    /// # Errors
    /// [`Error::BrokenBackup`] says which file is missing, foreign, out of its place or changed;
    /// [`Error::Missing`] if there is no backup; [`Error::Cancelled`]; [`Error::Io`].
    pub fn verify_set(set: impl AsRef<Path>, progress: PageProgress<'_>) -> Result<Vec<SetBackup>> {
        Self::verify_set_on(&OsVfs::new(), set.as_ref(), progress)
    }

    /// As [`Engine::verify_set`], on a disk of the caller's.
    ///
    /// # Errors
    /// As [`Engine::verify_set`].
    pub fn verify_set_on(vfs: &dyn Vfs, set: &Path, progress: PageProgress<'_>) -> Result<Vec<SetBackup>> {
        let chain = Chain::open_existing(vfs, set)?;
        let total = chain.links.iter().fold(0_u64, |sum, link| sum.saturating_add(link.manifest.pages));
        let mut done = 0;
        for link in &chain.links {
            link.pages(vfs)?.read_all(&mut |_, bytes| {
                done += (bytes.len() / llmdb_base::PAGE_SIZE) as u64;
                if progress(done, total) { Ok(()) } else { Err(Error::Cancelled) }
            })?;
        }
        Ok(chain.links.iter().map(Link::describe).collect())
    }
}
