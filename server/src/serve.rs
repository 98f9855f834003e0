//! A server from its first to its last moment: the threads it runs on, and how it ends.

use std::time::Duration;

use llmdb::Db;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{Error, Listen, Result, http as over_http, memory::Memory, stdio as over_stdio, tools};

/// How long the calls that are running may take to end when the server is asked to. Then it ends without them: what they
/// were writing is there as a whole or not at all.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// Serves one client over standard input and output until it closes them, or a signal asks to end. Then nothing is
/// running any more, and the database is closed.
///
/// # Errors
/// [`Error::Database`], [`Error::Io`], [`Error::Protocol`].
pub fn stdio(db: Db) -> Result<()> {
    serve(db, |memory, ending| async move { over_stdio::serve(memory, tools::list(), ending).await })
}

/// Serves clients over HTTP until a signal asks to end.
///
/// `ready` is told the address, which has a port even if none was asked for, when clients can connect.
///
/// # Errors
/// [`Error::Refused`]: what `listen` asks for is not safe; [`Error::Database`], [`Error::Io`].
pub fn http(db: Db, listen: &Listen, ready: impl FnOnce(std::net::SocketAddr)) -> Result<()> {
    listen.check()?;
    serve(
        db,
        |memory, ending| async move { over_http::serve(memory, tools::list(), listen, ready, ending).await },
    )
}

fn serve<F: Future<Output = Result<()>>>(
    db: Db,
    work: impl FnOnce(Memory, CancellationToken) -> F,
) -> Result<()> {
    let runtime = runtime()?;
    let memory = Memory::new(db);
    let ended = runtime.block_on(async {
        let ending = CancellationToken::new();
        end_on_signals(&ending)?;
        let ended = work(memory.clone(), ending).await;
        // A call that hangs, on a disk that does, must not keep the process.
        let _ = tokio::time::timeout(FINISH_WITHIN, memory.finish()).await;
        ended
    });
    // A read of standard input cannot be interrupted; nobody waits for it.
    runtime.shutdown_background();
    memory.close()?;
    ended
}

/// One thread talks to clients: they are few, and what takes time happens on the threads of the calls.
fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().map_err(Error::io("starting the server"))
}

/// The first signal asks to end, the second one ends at once.
fn end_on_signals(ending: &CancellationToken) -> Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind).map_err(Error::io("listening to signals"))?;
        let ending = ending.clone();
        tokio::spawn(async move {
            signals.recv().await;
            ending.cancel();
            signals.recv().await;
            std::process::exit(INTERRUPTED);
        });
    }
    Ok(())
}

/// The exit code of a program that was told twice to stop.
const INTERRUPTED: i32 = 130;
