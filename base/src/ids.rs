//! Identifiers: cheap to copy, impossible to mix up, printed the way people say them.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($raw:ty), $($show:tt)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name($raw);

        impl $name {
            /// Wraps a raw value.
            pub const fn new(raw: $raw) -> Self {
                Self(raw)
            }
            /// The raw value.
            pub const fn get(self) -> $raw {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let show: fn($raw, &mut fmt::Formatter<'_>) -> fmt::Result = $($show)+;
                show(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(
    /// Number of a 4 KiB page of the data file, from 0. Printed "pg17".
    Pgno(u64), |raw, f| write!(f, "pg{raw}")
);
id!(
    /// Commit order, which is also the order of system time. Never used twice. Printed "tx9021".
    TxnId(u64), |raw, f| write!(f, "tx{raw}")
);
id!(
    /// Byte position in the log. Printed like "0/3F00A8" (upper and lower 32 bits, hexadecimal).
    Lsn(u64), |raw, f| write!(f, "{:X}/{:X}", raw >> 32, raw & 0xFFFF_FFFF)
);
id!(
    /// Generation of pages: each transaction, and each savepoint in it, writes pages of an epoch of its own.
    /// Strictly increasing over the life of a store. Printed "ep12".
    Epoch(u64), |raw, f| write!(f, "ep{raw}")
);
id!(
    /// Microseconds since 1970-01-01 UTC.
    Timestamp(i64), |raw, f| write!(f, "{raw}us")
);
id!(
    /// Storage name of a tree. 0 is the catalog of trees. Printed "tree 3".
    TreeId(u32), |raw, f| write!(f, "tree {raw}")
);
id!(
    /// Random identity of a store, written in every file that belongs to it.
    StoreId(u128), |raw, f| write!(f, "{raw:032x}")
);

impl Pgno {
    /// Largest page number a [`ChildRef`] can carry.
    pub const MAX: Self = Self((1 << 40) - 1);

    /// Byte offset of the page in the data file.
    pub const fn offset(self) -> u64 {
        self.0 * crate::PAGE_SIZE as u64
    }

    /// The page `count` pages further on.
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

impl Lsn {
    /// The position `byte_count` bytes further on.
    pub const fn plus(self, byte_count: u64) -> Self {
        Self(self.0 + byte_count)
    }
}

impl Epoch {
    /// The epoch after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The lower 24 bits, which a parent keeps beside the number of its child.
    pub const fn tag(self) -> u32 {
        (self.0 & 0xFF_FFFF) as u32
    }
}

impl TxnId {
    /// The transaction id after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Pointer to a page: its number (40 bits) and the tag of the epoch that wrote it (24 bits).
///
/// A page whose header shows another epoch was lost on its way to the disk or was written by somebody else: the
/// tag catches what a checksum inside the page cannot.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChildRef(u64);

impl ChildRef {
    /// Stored form of "no page": an empty tree.
    pub const NONE: Self = Self(0);

    /// Points to the page `pgno`, written in the epoch `birth`. `pgno` must not exceed [`Pgno::MAX`].
    pub const fn new(pgno: Pgno, birth: Epoch) -> Self {
        assert!(pgno.get() <= Pgno::MAX.get());
        Self(pgno.get() | (birth.tag() as u64) << 40)
    }

    /// From its stored form.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// Its stored form.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Number of the page.
    pub const fn pgno(self) -> Pgno {
        Pgno(self.0 & Pgno::MAX.get())
    }

    /// Lower 24 bits of the epoch that wrote the page.
    pub const fn tag(self) -> u32 {
        (self.0 >> 40) as u32
    }

    /// Whether this is [`ChildRef::NONE`]. Page 0 is a meta page, so no node ever has that number.
    pub const fn is_none(self) -> bool {
        self.0 & Pgno::MAX.get() == 0
    }
}

impl fmt::Debug for ChildRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{:06x}", self.pgno(), self.tag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn child_ref_keeps_pgno_and_tag() {
        let child = ChildRef::new(Pgno::MAX, Epoch::new(0x1_23AB_CDEF));
        assert_eq!(child.pgno(), Pgno::MAX);
        assert_eq!(child.tag(), 0xAB_CDEF);
        assert_eq!(ChildRef::from_raw(child.raw()), child);
        assert!(!child.is_none());
        assert!(ChildRef::NONE.is_none());
    }

    #[test]
    fn ids_print_the_way_people_say_them() {
        assert_eq!(Pgno::new(17).to_string(), "pg17");
        assert_eq!(TxnId::new(9021).to_string(), "tx9021");
        assert_eq!(Lsn::new(0x3F_00A8).to_string(), "0/3F00A8");
    }
}
