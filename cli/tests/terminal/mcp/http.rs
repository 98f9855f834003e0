//! `llmdb mcp --http`: the same memory over HTTP, and who may not have it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::Desk;

/// A server on a free port.
pub(super) struct Server {
    child: Child,
    address: String,
}

/// An answer: status, headers, body.
pub(super) struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

impl Server {
    pub fn start(desk: &Desk, more: &[&str], token: Option<&str>) -> Self {
        let mut command = desk.command(&["mcp", "a.llmdb", "--http", "127.0.0.1:0", "--json"]);
        command.args(more).stderr(Stdio::piped()).env_remove("LLMDB_TOKEN");
        if let Some(token) = token {
            command.env("LLMDB_TOKEN", token);
        }
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        let url = said["serving"].as_str().unwrap();
        let address = url.strip_prefix("http://").unwrap().strip_suffix("/mcp").unwrap().to_owned();
        Self { child, address }
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"\r\n").unwrap();
        // A server that refuses need not read it all.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (headers, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, headers: headers.to_ascii_lowercase(), body: body.to_owned() }
    }

    fn post(&self, headers: &[(&str, &str)], message: &Value) -> Answer {
        let mut all =
            vec![("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
        all.extend(headers);
        self.send("POST", "/mcp", &all, message.to_string().as_bytes())
    }

    /// Begins a session and returns its name.
    fn begin(&self, headers: &[(&str, &str)]) -> String {
        let answer = self.post(headers, &initialize());
        assert_eq!(answer.status, 200, "{}", answer.body);
        let session = answer.headers.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap();
        session.to_owned()
    }

    fn call(&self, session: &str, tool: &str, arguments: &Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        let message = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params });
        let answer = self.post(&[("Mcp-Session-Id", session)], &message);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.message()["result"]["structuredContent"].clone()
    }

    #[cfg(unix)]
    fn stop(mut self) -> Option<i32> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that was stopped is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    /// The message of a stream of events, or of a body of JSON.
    fn message(&self) -> Value {
        let data =
            self.body.lines().filter_map(|line| line.strip_prefix("data: ")).find(|data| data.len() > 2);
        serde_json::from_str(data.unwrap_or(&self.body)).unwrap_or_else(|_| panic!("{}", self.body))
    }
}

fn initialize() -> Value {
    let client = json!({ "name": "test", "version": "1" });
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })
}

#[cfg(unix)]
#[test]
fn clients_share_the_memory_and_a_signal_ends_the_server() {
    let desk = Desk::new();
    let server = Server::start(&desk, &[], None);
    let (one, two) = (server.begin(&[]), server.begin(&[("Origin", "http://localhost:5173")]));
    assert_ne!(one, two);
    let entity = json!({ "name": "Ada", "entityType": "person", "observations": ["x"] });
    server.call(&one, "create_entities", &json!({ "entities": [entity] }));
    assert_eq!(server.call(&two, "read_graph", &json!({}))["entities"][0], entity);
    // A process beside it, on the same file.
    assert!(desk.ok(&["graph", "export", "--db", "a.llmdb"]).contains("Ada"));
    assert_eq!(server.send("DELETE", "/mcp", &[("Mcp-Session-Id", &one)], b"").status / 100, 2);
    let gone =
        server.post(&[("Mcp-Session-Id", &one)], &json!({ "jsonrpc": "2.0", "id": 3, "method": "ping" }));
    assert_eq!(gone.status, 404);
    assert_eq!(server.stop(), Some(0));
    assert!(!desk.exists("a.llmdb-wal"), "it was closed cleanly");
}

#[test]
fn strangers_are_refused() {
    let desk = Desk::new();
    let server = Server::start(&desk, &["--host", "memory.example.com"], None);
    let host = |name| server.post(&[("Host", name)], &initialize()).status;
    assert_eq!((host("memory.example.com"), host("localhost:1")), (200, 200));
    assert_eq!((host("evil.example"), host("127.0.0.1.evil.example")), (403, 403));
    let origin = |name| server.post(&[("Origin", name)], &initialize()).status;
    assert_eq!(
        (origin("https://memory.example.com"), origin("https://evil.example"), origin("null")),
        (200, 403, 403)
    );
    assert_eq!(server.send("GET", "/no-such-page", &[], b"").status, 404);
    assert_eq!(server.send("GET", "/no-such-page", &[("Host", "evil.example")], b"").status, 403);
}

#[test]
fn a_token_is_asked_for_where_one_is_set() {
    let desk = Desk::new();
    let token = "0123456789abcdef0123456789abcdef";
    let server = Server::start(&desk, &[], Some(token));
    let refused = server.post(&[], &initialize());
    assert_eq!(refused.status, 401);
    assert!(refused.headers.contains("www-authenticate: bearer"), "{}", refused.headers);
    assert_eq!(server.post(&[("Authorization", "Bearer 0123456789abcdef")], &initialize()).status, 401);
    server.begin(&[("Authorization", &format!("Bearer {token}"))]);
}

#[test]
fn what_is_not_safe_is_refused_before_anything_is_made() {
    let desk = Desk::new();
    for (address, token, what) in [
        ("0.0.0.0:0", "", "everybody who reaches this address"),
        ("[::]:0", "", "everybody who reaches this address"),
        ("127.0.0.1:0", "short", "too short"),
        ("127.0.0.1:0", "spaces are not for headers", "cannot carry"),
    ] {
        let mut command = desk.command(&["mcp", "a.llmdb", "--http", address]);
        let output = command.env("LLMDB_TOKEN", token).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(what), "{said}");
        assert!(!desk.exists("a.llmdb"), "{said}");
    }
}

#[test]
fn bad_requests_are_refused_and_the_next_one_works() {
    let desk = Desk::new();
    let server = Server::start(&desk, &[], None);
    let json = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
    let long = vec![b' '; 17 << 20];
    let deep = "[".repeat(100_000);
    for (name, body, statuses) in [
        ("garbage", &b"garbage"[..], &[400, 415, 422][..]),
        ("nothing", b"", &[400, 415, 422]),
        ("depth", deep.as_bytes(), &[400, 415, 422]),
        ("length", &long, &[413, 0]),
        (
            "a call without a session",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}",
            &[400, 422],
        ),
    ] {
        let answer = server.send("POST", "/mcp", &json, body);
        assert!(statuses.contains(&answer.status), "{name}: {} {}", answer.status, answer.body);
        server.begin(&[]);
    }
    assert_eq!(server.send("PUT", "/mcp", &json, b"{}").status, 405);
    assert_eq!(server.send("POST", "/mcp", &[("Content-Type", "text/plain")], b"{}").status / 100, 4);
}
