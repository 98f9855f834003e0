//! One client over standard input and output.

use std::sync::Arc;

use rmcp::{
    service::{ServerInitializeError, serve_server_with_ct},
    transport::stdio_pipes,
};
use tokio_util::sync::CancellationToken;

use crate::{Error, Result, handler::Handler, lines::Lines, memory::Memory, tools::Listed};

/// Serves until the client closes its end, or `ending` is cancelled. Answers to what was asked before are given.
pub(crate) async fn serve(memory: Memory, tools: Arc<[Listed]>, ending: CancellationToken) -> Result<()> {
    let (input, output) = stdio_pipes();
    let handler = Handler::new(memory, tools);
    match serve_server_with_ct(handler, Lines::new(input, output), ending).await {
        Ok(running) => {
            // However it ends, there is nobody left to tell.
            let _ = running.waiting().await;
            Ok(())
        }
        // It closed its end, or we were asked to end, before anything began: a client that looks whether we start.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(()),
        Err(error) => Err(Error::Protocol(error.to_string())),
    }
}
