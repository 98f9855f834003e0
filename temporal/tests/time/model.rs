//! Every read, at every point of both times at which an answer may change, against the naive model.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
use crate::common::{FACTS, Model, ROWS, commit, create, work};
use llmdb_engine::Engine;
use llmdb_temporal::{
    AsOf, At, BEGINNING, Collection, Difference, FOREVER, History, Period, RowKey, Rows, Store, Timestamp,
    Version, Which,
};
use proptest::prelude::*;

fn at(valid: Timestamp, system: Timestamp) -> At {
    At::valid(valid).as_of(AsOf::Time(system))
}

/// What a scan finds, as rows and values.
fn scan(facts: &Collection<'_>, at: At) -> Vec<(i64, Vec<u8>)> {
    let found = facts.scan(&Rows::all(), at).unwrap().map(|fact| {
        let fact = fact.unwrap();
        (number(&fact.row), fact.value.payload.to_vec())
    });
    found.collect()
}

fn number(row: &RowKey) -> i64 {
    (0..ROWS).find(|number| RowKey::from(*number) == *row).unwrap()
}

/// Gets and scans at all pairs of `moments`.
fn check_points(facts: &Collection<'_>, model: &Model, moments: &[Timestamp]) {
    for system in moments {
        for valid in moments {
            let expected = model.scan(*valid, *system);
            let found = scan(facts, at(*valid, *system));
            assert_eq!(
                found,
                expected.clone().into_iter().collect::<Vec<_>>(),
                "scan {valid} as of {system}"
            );
            for row in 0..ROWS {
                let fact = facts.get(row, at(*valid, *system)).unwrap();
                let value = fact.as_ref().map(|fact| fact.value.payload.to_vec());
                assert_eq!(value, expected.get(&row).cloned(), "row {row}, {valid} as of {system}");
                let Some(fact) = fact else { continue };
                assert!(fact.valid.contains(*valid));
                assert_eq!(fact.learned, model.get(row, *valid, *system).unwrap().system);
            }
        }
    }
}

fn version_at<'a>(versions: &'a [Version<'_>], valid: Timestamp, system: Timestamp) -> Option<&'a [u8]> {
    let mut holding =
        versions.iter().filter(|version| version.valid.contains(valid) && version.system.contains(system));
    let found = holding.next().map(|version| version.value.payload);
    assert!(holding.next().is_none(), "two versions at {valid}, {system}");
    found
}

/// The versions of each row are the answers to all gets, once each.
fn check_histories(facts: &Collection<'_>, model: &Model, moments: &[Timestamp]) {
    for row in 0..ROWS {
        let history = facts.history(row).unwrap();
        let order: Vec<_> = history.iter().map(|version| (version.system.from, version.valid.from)).collect();
        assert!(order.is_sorted());
        for system in moments {
            let period = Period::new(moments[moments.len() / 4], moments[moments.len() / 2]);
            let believed = facts.believed(row, period, AsOf::Time(*system)).unwrap();
            assert!(believed.iter().all(|version| version.system.contains(*system)));
            for valid in moments {
                let expected = model.get(row, *valid, *system).map(|known| known.value.as_deref().unwrap());
                assert_eq!(version_at(&history, *valid, *system), expected, "row {row}, {valid}, {system}");
                let expected = expected.filter(|_| period.contains(*valid));
                assert_eq!(version_at(&believed, *valid, *system), expected, "row {row}, {valid}, {system}");
            }
        }
    }
}

/// The versions of all rows are those of each row.
fn check_versions_of_rows(facts: &Collection<'_>, model: &Model, moments: &[Timestamp]) {
    let (first, last) = (moments[moments.len() / 3], moments[moments.len() / 2]);
    let between = (AsOf::Time(first), AsOf::Time(last));
    let period = Period::new(first, last);
    let asked = [
        Which::All,
        Which::Between { first: between.0, last: between.1 },
        Which::Believed { valid: period, as_of: AsOf::Now },
    ];
    for which in asked {
        let mut expected = Vec::new();
        for row in 0..ROWS {
            let versions = match which {
                Which::All => facts.history(row),
                Which::Between { first, last } => facts.versions_between(row, first, last),
                Which::Believed { valid, as_of } => facts.believed(row, valid, as_of),
            };
            expected.extend(Some((RowKey::from(row), versions.unwrap())).filter(|found| !found.1.is_empty()));
        }
        let found: Vec<_> = facts.versions_of(&Rows::all(), which).unwrap().map(Result::unwrap).collect();
        assert_eq!(found, expected, "{which:?}");
        let one = RowKey::from(1);
        let found = facts.versions_of(&Rows::one(&one), which).unwrap().map(Result::unwrap);
        assert!(found.eq(expected.into_iter().filter(|(row, _)| *row == one)));
    }
    // Between two moments was believed what was believed at one of them, or at a commit in between.
    let commits = model.commits.iter().map(|commit| commit.1).filter(|at| first <= *at && *at <= last);
    for system in commits.chain([first, last]) {
        for row in 0..ROWS {
            let versions = facts.versions_between(row, between.0, between.1).unwrap();
            assert!(versions.iter().all(|version| version.system.from <= last && version.system.to > first));
            for valid in moments {
                let expected = model.get(row, *valid, system).map(|known| known.value.as_deref().unwrap());
                assert_eq!(version_at(&versions, *valid, system), expected);
            }
        }
    }
}

fn check_now(facts: &Collection<'_>, model: &Model, now: Timestamp) {
    let expected: Vec<_> = model.scan(now, FOREVER).into_iter().collect();
    assert_eq!(scan(facts, At::NOW), expected);
    for row in 0..ROWS {
        let value = facts.get(row, At::NOW).unwrap().map(|fact| fact.value.payload.to_vec());
        assert_eq!(value, model.get(row, now, FOREVER).and_then(|known| known.value.clone()));
        let believed = facts.believed(row, Period::ALWAYS, AsOf::Now).unwrap();
        for moment in model.moments() {
            let expected = model.get(row, moment, FOREVER).map(|known| known.value.as_deref().unwrap());
            let found = believed.iter().find(|version| version.valid.contains(moment));
            assert_eq!(found.map(|version| version.value.payload), expected);
        }
    }
}

/// Changes, and differences between neighbouring commits.
fn check_changes(facts: &Collection<'_>, model: &Model) {
    let changes: Vec<_> =
        facts.changes(AsOf::Time(BEGINNING), AsOf::Now).unwrap().map(Result::unwrap).collect();
    let mut expected: Vec<_> = model.assertions.iter().map(|known| (known.system, known.row)).collect();
    expected.sort_unstable();
    expected.dedup();
    let found: Vec<_> = changes.iter().map(|change| (change.timestamp, number(&change.row))).collect();
    assert_eq!(found, expected);
    for pair in model.commits.windows(2) {
        let between = facts.changes(AsOf::Transaction(pair[0].0), AsOf::Transaction(pair[1].0)).unwrap();
        assert!(between.map(Result::unwrap).all(|change| change.txid == pair[1].0));
        check_diff(facts, model, at(pair[0].1, pair[0].1), at(pair[1].1, pair[1].1));
    }
}

fn check_diff(facts: &Collection<'_>, model: &Model, from: At, to: At) {
    let resolve = |at: At| match at.system {
        AsOf::Time(system) => model.scan(at.valid.unwrap(), system),
        _ => unreachable!("only times are asked for"),
    };
    let (old, new) = (resolve(from), resolve(to));
    let mut expected = Vec::new();
    for row in 0..ROWS {
        if old.get(&row) != new.get(&row) {
            expected.push((row, old.get(&row).cloned(), new.get(&row).cloned()));
        }
    }
    let found = facts.diff(&Rows::all(), from, to).unwrap().map(|difference| match difference.unwrap() {
        Difference::Added(to) => (number(&to.row), None, Some(to.value.payload.to_vec())),
        Difference::Removed(from) => (number(&from.row), Some(from.value.payload.to_vec()), None),
        Difference::Changed { from, to } => {
            (number(&to.row), Some(from.value.payload.to_vec()), Some(to.value.payload.to_vec()))
        }
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

fn check_all(store: Store<'_>, model: &Model) {
    let view = store.view().unwrap();
    let facts = view.collection(FACTS).unwrap();
    let moments = model.moments();
    check_points(&facts, model, &moments);
    check_histories(&facts, model, &moments);
    check_versions_of_rows(&facts, model, &moments);
    check_now(&facts, model, view.now());
    check_changes(&facts, model);
    for (txid, timestamp) in &model.commits {
        assert_eq!(view.resolve(AsOf::Transaction(*txid)).unwrap(), *timestamp);
        assert_eq!(view.transaction_at(*timestamp).unwrap(), Some((*txid, *timestamp)));
    }
}

/// Some of the moments, evenly.
fn some(moments: &[Timestamp], count: usize, offset: usize) -> Vec<Timestamp> {
    let step = (moments.len() / count).max(1);
    moments.iter().copied().skip(offset % step).step_by(step).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::cases(8), max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn epochs_and_their_copies_change_no_answer(
        work in proptest::collection::vec(proptest::collection::vec(crate::common::write(), 1..4), 200..400),
        percent in proptest::sample::select(vec![None, Some(1), Some(100)]),
        offset in any::<usize>(),
    ) {
        let engine = Engine::in_memory().unwrap();
        let store = Store::new(&engine);
        create(store, History::Bitemporal { copy_percent: percent });
        let mut model = Model::default();
        for writes in &work {
            commit(store, &mut model, writes);
        }
        let view = store.view().unwrap();
        let facts = view.collection(FACTS).unwrap();
        let moments = some(&model.moments(), 40, offset);
        check_points(&facts, &model, &moments);
        check_histories(&facts, &model, &moments);
        check_versions_of_rows(&facts, &model, &moments);
        check_now(&facts, &model, view.now());
        prop_assert_eq!(facts.epoch_count().unwrap() > 1, percent.is_some());
    }
}

/// The last commit that changed what is believed of a point: to be told that nothing is there where nothing was changes
/// nothing.
fn last_change(model: &Model, row: i64, valid: Timestamp) -> Option<Timestamp> {
    let (mut last, mut is_there) = (None, false);
    for (_, system) in &model.commits {
        let said = model
            .assertions
            .iter()
            .rev()
            .find(|known| known.system == *system && known.row == row && known.valid.contains(valid));
        if said.is_some_and(|said| said.value.is_some() || is_there) {
            last = Some(*system);
            is_there = said.is_some_and(|said| said.value.is_some());
        }
    }
    last
}

/// After undoing commit number `index`, what is believed now is what the commit before it believed, wherever that
/// commit changed something and no later one did.
fn check_undo(store: Store<'_>, model: &Model, index: usize) {
    let (txid, system) = model.commits[index];
    let mut txn = store.begin_write().unwrap();
    store.undo(&mut txn, txid).unwrap();
    txn.commit().unwrap();
    let view = store.view().unwrap();
    let facts = view.collection(FACTS).unwrap();
    let before = Timestamp::new(system.get() - 1);
    let value = |row, valid, system| model.get(row, valid, system).and_then(|known| known.value.clone());
    for row in 0..ROWS {
        for valid in model.moments() {
            let is_undone = last_change(model, row, valid) == Some(system);
            let expected = value(row, valid, if is_undone { before } else { FOREVER });
            let found = facts.get(row, At::valid(valid)).unwrap().map(|fact| fact.value.payload.to_vec());
            assert_eq!(found, expected, "row {row} at {valid} after undoing {txid}");
            // And what was believed meanwhile is still known.
            let then = facts.get(row, at(valid, system)).unwrap().map(|fact| fact.value.payload.to_vec());
            assert_eq!(then, value(row, valid, system));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::cases(150), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn undone_is_what_nobody_touched_since(work in work(8), index in any::<prop::sample::Index>()) {
        let engine = Engine::in_memory().unwrap();
        let store = Store::new(&engine);
        create(store, History::default());
        let mut model = Model::default();
        for writes in &work {
            commit(store, &mut model, writes);
        }
        check_undo(store, &model, index.index(model.commits.len()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::cases(150), max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_read_is_what_the_definition_says(work in work(12)) {
        let engine = Engine::in_memory().unwrap();
        let store = Store::new(&engine);
        create(store, History::default());
        let mut model = Model::default();
        for writes in &work {
            commit(store, &mut model, writes);
        }
        check_all(store, &model);
    }
}
