//! The power fails, or the process is killed, between and within commits of facts: what is found answers every read as
//! the model does after the commits that were acknowledged, or after one more, and goes on from there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
use std::sync::{Arc, Mutex};

use crate::common::{FACTS, Model, ROWS, commit, create, work};
use llmdb_engine::{Background, Engine, Options};
use llmdb_temporal::{AsOf, At, History, Period, Rows, Store, TxnId};
use llmdb_vfs::crash::{Chooser, CrashPoint, CrashVfs};
use proptest::prelude::*;

fn open(disk: &CrashVfs) -> Engine {
    let mut options = Options::default();
    options.background = Background::Manual;
    options.log_window_bytes = 16 << 10;
    options.segment_bytes_max = 64 << 10;
    // So that checkpoints come between the commits, too.
    options.checkpoint_log_bytes = 24 << 10;
    Engine::open_on(Arc::new(disk.clone()), "test.llmdb", options).unwrap()
}

/// The model after those of its commits that the store shows; there are at least `acknowledged` of them.
fn model_of(engine: &Engine, full: &Model, acknowledged: usize) -> Model {
    let shown = engine.snapshot().unwrap().txid();
    let mut model = full.clone();
    model.commits.retain(|(txid, _)| *txid <= shown);
    assert!(model.commits.len() >= acknowledged, "{shown} is the last, {acknowledged} were acknowledged");
    let last = model.commits.last().map(|commit| commit.1);
    model.assertions.retain(|known| Some(known.system) <= last);
    model
}

/// Every read, at points near the last commits.
fn check(engine: &Engine, model: &Model) {
    let view = Store::new(engine).view().unwrap();
    let facts = view.collection(FACTS).unwrap();
    let moments = model.moments();
    for system in moments.iter().rev().step_by(5).take(8) {
        for valid in moments.iter().rev().step_by(3).take(20) {
            let at = At::valid(*valid).as_of(AsOf::Time(*system));
            let found: Vec<_> = facts.scan(&Rows::all(), at).unwrap().map(Result::unwrap).collect();
            let values: Vec<_> = found.iter().map(|fact| fact.value.payload.to_vec()).collect();
            let expected: Vec<_> = model.scan(*valid, *system).into_values().collect();
            assert_eq!(values, expected);
            for fact in found {
                assert_eq!(facts.get(&fact.row, at).unwrap(), Some(fact));
            }
        }
    }
    for row in 0..ROWS {
        let versions = facts.believed(row, Period::ALWAYS, AsOf::Now).unwrap();
        for valid in &moments {
            let value = versions.iter().find(|version| version.valid.contains(*valid));
            let expected = model.get(row, *valid, llmdb_temporal::FOREVER);
            assert_eq!(
                value.map(|version| version.value.payload),
                expected.and_then(|known| known.value.as_deref())
            );
        }
    }
    let report = engine.check(&mut |_, _| true).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

/// A moment at which the power may fail, and how many commits were acknowledged by then.
struct Moment {
    point: CrashPoint,
    acknowledged: usize,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::cases(6), max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_what_the_definition_says(
        before in work(40), after in work(6), seed in any::<u64>()
    ) {
        let disk = CrashVfs::new(seed);
        let engine = open(&disk);
        let store = Store::new(&engine);
        create(store, History::Bitemporal { copy_percent: Some(1) });
        let mut model = Model::default();
        let moments: Arc<Mutex<Vec<Moment>>> = Arc::default();
        let acknowledged = Arc::new(Mutex::new(0));
        let observer = {
            let (moments, acknowledged) = (moments.clone(), acknowledged.clone());
            move |disk: &CrashVfs, op: &llmdb_vfs::crash::Op<'_>| {
                if op.index % 7 == seed % 7 {
                    let acknowledged = *acknowledged.lock().unwrap();
                    moments.lock().unwrap().push(Moment { point: disk.crash_point(), acknowledged });
                }
            }
        };
        disk.observe(Some(Arc::new(observer)));
        for writes in &before {
            commit(store, &mut model, writes);
            *acknowledged.lock().unwrap() += 1;
        }
        disk.observe(None);
        let moments = std::mem::take(&mut *moments.lock().unwrap());
        let mut chooser = Chooser::new(seed);
        for moment in &moments {
            let engine = open(&moment.point.crash(&mut chooser));
            let store = Store::new(&engine);
            let mut model = model_of(&engine, &model, moment.acknowledged);
            check(&engine, &model);
            for writes in &after {
                commit(store, &mut model, writes);
            }
            check(&engine, &model);
            let txids: Vec<TxnId> = model.commits.iter().map(|commit| commit.0).collect();
            prop_assert!(txids.is_sorted());
        }
    }
}
