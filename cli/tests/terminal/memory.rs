//! remember, recall, history, why, correct, forget, diff, undo, time-travel.

use serde_json::{Value, json};

use super::Desk;

/// Ada lives in London, moves to Paris, and had moved a month earlier than we thought.
fn story() -> Desk {
    let desk = Desk::new();
    desk.ok(&[
        "remember",
        "ada/city",
        "London",
        "--from",
        "2019-03-01",
        "--source",
        "a letter",
        "--tag",
        "home",
    ]);
    desk.ok(&["remember", "ada/city", "Paris", "--from", "1 June 2019", "--by", "clerk"]);
    let may = ["--from", "2019-05-01", "--to", "2019-06-01", "--because", "the stamp says May"];
    desk.ok(&[&["correct", "ada/city", "Paris"], &may[..]].concat());
    desk
}

fn texts(answer: &Value, list: &str) -> Vec<String> {
    answer[list].as_array().unwrap().iter().map(|fact| fact["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn facts_are_found_by_words() {
    let desk = story();
    desk.ok(&["remember", "bob/city", "lives near Paris, in a small town"]);
    assert_eq!(
        texts(&desk.json(&["recall", "--text", "living paris"]), "facts")[0],
        "lives near Paris, in a small town"
    );
    assert_eq!(texts(&desk.json(&["recall", "ada", "--text", "par*"]), "facts"), ["Paris"]);
    let before = ["recall", "--text", "london", "--as-of-valid", "2019-04-01"];
    assert_eq!(texts(&desk.json(&before), "facts"), ["London"]);
    assert_eq!(desk.run(&["recall", "--text", "london"]).exit, 1);
    let wrong = desk.run(&["recall", "--text", "!"]);
    assert!(wrong.exit > 1 && wrong.stderr.contains("it has no word"), "{}", wrong.stderr);
}

#[test]
fn a_fact_goes_in_and_comes_out_at_every_point() {
    let desk = story();
    assert_eq!(texts(&desk.json(&["recall", "ada"]), "facts"), ["Paris"]);
    let on_15_may = ["recall", "ada", "--as-of-valid", "2019-05-15"];
    assert_eq!(texts(&desk.json(&on_15_may), "facts"), ["Paris"]);
    let before = [&on_15_may[..], &["--as-of-known", "tx2"]].concat();
    assert_eq!(texts(&desk.json(&before), "facts"), ["London"]);
    let table = desk.ok(&["recall", "ada/city", "--as-of-valid", "2019-04-01"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("KEY       SAYS    VALID FROM  TO          LEARNED"), "{table}");
    assert!(
        lines[1].starts_with("ada/city  London  2019-03-01  2019-05-01  ") && lines[1].ends_with("home"),
        "{table}"
    );
    let nothing = desk.run(&["recall", "bob"]);
    assert_eq!((nothing.exit, nothing.text().as_str()), (1, ""));
    assert!(nothing.stderr.contains("nothing is known there: valid at "), "{}", nothing.stderr);
}

#[test]
fn what_was_done_is_said() {
    let desk = Desk::new();
    let said = desk.ok(&["remember", "a/b", "one", "--from", "2024-03-01", "--to", "2024-04-01"]);
    assert_eq!(said, "remembered a/b: one, from 2024-03-01 to 2024-04-01 (tx1)\n");
    let said = desk.ok(&["remember", "a/b", "two", "--from", "2024-03-15"]);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "remembered a/b: two, from 2024-03-15 on (tx2)",
            "  instead of \"one\", from 2024-03-15 to 2024-04-01",
        ]
    );
    let said = desk.ok(&["remember", "a/b", "two", "--from", "2024-03-15"]);
    assert_eq!(said, "known already: a/b: two, from 2024-03-15 on\n");
    let note = desk.json(&["remember", "The demo is on Friday", "--about", "demo"]);
    assert!(note["facts"][0]["key"].as_str().is_some_and(|key| key.starts_with("demo/")), "{note}");
    let said = desk.ok(&["forget", "a/b", "--from", "2024-05-01", "--because", "it ended"]);
    assert_eq!(said, "forgot a/b, from 2024-05-01 on (tx4)\n  instead of \"two\", from 2024-05-01 on\n");
    let said = desk.ok(&["undo", "tx4", "--by", "me"]);
    assert_eq!(said, "took tx4 back (tx5)\n  it was about a/b\n");
    assert_eq!(texts(&desk.json(&["recall", "a"]), "facts"), ["two"]);
    assert!(desk.ok(&["undo", "4"]).starts_with("nothing of tx4 was left"));
}

#[test]
fn a_history_and_a_why_tell_both_times() {
    let desk = story();
    let table = desk.ok(&["history", "ada/city"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 6, "{table}");
    assert!(lines[0].starts_with("SAYS    VALID FROM  TO          KNOWN FROM           TO"), "{table}");
    assert!(lines[4].contains("tx2") && lines[4].ends_with("clerk"), "{table}");
    let history = desk.json(&["history", "ada/city", "--limit", "2"]);
    assert_eq!(texts(&history, "versions").len(), 2);
    let rest = desk.json(&["history", "ada/city", "--cursor", history["cursor"].as_str().unwrap()]);
    assert_eq!(texts(&rest, "versions"), ["London", "Paris", "Paris"]);

    let why = desk.ok(&["why", "ada/city", "--as-of-valid", "2019-05-15"]);
    let expected = [
        "ada/city: Paris",
        "asserted from 2019-05-01 to 2019-06-01",
        ", correct: the stamp says May",
        "replaced \"London\"",
    ];
    assert!(expected.iter().all(|words| why.contains(words)), "{why}");
    let why = desk.ok(&["why", "ada/city", "--as-of-valid", "2019-04-01"]);
    assert!(
        why.contains("source a letter") && why.contains("replaced by \"Paris\" from 2019-06-01 on"),
        "{why}"
    );
    desk.ok(&["forget", "ada", "--by", "clerk", "--because", "she asked"]);
    let why = desk.ok(&["why", "ada/city"]);
    assert!(
        why.starts_with("ada/city is not known there") && why.contains(", forget by clerk: she asked"),
        "{why}"
    );
}

#[test]
fn two_moments_are_compared_and_one_is_shown() {
    let desk = story();
    let diff = desk.ok(&["diff", "tx1"]);
    assert_eq!(diff.lines().last(), Some("~  ada/city  London  Paris"));
    let diff = desk.json(&["diff", "2019-02-01", "2019-04-01", "--only", "valid"]);
    assert_eq!(
        (&diff["differences"][0]["kind"], &diff["differences"][0]["after"]["text"]),
        (&json!("added"), &json!("London"))
    );
    assert!(desk.json(&["diff", "tx2", "tx3"])["differences"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(desk.run(&["diff", "tx2", "--only", "valid"]).exit, 2);
    let past = desk.ok(&["time-travel", "--at", "tx1"]);
    assert!(past.starts_with("The memory as it was: valid at ") && past.contains("London"), "{past}");
    let past = desk.ok(&["time-travel", "--at", "3 weeks ago", "ada"]);
    assert!(past.contains("before anything was known") && past.ends_with("Nothing was known.\n"), "{past}");
}

#[test]
fn tables_fit_the_terminal_and_terminals_are_safe() {
    let desk = Desk::new();
    let long = format!("\u{1b}[31mred\n{}", "word ".repeat(50));
    desk.ok(&["remember", "a/long", &long]);
    let output = desk.command(&["recall"]).env("COLUMNS", "100").output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 100) && table.contains('\u{2026}'), "{table}");
    assert!(table.contains("\\x1b[31mred\\nword") && !table.contains('\u{1b}'), "{table}");
    let whole = desk.ok(&["recall"]);
    assert!(!whole.contains('\u{2026}') && whole.lines().count() == 2, "{whole}");
}

#[test]
fn facts_come_from_stdin_with_everything_that_is_said_of_them() {
    let desk = Desk::new();
    let arguments =
        ["remember", "a/b", "-", "--value", "{\"n\":1}", "--confidence", "0.5", "--tag", "x", "--tag", "y"];
    let run = desk.run_with_stdin(&arguments, b"two\nlines\n");
    assert_eq!(run.exit, 0, "{}", run.stderr);
    let fact = desk.json(&["recall", "--tag", "x", "--tag", "y"])["facts"][0].clone();
    assert_eq!(
        (&fact["text"], &fact["value"], &fact["confidence"]),
        (&json!("two\nlines"), &json!({ "n": 1 }), &json!(0.5))
    );
    assert_eq!(desk.run(&["recall", "--tag", "z"]).exit, 1);
    assert_eq!(desk.run_with_stdin(&["remember", "a/b", "-"], b"\xff").exit, 2);
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_write() {
    let desk = Desk::new();
    let refused = |arguments: &[&str], words: &str| {
        let run = desk.run(arguments);
        assert!(run.exit == 2 && run.stderr.contains(words), "{arguments:?}: {} {}", run.exit, run.stderr);
    };
    refused(&["remember", "alice", "Acme"], "subject/name");
    refused(&["remember", "a/b", "x", "--from", "03/04/2024"], "2024-03-04 or 2024-04-03");
    refused(&["remember", "a/b", "x", "--from", "monday"], "last monday");
    refused(&["remember", "a/b", "x", "--from", "2024", "--to", "2023"], "to: it is not after");
    refused(&["remember", "a/b", "x", "--confidence", "2"], "confidence");
    refused(&["remember", "a/b", "x", "--value", "{"], "--value: not JSON");
    refused(&["remember", "a/b", "x", "--about", "c"], "--about");
    desk.ok(&["remember", "a/b", "x"]);
    refused(&["recall", "--at", "soon"], "\"soon\" is no time");
    refused(&["recall", "--limit", "0"], "results_max");
    refused(&["recall", "--cursor", "x"], "cursor");
    refused(&["undo", "x"], "no transaction");
    refused(&["correct", "a/b", "y", "--to", "2024"], "from");
    for arguments in [&["history", "a/c"][..], &["why", "a/c"], &["forget", "a/c"], &["undo", "tx77"]] {
        let run = desk.run(&[arguments, &["--json"]].concat());
        assert_eq!((run.exit, run.error_code().as_str()), (1, "not_found"), "{arguments:?}");
    }
    let missing = ["forget", "a/b", "--db", "none.llmdb"];
    assert_eq!(desk.run(&missing).exit, 8, "only remember makes a database");
}

#[test]
fn a_fact_is_erased_by_its_key() {
    let desk = Desk::new();
    desk.ok(&["remember", "ada/secret", "swordfish", "--tag", "private"]);
    desk.ok(&["remember", "ada/city", "London"]);
    let said = desk.ok(&["erase", "facts", "ada/secret", "--yes"]);
    assert!(said.contains("done"), "{said}");
    assert_eq!(texts(&desk.json(&["recall"]), "facts"), ["London"]);
    assert_eq!(desk.run(&["history", "ada/secret"]).exit, 1);
    assert_eq!(desk.run(&["erase", "facts", "ada/secret", "--yes"]).exit, 1);
    let check = desk.run(&["check", "--erased", "ada/secret", "--collection", "facts"]);
    assert_eq!(check.exit, 0, "{} {}", check.text(), check.stderr);
}

#[test]
fn a_migration_of_facts_is_found_by_its_words_and_a_purge_forgets_them() {
    let desk = story();
    let learned = desk.json(&["remember", "bob/city", "Rome", "--tag", "home"]);
    let then = format!("tx{}", learned["learned"]["txid"]);
    desk.write(
        "longer.json",
        r#"{"collection":"facts","up":{"set":{"fields":{"text":"doc.text ~ ' in Europe'","tags":"['continent']"}}}}"#,
    );
    desk.ok(&["migrate", "apply", "longer.json"]);
    assert_eq!(
        texts(&desk.json(&["recall", "--text", "europe"]), "facts"),
        ["Paris in Europe", "Rome in Europe"]
    );
    assert_eq!(texts(&desk.json(&["recall", "--tag", "continent"]), "facts").len(), 2);
    let before = ["recall", "--text", "rome", "--as-of-known", &then];
    assert_eq!(texts(&desk.json(&before), "facts"), ["Rome"]);
    let purged = desk.json(&["purge", "facts", "--versions", "1"]);
    assert_eq!(purged["done"], true);
    assert!(purged["words"].as_u64() > Some(0) && purged["tags"].as_u64() == Some(2), "{purged}");
    assert_eq!(texts(&desk.json(&["recall", "--text", "rome"]), "facts"), ["Rome in Europe"]);
    assert_eq!(desk.run(&["recall", "--text", "london"]).exit, 1);
    assert_eq!(desk.run(&["recall", "--tag", "home"]).exit, 1);
    // What is believed now is told, though what it replaced is gone.
    assert_eq!(texts(&desk.json(&["recall"]), "facts"), ["Paris in Europe", "Rome in Europe"]);
    for told in [&["recall", "bob/city"], &["history", "bob/city"], &["why", "bob/city"]] {
        assert!(desk.ok(told).contains("Rome in Europe"), "{told:?}");
    }
    desk.ok(&["correct", "bob/city", "Ostia"]);
    assert_eq!(texts(&desk.json(&["recall", "bob/city"]), "facts"), ["Ostia"]);
}
