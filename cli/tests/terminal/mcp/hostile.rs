//! Input that no client sends on purpose: it is refused as the protocol says, and the next call works.

use serde_json::json;

use super::Client;
use crate::Desk;

fn works(client: &mut Client) {
    let graph = client.ok("read_graph", &json!({}));
    assert_eq!(graph["entities"], json!([]));
}

#[test]
fn what_is_no_message_is_refused_and_the_next_call_works() {
    let desk = Desk::new();
    let mut client = Client::ours(&desk, "a.llmdb");
    let deep = format!("{{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":{}", "[".repeat(100_000));
    let huge_number = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"x\",\"params\":{{\"a\":{}}}}}",
        "9".repeat(5_000)
    );
    for (line, code, id) in [
        ("garbage", -32700, json!(null)),
        ("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/list\"", -32700, json!(7)),
        ("{\"id\":7,\"method\":\"tools/list\",}", -32700, json!(7)),
        ("{\"jsonrpc\":\"2.0\",\"id\":\"a\\ud800\",\"method\":\"x\"}", -32700, json!(null)),
        ("\u{0}\u{1}\u{2}", -32700, json!(null)),
        ("[]", -32600, json!(null)),
        ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32600, json!(null)),
        ("5", -32600, json!(null)),
        ("{\"jsonrpc\":\"1.0\",\"id\":8,\"method\":\"ping\"}", -32600, json!(8)),
        ("{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":5}", -32600, json!(8)),
        ("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", -32600, json!(null)),
        (&deep, -32700, json!(9)),
        (&huge_number, -32700, json!(9)),
    ] {
        client.send(line.as_bytes());
        client.send(b"\n");
        let refusal = client.read().unwrap();
        let line = line.get(..80).unwrap_or(line);
        assert_eq!(refusal["error"]["code"], code, "{line}: {refusal}");
        assert_eq!(refusal.get("id").unwrap_or(&json!(null)), &id, "{line}: {refusal}");
        works(&mut client);
    }
    client.send(b"\xff\xfe\n\n   \n\r\n");
    assert_eq!(client.read().unwrap()["error"]["code"], -32700);
    works(&mut client);
    assert_eq!(client.end(), Some(0));
}

#[test]
fn a_message_of_a_hundred_megabytes_is_refused_with_bounded_memory() {
    let desk = Desk::new();
    let mut client = Client::ours(&desk, "a.llmdb");
    client.send(b"{\"jsonrpc\":\"2.0\",\"id\":\"big\",\"method\":\"tools/call\",\"params\":{\"name\":\"search_nodes\",\"arguments\":{\"query\":\"");
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        client.send(&megabyte);
    }
    client.send(b"\"}}}\n");
    let refusal = client.read().unwrap();
    assert_eq!(refusal["id"], "big", "{refusal}");
    assert_eq!(refusal["error"]["code"], -32600);
    assert!(refusal["error"]["message"].as_str().unwrap().contains("longer than"));
    works(&mut client);
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string(format!("/proc/{}/status", client.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 64 << 10, "{kib} KiB resident at most");
    }
}

#[test]
fn wrong_calls_are_told_apart() {
    let desk = Desk::new();
    let mut client = Client::ours(&desk, "a.llmdb");
    for (method, params, code) in [
        ("no/such/method", json!({}), -32601),
        ("tools/call", json!({ "name": "no_such_tool", "arguments": {} }), -32602),
        ("tools/call", json!({ "arguments": {} }), -32602),
        ("tools/call", json!({ "name": "read_graph", "arguments": [1] }), -32602),
        ("resources/read", json!({ "uri": "memory://no-such-thing" }), -32602),
    ] {
        let answer = client.request(method, &params);
        assert_eq!(answer["error"]["code"], code, "{method} {params}: {answer}");
        works(&mut client);
    }
    let deep = (0..100).fold(json!("x"), |inner, _| json!([inner]));
    let error = client.error("create_entities", &json!({ "entities": deep }));
    assert!(error.contains("expected object, received array at entities[0]"), "{error}");
    works(&mut client);
    let many: Vec<_> = (0..100_000).map(|_| json!(1)).collect();
    let error = client.error("open_nodes", &json!({ "names": many }));
    assert!(error.len() < 2_000, "{} bytes", error.len());
    works(&mut client);
}

#[test]
fn a_large_value_is_stored_and_comes_back() {
    let desk = Desk::new();
    let mut client = Client::ours(&desk, "a.llmdb");
    let (name, text) = ("n".repeat(100_000), "words ".repeat(500_000));
    let entity = json!({ "name": name, "entityType": text, "observations": [text, text] });
    client.ok("create_entities", &json!({ "entities": [entity] }));
    let graph = client.ok("open_nodes", &json!({ "names": [name] }));
    assert_eq!(graph["entities"][0], entity);
    client.ok("delete_entities", &json!({ "entityNames": [name] }));
    works(&mut client);
}

#[test]
fn a_refusal_is_sent_once_whatever_else_goes_on() {
    let desk = Desk::new();
    let mut client = Client::ours(&desk, "a.llmdb");
    let ids: Vec<_> = (0..100)
        .map(|_| {
            let id = client.ask("tools/call", &json!({ "name": "read_graph", "arguments": {} }));
            client.send(b"garbage\n");
            id
        })
        .collect();
    for id in ids {
        client.answer(id).unwrap();
    }
    client.request("ping", &json!({}));
    assert_eq!(client.notes.len(), 100);
}
