//! Clients over HTTP: who may connect from where, and how much of everything.

mod guard;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, middleware};
use rmcp::{
    ServerHandler,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::local::LocalSessionManager,
    },
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result, handler::Handler, lines::LINE_LEN_MAX, memory::Memory, tools::Listed, web};

/// Where the protocol is served.
const PATH: &str = "/mcp";
/// Shortest token in bytes that keeps strangers out: 128 bits in hexadecimal are twice as long.
const TOKEN_LEN_MIN: usize = 16;
/// How long connections may take to end when the server does.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// Where to listen, and for whom.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// What clients have to send as `Authorization: Bearer ...`. Without one only this machine can connect.
    pub token: Option<String>,
    /// Names under which the server is reached, beside `localhost` and the address itself, as in `memory.example.com`.
    pub hosts: Vec<String>,
}

impl Listen {
    /// Whether this is safe. Asked again when the server starts; sooner is better, before there is anything to undo.
    ///
    /// # Errors
    /// [`Error::Refused`], with what to ask for instead.
    pub fn check(&self) -> Result<()> {
        let refused = |what: &str, mend: &str| Error::Refused { what: what.into(), mend: mend.into() };
        match &self.token {
            None if !self.address.ip().is_loopback() => Err(refused(
                "everybody who reaches this address could read and write the memory",
                "listen on 127.0.0.1, or set a token",
            )),
            Some(token) if token.len() < TOKEN_LEN_MIN => Err(refused(
                "the token is too short to keep anybody out",
                "take at least 16 random characters, as `openssl rand -hex 32` makes them",
            )),
            Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err(refused("the token has characters that a header cannot carry", "take letters and digits"))
            }
            _ => Ok(()),
        }
    }

    /// Names of hosts under which requests are taken: a page of another site that has its own name point to us sends
    /// that name.
    fn allowed_hosts(&self) -> Vec<String> {
        let mut hosts = self.hosts.clone();
        hosts.extend(["localhost".into(), "127.0.0.1".into(), "::1".into()]);
        if !self.address.ip().is_unspecified() {
            hosts.push(self.address.ip().to_string());
        }
        hosts
    }
}

/// Serves the memory until `ending` is cancelled.
pub(crate) async fn serve(
    memory: Memory,
    tools: Arc<[Listed]>,
    listen: &Listen,
    ready: impl FnOnce(SocketAddr),
    ending: CancellationToken,
) -> Result<()> {
    let beside = web::routes(memory.clone());
    serve_handlers(move || Handler::new(memory.clone(), Arc::clone(&tools)), beside, listen, ready, ending)
        .await
}

/// Serves whatever `new_handler` makes for each client, and what is `beside` the protocol, until `ending` is cancelled. Streams of events are ended then;
/// other answers are given.
///
/// # Errors
/// [`Error::Io`].
#[doc(hidden)]
pub async fn serve_handlers<H: ServerHandler>(
    new_handler: impl Fn() -> H + Send + Sync + 'static,
    beside: Router,
    listen: &Listen,
    ready: impl FnOnce(SocketAddr),
    ending: CancellationToken,
) -> Result<()> {
    let failed = || Error::io(format!("listening on {}", listen.address));
    let listener = TcpListener::bind(listen.address).await.map_err(failed())?;
    let address = listener.local_addr().map_err(failed())?;
    let router = router(new_handler, beside, listen, &ending);
    ready(address);
    let served = axum::serve(listener, router).with_graceful_shutdown(ending.clone().cancelled_owned());
    tokio::select! {
        served = served.into_future() => served.map_err(Error::io("serving HTTP")),
        // A client that has sent half of a request must not keep the process.
        () = ended_long_ago(&ending) => Ok(()),
    }
}

async fn ended_long_ago(ending: &CancellationToken) {
    ending.cancelled().await;
    tokio::time::sleep(FINISH_WITHIN).await;
}

/// Everything that is served. Whatever is added stands behind the same guards.
fn router<H: ServerHandler>(
    new_handler: impl Fn() -> H + Send + Sync + 'static,
    beside: Router,
    listen: &Listen,
    ending: &CancellationToken,
) -> Router {
    let sessions = Arc::new(LocalSessionManager::default());
    let config = StreamableHttpServerConfig::default()
        // The guard in front of every route has looked at host and origin.
        .disable_allowed_hosts()
        .with_max_request_body_bytes(LINE_LEN_MAX)
        .with_cancellation_token(ending.child_token());
    let protocol = StreamableHttpService::new(move || Ok(new_handler()), Arc::clone(&sessions), config);
    let guard = Arc::new(guard::Guard::new(listen.token.as_deref(), listen.allowed_hosts(), sessions));
    Router::new()
        .route_service(PATH, protocol)
        .merge(beside)
        .layer(middleware::from_fn_with_state(guard, guard::check))
}

/// Whether a host, as a header names it, is this machine itself.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
