//! Workloads on an engine that is a map in memory: what they write, check and report, without any peer.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use crate::data::Key;
use crate::engine::{Abilities, Engine, Hint, Outcome, Pair, Peer, Pipeline, Session, Snapshot};
use crate::folder::RunFolder;
use crate::job::{Job, Order, Record, Scale, Task};
use crate::rows::Rows;
use crate::workloads;

type Store = Arc<Mutex<BTreeMap<Key, Vec<u8>>>>;

/// Stores by folder, so that they outlive being closed.
static STORES: LazyLock<Mutex<HashMap<PathBuf, Store>>> = LazyLock::new(Mutex::default);

const MAP: Peer = Peer {
    name: "map",
    crates: &[],
    abilities: Abilities { multi_get: false, append_hint: true, pipeline: true },
    settings: |_| "in memory".to_owned(),
    open: |settings| {
        Ok(Box::new(Map(STORES.lock().unwrap().entry(settings.dir.clone()).or_default().clone())))
    },
};

#[derive(Clone)]
struct Map(Store);

impl Engine for Map {
    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        Ok(Box::new(self.clone()))
    }

    fn settle(&self) -> Outcome<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        Ok(())
    }

    fn pipeline(&self) -> Option<Outcome<Box<dyn Pipeline + '_>>> {
        Some(Ok(Box::new(MapPipeline { map: self.clone(), submitted: 0, durable: 0 })))
    }
}

impl Session for Map {
    fn commit(&mut self, pairs: &[Pair<'_>], _: Hint) -> Outcome<()> {
        self.0.lock().unwrap().extend(pairs.iter().map(|pair| (pair.key, pair.value.to_vec())));
        Ok(())
    }

    fn fresh_get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        self.get(key, rows)
    }

    fn snapshot(&mut self, body: &mut dyn FnMut(&mut dyn Snapshot) -> Outcome<()>) -> Outcome<()> {
        body(&mut self.clone())
    }
}

impl Snapshot for Map {
    fn get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        Ok(self.0.lock().unwrap().get(key).inspect(|value| rows.value(key, value)).is_some())
    }

    fn scan(&mut self, from: Option<&Key>, rows_max: usize, rows: &mut Rows<'_>) -> Outcome<()> {
        let store = self.0.lock().unwrap();
        let start = from.copied().unwrap_or_default();
        store.range(start..).take(rows_max).for_each(|(key, value)| rows.row(key, value));
        Ok(())
    }
}

/// Every second submission is durable at once, the one before it with it.
struct MapPipeline {
    map: Map,
    submitted: u64,
    durable: u64,
}

impl Pipeline for MapPipeline {
    fn submit(&mut self, pair: &Pair<'_>) -> Outcome<()> {
        self.submitted += 1;
        self.map.commit(&[*pair], Hint::None)
    }

    fn durable_count(&mut self) -> Outcome<u64> {
        self.durable = self.submitted / 2 * 2;
        Ok(self.durable)
    }

    fn wait(&mut self, count: u64) -> Outcome<()> {
        self.durable = self.durable.max(count);
        Ok(())
    }
}

/// Runs tasks one after the other on one store for 500 rows.
fn run(tasks: &[Task]) -> Outcome<Vec<Record>> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let parent = std::env::temp_dir().join(format!("compare-tests-{}-{count}", std::process::id()));
    let folder = RunFolder::create(&parent)?;
    let scale =
        Scale { rows: 500, load_bytes: 70_000, seconds: 0.02, overwrite_seconds: 1.0, cache_bytes: 0 };
    let (engine, dir) = ("map".to_owned(), folder.path.clone());
    let mut job = Job { engine, task: Task::Describe, dir, scale };
    let mut records = Ok(Vec::new());
    for task in tasks {
        job.task = task.clone();
        records = records.and_then(|_| workloads::run(&MAP, &job));
    }
    drop(folder);
    std::fs::remove_dir(parent)?;
    records
}

#[test]
fn loads_reach_every_row_in_every_order() {
    for order in [Order::Sequential, Order::Append, Order::Random] {
        let records =
            run(&[Task::Load { order, value_bytes: 256, batch_bytes: 10_000 }]).expect("rows verify");
        assert_eq!(records[0].metrics["share"], 1.0);
    }
}

#[test]
fn an_overwrite_needs_the_base_store() {
    let overwrite = Task::Overwrite { batch_bytes: 10_000 };
    assert_eq!(run(&[Task::Fill { rows: 500 }, overwrite.clone()]).expect("rows verify").len(), 1);
    assert!(run(&[Task::Fill { rows: 499 }, overwrite]).is_err());
}

#[test]
fn reads_report_every_case() {
    assert_eq!(run(&[Task::Fill { rows: 500 }, Task::Get]).expect("rows are found").len(), 6);
    assert_eq!(run(&[Task::Fill { rows: 500 }, Task::Scan]).expect("rows are found").len(), 3);
    assert_eq!(
        run(&[Task::Fill { rows: 500 }, Task::Mixed { batch_bytes: 0 }]).expect("rows are found").len(),
        1
    );
}

#[test]
fn commits_are_counted() {
    for task in [Task::Put { threads: 3 }, Task::Pipeline] {
        let records = run(&[Task::Fill { rows: 500 }, task]).expect("commits succeed");
        assert!(records[0].metrics["tx_s"] > 0.0 && records[0].metrics["max_us"] > 0.0);
    }
}

#[test]
fn opening_finds_its_row() {
    assert_eq!(
        run(&[Task::Fill { rows: 500 }, Task::Open { rows: 500 }]).expect("the row is there").len(),
        1
    );
    assert_eq!(
        run(&[Task::Fill { rows: 500 }, Task::Memory { rows: 500 }]).expect("the row is there").len(),
        1
    );
    assert!(run(&[Task::Open { rows: 500 }]).is_err());
    let records = run(&[Task::Describe]).expect("a row can be written");
    assert_eq!(records[0].notes[1], "in memory");
}
