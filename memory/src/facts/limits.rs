//! How much fits: of a key, a document, and a call.

/// Longest subject, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 256;
/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// Longest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Longest document as JSON, in bytes: its text, its value and the rest.
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;
/// Longest source, agent or reason, in bytes.
pub const LABEL_BYTES_MAX: usize = 1_024;
/// Most tags of a document.
pub const TAGS_MAX: usize = 32;
/// Longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 64;
/// Most facts that one call writes, or asks for by key.
pub const BATCH_MAX: usize = 1_000;
/// Most facts or versions that one answer holds.
pub const RESULTS_MAX: usize = 1_000;
/// What an answer holds if nothing is said.
pub const RESULTS_DEFAULT: usize = 50;
/// Bytes of JSON that count as one token of an answer's budget.
pub const BYTES_PER_TOKEN: usize = 4;
/// Most keys that a fact lists as saying the same.
pub const SAME_AS_MAX: usize = 20;
