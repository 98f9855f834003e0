//! Bugs that are planted, each with a test that catches it.

use llmdb_base::plant::{Bug, is_caught};

use crate::words;

#[test]
fn every_planted_bug_is_caught() {
    let bugs: [(Bug, fn()); 4] = [
        (Bug::RecallTheNewest, words::words_are_true_of_the_point_that_is_asked_for),
        (Bug::TakeForKnown, words::words_are_true_of_the_point_that_is_asked_for),
        (Bug::LeaveFactsUntold, words::what_others_put_is_found_by_words_and_tags),
        (Bug::KeepPurgedTags, words::what_was_purged_is_in_no_word_and_no_tag),
    ];
    for (bug, by) in bugs {
        assert!(is_caught(bug, by), "{bug:?}");
    }
}
