//! Many servers on one file: what was acknowledged is there.

use std::{thread, time::Duration};

use serde_json::json;

use super::Client;
use crate::Desk;

fn observe(text: &str) -> serde_json::Value {
    json!({ "observations": [{ "entityName": "Ada", "contents": [text] }] })
}

fn with_ada(desk: &Desk) {
    let entity = json!({ "name": "Ada", "entityType": "person", "observations": [] });
    Client::ours(desk, "shared.llmdb").ok("create_entities", &json!({ "entities": [entity] }));
}

fn known(desk: &Desk) -> Vec<String> {
    let graph = Client::ours(desk, "shared.llmdb").ok("read_graph", &json!({}));
    let observations = graph["entities"][0]["observations"].as_array().unwrap();
    observations.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn five_servers_lose_nothing_of_what_they_write_at_once() {
    let desk = Desk::new();
    with_ada(&desk);
    thread::scope(|scope| {
        for server in 0..5 {
            let desk = &desk;
            scope.spawn(move || {
                let mut client = Client::ours(desk, "shared.llmdb");
                for number in 0..20 {
                    client.ok("add_observations", &observe(&format!("{server}/{number}")));
                }
            });
        }
    });
    let mut known = known(&desk);
    known.sort();
    known.dedup();
    assert_eq!(known.len(), 100);
}

#[test]
fn servers_that_are_killed_lose_nothing_that_was_acknowledged() {
    let desk = Desk::new();
    with_ada(&desk);
    let acknowledged: Vec<String> = thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|server| {
                let desk = &desk;
                scope.spawn(move || write_through_deaths(desk, server))
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    let known = known(&desk);
    for text in &acknowledged {
        assert!(known.contains(text), "{text} was acknowledged and is gone");
    }
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    assert!(desk.ok(&["check", "--db", "shared.llmdb"]).contains("no damage"));
}

/// Writes through several servers, each of which is killed in the middle; returns what was acknowledged.
fn write_through_deaths(desk: &Desk, server: u64) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for life in 0..3 {
        let mut client = Client::ours(desk, "shared.llmdb");
        let pid = client.child.id();
        let killer = thread::spawn(move || {
            let waited = Duration::from_millis(150 + 40 * (server * 3 + life));
            std::sync::mpsc::channel::<()>().1.recv_timeout(waited).unwrap_err();
            assert!(
                std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success()
            );
        });
        for number in 0.. {
            let text = format!("{server}/{life}/{number}");
            let id =
                client.ask("tools/call", &json!({ "name": "add_observations", "arguments": observe(&text) }));
            let Some(answer) = client.answer(id) else { break };
            assert!(answer["result"]["structuredContent"].is_object(), "{answer}");
            acknowledged.push(text);
        }
        killer.join().unwrap();
    }
    acknowledged
}
