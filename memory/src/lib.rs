//! Agent memory: facts with their provenance, entities, and relations between them.
//!
//! Knows collections in two times and the search of texts. Does not know pages, the log, the network, a protocol, or the
//! terminal.
#![forbid(unsafe_code)]
