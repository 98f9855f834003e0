//! schema, migrate, retention.

use llmdb::{
    Db, Options, Sharing,
    temporal::{At, Rows, Valid, Value as Fact},
};
use serde_json::{Value, json};

use super::Desk;

const V1: &str = r#"{"type":"object","required":["cm"],"additionalProperties":false,"properties":{"cm":{"type":"integer"}}}"#;
const V2: &str = r#"{"type":"object","required":["mm"],"additionalProperties":false,"properties":{"mm":{"type":"integer"}}}"#;
const UP: &str = r#"{"collection":"people","schema":"person","from":1,"to":2,
    "up":{"set":{"fields":{"mm":"doc.cm * 10"},"remove":["cm"]}},
    "down":{"set":{"fields":{"cm":"doc.mm // 10"},"remove":["mm"]}}}"#;

fn open(desk: &Desk) -> Db {
    let sharing = if cfg!(target_os = "linux") { Sharing::Shared } else { Sharing::Exclusive };
    Db::open(desk.db(), Options::new().sharing(sharing)).unwrap()
}

fn put(db: &Db, row: &str, text: &str) -> Result<(), llmdb::temporal::Error> {
    let mut txn = db.facts().begin_write()?;
    txn.collection("people")?.put(row, Valid::Now, Fact::json(text))?;
    txn.commit()?;
    Ok(())
}

fn all(db: &Db) -> Vec<String> {
    let view = db.facts().view().unwrap();
    let people = view.collection("people").unwrap();
    let facts = people.scan(&Rows::all(), At::NOW).unwrap().map(Result::unwrap);
    facts.map(|fact| String::from_utf8_lossy(fact.value.payload).into_owned()).collect()
}

/// A collection with so many rows, bound to the first of two versions.
fn with_people(rows: u32) -> Desk {
    let desk = Desk::new();
    desk.write("v1.json", V1);
    desk.write("v2.json", V2);
    desk.write("to-mm.json", UP);
    assert_eq!(
        desk.json(&["schema", "put", "person", "v1.json"]),
        json!({ "schema": "person", "version": 1 })
    );
    assert_eq!(desk.ok(&["schema", "put", "person", "v2.json"]), "person, version 2\n");
    let bound = desk.json(&["schema", "bind", "people", "person", "--version", "1", "--create"]);
    assert_eq!((&bound["version"], &bound["documents"]), (&json!(1), &json!(0)));
    let db = open(&desk);
    let mut txn = db.facts().begin_write().unwrap();
    for number in 0..rows {
        let text = format!(r#"{{"cm":{number}}}"#);
        txn.collection("people")
            .unwrap()
            .put(format!("p{number:05}").as_str(), Valid::Now, Fact::json(&text))
            .unwrap();
    }
    txn.commit().unwrap();
    db.close().unwrap();
    desk
}

#[test]
fn schemas_are_written_listed_shown_and_compared() {
    let desk = with_people(0);
    assert_eq!(desk.ok(&["schema", "get", "person", "--version", "1"]), format!("{V1}\n"));
    assert_eq!(desk.json(&["schema", "get", "person"])["version"], 2);
    let list = desk.ok(&["schema", "list"]);
    assert_eq!(list, "SCHEMA  VERSION  BOUND TO\nperson  1        people\nperson  2\n");
    assert_eq!(desk.json(&["schema", "list"])["schemas"][0]["bound_to"], json!(["people"]));

    desk.write("good.json", r#"{"mm":1}"#);
    desk.write("bad.json", r#"{"mm":"1"}"#);
    assert_eq!(desk.ok(&["schema", "check", "person", "good.json"]), "it fits\n");
    let run = desk.run(&["schema", "check", "person", "bad.json", "--json"]);
    assert_eq!(run.exit, 2);
    let told: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((&told["ok"], &told["violations"][0]["path"]), (&json!(false), &json!("/mm")));
    let run = desk.run_with_stdin(&["schema", "check", "person", "-", "--version", "1"], b"{");
    assert!(run.exit == 2 && run.text().contains("JSON"), "{}", run.text());

    desk.write("wrong.json", r#"{"properties":{"a":{"type":"integr"}}}"#);
    let run = desk.run(&["schema", "put", "x", "wrong.json", "--json"]);
    assert_eq!(run.error_code(), "refused");
    assert!(run.stderr.contains("/properties/a/type"), "{}", run.stderr);
    assert_eq!(
        desk.run(&["schema", "put", "person", "v2.json", "--version", "1", "--json"]).error_code(),
        "refused"
    );
    assert_eq!(desk.run(&["schema", "put", "a b", "v1.json", "--json"]).error_code(), "misuse");
    assert_eq!(desk.run(&["schema", "put", "x", "nowhere.json"]).exit, 8);
    for arguments in [
        &["schema", "get", "none"][..],
        &["schema", "check", "none", "good.json"],
        &["schema", "get", "person", "--version", "7"],
    ] {
        assert_eq!(desk.run(arguments).exit, 1, "{arguments:?}");
    }
    assert_eq!(desk.run(&["schema", "bind", "nobody", "person"]).exit, 2);
    let db = open(&desk);
    assert!(put(&db, "ada", r#"{"mm":1}"#).unwrap_err().to_string().contains("version 1"));
    db.close().unwrap();
    desk.ok(&["schema", "unbind", "people"]);
    assert_eq!(desk.run(&["schema", "unbind", "people"]).exit, 1);
}

#[test]
fn a_migration_is_planned_applied_and_taken_back() {
    let desk = with_people(1_000);
    let plan = desk.json(&["migrate", "plan", "to-mm.json"]);
    assert_eq!((&plan["rows"], &plan["changed"], &plan["failed"]), (&json!(1_000), &json!(1_000), &json!(0)));
    assert_eq!(plan["samples"][1]["after"], r#"{"mm":10}"#);
    assert!(desk.ok(&["migrate", "plan", "to-mm.json"]).contains("1000 would change, 0 would fail"));
    assert_eq!(desk.json(&["migrate", "status"])["migrations"], json!([]));

    let done = desk.json(&["migrate", "apply", "to-mm.json", "--step-rows", "100"]);
    assert_eq!(
        (&done["id"], &done["state"], &done["fraction"]),
        (&json!("to-mm"), &json!("done"), &json!(1.0))
    );
    assert_eq!(done["progress"]["changed"], 1_000);
    let status = desk.ok(&["migrate", "status"]);
    assert!(status.contains("to-mm      people      done   100 %  1000 of 1000"), "{status}");
    let db = open(&desk);
    assert_eq!(all(&db)[999], r#"{"mm":9990}"#);
    put(&db, "new", r#"{"mm":50}"#).unwrap();
    db.close().unwrap();
    assert_eq!(desk.run(&["migrate", "apply", "to-mm"]).exit, 2);
    assert!(desk.ok(&["migrate", "rollback", "to-mm"]).contains("rolled_back, 100 %"));
    let db = open(&desk);
    assert_eq!((all(&db)[0].as_str(), all(&db)[1].as_str()), (r#"{"cm":5}"#, r#"{"cm":0}"#));
    db.close().unwrap();
}

#[test]
fn what_fails_says_where_and_what_to_do() {
    let desk = with_people(3);
    desk.write("fussy.json", UP.replace("doc.cm * 10", "doc.cm * 10 if doc.cm != 1 else 'one'"));
    let run = desk.run(&["migrate", "plan", "fussy.json"]);
    assert!(run.exit == 2 && run.text().contains("p00001") && run.text().contains("/mm"), "{}", run.text());
    let run = desk.run(&["migrate", "apply", "fussy.json"]);
    assert!(
        run.exit == 2 && run.text().contains("failed") && run.text().contains("rollback"),
        "{}",
        run.text()
    );
    assert_eq!(desk.json(&["migrate", "status", "fussy"])["state"], "failed");
    let run = desk.run(&["migrate", "apply", "to-mm.json", "--json"]);
    assert_eq!(run.error_code(), "misuse");
    assert!(run.stderr.contains("fussy"), "{}", run.stderr);
    desk.ok(&["migrate", "rollback", "fussy"]);
    desk.ok(&["migrate", "cancel", "to-mm"]);

    desk.write("broken.json", r#"{"collection":"people","up":{"expression":"doc."}}"#);
    assert_eq!(desk.run(&["migrate", "plan", "broken.json", "--json"]).error_code(), "refused");
    assert_eq!(desk.run(&["migrate", "plan", "nowhere.json"]).exit, 8);
    for command in ["pause", "cancel"] {
        assert_eq!(desk.run(&["migrate", command, "none"]).exit, 2);
    }
    for command in ["status", "rollback"] {
        assert_eq!(desk.run(&["migrate", command, "none"]).exit, 1);
    }
}

/// Another process has the database open all the time: what this one binds and moves counts there at once.
#[cfg(target_os = "linux")]
#[test]
fn other_processes_are_held_to_it_at_once() {
    let desk = with_people(300);
    let other = open(&desk);
    put(&other, "p00000", r#"{"cm":7}"#).unwrap();
    let mut child = desk.command(&["migrate", "apply", "to-mm.json", "--step-rows", "1"]).spawn().unwrap();
    let mut writes = 0;
    while child.try_wait().unwrap().is_none() {
        // Of the two forms exactly one is taken, whichever step is being made.
        let old = put(&other, "mine", r#"{"cm":1}"#);
        match old {
            Ok(()) => {}
            Err(llmdb::temporal::Error::Refused { .. }) => put(&other, "mine", r#"{"mm":10}"#).unwrap(),
            Err(error) => panic!("{error}"),
        }
        writes += 1;
    }
    assert!(writes > 0);
    assert!(put(&other, "mine", r#"{"cm":1}"#).is_err());
    put(&other, "mine", r#"{"mm":11}"#).unwrap();
    let stored = all(&other);
    assert_eq!(stored.len(), 301);
    assert!(stored.iter().all(|text| text.contains("mm")), "{stored:?}");
    assert_eq!(stored[1], r#"{"mm":70}"#);
    other.close().unwrap();
    assert!(desk.ok(&["check"]).contains("no damage"));
}

#[test]
fn killed_in_the_middle_it_goes_on_where_it_was() {
    let desk = with_people(5_000);
    let mut child = desk.command(&["migrate", "apply", "to-mm.json", "--step-rows", "1"]).spawn().unwrap();
    let log = desk.path("test.llmdb-wal");
    while !std::fs::read_dir(&log).is_ok_and(|mut files| files.next().is_some()) {
        std::thread::yield_now();
    }
    // A few more steps; how many does not matter.
    std::sync::mpsc::channel::<()>().1.recv_timeout(std::time::Duration::from_millis(100)).unwrap_err();
    child.kill().unwrap();
    child.wait().unwrap();
    let before = desk.run(&["migrate", "status", "--json"]);
    let before: Value = serde_json::from_slice(&before.stdout).unwrap();
    let id = if before["migrations"] == json!([]) { "to-mm.json" } else { "to-mm" };
    let done = desk.json(&["migrate", "apply", id]);
    assert_eq!((&done["state"], &done["progress"]["rows"]), (&json!("done"), &json!(5_000)));
    assert_eq!(done["progress"]["changed"], 5_000, "no row twice, none left out");
    let db = open(&desk);
    assert!(all(&db).iter().all(|text| text.contains("mm")));
    db.close().unwrap();
}

#[test]
fn policies_are_written_shown_and_removed() {
    let desk = with_people(0);
    assert_eq!(desk.json(&["retention", "set", "people", "90 days"])["keep"], json!({ "days": 90 }));
    desk.ok(&["retention", "set", "people", "10 versions", "--note", "drafts"]);
    assert_eq!(
        desk.ok(&["retention", "show"]),
        "COLLECTION  KEEP         NOTE\npeople      10 versions  drafts\n"
    );
    assert_eq!(desk.json(&["retention", "show", "people"])["policies"][0]["note"], "drafts");
    assert_eq!(desk.run(&["retention", "set", "people", "for a while"]).exit, 2);
    assert_eq!(desk.run(&["retention", "set", "people", "0 versions"]).exit, 2);
    assert_eq!(desk.run(&["retention", "set", "nobody", "all"]).exit, 2);
    let db = open(&desk);
    for cm in 0..30 {
        put(&db, "ada", &format!(r#"{{"cm":{cm}}}"#)).unwrap();
    }
    db.close().unwrap();
    let applied = desk.json(&["retention", "apply"]);
    assert_eq!(
        (&applied["applied"][0]["collection"], &applied["applied"][0]["is_done"]),
        (&json!("people"), &json!(true))
    );
    assert!(applied["applied"][0]["removed"].as_u64().is_some_and(|removed| removed > 0), "{applied}");
    assert!(desk.ok(&["retention", "apply"]).starts_with("COLLECTION  REMOVED"));
    desk.ok(&["retention", "unset", "people"]);
    assert_eq!(desk.run(&["retention", "unset", "people"]).exit, 1);
    assert_eq!(desk.ok(&["retention", "apply"]), "no policy gives anything up\n");
    assert_eq!(desk.run(&["retention", "show", "people"]).exit, 1);
}
