//! `llmdb mcp`, seen by its clients.

mod client;
mod facts;
mod hostile;
mod http;
mod life;
mod many;
mod page;
mod reference;
mod schemas;

pub(crate) use client::Client;
