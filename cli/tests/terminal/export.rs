//! export, and what it wrote imported again.

use serde_json::json;

use super::Desk;

fn filled() -> Desk {
    let desk = Desk::new();
    desk.ok(&["put", "a", "1"]);
    desk.ok(&["put", "0x00ff", "0xcafe00", "--tree", "binary"]);
    desk.write("notes/x/y.txt", "why\n");
    desk.write("notes/z.txt", "");
    desk.ok(&["import", "notes"]);
    desk
}

#[test]
fn json_lines_hold_everything_and_come_back() {
    let desk = filled();
    let text = desk.ok(&["export"]);
    assert_eq!(text.lines().count(), 4);
    assert_eq!(
        text.lines().next().unwrap(),
        r#"{"tree":"binary","key_base64":"AP8=","value_base64":"yv4A"}"#
    );
    desk.write("all.jsonl", &text);
    let other = Desk::new();
    let from = desk.path("all.jsonl");
    assert_eq!(other.json(&["import", from.to_str().unwrap(), "--format", "rows"])["rows"], 4);
    assert_eq!(other.ok(&["export"]), text);
}

#[test]
fn one_tree_into_a_file() {
    let desk = filled();
    assert_eq!(desk.json(&["export", "--tree", "main", "--format", "csv", "--to", "out.csv"])["rows"], 1);
    assert_eq!(std::fs::read_to_string(desk.path("out.csv")).unwrap(), "key,value\na,1\n");
    let run = desk.run(&["export", "--to", "out.csv"]);
    assert_eq!(run.exit, 2);
    assert!(run.stderr.contains("--force"));
    desk.ok(&["export", "--tree", "binary", "--format", "tsv", "--hex", "--to", "out.csv", "--force"]);
    assert_eq!(std::fs::read_to_string(desk.path("out.csv")).unwrap(), "key\tvalue\n00ff\tcafe00\n");
    assert_eq!(desk.run(&["export", "--tree", "binary", "--format", "csv"]).exit, 2);
}

#[test]
fn files_go_back_into_a_folder() {
    let desk = filled();
    assert_eq!(desk.json(&["export", "--format", "files", "--to", "again"])["rows"], 2);
    assert_eq!(std::fs::read_to_string(desk.path("again/x/y.txt")).unwrap(), "why\n");
    assert_eq!(std::fs::read_to_string(desk.path("again/z.txt")).unwrap(), "");
    assert_eq!(desk.run(&["export", "--format", "files", "--to", "again"]).exit, 2, "nothing is overwritten");
}

#[test]
fn keys_that_leave_the_folder_are_refused() {
    let desk = Desk::new();
    desk.ok(&["put", "../evil", "x", "--tree", "files"]);
    let run = desk.run(&["export", "--format", "files", "--to", "out", "--json"]);
    assert_eq!((run.exit, run.error_code()), (2, "misuse".into()));
    assert!(!desk.exists("evil"));
}

#[test]
fn the_programs_own_notes_stay_unless_asked_for() {
    let desk = filled();
    assert!(!desk.ok(&["export"]).contains("_import"));
    let notes = desk.ok(&["export", "--tree", "_import"]);
    assert_eq!(notes.lines().count(), 1);
    assert_eq!(
        desk.json(&["scan", "--count", "--tree", "_import"]),
        json!({ "tree": "_import", "count": 1 })
    );
}
