//! A log that is longer than what a replay gathers at once: keys written again and again, deleted, and written again,
//! in several trees, with ranges deleted, savepoints gone back to and long values between, come back as they were.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and its numbers are small"
)]
use crate::common::{Change, Step, killed, open_with, options, script::Script, script::commit, script::key};
use llmdb_engine::{Options, RecoveryTime};
use llmdb_vfs::crash::{Chooser, CrashVfs};

fn no_checkpoints() -> Options {
    let mut options = options();
    options.checkpoint_log_bytes = 1 << 40;
    options.stall_log_bytes = 1 << 40;
    options.segment_bytes_max = 16 << 20;
    options.log_window_bytes = 1 << 20;
    let never = u64::MAX;
    options.recovery = RecoveryTime { checkpoint_us: never, throttle_us: never, stall_us: never, read_us: 1 };
    options
}

/// Only `wide` ones do what ends a gathering.
fn transaction(chooser: &mut Chooser, wide: bool) -> Vec<Change> {
    let trees = ["one", "two", "three"];
    let mut changes = Vec::new();
    for _ in 0..300 {
        let tree = *chooser.pick(&trees);
        let number = chooser.below(4_000);
        changes.push(match chooser.below(if wide { 100 } else { 98 }) {
            0..70 => {
                Change::Put(tree, key(number), crate::common::script::value(chooser.next_u64() % 1000, 600))
            }
            70..97 => Change::Delete(tree, key(number)),
            97 => Change::Put(tree, key(number), crate::common::script::value(number, 40_000)),
            98 => Change::DeleteRange(tree, key(number), key(number + 200)),
            _ => Change::Undone(vec![
                Change::Put(tree, key(number), vec![0; 10]),
                Change::Delete("one", key(number + 1)),
            ]),
        });
    }
    if wide && chooser.percent(4) {
        changes.insert(chooser.index(changes.len()), Change::Drop("two"));
    }
    changes
}

#[test]
fn what_was_gathered_in_several_pieces_comes_back() {
    let mut chooser = Chooser::new(5);
    let mut script =
        Script::new((0..220).map(|number| Step::Commit(transaction(&mut chooser, number >= 160))).collect());
    script.options = no_checkpoints();
    let disk = CrashVfs::new(1);
    let engine = open_with(&disk, script.options.clone()).unwrap();
    script.commits().for_each(|changes| commit(&engine, changes).unwrap());
    let left = killed(&disk);
    let engine = open_with(&left, script.options.clone()).unwrap();
    let report = engine.recovery();
    assert_eq!(report.replayed_txns, 220);
    assert!(report.replayed_bytes > 48 << 20, "{} bytes are little", report.replayed_bytes);
    script.verify(&engine, 220, 220, "after the replay");
}
