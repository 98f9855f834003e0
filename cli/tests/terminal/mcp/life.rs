//! How a server begins and ends.

use std::{process::Command, time::Duration};

use serde_json::json;

use super::Client;
use crate::Desk;

fn entity(name: &str) -> serde_json::Value {
    json!({ "entities": [{ "name": name, "entityType": "person", "observations": ["a"] }] })
}

#[test]
fn the_first_start_makes_the_file_and_a_closed_pipe_ends_it() {
    let desk = Desk::new();
    let mut client = Client::start(desk.command(&["mcp", "new.llmdb"]));
    let answer = client.begin();
    assert_eq!(answer["result"]["serverInfo"]["name"], "llmdb");
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    assert!(answer["result"]["instructions"].as_str().is_some_and(|text| text.contains("memory")));
    client.ok("create_entities", &entity("Ada"));
    assert_eq!(client.end(), Some(0));
    assert!(!desk.exists("new.llmdb-wal"), "it was closed cleanly");

    let mut client = Client::ours(&desk, "new.llmdb");
    assert_eq!(client.ok("read_graph", &json!({}))["entities"][0]["name"], "Ada");
}

#[test]
fn who_closes_the_pipe_at_once_still_gets_the_answers() {
    let desk = Desk::new();
    let mut client = Client::ours(&desk, "a.llmdb");
    let ids: Vec<_> = (0..50)
        .map(|number| {
            let call = json!({ "name": "create_entities", "arguments": entity(&number.to_string()) });
            client.ask("tools/call", &call)
        })
        .collect();
    let read = client.ask("tools/call", &json!({ "name": "read_graph", "arguments": {} }));
    client.close();
    for id in ids {
        let answer = client.answer(id).unwrap();
        assert_eq!(answer["result"]["structuredContent"]["entities"].as_array().unwrap().len(), 1);
    }
    // In the order in which they were asked.
    let graph = client.answer(read).unwrap();
    assert_eq!(graph["result"]["structuredContent"]["entities"].as_array().unwrap().len(), 50);
    assert!(client.read().is_none());
}

#[cfg(unix)]
#[test]
fn signals_end_it_with_everything_written() {
    for signal in ["INT", "TERM"] {
        let desk = Desk::new();
        let mut client = Client::ours(&desk, "a.llmdb");
        client.ok("create_entities", &entity("Ada"));
        let kill =
            Command::new("kill").args([&format!("-{signal}"), &client.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert_eq!(client.child.wait().unwrap().code(), Some(0), "{signal}");
        assert!(!desk.exists("a.llmdb-wal"), "it was closed cleanly");
        assert!(desk.ok(&["graph", "export", "--db", "a.llmdb"]).contains("Ada"));
    }
}

#[test]
fn a_file_that_is_something_else_is_refused_and_left_alone() {
    let desk = Desk::new();
    desk.write("notes.txt", "not a database, but long enough to be looked at: ".repeat(1_000));
    let run = desk.run(&["mcp", "notes.txt", "--json"]);
    assert_eq!(run.exit, 7);
    assert_eq!(run.error_code(), "not_a_database");
    assert!(run.stdout.is_empty(), "stdout belongs to the protocol");
}

#[test]
fn subscribers_hear_of_what_another_process_did() {
    let desk = Desk::new();
    let mut watcher = Client::ours(&desk, "a.llmdb");
    watcher.request("resources/subscribe", &json!({ "uri": "memory://knowledge-graph" }));
    watcher.request("resources/subscribe", &json!({ "uri": "memory://something-else" }));
    let mut other = Client::ours(&desk, "a.llmdb");
    other.ok("create_entities", &entity("Ada"));
    let note = watcher.read().unwrap();
    assert_eq!(note["method"], "notifications/resources/updated");
    assert_eq!(note["params"]["uri"], "memory://knowledge-graph");

    watcher.request("resources/unsubscribe", &json!({ "uri": "memory://knowledge-graph" }));
    other.ok("create_entities", &entity("Bob"));
    std::sync::mpsc::channel::<()>().1.recv_timeout(Duration::from_millis(300)).unwrap_err();
    watcher.request("ping", &json!({}));
    assert!(watcher.notes.is_empty());
}

#[test]
fn messages_before_the_handshake_do_not_end_it() {
    let desk = Desk::new();
    let mut client = Client::start(desk.command(&["mcp", "a.llmdb"]));
    client.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    client.send(b"{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{}}\n");
    assert_eq!(client.request("ping", &json!({}))["result"], json!({}));
    let refused = client.request("tools/list", &json!({}));
    assert_eq!(refused["error"]["code"], -32602);
    assert!(client.begin()["result"].is_object());
    assert!(client.request("tools/list", &json!({}))["result"]["tools"].is_array());
}
