//! Erasing and purging: what is kept is answered as before, what is not is refused, what was erased is nowhere; also
//! when the power fails on the way.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use crate::common::{FACTS, Model, ROWS, Write, commit, create, write};
use llmdb_base::plant::{Bug, plant};
use llmdb_engine::{Background, Engine, Options};
use llmdb_temporal::{
    AsOf, At, BEGINNING, Collection, Element, Error, FOREVER, History, Key, Period, Retention, RowKey, Rows,
    Store, Timestamp, TxnId, Valid, Value, Which,
};
use llmdb_vfs::{
    Create, MemoryVfs, Open, Vfs,
    crash::{Chooser, CrashPoint, CrashVfs},
    read_exact_at,
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

fn at(valid: Timestamp, system: Timestamp) -> At {
    At::valid(valid).as_of(AsOf::Time(system))
}

fn options() -> Options {
    let mut options = Options::default();
    options.background = Background::Manual;
    options.log_window_bytes = 16 << 10;
    options.segment_bytes_max = 64 << 10;
    options.checkpoint_log_bytes = 24 << 10;
    options
}

fn open(disk: &CrashVfs) -> Engine {
    Engine::open_on(Arc::new(disk.clone()), "test.llmdb", options()).unwrap()
}

/// What happens to the store.
#[derive(Clone, Debug)]
enum Deed {
    Commit(Vec<Write>),
    Erase(i64),
    /// Keep what is younger than the commit so many back.
    Span(usize),
    Versions(u32),
    /// One step of it.
    SpanStep(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        30 => proptest::collection::vec(write(), 1..4).prop_map(Deed::Commit),
        1 => (0..ROWS).prop_map(Deed::Erase),
        1 => (0usize..30).prop_map(Deed::Span),
        1 => (1u32..4).prop_map(Deed::Versions),
        1 => (0usize..30).prop_map(Deed::SpanStep),
    ]
}

/// The model, and what is not kept of it: a collection's horizon is known, that of a row is what the store says.
#[derive(Clone, Debug)]
struct World {
    model: Model,
    since: Timestamp,
    has_versions: bool,
    /// Every assertion that was ever made.
    all: Vec<crate::common::Assertion>,
    /// What each commit of the store made of the world, so that it can be told after a crash.
    events: Vec<(TxnId, Event)>,
}

#[derive(Clone, Debug)]
enum Event {
    Asserted(usize),
    Erased(i64),
    Kept(Timestamp),
    Versions,
}

impl World {
    fn new() -> Self {
        Self {
            model: Model::default(),
            since: BEGINNING,
            has_versions: false,
            all: Vec::new(),
            events: Vec::new(),
        }
    }

    fn horizon(&self, back: usize) -> Option<Timestamp> {
        let commits = &self.model.commits;
        commits.len().checked_sub(back + 1).map(|index| commits[index].1)
    }

    fn erase(&mut self, row: i64) {
        self.model.assertions.retain(|known| known.row != row);
    }

    fn span(store: Store<'_>, horizon: Timestamp) -> Retention {
        let now = store.begin_write().unwrap().timestamp();
        Retention::Span { us: u64::try_from(now.get() - horizon.get()).unwrap() }
    }

    fn note_step(&mut self, engine: &Engine, kept: Option<Timestamp>) {
        let txid = engine.last_commit().txid;
        if let Some(since) = kept {
            self.since = since;
            self.events.push((txid, Event::Kept(since)));
        }
    }

    fn run(&mut self, engine: &Engine, deed: &Deed) {
        let store = Store::new(engine);
        match deed {
            Deed::Commit(writes) => {
                let before = self.model.assertions.len();
                commit(store, &mut self.model, writes);
                let (txid, _) = *self.model.commits.last().unwrap();
                self.all.extend_from_slice(&self.model.assertions[before..]);
                self.events.push((txid, Event::Asserted(self.model.assertions.len() - before)));
            }
            Deed::Erase(row) => {
                let erased = store.erase(FACTS, *row, &mut |_, _| true).unwrap();
                assert!(erased.scrub.is_complete());
                assert!(erased.erasure.scrubbed.is_some());
                self.erase(*row);
                self.events.push((erased.erasure.txid, Event::Erased(*row)));
            }
            Deed::Span(back) | Deed::SpanStep(back) => {
                let Some(horizon) = self.horizon(*back) else { return };
                let keep = Self::span(store, horizon);
                loop {
                    let purged = store.purge_step(FACTS, keep).unwrap();
                    self.note_step(engine, purged.kept_since);
                    if purged.is_done || matches!(deed, Deed::SpanStep(_)) {
                        break;
                    }
                }
            }
            Deed::Versions(count) => {
                let purged = store.purge(FACTS, Retention::Versions(*count), &mut |_| true).unwrap();
                assert!(purged.is_done);
                self.note_step(engine, purged.kept_since);
                self.has_versions = true;
                self.events.push((engine.last_commit().txid, Event::Versions));
            }
        }
    }

    /// The world after those commits that a store shows which was found after a crash.
    fn as_of(&self, shown: TxnId) -> Self {
        let mut world = Self::new();
        world.has_versions = self.events.iter().any(|(_, event)| matches!(event, Event::Versions));
        let mut commits = self.model.commits.iter();
        let mut all = self.all.iter();
        for (txid, event) in self.events.iter().filter(|(txid, _)| *txid <= shown) {
            match event {
                Event::Asserted(count) => {
                    world.model.assertions.extend(all.by_ref().take(*count).cloned());
                    world.model.commits.extend(commits.by_ref().find(|commit| commit.0 == *txid));
                }
                Event::Erased(row) => world.erase(*row),
                Event::Kept(since) => world.since = *since,
                Event::Versions => {}
            }
        }
        world
    }

    fn value(&self, row: i64, valid: Timestamp, system: Timestamp) -> Option<Vec<u8>> {
        self.model.get(row, valid, system).and_then(|known| known.value.clone())
    }
}

/// From when on each row can be asked, by what the store says of the beginning.
fn horizons(facts: &Collection<'_>, world: &World) -> Vec<Timestamp> {
    assert_eq!(facts.kept_since().unwrap_or(BEGINNING), world.since);
    let of_row = |row| match facts.get(row, at(BEGINNING, BEGINNING)) {
        Ok(_) => BEGINNING,
        // The collection is asked first; a row may have a later moment.
        Err(Error::NotKept { since, row: None, .. }) => match facts.get(row, at(since, since)) {
            Ok(_) => since,
            Err(Error::NotKept { since, .. }) => since,
            Err(error) => panic!("{error}"),
        },
        Err(Error::NotKept { since, .. }) => since,
        Err(error) => panic!("{error}"),
    };
    let horizons: Vec<Timestamp> = (0..ROWS).map(of_row).collect();
    let last = world.model.commits.last().map_or(BEGINNING, |commit| commit.1);
    assert!(horizons.iter().all(|horizon| *horizon >= world.since && *horizon <= last.max(world.since)));
    assert!(world.has_versions || horizons.iter().all(|horizon| *horizon == world.since));
    horizons
}

fn check(engine: &Engine, world: &World, most: usize) {
    let view = Store::new(engine).view().unwrap();
    let facts = view.collection(FACTS).unwrap();
    let horizons = horizons(&facts, world);
    let all = world.model.moments();
    let step = (all.len() / most).max(1);
    let moments: Vec<Timestamp> =
        all.iter().rev().step_by(step).copied().chain(horizons.iter().copied()).collect();
    for system in &moments {
        for valid in &moments {
            let moment = *valid.min(system);
            let mut expected = Vec::new();
            for row in 0..ROWS {
                let found = facts.get(row, at(*valid, *system));
                match found {
                    Ok(fact) => {
                        assert!(
                            moment >= horizons[usize::try_from(row).unwrap()],
                            "row {row} at {moment} is not kept"
                        );
                        let value = fact.map(|fact| fact.value.payload.to_vec());
                        assert_eq!(
                            value,
                            world.value(row, *valid, *system),
                            "row {row}, {valid} as of {system}"
                        );
                        expected.extend(value);
                    }
                    Err(Error::NotKept { .. }) => assert!(moment < horizons[usize::try_from(row).unwrap()]),
                    Err(error) => panic!("{error}"),
                }
            }
            let scan = facts.scan(&Rows::all(), at(*valid, *system));
            match scan {
                Ok(scan) => {
                    assert!(horizons.iter().all(|horizon| moment >= *horizon));
                    let values: Vec<_> = scan.map(|fact| fact.unwrap().value.payload.to_vec()).collect();
                    assert_eq!(values, expected);
                }
                Err(Error::NotKept { .. }) => assert!(horizons.iter().any(|horizon| moment < *horizon)),
                Err(error) => panic!("{error}"),
            }
        }
    }
    check_versions(&facts, world, &horizons, &moments);
    // The present is exact, whatever went.
    for row in 0..ROWS {
        let value = facts.get(row, At::NOW).unwrap().map(|fact| fact.value.payload.to_vec());
        assert_eq!(value, world.value(row, view.now(), FOREVER));
    }
    let report = engine.check(&mut |_, _| true).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

fn check_versions(facts: &Collection<'_>, world: &World, horizons: &[Timestamp], moments: &[Timestamp]) {
    for row in 0..ROWS {
        let horizon = horizons[usize::try_from(row).unwrap()];
        let history = facts.history(row).unwrap();
        let believed = facts.believed(row, Period::ALWAYS, AsOf::Now).unwrap();
        assert!(history.iter().chain(&believed).all(|version| version.valid.from >= horizon));
        for valid in moments.iter().filter(|moment| **moment >= horizon) {
            let now = believed.iter().find(|version| version.valid.contains(*valid));
            assert_eq!(now.map(|version| version.value.payload.to_vec()), world.value(row, *valid, FOREVER));
            for system in moments.iter().filter(|moment| **moment >= horizon) {
                let mut holding = history
                    .iter()
                    .filter(|version| version.valid.contains(*valid) && version.system.contains(*system));
                let found = holding.next().map(|version| version.value.payload.to_vec());
                assert!(holding.next().is_none());
                assert_eq!(
                    found,
                    world.value(row, *valid, *system),
                    "history of {row}, {valid} as of {system}"
                );
            }
        }
    }
    let since = facts.kept_since().unwrap_or(BEGINNING);
    let changes = facts.changes(AsOf::Time(since), AsOf::Now).unwrap().map(Result::unwrap);
    let mut expected: Vec<_> = world.model.assertions.iter().map(|known| (known.system, known.row)).collect();
    expected.retain(|(system, _)| *system > since);
    expected.sort_unstable();
    expected.dedup();
    assert!(
        changes
            .map(|change| (change.timestamp, change.row))
            .eq(expected.into_iter().map(|(at, row)| (at, RowKey::from(row))))
    );
    if since > BEGINNING {
        assert!(matches!(facts.changes(AsOf::Time(BEGINNING), AsOf::Now), Err(Error::NotKept { .. })));
    }
    for found in facts.versions_of(&Rows::all(), Which::All).unwrap() {
        found.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::cases(24), max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_is_answered_as_before(
        deeds in proptest::collection::vec(deed(), 20..160),
        percent in proptest::sample::select(vec![None, Some(1), Some(100)]),
    ) {
        live_and_check(&deeds, percent);
    }
}

fn live_and_check(deeds: &[Deed], copy_percent: Option<u16>) {
    let engine = Engine::in_memory().unwrap();
    create(Store::new(&engine), History::Bitemporal { copy_percent });
    let mut world = World::new();
    for deed in deeds {
        world.run(&engine, deed);
    }
    check(&engine, &world, 14);
}

struct Moment {
    point: CrashPoint,
    acknowledged: TxnId,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::cases(4), max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn and_so_it_is_after_a_crash(
        before in proptest::collection::vec(deed(), 30..60), after in proptest::collection::vec(deed(), 5), seed in any::<u64>()
    ) {
        let disk = CrashVfs::new(seed);
        let engine = open(&disk);
        create(Store::new(&engine), History::Bitemporal { copy_percent: Some(1) });
        let mut world = World::new();
        let moments: Arc<Mutex<Vec<Moment>>> = Arc::default();
        let acknowledged = Arc::new(Mutex::new(engine.last_commit().txid));
        let observer = {
            let (moments, acknowledged) = (moments.clone(), acknowledged.clone());
            move |disk: &CrashVfs, op: &llmdb_vfs::crash::Op<'_>| {
                if op.index % 97 == seed % 97 {
                    let acknowledged = *acknowledged.lock().unwrap();
                    moments.lock().unwrap().push(Moment { point: disk.crash_point(), acknowledged });
                }
            }
        };
        disk.observe(Some(Arc::new(observer)));
        for deed in &before {
            world.run(&engine, deed);
            *acknowledged.lock().unwrap() = engine.last_commit().txid;
        }
        disk.observe(None);
        let moments = std::mem::take(&mut *moments.lock().unwrap());
        let mut chooser = Chooser::new(seed);
        for moment in moments.iter().take(24) {
            let engine = open(&moment.point.crash(&mut chooser));
            let shown = engine.snapshot().unwrap().txid();
            prop_assert!(shown >= moment.acknowledged);
            let mut world = world.as_of(shown);
            check(&engine, &world, 5);
            let store = Store::new(&engine);
            prop_assert!(store.finish_erasures(&mut |_, _| true).unwrap().is_complete());
            prop_assert!(store.erasures().unwrap().iter().all(|erasure| erasure.scrubbed.is_some()));
            for deed in &after {
                world.run(&engine, deed);
            }
            check(&engine, &world, 5);
        }
    }
}

/// A token that is in no other byte of the store.
const TOKEN: &str = "lovelace.ada@example.org";

fn holders(disk: &dyn Vfs, files: &[PathBuf]) -> Vec<PathBuf> {
    let holds = |path: &&PathBuf| {
        let Ok(file) = disk.open(path, Open { write: false, create: Create::Never, direct: false }) else {
            return false;
        };
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        read_exact_at(&*file, &mut bytes, 0).unwrap();
        bytes.windows(12).any(|window| TOKEN.as_bytes().starts_with(window))
    };
    files.iter().filter(holds).cloned().collect()
}

fn put(store: Store<'_>, row: &str, valid: Valid, value: &str) {
    let mut txn = store.begin_write().unwrap();
    txn.collection(FACTS).unwrap().put(row, valid, Value::raw(value.as_bytes())).unwrap();
    txn.commit().unwrap();
}

/// Two subjects side by side, in the same transactions, with corrections, futures, copies and long values.
fn live(store: Store<'_>, rounds: i64) {
    for round in 0..rounds {
        let mut txn = store.begin_write().unwrap();
        let now = txn.timestamp().get();
        let mut facts = txn.collection(FACTS).unwrap();
        for number in 0..40 {
            let value = format!("{number} in round {round}");
            facts.put(format!("other/{number}").as_str(), Valid::Now, Value::raw(value.as_bytes())).unwrap();
        }
        let value = format!("{TOKEN} in round {round} ").repeat(if round % 7 == 3 { 300 } else { 2 });
        facts.put(TOKEN, Valid::Now, Value::raw(value.as_bytes())).unwrap();
        let early = Period::new(Timestamp::new(now - 1_000_000 - round), Timestamp::new(now - 500_000));
        facts.put(TOKEN, early, Value::raw(TOKEN.as_bytes())).unwrap();
        let late = Period::new(Timestamp::new(now + 1_000_000), Timestamp::new(now + 2_000_000 + round));
        facts.put(TOKEN, late, Value::raw(TOKEN.as_bytes())).unwrap();
        txn.commit().unwrap();
    }
}

/// A plain collection beside the facts, whose keys are a tag and the row.
fn tag(store: Store<'_>, tags: &[&str]) {
    let mut txn = store.begin_write().unwrap();
    txn.create("tags", History::Plain).unwrap();
    txn.keep_plain_beside(FACTS, "tags").unwrap();
    for row in [TOKEN, "other/7"] {
        for tag in tags {
            let row = Key::of([*tag, row].map(Element::from));
            txn.collection("tags").unwrap().put(row, Valid::Now, Value::raw(b"")).unwrap();
        }
    }
    txn.commit().unwrap();
}

#[test]
fn an_erased_row_is_in_no_byte_and_its_tombstone_does_not_name_it() {
    erase_and_search();
}

fn erase_and_search() {
    let disk = CrashVfs::new(4);
    let engine = open(&disk);
    let store = Store::new(&engine);
    create(store, History::Bitemporal { copy_percent: Some(1) });
    live(store, 60);
    assert!(store.view().unwrap().collection(FACTS).unwrap().epoch_count().unwrap() > 1);
    tag(store, &["early", "late"]);
    let before = store.check_erased(FACTS, TOKEN, &[TOKEN.into()], &mut |_, _| true).unwrap();
    assert!(before.records > 100 && before.traces.count > 0 && before.erasures.is_empty());
    let erased = store.erase(FACTS, TOKEN, &mut |_, _| true).unwrap();
    assert!(erased.scrub.is_complete() && erased.erasure.removed > 100, "{erased:?}");
    let files: Vec<PathBuf> = disk.files().into_iter().map(|(path, _)| path).collect();
    assert_eq!(holders(&disk, &files), Vec::<PathBuf>::new());
    let after = store.check_erased(FACTS, TOKEN, &[TOKEN.into()], &mut |_, _| true).unwrap();
    assert!(after.is_clean(), "{after:?}");
    assert_eq!(after.erasures, [erased.erasure]);
    // Nobody is told that there was such a row; the others are as they were.
    let view = store.view().unwrap();
    let facts = view.collection(FACTS).unwrap();
    assert!(facts.history(TOKEN).unwrap().is_empty());
    assert_eq!(facts.get(TOKEN, At::NOW).unwrap(), None);
    assert_eq!(facts.scan(&Rows::all(), At::NOW).unwrap().count(), 40);
    assert_eq!(view.collection("tags").unwrap().scan(&Rows::all(), At::NOW).unwrap().count(), 2);
    // Of each record but the last one, what it said of the time when it was believed, and of the time behind.
    assert_eq!(facts.history("other/7").unwrap().len(), 2 * 60 - 1);
    let changes = facts.changes(AsOf::Time(BEGINNING), AsOf::Now).unwrap();
    assert_eq!(changes.map(Result::unwrap).count(), 60 * 40);
    drop(view);
    // It may come back as somebody new.
    put(store, TOKEN, Valid::Now, "again");
    let again = store.check_erased(FACTS, TOKEN, &[], &mut |_, _| true).unwrap();
    assert_eq!((again.records, again.erasures.len()), (1, 1));
}

#[test]
fn an_erasure_waits_for_readers_and_is_finished_later() {
    let disk = CrashVfs::new(5);
    let engine = open(&disk);
    let store = Store::new(&engine);
    create(store, History::default());
    live(store, 20);
    let reader = store.view().unwrap();
    let erased = store.erase(FACTS, TOKEN, &mut |_, _| true).unwrap();
    assert!(!erased.scrub.is_complete() && erased.erasure.scrubbed.is_none());
    assert!(reader.collection(FACTS).unwrap().get(TOKEN, At::NOW).unwrap().is_some());
    drop(reader);
    assert!(store.finish_erasures(&mut |_, _| true).unwrap().is_complete());
    assert!(store.erasures().unwrap()[0].scrubbed.is_some());
    assert!(store.check_erased(FACTS, TOKEN, &[TOKEN.into()], &mut |_, _| true).unwrap().is_clean());
}

#[test]
fn a_store_that_was_set_back_erases_again_what_the_notes_say() {
    let (first, second) = (MemoryVfs::default(), MemoryVfs::default());
    let open = |disk: &MemoryVfs| Engine::open_on(Arc::new(disk.clone()), "test.llmdb", options()).unwrap();
    let engine = open(&first);
    let store = Store::new(&engine);
    create(store, History::default());
    live(store, 3);
    // Another store with the same commits stands for one that was restored.
    let restored = open(&second);
    create(Store::new(&restored), History::default());
    live(Store::new(&restored), 3);
    store.erase(FACTS, TOKEN, &mut |_, _| true).unwrap();
    let notes = store.erasure_notes().unwrap();
    assert_eq!(Store::new(&restored).erase_again(&notes, &mut |_, _| true).unwrap(), 1);
    let check = Store::new(&restored).check_erased(FACTS, TOKEN, &[TOKEN.into()], &mut |_, _| true).unwrap();
    assert!(check.is_clean(), "{check:?}");
    // A store that has the commit has erased it already.
    assert_eq!(store.erase_again(&notes, &mut |_, _| true).unwrap(), 0);
}

#[test]
fn a_purge_gives_the_space_back_and_stops_when_asked() {
    let engine = Engine::in_memory().unwrap();
    let store = Store::new(&engine);
    create(store, History::Bitemporal { copy_percent: Some(1) });
    live(store, 100);
    let keys = |engine: &Engine| engine.stats().unwrap().key_count;
    let before = keys(&engine);
    let now = engine.last_commit().timestamp;
    let keep = Retention::Span { us: 1 };
    let first = store.purge(FACTS, keep, &mut |_| false).unwrap();
    assert!(!first.is_done && first.kept_since >= Some(now));
    let mut steps = 0;
    let rest = store
        .purge(FACTS, keep, &mut |_| {
            steps += 1;
            true
        })
        .unwrap();
    assert!(rest.is_done && rest.kept_since == first.kept_since && rest.progress.epochs > 3, "{rest:?}");
    assert_eq!(rest.progress.steps, steps + 1);
    assert!(keys(&engine) < before / 10, "{} of {before} keys are left", keys(&engine));
    let view = store.view().unwrap();
    let facts = view.collection(FACTS).unwrap();
    assert_eq!(facts.scan(&Rows::all(), At::NOW).unwrap().count(), 41);
    let Err(error) = facts.get(TOKEN, At::valid(Timestamp::new(now.get() - 5))) else {
        panic!("it is not kept")
    };
    assert!(
        error.to_string().starts_with("not kept any more: the collection \"facts\" is kept since "),
        "{error}"
    );
    assert_eq!(error.kind(), llmdb_engine::ErrorKind::NotKept);
}

/// A long random life; the same for the same seed.
fn life(seed: u8) -> Vec<Deed> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    proptest::collection::vec(deed(), 150..160).new_tree(&mut runner).unwrap().current()
}

/// What notices a bug, if anything does.
fn caught_by(lives: u8) -> Option<String> {
    let fails = |test: &dyn Fn()| catch_unwind(AssertUnwindSafe(test)).is_err();
    if fails(&erase_and_search) {
        return Some("the search for bytes".into());
    }
    let of_life = |seed: &u8| fails(&|| live_and_check(&life(*seed), Some(1)));
    (0..lives).find(of_life).map(|seed| format!("the model, life {seed}"))
}

#[test]
fn every_planted_bug_is_caught() {
    assert_eq!(caught_by(2), None, "without a bug");
    for bug in Bug::OF_LETTING_GO {
        plant(Some(bug));
        let caught = caught_by(40);
        plant(None);
        println!("{bug:?}: {caught:?}");
        assert!(caught.is_some(), "{bug:?} goes unnoticed");
    }
}
