//! stat, check, recover, backup.

use serde_json::json;

use super::Desk;

pub(super) fn filled() -> Desk {
    let desk = Desk::new();
    let lines: String =
        (0..5_000).map(|number| format!("{{\"number\":{number},\"more\":\"{number:0>200}\"}}\n")).collect();
    desk.write("in.jsonl", lines);
    desk.ok(&["import", "in.jsonl", "--tree", "numbers"]);
    desk
}

/// Flips bits in the middle of the data file, where pages of the tree are.
pub(super) fn damage(desk: &Desk) {
    let mut bytes = std::fs::read(desk.db()).unwrap();
    let place = bytes.len() / 4096 / 2 * 4096 + 2_000;
    bytes[place] ^= 0x10;
    std::fs::write(desk.db(), bytes).unwrap();
}

#[test]
fn statistics_for_people_and_programs() {
    let desk = filled();
    let stat = desk.json(&["stat"]);
    assert_eq!(stat["key_count"], 5_001);
    assert_eq!(
        stat["trees"],
        json!([{ "name": "_import", "keys": 1 }, { "name": "numbers", "keys": 5_000 }])
    );
    assert_eq!(stat["file_bytes"], std::fs::metadata(desk.db()).unwrap().len());
    assert_eq!(stat["replay_bytes"], 0);
    let text = desk.ok(&["stat"]);
    assert!(text.contains("5,001 keys in 2 trees") && text.contains("numbers"), "{text}");
}

#[test]
fn a_database_is_compacted() {
    let desk = filled();
    let file_bytes = || std::fs::metadata(desk.db()).unwrap().len();
    desk.ok(&["import", "in.jsonl", "--tree", "again"]);
    desk.ok(&["import", "in.jsonl", "--tree", "last"]);
    desk.ok(&["del", "--all", "--tree", "numbers"]);
    desk.ok(&["del", "--all", "--tree", "again"]);
    let before = file_bytes();
    let rows = desk.ok(&["scan", "--tree", "last"]);
    let report = desk.json(&["compact"]);
    assert!(report["moved_pages"].as_u64() > Some(0) && report["stopped"] == false, "{report}");
    assert!(file_bytes() < before * 2 / 3, "{before} bytes before, {} now: {report}", file_bytes());
    assert_eq!(desk.ok(&["scan", "--tree", "last"]), rows);
    assert_eq!(desk.json(&["check"])["ok"], true);
    let text = desk.ok(&["compact"]);
    assert!(text.contains("in use"), "{text}");
}

#[test]
fn a_sound_database_is_sound() {
    let desk = filled();
    let report = desk.json(&["check"]);
    assert_eq!(
        (&report["ok"], &report["problems"], &report["keys"]),
        (&json!(true), &json!([]), &json!(5_001))
    );
}

#[test]
fn damage_is_exit_code_3_and_the_rest_can_be_saved() {
    let desk = filled();
    damage(&desk);
    let run = desk.run(&["check", "--json"]);
    assert_eq!(run.exit, 3, "{}", run.stderr);
    let report: serde_json::Value = serde_json::from_str(&run.text()).unwrap();
    assert_eq!(report["ok"], false);
    assert!(report["problems"][0].as_str().unwrap().contains("numbers"), "{report}");
    assert!(desk.run(&["check"]).text().contains("llmdb recover"));

    let run = desk.run(&["scan", "--tree", "numbers", "--json"]);
    assert_eq!((run.exit, run.error_code()), (3, "corruption".into()));

    let from = desk.db();
    let run = desk.run(&["recover", from.to_str().unwrap(), "saved.llmdb", "--json"]);
    assert_eq!(run.exit, 3);
    let report: serde_json::Value = serde_json::from_str(&run.text()).unwrap();
    let (keys, lost) = (report["keys"].as_u64().unwrap(), report["lost"].as_array().unwrap());
    assert!(keys > 4_000 && keys < 5_001, "{report}");
    assert_eq!((&lost[0]["tree"], lost.len()), (&json!("numbers"), 1));
    assert!(desk.ok(&["check", "--db", "saved.llmdb"]).contains("no damage"));
    assert_eq!(desk.run(&["recover", from.to_str().unwrap(), "saved.llmdb"]).exit, 2, "the target exists");
}

#[test]
fn recovering_a_sound_database_loses_nothing() {
    let desk = filled();
    let from = desk.db();
    let text = desk.ok(&["recover", from.to_str().unwrap(), "saved.llmdb"]);
    assert!(text.contains("nothing was lost"), "{text}");
}

#[test]
fn a_backup_holds_the_same_rows() {
    let desk = filled();
    let report = desk.json(&["backup", "copy.llmdb"]);
    assert_eq!((&report["keys"], &report["trees"]), (&json!(5_001), &json!(2)));
    assert_eq!(desk.ok(&["export", "--db", "copy.llmdb"]), desk.ok(&["export"]));
    assert_eq!(desk.run(&["backup", "copy.llmdb"]).exit, 2);
}
