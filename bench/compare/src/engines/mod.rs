//! The engines that this build can measure, one file each.

#[cfg(feature = "canopydb")]
mod canopydb;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "llmdb")]
mod llmdb;
#[cfg(feature = "lmdb")]
mod lmdb;
#[cfg(feature = "mdbx")]
mod mdbx;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "sqlite")]
mod sqlite;

use crate::engine::{Outcome, Peer};

/// Our own engine's name: every other engine is a peer that it is compared with.
pub const OWN: &str = "llmdb";

/// Every engine of this build, in the order in which tables show them.
pub fn all() -> Vec<Peer> {
    vec![
        #[cfg(feature = "llmdb")]
        llmdb::PEER,
        #[cfg(feature = "lmdb")]
        lmdb::PEER,
        #[cfg(feature = "lmdb")]
        lmdb::PEER_WRITEMAP,
        #[cfg(feature = "mdbx")]
        mdbx::PEER,
        #[cfg(feature = "redb")]
        redb::PEER,
        #[cfg(feature = "canopydb")]
        canopydb::PEER,
        #[cfg(feature = "fjall")]
        fjall::PEER,
        #[cfg(feature = "rocksdb")]
        rocksdb::PEER,
        #[cfg(feature = "sqlite")]
        sqlite::PEER,
    ]
}

/// The engine of that name.
///
/// # Errors
/// No engine of this build has it.
pub fn find(name: &str) -> Outcome<Peer> {
    let known = all();
    known.iter().find(|peer| peer.name == name).copied().ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|peer| peer.name).collect();
        format!("no engine `{name}` in this build; there are: {}", names.join(", ")).into()
    })
}

/// `name version` of a crate, from the Cargo.lock that this program was built with.
pub fn crate_version(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let mut lines = lock.lines();
    let wanted = format!("name = \"{name}\"");
    let version = lines
        .find(|line| *line == wanted)
        .and_then(|_| lines.next())
        .and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    format!("{name} {}", version.unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_is_in_the_lock_file() {
        for peer in all() {
            for name in peer.crates {
                assert!(!crate_version(name).ends_with('?'), "{name}");
            }
        }
    }

    #[test]
    fn names_are_unique_and_found() {
        let names: std::collections::BTreeSet<_> = all().iter().map(|peer| peer.name).collect();
        assert_eq!(names.len(), all().len());
        assert!(find("no such engine").is_err());
    }
}
