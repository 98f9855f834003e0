//! Private memory over a file: the pages a reader sees, and the place where a writer prepares new ones.
//!
//! ```text
//!            +---- region 0 ----+---- region 1 ----+ ...      each `region_bytes` long (a power of two),
//!  memory    | private pages over the file          |          reserved when first needed, never moved
//!            +-------------------------------------+
//!  file      |####################......            |          `discard` drops private pages again
//!            +-------------------------------------+
//! ```
//!
//! A store never reaches the file: it makes a private copy of the page (copy-on-write of the operating system),
//! which shadows the file until `discard`. What must become durable is written with `File::write_at`; after
//! that, and only then, `discard` gives the private memory back and the same bytes show through from the file.
#![expect(unsafe_code, reason = "door 2: the mapping")]

// The implementation is written by the owner of this file.
/// See the module.
#[derive(Debug)]
pub struct Mapping {}
