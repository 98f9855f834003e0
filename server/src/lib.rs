//! Doors for other programs: the Model Context Protocol, over standard input and output or HTTP.
//!
//! Knows protocols and the facade. Does not know pages, the log, or anything else below the facade.
#![forbid(unsafe_code)]

mod arguments;
mod error;
mod guides;
mod handler;
mod http;
mod lines;
mod memory;
mod serve;
mod stdio;
mod tools;
mod watch;
mod web;

pub use error::{Error, Result};
pub use http::Listen;
#[doc(hidden)]
pub use http::serve_handlers;
pub use serve::{http, stdio};
