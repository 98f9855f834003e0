//! Two and three processes on one store, killed at any call, with power failures in between; and the driver notices
//! each bug that is planted.
#![allow(clippy::panic, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

use llmdb_base::plant::Bug;
use llmdb_sim::processes::{Broken, ProcessReport, Processes};

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn survive(processes: &Processes, first_seed: u64, count: u64) {
    let mut all = ProcessReport::default();
    let only = from_environment("LLMDB_SIM_SEED", 0);
    let seeds = if only > 0 { only..only + 1 } else { first_seed..first_seed + count };
    for seed in seeds {
        let report = processes.run(seed).unwrap_or_else(|broken| panic!("{broken}"));
        all.commit_count += report.commit_count;
        all.look_count += report.look_count;
        all.kill_count += report.kill_count;
        all.unheard_count += report.unheard_count;
        all.crash_count += report.crash_count;
        all.call_count += report.call_count;
    }
    println!("{all:?}");
}

#[test]
fn two_processes_survive_each_other() {
    survive(&Processes::default(), 1, from_environment("LLMDB_SIM_RUNS", 60));
}

#[test]
fn three_processes_survive_each_other() {
    let processes = Processes { process_count: 3, kill_one_in: 1000, ..Processes::default() };
    survive(&processes, 1_000_000, from_environment("LLMDB_SIM_RUNS", 40));
}

/// The first invariant that a planted bug breaks.
fn hunt(bug: Bug) -> Option<Box<Broken>> {
    let planted = Processes { bug: Some(bug), kill_one_in: 0, ..Processes::default() };
    (1..=200).find_map(|seed| planted.run(seed).err())
}

#[test]
fn every_planted_bug_is_caught() {
    for bug in Bug::OF_PROCESSES {
        let broken = hunt(bug).unwrap_or_else(|| panic!("{bug:?} was not caught"));
        println!("{bug:?}: {broken}");
    }
}

#[test]
fn one_seed_is_one_run() {
    let run = || Processes::default().run(7).unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(run(), run());
}
