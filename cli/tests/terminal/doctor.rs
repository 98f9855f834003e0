//! doctor: findings with a severity, and what mends them.

use serde_json::Value;

use super::{
    Desk,
    care::{damage, filled},
};

fn finding<'a>(report: &'a Value, code: &str) -> Option<&'a Value> {
    report["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == code)
}

#[test]
fn a_sound_database_has_no_problem() {
    let desk = filled();
    let report = desk.json(&["doctor", "--deep", "--disk-writes", "5"]);
    assert_ne!(report["worst"], "problem", "{report}");
    assert!(finding(&report, "sound").is_some() && finding(&report, "replay").is_some(), "{report}");
    let disk = ["latency", "too_fast", "slow"].iter().any(|code| finding(&report, code).is_some());
    assert!(disk, "{report}");
    let text = desk.ok(&["doctor", "--disk-writes", "0"]);
    assert!(text.contains("the data file has") && !text.contains("durable write"), "{text}");
}

#[test]
fn damage_is_a_problem_with_the_command_that_mends_it() {
    let desk = filled();
    damage(&desk);
    let run = desk.run(&["doctor", "--deep", "--disk-writes", "0", "--json"]);
    assert_eq!(run.exit, 3, "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.text()).unwrap();
    assert_eq!(report["worst"], "problem");
    let damage = finding(&report, "damage").unwrap();
    assert!(damage["text"].as_str().unwrap().contains("numbers"), "{report}");
    assert!(damage["mend"].as_str().unwrap().contains("llmdb recover"), "{report}");
    assert_eq!(report["findings"][0]["severity"], "problem", "the worst stands first");
}

#[test]
fn what_cannot_be_opened_is_a_problem_too() {
    let desk = filled();
    let bytes = std::fs::read(desk.db()).unwrap();
    std::fs::write(desk.db(), &bytes[..bytes.len() / 2]).unwrap();
    let run = desk.run(&["doctor", "--disk-writes", "0", "--json"]);
    assert_eq!(run.exit, 3, "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.text()).unwrap();
    assert!(finding(&report, "cannot_open").is_some(), "{report}");
}

#[test]
fn a_missing_database_is_an_error() {
    let desk = Desk::new();
    assert_eq!(desk.run(&["doctor"]).exit, 8);
}
