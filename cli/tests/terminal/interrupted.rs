//! Imports that are stopped on the way, politely or not, and go on.

use std::{
    process::{Child, Command},
    time::Duration,
};

use super::Desk;

const ROWS: u64 = 200_000;

fn with_rows() -> Desk {
    let desk = Desk::new();
    let lines: String = (1..=ROWS).map(|number| format!("{{\"number\":{number}}}\n")).collect();
    desk.write("in.jsonl", lines);
    desk
}

/// Starts an import in tiny batches, which cannot be through before somebody stops it, and waits until some are in.
fn start(desk: &Desk) -> Child {
    let child = desk.command(&["import", "in.jsonl", "--batch-rows", "1", "--json"]).spawn().unwrap();
    let log = desk.path("test.llmdb-wal");
    while !std::fs::read_dir(&log).is_ok_and(|mut files| files.next().is_some()) {
        std::thread::yield_now();
    }
    // A few more batches; how many does not matter.
    std::sync::mpsc::channel::<()>().1.recv_timeout(Duration::from_millis(100)).unwrap_err();
    child
}

fn rows_so_far(desk: &Desk) -> u64 {
    let run = desk.run(&["scan", "--count", "--json"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    serde_json::from_slice::<serde_json::Value>(&run.stdout).unwrap()["count"].as_u64().unwrap()
}

/// Goes on, and finds every row there once.
fn finish(desk: &Desk, before: u64) {
    let report = desk.json(&["import", "in.jsonl", "--batch-rows", "100000", "--resume"]);
    assert_eq!(report["resumed"], true);
    assert_eq!(report["rows"], ROWS - before, "no row is read twice");
    assert_eq!(report["rows_in_all"], ROWS);
    let keys = desk.ok(&["scan", "--keys-only"]);
    assert!(keys.lines().eq((1..=ROWS).map(|number| format!("{number:012}"))));
    assert!(desk.ok(&["check"]).contains("no damage"));
}

#[test]
fn killed_in_the_middle_it_goes_on_where_it_was() {
    let desk = with_rows();
    let mut child = start(&desk);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = rows_so_far(&desk);
    assert!(before > 0 && before < ROWS, "{before}");
    finish(&desk, before);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_batch_and_says_how_to_go_on() {
    let desk = with_rows();
    let child = start(&desk);
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(sent.success());
    let run: super::Run = child.wait_with_output().unwrap().into();
    assert_eq!(run.exit, 130, "{}", run.stderr);
    assert_eq!(run.error_code(), "interrupted");
    assert!(run.stderr.contains("--resume"), "{}", run.stderr);
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["done"], false);
    let before = rows_so_far(&desk);
    assert_eq!(report["rows_in_all"], before);
    assert!(!desk.exists("test.llmdb-wal"), "it was closed");
    finish(&desk, before);
}

#[test]
fn folders_and_tables_go_on_too() {
    let desk = Desk::new();
    let table: String = (0..50).map(|number| format!("k{number:02},\"two\nlines\"\n")).collect();
    desk.write("in.csv", format!("key,value\n{table}bad\nk99,end\n"));
    let run = desk.run(&["import", "in.csv", "--key", "key", "--batch-rows", "7"]);
    assert_eq!(run.exit, 2);
    assert!(run.stderr.contains("line 102") && run.stderr.contains("50 rows"), "{}", run.stderr);
    let report = desk.json(&["import", "in.csv", "--key", "key", "--skip-bad", "--resume"]);
    assert_eq!((report["rows"].as_u64(), report["rows_in_all"].as_u64()), (Some(1), Some(51)));
    assert_eq!(desk.json(&["scan", "--count"])["count"], 51);

    for number in 0..30 {
        desk.write(&format!("notes/{}/{number:02}", number % 3), number.to_string());
    }
    let deep = vec!["x".repeat(200); 11].join("/");
    desk.write(&format!("notes/1/{deep}"), "its key is too long");
    assert_eq!(desk.run(&["import", "notes", "--batch-rows", "4"]).exit, 2);
    let report = desk.json(&["import", "notes", "--skip-bad", "--resume"]);
    assert_eq!((report["rows"].as_u64(), report["rows_in_all"].as_u64()), (Some(10), Some(30)));
    assert_eq!(desk.json(&["scan", "--count", "--tree", "files"])["count"], 30);
}
