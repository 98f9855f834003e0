//! The engine survives every crash, failing call, full disk and lying disk that the driver can think of; and the
//! driver notices each bug that is planted in the engine.

#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use llmdb_base::plant::Bug;
use llmdb_sim::{
    Config, EngineSubject, Violation, run_deceits, run_faults, run_full_disk, run_seed, run_states,
};

fn sound() -> Arc<EngineSubject> {
    Arc::new(EngineSubject::default())
}

fn survive(first_seed: u64) {
    let config = Config { seed: first_seed, states_wanted: 100_000, ..Config::default() }.from_env();
    let report = run_states(&sound(), &config).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{report:#?}");
    assert!(config.only_seed || report.state_count >= config.states_wanted);
}

// Two halves, so that two processors share the work.
#[test]
fn the_engine_survives_every_crash() {
    survive(1);
}

#[test]
fn the_engine_survives_every_crash_of_other_workloads() {
    survive(1_000_000);
}

#[test]
fn the_engine_survives_every_failing_call() {
    let config = Config { step_count: 15, fault_runs_max: 400, ..Config::default() }.from_env();
    for seed in config.seed..config.seed + 4 {
        let report = run_faults(&sound(), &config, seed);
        let report = report.unwrap_or_else(|violation| panic!("{violation}"));
        println!("seed {seed}: {} calls failed", report.failed_count);
        assert!(report.failed_count > 0);
    }
}

#[test]
fn the_engine_survives_a_full_disk() {
    let config = Config { fault_runs_max: 60, ..Config::default() }.from_env();
    for seed in config.seed..config.seed + 4 {
        let report = run_full_disk(&sound(), &config, seed);
        let report = report.unwrap_or_else(|violation| panic!("{violation}"));
        println!("seed {seed}: {} calls found no space", report.failed_count);
    }
}

#[test]
fn the_engine_never_shows_what_a_lying_disk_made_up() {
    let config = Config { disk_lies: true, states_wanted: 3_000, ..Config::default() }.from_env();
    run_states(&sound(), &config).unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn the_engine_survives_writes_that_are_lost_and_blocks_at_the_wrong_place() {
    let config = Config { step_count: 15, fault_runs_max: 400, ..Config::default() }.from_env();
    for seed in config.seed..config.seed + 4 {
        let report = run_deceits(&sound(), &config, seed);
        let report = report.unwrap_or_else(|violation| panic!("{violation}"));
        println!("seed {seed}: {} deceits, {} reported", report.damaged_count, report.reported_count);
        assert!(report.reported_count > 0);
    }
}

/// The first violation that the driver finds, and how many states it took.
fn hunt(bug: Bug) -> Option<(u64, Violation)> {
    let planted = Arc::new(EngineSubject { bug: Some(bug) });
    let mut state_count = 0;
    for seed in 1..=200 {
        match run_seed(&planted, &Config::default(), seed) {
            Ok(report) => state_count += report.state_count,
            Err(violation) => return Some((state_count + violation.state_count, violation)),
        }
    }
    None
}

#[test]
fn every_planted_bug_is_caught() {
    for bug in Bug::ALL {
        let (state_count, violation) = hunt(bug).unwrap_or_else(|| panic!("{bug:?} was not caught"));
        println!("{bug:?}: caught after {state_count} states: {violation}");
    }
}
