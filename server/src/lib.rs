//! Doors for other programs: the Model Context Protocol, over standard input and output or HTTP.
//!
//! Knows protocols and the facade. Does not know pages, the log, or anything else below the facade.
#![forbid(unsafe_code)]
