//! Text search: words of texts, kept in the transaction that keeps the texts, found by relevance at any point of both times.
//!
//! Knows words and collections. Does not know pages, the log, the network, query languages, or other models.
#![forbid(unsafe_code)]
