//! Bugs that are planted, each with a test that catches it.

use llmdb_base::plant::{Bug, is_caught};

use crate::{migrations, schemas};

#[test]
fn every_planted_bug_is_caught() {
    let bugs: [(Bug, fn()); 3] = [
        (
            Bug::AdmitAnyDocument,
            schemas::a_document_that_does_not_fit_is_refused_with_place_schema_and_version,
        ),
        (Bug::RewriteAgain, migrations::while_it_runs_writes_have_to_be_of_the_new_form),
        (Bug::SkipRow, migrations::every_document_is_rewritten_once_and_history_stays),
    ];
    for (bug, by) in bugs {
        assert!(is_caught(bug, by), "{bug:?}");
    }
}
