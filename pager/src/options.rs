//! What can be chosen about a pager.

/// Limits of a pager.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PagerOptions {
    /// How many bytes of pages may be in private memory only. A transaction that would exceed it writes pages to
    /// the file early, where no durable root names them. Default 256 MiB. Less costs writes, since a page written
    /// early may change again; more costs memory, and time for the next checkpoint.
    pub private_bytes_max: u64,
    /// Pages of the file that ordinary allocations leave alone, so that checkpoints and deletes go on when the disk
    /// is full. As many as the allocation map takes come on top. Default 64.
    pub reserve_pages: u64,
}

impl Default for PagerOptions {
    fn default() -> Self {
        Self { private_bytes_max: 256 << 20, reserve_pages: 64 }
    }
}

/// What an opened pager may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read. A damaged allocation map is no obstacle.
    ReadOnly,
    /// Read and write. The allocation map must be intact.
    ReadWrite,
    /// As [`Access::ReadWrite`], but what both generations hold stays as it is, and no checkpoint is made: for
    /// looking at what a replay would bring, without giving anything up. Both allocation maps must be intact.
    Scratch,
    /// Read; and write, once [`crate::Pager::rebuild_map`] has replaced the allocation map.
    Rebuild,
}

/// Which durable generation to start from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// The newest with an intact meta page.
    Newest,
    /// The one before, because trees of the newest turned out to be damaged. Opened for writing, the newest is
    /// given up: its meta pages are overwritten with the older state.
    Older,
}

/// Which committed state a reader sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visible {
    /// The published one.
    Published,
    /// The newest committed one, published or not.
    Tip,
}
