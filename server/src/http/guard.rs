//! What stands in front of every route: who may ask, and how many at once.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use llmdb_base::plant::{Bug, planted};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{PATH, is_loopback};
use crate::lines::LINE_LEN_MAX;
use crate::web;

/// Clients that are connected at the same time. Each holds some memory until it leaves or is silent for five minutes.
const SESSIONS_MAX: usize = 256;
/// Requests whose bodies are read at the same time: with the longest bodies, half a gigabyte. The others wait.
const REQUESTS_MAX: usize = 32;
/// How long a body may take to come.
const BODY_WITHIN: Duration = Duration::from_secs(60);
/// The header by which a client names its session.
const SESSION: &str = "mcp-session-id";

/// What requests are checked against.
pub(super) struct Guard {
    token: Option<String>,
    hosts: Vec<String>,
    sessions: Arc<LocalSessionManager>,
    requests: Semaphore,
}

impl Guard {
    pub(super) fn new(token: Option<&str>, hosts: Vec<String>, sessions: Arc<LocalSessionManager>) -> Self {
        let hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { token: token.map(Into::into), hosts, sessions, requests: Semaphore::new(REQUESTS_MAX) }
    }

    /// The reason to refuse a request, if there is one.
    fn refusal(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        let host = uri.host().or_else(|| text(headers, header::HOST).map(host_of));
        if !host.is_some_and(|host| self.is_ours(host)) {
            return Some((StatusCode::FORBIDDEN, "the server is not known under this host name; see --host"));
        }
        // Pages of other sites have no business here. Programs send no origin.
        let origin = text(headers, header::ORIGIN);
        if origin.is_some_and(|origin| !self.is_ours(origin_host(origin)) && !planted(Bug::TakeAnyOrigin)) {
            return Some((StatusCode::FORBIDDEN, "pages of this origin may not use the server; see --host"));
        }
        // The page says nothing of the memory; it asks for the token itself.
        if *method == Method::GET && web::is_page(uri.path()) {
            return None;
        }
        match (&self.token, text(headers, header::AUTHORIZATION)) {
            (Some(token), given) if !given.and_then(bearer).is_some_and(|given| same(token, given)) => {
                Some((StatusCode::UNAUTHORIZED, "send the token: Authorization: Bearer ..."))
            }
            _ => None,
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        is_loopback(&host) || self.hosts.contains(&host)
    }

    async fn is_full(&self) -> bool {
        self.sessions.sessions.read().await.len() >= SESSIONS_MAX
    }
}

/// Lets a request through, or answers why not.
pub(super) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if let Some((status, why)) = guard.refusal(request.method(), request.uri(), request.headers()) {
        return refuse(status, why);
    }
    let begins = request.uri().path() == PATH
        && request.method() == Method::POST
        && !request.headers().contains_key(SESSION);
    if begins && guard.is_full().await {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many clients are connected; try again later");
    }
    // Until the answer begins; a stream of events may go on for hours.
    let Ok(_permit) = guard.requests.acquire().await else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the server is ending");
    };
    let (head, body) = request.into_parts();
    match tokio::time::timeout(BODY_WITHIN, to_bytes(body, LINE_LEN_MAX)).await {
        Ok(Ok(body)) => {
            let is_end = head.method == Method::DELETE;
            let mut answer = next.run(Request::from_parts(head, Body::from(body))).await;
            // That a session has ended is said by 202 below us, of which some clients warn.
            if is_end && answer.status() == StatusCode::ACCEPTED {
                *answer.status_mut() = StatusCode::NO_CONTENT;
            }
            answer
        }
        Ok(Err(_)) => refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 16 MiB, or broke off"),
        Err(_) => refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come within a minute"),
    }
}

fn refuse(status: StatusCode, why: &'static str) -> Response {
    let error = json!({ "code": -32000, "message": why });
    let mut response =
        (status, Json(json!({ "jsonrpc": "2.0", "error": error, "id": null }))).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    response
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// The host of `host:port`.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        // The colons of a bare IPv6 address stand within brackets.
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The host of `scheme://host:port`; nothing of anything else.
fn origin_host(origin: &str) -> &str {
    origin.split_once("://").map_or("", |(_, authority)| host_of(authority))
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares without telling by its time how much was right.
fn same(token: &str, given: &str) -> bool {
    let differences = token.bytes().zip(given.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    (token.len() == given.len() || planted(Bug::TakeBeginningOfToken)) && differences == 0
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn asked(token: Option<&str>, headers: &[(&'static str, &str)]) -> Option<u16> {
        let guard = Guard::new(token, vec!["Memory.example.com".into()], Arc::default());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        guard.refusal(&Method::POST, &Uri::from_static("/mcp"), &map).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn hosts_and_origins_of_others_are_refused() {
        for host in ["localhost:80", "127.0.0.1", "[::1]:8080", "memory.EXAMPLE.com:443", "127.9.9.9:1"] {
            assert_eq!(asked(None, &[("host", host)]), None, "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example:80", "10.0.0.1", "", "[::2]:80", "127.0.0.1.nip.io"]
        {
            assert_eq!(asked(None, &[("host", host)]), Some(403), "{host}");
        }
        assert_eq!(asked(None, &[]), Some(403));
        for origin in ["http://localhost:6274", "https://memory.example.com", "http://[::1]:1"] {
            assert_eq!(asked(None, &[("host", "localhost"), ("origin", origin)]), None, "{origin}");
        }
        for origin in
            ["https://evil.example", "null", "http://localhost.evil.example", "localhost", "file://"]
        {
            assert_eq!(asked(None, &[("host", "localhost"), ("origin", origin)]), Some(403), "{origin}");
        }
    }

    #[test]
    fn a_token_that_is_set_must_be_sent() {
        let token = Some("0123456789abcdef");
        let sent = |value| asked(token, &[("host", "localhost"), ("authorization", value)]);
        assert_eq!(sent("Bearer 0123456789abcdef"), None);
        assert_eq!(sent("bearer 0123456789abcdef"), None);
        for wrong in
            ["Bearer 0123456789abcdeF", "Bearer 0123456789abcde", "Basic 0123456789abcdef", "Bearer", ""]
        {
            assert_eq!(sent(wrong), Some(401), "{wrong}");
        }
        assert_eq!(asked(token, &[("host", "localhost")]), Some(401));
    }

    #[test]
    fn planted_bugs_are_caught() {
        let bugs: [(Bug, fn()); 2] = [
            (Bug::TakeBeginningOfToken, a_token_that_is_set_must_be_sent),
            (Bug::TakeAnyOrigin, hosts_and_origins_of_others_are_refused),
        ];
        for (bug, by) in bugs {
            assert!(llmdb_base::plant::is_caught(bug, by), "{bug:?}");
        }
    }
}
