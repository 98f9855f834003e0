//! A client that speaks the protocol by hand, so that it can also break it.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

use crate::Desk;

/// A server process and the pipes to it.
pub(crate) struct Client {
    pub(crate) child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    next_id: u64,
    /// Messages that answered nothing.
    pub(crate) notes: Vec<Value>,
}

impl Client {
    /// Starts our server on a file of the desk, and begins.
    pub(crate) fn ours(desk: &Desk, file: &str) -> Self {
        let mut client = Self::start(desk.command(&["mcp", file]));
        client.begin();
        client
    }

    /// Starts the reference server, which keeps its memory in `file`.
    pub(crate) fn reference(script: &Path, file: &Path) -> Self {
        let mut command = Command::new("node");
        command.arg(script).env("MEMORY_FILE_PATH", file);
        let mut client = Self::start(command);
        client.begin();
        client
    }

    /// Starts a server.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from, next_id: 1, notes: Vec::new() }
    }

    pub(crate) fn begin(&mut self) -> Value {
        let client = json!({ "name": "test", "version": "1" });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
        let answer = self.request("initialize", &params);
        self.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
        answer
    }

    /// Sends bytes as they are. A server that is gone does not read them.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.to.as_mut().unwrap().write_all(bytes);
    }

    /// The next message; `None` if the server is gone.
    pub(crate) fn read(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.from.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
        }
    }

    /// Sends a request and does not wait for the answer; returns its id.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(format!("{request}\n").as_bytes());
        id
    }

    /// The answer to a request; `None` if the server is gone.
    pub(crate) fn answer(&mut self, id: u64) -> Option<Value> {
        loop {
            let message = self.read()?;
            if message["id"] == id {
                return Some(message);
            }
            self.notes.push(message);
        }
    }

    /// The whole answer.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> Value {
        let id = self.ask(method, params);
        self.answer(id).expect("the server answers")
    }

    /// The result of calling a tool.
    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let answer = self.request("tools/call", &json!({ "name": tool, "arguments": arguments }));
        assert!(answer.get("error").is_none(), "{tool}: {answer}");
        answer["result"].clone()
    }

    /// The structured result of a call that must succeed.
    pub(crate) fn ok(&mut self, tool: &str, arguments: &Value) -> Value {
        let result = self.call(tool, arguments);
        assert_ne!(result["isError"], true, "{tool}: {result}");
        result["structuredContent"].clone()
    }

    /// Text of the error of a call that must fail.
    pub(crate) fn error(&mut self, tool: &str, arguments: &Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{tool}: {result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// Closes the pipe to the server; what it still answers can be read.
    pub(crate) fn close(&mut self) {
        drop(self.to.take());
    }

    /// Closes the pipe and returns the exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        drop(self.to.take());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.to.take());
        // A server that a test let die, or that ends by itself.
        let _ = self.child.wait();
    }
}
