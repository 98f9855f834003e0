//! What can go wrong between a tree and its pages.

use std::{fmt, io};

use crate::{Pgno, TreeId};

/// Stored bytes that are not what they must be: where, in which tree if that is known, and what is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Corruption {
    /// The damaged page.
    pub pgno: Pgno,
    /// The tree through which the page was reached, once a caller has filled it in.
    pub tree: Option<TreeId>,
    /// What was found, and what was expected.
    pub what: String,
}

impl Corruption {
    /// Damage in page `pgno`.
    pub fn new(pgno: Pgno, what: impl Into<String>) -> Self {
        Self { pgno, tree: None, what: what.into() }
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tree {
            Some(tree) => write!(f, "{} ({tree}): {}", self.pgno, self.what),
            None => write!(f, "{}: {}", self.pgno, self.what),
        }
    }
}

/// Why a page could not be had. Boxed, so that results on the read path stay two words long.
#[derive(Debug)]
pub struct PageError(Box<PageErrorKind>);

/// Result of asking for a page.
pub type PageResult<T> = Result<T, PageError>;

/// The families of [`PageError`].
#[derive(Debug)]
#[non_exhaustive]
pub enum PageErrorKind {
    /// The bytes are wrong.
    Corruption(Corruption),
    /// The world refused: what was tried, and what it said.
    Io {
        /// What was tried, e.g. "read 4096 bytes at 8192 of the data file".
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The data file cannot grow. Nothing was changed; the transaction can be aborted cleanly.
    NoSpace {
        /// How much was asked for.
        needed_bytes: u64,
    },
}

impl PageError {
    /// Wraps a failed call to the operating system.
    pub fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self(Box::new(PageErrorKind::Io { what: what.into(), source }))
    }

    /// The data file cannot grow by `needed_bytes`.
    pub fn no_space(needed_bytes: u64) -> Self {
        Self(Box::new(PageErrorKind::NoSpace { needed_bytes }))
    }

    /// What happened.
    pub fn kind(&self) -> &PageErrorKind {
        &self.0
    }

    /// What happened, owned.
    pub fn into_kind(self) -> PageErrorKind {
        *self.0
    }

    /// Names the tree through which a damaged page was reached, unless somebody closer already did.
    #[must_use]
    pub fn in_tree(mut self, tree: TreeId) -> Self {
        if let PageErrorKind::Corruption(corruption) = &mut *self.0 {
            corruption.tree.get_or_insert(tree);
        }
        self
    }
}

impl From<Corruption> for PageError {
    fn from(corruption: Corruption) -> Self {
        Self(Box::new(PageErrorKind::Corruption(corruption)))
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            PageErrorKind::Corruption(corruption) => corruption.fmt(f),
            PageErrorKind::Io { what, source } => write!(f, "{what}: {source}"),
            PageErrorKind::NoSpace { needed_bytes } => {
                write!(f, "no space left: the data file cannot grow by {needed_bytes} bytes")
            }
        }
    }
}

impl std::error::Error for PageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            PageErrorKind::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
