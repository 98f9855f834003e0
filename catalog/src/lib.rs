//! The catalog: schemas, migrations and policies of retention, kept as facts like any others.
//!
//! Knows collections and what their documents should look like. Does not know pages, the log, the network, query text,
//! or what a document means to whoever wrote it.
#![forbid(unsafe_code)]
