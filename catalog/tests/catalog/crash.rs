//! The power fails between and within the steps of a migration and of its rollback, and between writes: what is found answers
//! readers of both forms as the model does, and goes on to the same end.

use std::sync::{Arc, Mutex};

use llmdb_catalog::{Catalog, Chunk, Keeper, State};
use llmdb_engine::{Background, Engine, Options};
use llmdb_temporal::Store;
use llmdb_vfs::crash::{Chooser, CrashPoint, CrashVfs, Op};
use proptest::prelude::*;

use super::{
    UP_AND_DOWN, definition,
    model::{Model, Write, writes},
    set_up,
};

fn open(disk: &CrashVfs) -> Engine {
    let mut options = Options::default();
    options.background = Background::Manual;
    options.log_window_bytes = 16 << 10;
    options.segment_bytes_max = 64 << 10;
    options.checkpoint_log_bytes = 24 << 10;
    Engine::open_on(Arc::new(disk.clone()), "test.llmdb", options).unwrap()
}

fn state(catalog: &Catalog<'_>) -> State {
    let view = catalog.store().view().unwrap();
    catalog.migration(&view, "m").unwrap().map_or(State::Planned, |migration| migration.stored.state)
}

/// The version that is written in a state.
fn version(state: State) -> u32 {
    if matches!(state, State::Running | State::Done) { 2 } else { 1 }
}

/// From wherever it is to the end, and back again.
fn finish(catalog: &Catalog<'_>, model: &mut Model, after: &[Write], chunk: Chunk) {
    let check = |model: &Model| {
        model.check_reader(catalog, 1);
        model.check_reader(catalog, 2);
    };
    let mut after = after.iter();
    catalog.propose("m", &definition(UP_AND_DOWN)).unwrap();
    if state(catalog) == State::Planned {
        catalog.begin("m").unwrap();
    }
    check(model);
    if state(catalog) == State::Done {
        model.check_stored(catalog, 2);
        catalog.roll_back("m").unwrap();
    }
    while let now @ (State::Running | State::RollingBack) = state(catalog) {
        catalog.step("m", chunk).unwrap();
        if let Some(write) = after.next() {
            model.commit(catalog, version(state(catalog)), *write);
        }
        check(model);
        if now == State::Running && state(catalog) == State::Done {
            model.check_stored(catalog, 2);
            catalog.roll_back("m").unwrap();
        }
    }
    assert!(matches!(state(catalog), State::RolledBack), "{:?}", state(catalog));
    model.check_stored(catalog, 1);
}

struct Moment {
    point: CrashPoint,
    acknowledged: usize,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_migration_survives_crashes_anywhere(
        before in writes(25), between in writes(8), after in writes(4), rows in 1u64..4, seed in any::<u64>()
    ) {
        let chunk = Chunk { rows, bytes: 1 << 20 };
        let disk = CrashVfs::new(seed);
        let (engine, keeper) = (open(&disk), Keeper::new());
        let catalog = Catalog::new(Store::new(&engine), &keeper);
        set_up(&catalog);
        let mut model = Model::default();
        for write in &before {
            model.commit(&catalog, 1, *write);
        }
        let moments: Arc<Mutex<Vec<Moment>>> = Arc::default();
        let acknowledged = Arc::new(Mutex::new(model.len()));
        let observer = {
            let (moments, acknowledged) = (moments.clone(), acknowledged.clone());
            move |disk: &CrashVfs, op: &Op<'_>| {
                if op.index % 5 == seed % 5 {
                    let acknowledged = *acknowledged.lock().unwrap();
                    moments.lock().unwrap().push(Moment { point: disk.crash_point(), acknowledged });
                }
            }
        };
        disk.observe(Some(Arc::new(observer)));
        let mut between = between.iter();
        catalog.propose("m", &definition(UP_AND_DOWN)).unwrap();
        catalog.begin("m").unwrap();
        loop {
            match state(&catalog) {
                State::RolledBack => break,
                State::Done => drop(catalog.roll_back("m").unwrap()),
                _ => drop(catalog.step("m", chunk).unwrap()),
            }
            if let Some(write) = between.next() {
                model.commit(&catalog, version(state(&catalog)), *write);
                *acknowledged.lock().unwrap() = model.len();
            }
        }
        disk.observe(None);
        model.check_stored(&catalog, 1);
        let moments = std::mem::take(&mut *moments.lock().unwrap());
        let mut chooser = Chooser::new(seed);
        let every = moments.len() / 12 + 1;
        for moment in moments.iter().step_by(every) {
            let (engine, keeper) = (open(&moment.point.crash(&mut chooser)), Keeper::new());
            let catalog = Catalog::new(Store::new(&engine), &keeper);
            let mut model = model.up_to(engine.snapshot().unwrap().txid());
            prop_assert!(model.len() >= moment.acknowledged);
            if state(&catalog) != State::RolledBack {
                finish(&catalog, &mut model, &after, chunk);
            }
            let report = engine.check(&mut |_, _| true).unwrap();
            prop_assert!(report.problems.is_empty(), "{:?}", report.problems);
        }
    }
}
