//! Rows of facts are erased, looked for, erased again by a restore; history is purged.

use llmdb::{
    Db, Options,
    temporal::{History, Valid, Value},
};

use super::Desk;

/// A token that stands nowhere else.
const TOKEN: &str = "ada@example.org";

fn fill(desk: &Desk) {
    let db = Db::open(desk.path("test.llmdb"), Options::new()).unwrap();
    let mut txn = db.facts().begin_write().unwrap();
    txn.create("people", History::default()).unwrap();
    txn.commit().unwrap();
    for round in 0..20 {
        let mut txn = db.facts().begin_write().unwrap();
        let mut people = txn.collection("people").unwrap();
        for (row, value) in [("ada", format!("{TOKEN} {round}")), ("bob", format!("bob {round}"))] {
            people.put(row, Valid::Now, Value::raw(value.as_bytes())).unwrap();
        }
        txn.commit().unwrap();
    }
    db.close().unwrap();
}

fn look(desk: &Desk, db: &str) -> serde_json::Value {
    let args = ["check", "--erased", "ada", "--collection", "people", "--also", TOKEN, "--json", "--db", db];
    let run = desk.command(&args).output().unwrap();
    serde_json::from_slice(&run.stdout).unwrap()
}

#[test]
fn a_row_is_erased_and_nothing_is_left_of_it() {
    let desk = Desk::new();
    fill(&desk);
    desk.ok(&["backup", "--full", "set"]);
    let run = desk.run(&["erase", "people", "ada"]);
    assert_eq!(run.exit, 2);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    assert_eq!(desk.run(&["check", "--erased", "ada", "--collection", "people"]).exit, 3);
    assert_eq!(desk.run(&["erase", "nobody", "ada", "--yes"]).exit, 2);

    let erased = desk.json(&["erase", "people", "ada", "--yes", "--set", "set"]);
    assert_eq!(erased["complete"].as_bool(), Some(true), "{erased}");
    assert!(erased["erasure"]["removed"].as_u64() >= Some(40), "{erased}");
    let left = look(&desk, "test.llmdb");
    assert_eq!((left["clean"].as_bool(), left["traces"].as_u64()), (Some(true), Some(0)), "{left}");
    assert!(desk.ok(&["check", "--erased", "ada", "--collection", "people"]).contains("nothing is left"));
    assert_eq!(desk.json(&["erase", "--list"])["collection"].as_str(), Some("people"));
    assert!(desk.ok(&["erase", "--finish"]).contains("done"));
    assert_eq!(desk.run(&["check"]).exit, 0);

    // The backup holds it still, and says so; a restore erases it again.
    assert!(desk.ok(&["verify", "set"]).contains("1 of these backups were taken before"));
    let report = desk.json(&["restore", "set", "old.llmdb"]);
    assert_eq!(report["erased_rows"].as_u64(), Some(1));
    let left = look(&desk, "old.llmdb");
    assert_eq!(left["clean"].as_bool(), Some(true), "{left}");
    assert!(!desk.exists("old.llmdb-new") && !desk.exists("old.llmdb-new-lock"));
    let people = Db::open(desk.path("old.llmdb"), Options::new()).unwrap();
    let view = people.facts().view().unwrap();
    assert_eq!(view.collection("people").unwrap().history("bob").unwrap().len(), 2 * 20 - 1);
}

#[test]
fn history_is_purged_and_the_question_is_refused() {
    let desk = Desk::new();
    fill(&desk);
    assert_eq!(desk.run(&["purge", "people"]).exit, 2);
    assert_eq!(desk.run(&["purge", "people", "--keep", "soon"]).exit, 2);
    let purged = desk.json(&["purge", "people", "--versions", "3"]);
    assert_eq!(purged["removed"].as_u64(), Some(2 * 17), "{purged}");
    let purged = desk.json(&["purge", "people", "--keep", "0s"]);
    assert_eq!(purged["done"].as_bool(), Some(true));
    assert!(purged["kept_since_us"].as_i64() > Some(0) && purged["removed"].as_u64() > Some(0), "{purged}");
    assert!(desk.ok(&["purge", "people", "--keep", "1d"]).contains("kept since"));
    assert_eq!(desk.run(&["check"]).exit, 0);
}
