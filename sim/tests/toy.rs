//! The driver passes a store that is correct, and catches each bug that was planted in it.

use std::sync::Arc;

use llmdb_sim::{
    Config, Violation, run_faults, run_full_disk, run_seed, run_states,
    toy::{Bug, Toy},
};

#[test]
fn the_correct_toy_survives_every_crash() {
    let config = Config { states_wanted: 20_000, ..Config::default() }.from_env();
    let report =
        run_states(&Arc::new(Toy::default()), &config).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{report:#?}");
    assert!(config.only_seed || report.state_count >= config.states_wanted);
}

#[test]
fn the_correct_toy_survives_every_failing_call() {
    let config = Config { step_count: 15, fault_runs_max: 400, ..Config::default() }.from_env();
    for seed in config.seed..config.seed + 4 {
        let report = run_faults(&Arc::new(Toy::default()), &config, seed);
        let report = report.unwrap_or_else(|violation| panic!("{violation}"));
        println!("seed {seed}: {} calls failed", report.failed_count);
        assert!(report.failed_count > 0);
    }
}

#[test]
fn the_correct_toy_survives_a_full_disk() {
    let config = Config { fault_runs_max: 60, ..Config::default() }.from_env();
    for seed in config.seed..config.seed + 4 {
        let report = run_full_disk(&Arc::new(Toy::default()), &config, seed);
        let report = report.unwrap_or_else(|violation| panic!("{violation}"));
        println!("seed {seed}: {} calls found no space", report.failed_count);
    }
}

#[test]
fn the_correct_toy_never_shows_what_a_lying_disk_made_up() {
    let config = Config { disk_lies: true, states_wanted: 3_000, ..Config::default() }.from_env();
    let report =
        run_states(&Arc::new(Toy::default()), &config).unwrap_or_else(|violation| panic!("{violation}"));
    assert!(config.only_seed || report.reported_count > 0, "{report:?}");
}

#[test]
fn one_seed_is_enough_to_see_a_run_again() {
    let config = Config { step_count: 40, ..Config::default() };
    let toy = Arc::new(Toy::default());
    assert_eq!(run_seed(&toy, &config, 7), run_seed(&toy, &config, 7));
    let broken = Arc::new(Toy::with_bugs([Bug::CutLogAtNewerRoot]));
    let violation = run_seed(&broken, &config, 1).expect_err("this bug is found at once");
    let again = Config { only_point: violation.point, ..config };
    let seen_again = run_seed(&broken, &again, 1).expect_err("the same moment shows the same bug");
    assert_eq!(
        (seen_again.invariant, seen_again.what, seen_again.point),
        (violation.invariant, violation.what, violation.point)
    );
    assert!(seen_again.state_count < violation.state_count, "nothing else was examined");
}

/// The first violation that the driver finds, and how many states it took.
fn hunt(bug: Bug) -> Option<(u64, Violation)> {
    let toy = Arc::new(Toy::with_bugs([bug]));
    let config = Config { fault_runs_max: 300, step_count: 40, ..Config::default() };
    let mut state_count = 0;
    for seed in 1..=60 {
        match run_seed(&toy, &config, seed) {
            Ok(report) => state_count += report.state_count,
            Err(violation) => return Some((state_count + violation.state_count, violation)),
        }
        if seed <= 10 && matches!(bug, Bug::RetrySync | Bug::ReadCachedLog) {
            match run_faults(&toy, &Config { step_count: 15, ..config.clone() }, seed) {
                Ok(report) => state_count += report.state_count,
                Err(violation) => return Some((state_count, violation)),
            }
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
