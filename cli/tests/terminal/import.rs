//! import: folders, JSON lines, CSV and TSV.

use serde_json::{Value, json};

use super::{Desk, column};

#[test]
fn a_folder_becomes_the_tree_files() {
    let desk = Desk::new();
    desk.write("notes/a.txt", "alpha");
    desk.write("notes/sub/b.bin", [0, 255, 1]);
    desk.write("notes/sub/large", vec![7; 3 << 20]);
    desk.write("notes/.git/skipped", "x");
    let report = desk.json(&["import", "notes", "--skip", ".git"]);
    assert_eq!((&report["tree"], &report["rows"], &report["bad"]), (&json!("files"), &json!(3), &json!(0)));
    assert_eq!(report["bytes"], 8 + (3 << 20) + "a.txtsub/b.binsub/large".len());
    assert_eq!(desk.ok(&["scan", "-k", "--tree", "files"]), "a.txt\nsub/b.bin\nsub/large\n");
    assert_eq!(desk.run(&["get", "sub/b.bin", "--tree", "files"]).stdout, [0, 255, 1]);
    assert_eq!(desk.run(&["get", "sub/large", "--tree", "files"]).stdout.len(), 3 << 20);
}

#[test]
fn the_database_is_not_imported_into_itself() {
    let desk = Desk::new();
    desk.write("a.txt", "alpha");
    desk.ok(&["import", "."]);
    assert_eq!(desk.ok(&["scan", "-k", "--tree", "files"]), "a.txt\n");
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_left_out_and_reported() {
    let desk = Desk::new();
    desk.write("secret", "not yours");
    desk.write("notes/a.txt", "alpha");
    for (name, target) in [("out", "../secret"), ("in", "a.txt"), ("nowhere", "none"), ("loop", ".")] {
        std::os::unix::fs::symlink(target, desk.path("notes").join(name)).unwrap();
    }
    let run = desk.run(&["import", "notes"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    assert!(run.stderr.contains("a link that leads out of the folder"), "{}", run.stderr);
    assert_eq!(desk.ok(&["scan", "--tree", "files"]), "a.txt\talpha\nin\talpha\n");
    assert_eq!(desk.json(&["import", "notes"])["left_out"], 3);
}

#[test]
fn a_file_whose_key_is_too_long_stops_the_import_or_is_skipped() {
    let desk = Desk::new();
    desk.write("notes/a.txt", "alpha");
    let deep = vec!["x".repeat(200); 11].join("/");
    desk.write(&format!("notes/{deep}"), "deep");
    let run = desk.run(&["import", "notes", "--json"]);
    assert_eq!((run.exit, run.error_code()), (2, "bad_input".into()));
    let report = desk.json(&["import", "notes", "--skip-bad", "--resume"]);
    assert_eq!((&report["rows_in_all"], &report["bad"]), (&json!(1), &json!(1)));
}

#[test]
fn json_lines_are_keyed_by_number_or_field() {
    let desk = Desk::new();
    desk.write("in.jsonl", "{\"user\":{\"id\":7},\"n\":\"x\"}\n\n{\"user\":{\"id\":8},\"n\":\"y\"}\r\n");
    assert_eq!(desk.json(&["import", "in.jsonl"])["rows"], 2);
    assert_eq!(desk.ok(&["scan", "-k"]), "000000000001\n000000000003\n");
    desk.ok(&["import", "in.jsonl", "--key", "user.id", "--key", "n", "--tree", "users"]);
    let rows = desk.ok(&["scan", "--tree", "users"]);
    assert_eq!(rows, "7/x\t{\"user\":{\"id\":7},\"n\":\"x\"}\n8/y\t{\"user\":{\"id\":8},\"n\":\"y\"}\n");
}

#[test]
fn json_lines_come_from_stdin_too() {
    let desk = Desk::new();
    let run = desk.run_with_stdin(
        &["import", "-", "--format", "jsonl", "--key", "id"],
        b"{\"id\":\"a\"}\n{\"id\":\"b\"}",
    );
    assert_eq!(run.exit, 0, "{}", run.stderr);
    assert_eq!(desk.ok(&["scan", "-k"]), "a\nb\n");
    assert_eq!(desk.run(&["import", "-", "--format", "jsonl", "--resume"]).exit, 2);
}

#[test]
fn bad_lines_name_their_number_and_can_be_skipped() {
    let desk = Desk::new();
    desk.write("in.jsonl", "{\"id\":1}\n{\"id\":2}\nnot json\n{\"no\":4}\n{\"id\":5}\n");
    let run = desk.run(&["import", "in.jsonl", "--key", "id"]);
    assert_eq!(run.exit, 2);
    assert!(run.stderr.contains("line 3") && run.stderr.contains("--resume"), "{}", run.stderr);
    assert_eq!(desk.ok(&["scan", "-k"]), "1\n2\n", "the rows before the bad line are in");
    let run = desk.run(&["import", "in.jsonl", "--key", "id", "--skip-bad", "--resume"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    assert!(run.stderr.contains("line 3") && run.stderr.contains("line 4"), "{}", run.stderr);
    assert_eq!(desk.ok(&["scan", "-k"]), "1\n2\n5\n");
    let again = desk.json(&["import", "in.jsonl", "--key", "id", "--skip-bad", "--resume"]);
    assert_eq!((&again["rows"], &again["rows_in_all"], &again["bad"]), (&json!(0), &json!(3), &json!(2)));
}

#[test]
fn tables_become_objects() {
    let desk = Desk::new();
    desk.write("in.csv", "name,land,note\nBern,CH,\"a, \"\"b\"\"\nc\"\nRom,IT,\n");
    assert_eq!(desk.json(&["import", "in.csv", "--key", "land", "--key", "name"])["rows"], 2);
    let rows = desk.ok(&["scan", "--json"]);
    assert_eq!(column(&rows, "key"), ["CH/Bern", "IT/Rom"]);
    let value: Value = serde_json::from_str(&column(&rows, "value")[0]).unwrap();
    assert_eq!(value, json!({ "name": "Bern", "land": "CH", "note": "a, \"b\"\nc" }));
    desk.write("in.tsv", "1\t2\n3\t4\n");
    desk.ok(&["import", "in.tsv", "--no-header", "--tree", "t"]);
    assert_eq!(desk.ok(&["get", "000000000002", "--tree", "t"]), "{\"1\":\"3\",\"2\":\"4\"}");
}

#[test]
fn tables_with_missing_columns() {
    let desk = Desk::new();
    desk.write("in.csv", "a,b\n1,2\n3\n5,6\n");
    let run = desk.run(&["import", "in.csv", "--key", "c"]);
    assert_eq!(run.exit, 2);
    assert!(run.stderr.contains("columns: a, b"), "{}", run.stderr);
    let run = desk.run(&["import", "in.csv", "--key", "a"]);
    assert_eq!(run.exit, 2);
    assert!(run.stderr.contains("line 3"), "{}", run.stderr);
    assert_eq!(desk.json(&["import", "in.csv", "--key", "a", "--skip-bad", "--resume"])["rows_in_all"], 2);
    assert_eq!(desk.ok(&["scan", "-k"]), "1\n5\n");
}

#[test]
fn a_changed_source_is_not_resumed() {
    let desk = Desk::new();
    desk.write("in.jsonl", "{\"id\":1}\nbad\n");
    assert_eq!(desk.run(&["import", "in.jsonl"]).exit, 2);
    desk.write("in.jsonl", "{\"id\":1}\n{\"id\":22222}\n");
    let run = desk.run(&["import", "in.jsonl", "--resume"]);
    assert_eq!(run.exit, 2);
    assert!(run.stderr.contains("without --resume"), "{}", run.stderr);
    assert_eq!(desk.json(&["import", "in.jsonl"])["rows_in_all"], 2);
}

#[test]
fn what_cannot_be_told_must_be_said() {
    let desk = Desk::new();
    desk.write("data", "x");
    assert!(desk.run(&["import", "data"]).stderr.contains("--format"));
    assert_eq!(desk.run(&["import", "data", "--format", "files"]).exit, 2);
    assert_eq!(desk.run(&["import", "none.jsonl"]).exit, 8);
}
