//! put, get, del, scan.

use serde_json::json;

use super::{Desk, column};

#[test]
fn a_value_goes_in_and_comes_out() {
    let desk = Desk::new();
    assert!(desk.ok(&["put", "user/1", "Ada"]).contains("put user/1"));
    assert_eq!(desk.ok(&["get", "user/1"]), "Ada");
    assert_eq!(desk.json(&["get", "user/1"]), json!({ "tree": "main", "key": "user/1", "value": "Ada" }));
    let replaced = desk.json(&["put", "user/1", "Grace"]);
    assert_eq!(
        (&replaced["replaced"], &replaced["bytes"], &replaced["key"]),
        (&json!(true), &json!(5), &json!("user/1"))
    );
    assert!(!desk.exists("test.llmdb-wal"), "the program closes what it opened");
}

#[test]
fn binary_keys_and_values() {
    let desk = Desk::new();
    desk.ok(&["put", "0x00ff", "0xcafe"]);
    assert_eq!(desk.run(&["get", "0x00ff"]).stdout, [0xca, 0xfe]);
    assert_eq!(desk.ok(&["get", "00ff", "--hex"]), "cafe\n");
    assert_eq!(desk.ok(&["get", "0x00ff", "--escape"]), "\\xca\\xfe");
    assert_eq!(
        desk.json(&["get", "0x00ff"]),
        json!({ "tree": "main", "key_base64": "AP8=", "value_base64": "yv4=" })
    );
    desk.ok(&["put", "0x00ff", "text", "--text"]);
    assert_eq!(
        desk.ok(&["scan"]),
        "\\x00\\xff\t\u{fffd}\n".replace('\u{fffd}', "\\xca\\xfe") + "0x00ff\ttext\n"
    );
    assert_eq!(desk.run(&["get", "0x0", "--hex"]).exit, 2);
}

#[test]
fn values_come_from_files_and_stdin() {
    let desk = Desk::new();
    let large: Vec<u8> = (0..20_u32 << 20).map(|number| (number % 251).to_le_bytes()[0]).collect();
    desk.write("large.bin", &large);
    desk.ok(&["put", "file", "--file", "large.bin", "--tree", "blobs"]);
    assert!(desk.run(&["get", "file", "--tree", "blobs"]).stdout == large);
    let run = desk.run_with_stdin(&["put", "stdin", "-", "--tree", "blobs"], &large);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    assert!(desk.run(&["get", "stdin", "--tree", "blobs"]).stdout == large);
    assert_eq!(desk.run_with_stdin(&["put", "empty", "-"], b"").exit, 0);
    assert_eq!(desk.ok(&["get", "empty"]), "");
}

#[test]
fn what_is_not_there_is_exit_code_1() {
    let desk = Desk::new();
    desk.ok(&["put", "a", "1"]);
    for arguments in [&["get", "b"][..], &["get", "a", "--tree", "none"], &["scan", "--tree", "none"]] {
        let run = desk.run(arguments);
        assert_eq!(run.exit, 1, "{arguments:?}");
        assert!(run.stderr.starts_with("llmdb: ") && run.stderr.contains("not found"), "{}", run.stderr);
        assert_eq!(desk.run(&[arguments, &["--json"]].concat()).error_code(), "not_found");
    }
    assert_eq!(desk.run(&["del", "b"]).exit, 1);
    assert!(desk.run(&["get", "a", "--tree", "none"]).stderr.contains("trees: main"));
}

#[test]
fn scans_take_ranges_prefixes_limits_and_directions() {
    let desk = Desk::new();
    for key in ["a/1", "a/2", "b/1", "b/2"] {
        desk.ok(&["put", key, "line\n\ttab\\"]);
    }
    assert_eq!(desk.ok(&["scan", "--prefix", "a/"]), "a/1\tline\\n\\ttab\\\\\na/2\tline\\n\\ttab\\\\\n");
    assert_eq!(desk.ok(&["scan", "--keys-only", "--from", "a/2", "--to", "b/2"]), "a/2\nb/1\n");
    assert_eq!(desk.ok(&["scan", "-k", "--reverse", "--limit", "1"]), "b/2\n");
    assert_eq!(desk.ok(&["scan", "--count"]), "4\n");
    assert_eq!(desk.json(&["scan", "--count", "--prefix", "b"]), json!({ "tree": "main", "count": 2 }));
    assert_eq!(desk.ok(&["scan", "--limit", "1", "--width", "4"]), "a/1\tline... (6 more bytes)\n");
    assert_eq!(column(&desk.ok(&["scan", "--json"]), "key"), ["a/1", "a/2", "b/1", "b/2"]);
    assert_eq!(desk.ok(&["scan", "--prefix", "none"]), "");
}

#[test]
fn deleting_one_many_or_a_tree() {
    let desk = Desk::new();
    for key in ["a", "p/1", "p/2", "z"] {
        desk.ok(&["put", key, ""]);
    }
    assert_eq!(desk.json(&["del", "a"]), json!({ "tree": "main", "deleted": 1, "tree_dropped": false }));
    assert_eq!(desk.json(&["del", "--prefix", "p/"])["deleted"], 2);
    assert_eq!(desk.ok(&["scan", "-k"]), "z\n");
    assert_eq!(desk.json(&["del", "--all"])["tree_dropped"], true);
    assert_eq!(desk.run(&["scan"]).exit, 1);
}
