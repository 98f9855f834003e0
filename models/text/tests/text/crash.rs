//! The power fails between and within commits: texts and index are of the same commit, and go on together.

use std::sync::{Arc, Mutex};

use llmdb_engine::{Background, Engine, Options};
use llmdb_temporal::{At, Rows, Store};
use llmdb_vfs::crash::{Chooser, CrashPoint, CrashVfs};
use proptest::{collection::vec, prelude::*};

use crate::naive::{Model, at, check_search, create, make, query, step};

fn open(disk: &CrashVfs) -> Engine {
    let mut options = Options::default();
    options.background = Background::Manual;
    options.log_window_bytes = 16 << 10;
    options.segment_bytes_max = 64 << 10;
    // So that checkpoints come between the commits, too.
    options.checkpoint_log_bytes = 24 << 10;
    Engine::open_on(Arc::new(disk.clone()), "test.llmdb", options).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn texts_and_index_are_of_one_commit(
        before in vec(step(6, 5), 1..30), after in vec(step(6, 5), 1..4), queries in vec(query(), 4), seed in any::<u64>()
    ) {
        let disk = CrashVfs::new(seed);
        let engine = open(&disk);
        create(Store::new(&engine));
        // After each commit the model, and how many there were at each crash.
        let mut models = vec![Model::default()];
        let acknowledged = Arc::new(Mutex::new(0));
        let points: Arc<Mutex<Vec<(CrashPoint, usize)>>> = Arc::default();
        let observer = {
            let (points, acknowledged) = (points.clone(), acknowledged.clone());
            move |disk: &CrashVfs, op: &llmdb_vfs::crash::Op<'_>| {
                if op.index % 11 == seed % 11 {
                    points.lock().unwrap().push((disk.crash_point(), *acknowledged.lock().unwrap()));
                }
            }
        };
        disk.observe(Some(Arc::new(observer)));
        for step in &before {
            let mut model = models.last().unwrap().clone();
            make(Store::new(&engine), &mut model, step);
            models.push(model);
            *acknowledged.lock().unwrap() += 1;
        }
        disk.observe(None);
        let points = std::mem::take(&mut *points.lock().unwrap());
        let mut chooser = Chooser::new(seed);
        for (point, acknowledged) in &points {
            let engine = open(&point.crash(&mut chooser));
            let store = Store::new(&engine);
            let shown = engine.snapshot().unwrap().txid();
            let is_shown = |model: &&Model| model.commits.last().is_none_or(|commit| commit.0 <= shown);
            let mut model = models.iter().rev().find(is_shown).unwrap().clone();
            prop_assert!(model.commits.len() >= *acknowledged);
            for step in &after {
                let view = store.view().unwrap();
                model.check_stored(&view);
                for query in &queries {
                    check_search(&view, &model, query, &Rows::all(), At::NOW);
                    if let Some(edge) = model.edges.get(model.edges.len() / 2) {
                        check_search(&view, &model, query, &Rows::all(), at(*edge, *edge));
                    }
                }
                drop(view);
                make(store, &mut model, step);
            }
        }
    }
}
