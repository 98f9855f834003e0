//! restore: checks first, replaces nothing unasked, deletes nothing.

use super::Desk;

fn with_backup() -> Desk {
    let desk = Desk::new();
    desk.ok(&["put", "day", "monday"]);
    desk.ok(&["backup", "monday.llmdb"]);
    desk.ok(&["put", "day", "tuesday"]);
    desk
}

#[test]
fn a_backup_comes_back() {
    let desk = with_backup();
    assert_eq!(desk.json(&["restore", "monday.llmdb", "new.llmdb"])["keys"], 1);
    assert_eq!(desk.ok(&["get", "day", "--db", "new.llmdb"]), "monday");
    for left in ["new.llmdb-new", "new.llmdb-new-lock", "monday.llmdb-lock", "new.llmdb-wal"] {
        assert!(!desk.exists(left), "{left}");
    }
}

#[test]
fn what_is_there_is_moved_aside_and_only_when_asked() {
    let desk = with_backup();
    let run = desk.run(&["restore", "monday.llmdb", "test.llmdb"]);
    assert_eq!(run.exit, 2);
    assert!(run.stderr.contains("--force"), "{}", run.stderr);
    assert_eq!(desk.ok(&["get", "day"]), "tuesday");
    let text = desk.ok(&["restore", "monday.llmdb", "test.llmdb", "--force"]);
    assert!(text.contains("test.llmdb-replaced-1"), "{text}");
    assert_eq!(desk.ok(&["get", "day"]), "monday");
    assert_eq!(desk.ok(&["get", "day", "--db", "test.llmdb-replaced-1"]), "tuesday");
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let desk = Desk::new();
    desk.write("value", vec![1; 1 << 20]);
    desk.ok(&["put", "large", "--file", "value"]);
    desk.ok(&["backup", "b.llmdb"]);
    let mut bytes = std::fs::read(desk.path("b.llmdb")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(desk.path("b.llmdb"), bytes).unwrap();
    let run = desk.run(&["restore", "b.llmdb", "new.llmdb", "--json"]);
    assert_eq!((run.exit, run.error_code()), (3, "corruption".into()));
    assert!(!desk.exists("new.llmdb") && !desk.exists("new.llmdb-new"));
}

#[test]
fn what_is_no_backup_is_not_restored() {
    let desk = Desk::new();
    desk.write("text", "hello\n".repeat(50_000));
    assert_eq!(desk.run(&["restore", "text", "new.llmdb"]).exit, 7);
    assert_eq!(desk.run(&["restore", "none", "new.llmdb"]).exit, 8);
    assert!(!desk.exists("new.llmdb") && !desk.exists("new.llmdb-new"));
}
