//! Messages as lines, one JSON text each, with bounded memory: how clients talk to a server over standard input and output.
//!
//! What cannot be taken is answered, not dropped: a client that waits for an answer would wait for ever. So the `id` of a
//! line that is too long is looked for while the line goes by.

mod scan;

use std::{borrow::Cow, io, pin::Pin, sync::Arc};

use rmcp::{
    RoleServer,
    model::{ClientJsonRpcMessage, ErrorCode, ErrorData, RequestId, ServerJsonRpcMessage},
    transport::Transport,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::Mutex,
};

use scan::IdScan;

/// Longest line in bytes. Arguments hold whole documents; nobody remembers a film.
pub(crate) const LINE_LEN_MAX: usize = 16 << 20;
/// A buffer that one long line has stretched is given back.
const BUFFER_KEPT: usize = 1 << 20;

/// Both directions of a connection.
pub(crate) struct Lines<R, W> {
    from: BufReader<R>,
    to: Arc<Mutex<W>>,
    /// The line that is being read; it stays here if reading is interrupted.
    line: Vec<u8>,
    /// Set while the rest of a line that is too long goes by.
    too_long: Option<IdScan>,
    /// An answer that is being written; it stays here if waiting for it is interrupted, and is not begun again.
    refusing: Option<Writing>,
    /// Whether a request has come. What comes before the first one and wants no answer is nothing to begin with.
    is_begun: bool,
}

type Writing = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// What came in.
enum Line {
    Whole,
    TooLong(Option<RequestId>),
    End,
}

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send + 'static> Lines<R, W> {
    pub(crate) fn new(from: R, to: W) -> Self {
        let (from, to) = (BufReader::with_capacity(64 << 10, from), Arc::new(Mutex::new(to)));
        Self { from, to, line: Vec::new(), too_long: None, refusing: None, is_begun: false }
    }

    async fn read_line(&mut self) -> io::Result<Line> {
        loop {
            let available = self.from.fill_buf().await?;
            if available.is_empty() {
                return Ok(Line::End);
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(available.len());
            let part = available.get(..taken).unwrap_or(available);
            if self.too_long.is_none() && self.line.len() + taken > LINE_LEN_MAX {
                let mut scan = IdScan::default();
                scan.feed(&self.line);
                self.line = Vec::new();
                self.too_long = Some(scan);
            }
            match &mut self.too_long {
                Some(scan) => scan.feed(part),
                None => self.line.extend_from_slice(part),
            }
            self.from.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                return Ok(match self.too_long.take() {
                    Some(scan) => Line::TooLong(scan.id()),
                    None => Line::Whole,
                });
            }
        }
    }

    /// The message of the line that was read, or why there is none.
    fn take_message(&mut self) -> Option<Result<ClientJsonRpcMessage, Box<ServerJsonRpcMessage>>> {
        let line = self.line.trim_ascii();
        let message = (!line.is_empty()).then(|| parse(line));
        self.line.clear();
        self.line.shrink_to(BUFFER_KEPT);
        message
    }

    async fn next(&mut self) -> io::Result<Option<ClientJsonRpcMessage>> {
        loop {
            if let Some(writing) = &mut self.refusing {
                let written = writing.as_mut().await;
                self.refusing = None;
                written?;
            }
            let message = match self.read_line().await? {
                Line::End => return Ok(None),
                Line::TooLong(id) => Some(Err(too_long(id))),
                Line::Whole => self.take_message(),
            };
            match message {
                None => {}
                Some(Err(refusal)) => self.refusing = Some(Box::pin(write(Arc::clone(&self.to), *refusal))),
                Some(Ok(message)) => {
                    self.is_begun |= matches!(message, ClientJsonRpcMessage::Request(_));
                    if self.is_begun {
                        return Ok(Some(message));
                    }
                }
            }
        }
    }
}

/// The message of a line, or the answer that refuses it.
fn parse(line: &[u8]) -> Result<ClientJsonRpcMessage, Box<ServerJsonRpcMessage>> {
    serde_json::from_slice(line).map_err(|error| {
        let mut scan = IdScan::default();
        scan.feed(line);
        let is_json = error.is_data();
        let code = if is_json { ErrorCode::INVALID_REQUEST } else { ErrorCode::PARSE_ERROR };
        let what = match is_json {
            true => "not a message of JSON-RPC 2.0".to_owned(),
            false => format!("not JSON: {error}"),
        };
        Box::new(ServerJsonRpcMessage::error(ErrorData::new(code, what, None), scan.id()))
    })
}

fn too_long(id: Option<RequestId>) -> Box<ServerJsonRpcMessage> {
    let what = format!("the message is longer than {LINE_LEN_MAX} bytes; send less at once");
    Box::new(ServerJsonRpcMessage::error(ErrorData::new(ErrorCode::INVALID_REQUEST, what, None), id))
}

async fn write<W: AsyncWrite + Unpin>(to: Arc<Mutex<W>>, message: ServerJsonRpcMessage) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(&message)?;
    bytes.push(b'\n');
    let mut to = to.lock().await;
    to.write_all(&bytes).await?;
    to.flush().await
}

impl<R: AsyncRead + Unpin + Send, W: AsyncWrite + Unpin + Send + 'static> Transport<RoleServer>
    for Lines<R, W>
{
    type Error = io::Error;

    fn name() -> Cow<'static, str> {
        "lines".into()
    }

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        write(Arc::clone(&self.to), message)
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        // Whoever cannot be read from, or written to, is gone.
        self.next().await.ok().flatten()
    }

    async fn close(&mut self) -> io::Result<()> {
        self.to.lock().await.flush().await
    }
}
