//! bench: every figure is there; what the figures are is the machine's business.

use super::Desk;

#[test]
fn every_figure_is_there() {
    let desk = Desk::new();
    let small =
        ["bench", "--rows", "2000", "--seconds", "0.05", "--rounds", "1", "--threads", "1", "--threads", "3"];
    let report = desk.json(&small);
    for name in ["load_rows_per_second", "gets_per_second", "scan_rows_per_second", "file_bytes"] {
        assert!(report[name].as_u64().unwrap() > 0, "{name}: {report}");
    }
    assert_eq!(report["durable_puts"].as_array().unwrap().len(), 2);
    assert!(!desk.db().exists(), "the bench takes no database that it was not given");
    assert!(desk.ok(&small).contains("durable puts, 3 at a time"));
    desk.ok(&["put", "a", "1"]);
    assert_eq!(desk.run(&["bench", "--db", "test.llmdb"]).exit, 2);
}
