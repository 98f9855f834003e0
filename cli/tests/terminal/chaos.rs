//! bench chaos: processes share a database and die, and no promise is broken.
#![cfg(target_os = "linux")]

use super::Desk;

#[test]
fn no_promise_is_broken_though_processes_die() {
    let desk = Desk::new();
    let report =
        desk.json(&["bench", "chaos", "--seconds", "3", "--kill-every-ms", "300", "--all-percent", "15"]);
    for name in ["lost", "torn", "stale", "went_back", "stuck", "failed"] {
        assert_eq!(report[name], 0, "{name}: {report}");
    }
    assert!(report["transactions"].as_u64().unwrap() > 0, "{report}");
    assert!(report["killed"].as_u64().unwrap() > 0, "{report}");
    assert!(!desk.db().exists(), "the chaos takes no database that it was not given");
}

#[test]
fn the_database_can_be_kept_and_is_whole() {
    let desk = Desk::new();
    let text = desk.ok(&[
        "bench",
        "chaos",
        "--db",
        "kept.llmdb",
        "--seconds",
        "0.5",
        "--processes",
        "2",
        "--writers",
        "3",
        "--readers",
        "1",
    ]);
    assert!(text.contains("0 lost, 0 torn"), "{text}");
    desk.ok(&["check", "--db", "kept.llmdb"]);
    let again = desk.run(&["bench", "chaos", "--db", "kept.llmdb"]);
    assert_eq!(again.exit, 2, "it exists: {}", again.stderr);
    assert_eq!(desk.run(&["bench", "chaos", "--seconds", "0"]).exit, 2);
}
