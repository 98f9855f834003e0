//! Bugs that are planted, each with a test that catches it.

use llmdb_base::plant::{Bug, is_caught};

use crate::{behaviour, sweeping};

#[test]
fn every_planted_bug_is_caught() {
    let bugs: [(Bug, fn()); 4] = [
        (Bug::KeepPurgedWords, sweeping::the_words_of_what_was_purged_go_and_their_bytes_can_be_destroyed),
        (Bug::SweepTooEarly, sweeping::the_words_of_what_was_purged_go_and_their_bytes_can_be_destroyed),
        (Bug::SearchThePresent, behaviour::a_search_is_true_of_its_point_in_both_times),
        (Bug::KnowWordsTooEarly, behaviour::what_an_old_state_answers_never_changes),
    ];
    for (bug, by) in bugs {
        assert!(is_caught(bug, by), "{bug:?}");
    }
}
