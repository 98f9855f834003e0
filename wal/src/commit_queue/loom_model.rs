//! Every schedule of a few committers. Run with
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p llmdb-wal --lib --release loom_model`.
//!
//! A lost wake-up is a deadlock, which loom reports.

use llmdb_base::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
    thread,
};

use super::*;

/// A log that is two numbers: what has been appended, and what is on the media.
struct Model {
    queue: CommitQueue,
    appended: AtomicU64,
    media: AtomicU64,
}

impl Model {
    fn new() -> Arc<Self> {
        let queue = CommitQueue::new(Lsn::new(0));
        Arc::new(Self { queue, appended: AtomicU64::new(0), media: AtomicU64::new(0) })
    }

    /// Appends a record and commits it. A leader writes everything appended so far.
    fn commit(&self) -> bool {
        let lsn = self.appended.fetch_add(1, Ordering::AcqRel) + 1;
        match self.queue.join(Lsn::new(lsn)) {
            Turn::Failed(_) => return false,
            Turn::Durable => {}
            Turn::Lead(leadership) => {
                let end = self.appended.load(Ordering::Acquire);
                // Relaxed: only the queue may make it visible to those it wakes.
                self.media.store(end, Ordering::Relaxed);
                leadership.step_down(Lsn::new(end));
            }
        }
        assert!(self.queue.durable() >= Lsn::new(lsn));
        assert!(self.media.load(Ordering::Relaxed) >= lsn, "told durable, but it is not on the media");
        true
    }
}

impl Model {
    fn assert_settled(&self, end: u64) {
        assert_eq!(self.queue.durable(), Lsn::new(end));
        let state = lock(&self.queue.state);
        assert!(!state.leading && state.waiters.is_empty());
    }
}

fn explore(preemptions_max: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions_max);
    builder.check(model);
}

/// Runs committers, each on a thread of its own. The main thread only joins: loom takes a late `unpark` of a
/// thread that is joining for the end of the join.
fn commit_on_threads(model: &Arc<Model>, commit_counts: &[usize]) -> Vec<bool> {
    let spawn = |count: &usize| {
        let (model, count) = (Arc::clone(model), *count);
        thread::spawn(move || (0..count).all(|_| model.commit()))
    };
    let threads: Vec<_> = commit_counts.iter().map(spawn).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn two_committers() {
    explore(4, || {
        let model = Model::new();
        assert_eq!(commit_on_threads(&model, &[2, 1]), [true, true]);
        model.assert_settled(3);
    });
}

#[test]
fn three_committers() {
    explore(3, || {
        let model = Model::new();
        assert_eq!(commit_on_threads(&model, &[1, 1, 1]), [true, true, true]);
        model.assert_settled(3);
    });
}

#[test]
fn an_error_reaches_everybody() {
    explore(3, || {
        let model = Model::new();
        let failing = {
            let model = Arc::clone(&model);
            // This one leads, at once or after others; its write fails.
            thread::spawn(move || match model.queue.join(Lsn::new(10)) {
                Turn::Lead(leadership) => {
                    model.queue.fail("EIO".into());
                    drop(leadership);
                }
                turn => unreachable!("nobody appends so much, and nobody else fails: {turn:?}"),
            })
        };
        // Those who came before the failure were served, the others were not: nobody hangs.
        let _ = commit_on_threads(&model, &[1, 1]);
        failing.join().unwrap();
        assert!(!model.commit());
    });
}

#[test]
fn somebody_else_reaps_a_write() {
    explore(3, || {
        let model = Model::new();
        let leadership = match model.queue.join(Lsn::new(2)) {
            Turn::Lead(leadership) => leadership,
            _ => unreachable!("nobody else is there"),
        };
        let waiter = {
            let model = Arc::clone(&model);
            thread::spawn(move || match model.queue.join(Lsn::new(1)) {
                Turn::Durable => assert_eq!(model.media.load(Ordering::Relaxed), 1),
                Turn::Lead(_) | Turn::Failed(_) => unreachable!("somebody leads, and nothing fails"),
            })
        };
        // The streaming writer finds that the first record has been written, and tells.
        model.media.store(1, Ordering::Relaxed);
        model.queue.advance(Lsn::new(1));
        waiter.join().unwrap();
        leadership.step_down(Lsn::new(2));
        assert_eq!(model.queue.durable(), Lsn::new(2));
    });
}

/// The model notices what it is there for. A deadlock ends the whole process, threads of the model and all, so that
/// the model runs in a process of its own.
#[test]
fn a_lost_wake_up_is_caught() {
    const PLANTED: &str = "LLMDB_TEST_LOST_WAKE_UP";
    if std::env::var(PLANTED).is_ok() {
        // Loom runs its threads on this one, so that the bug is planted in all.
        llmdb_base::plant::plant(Some(llmdb_base::plant::Bug::LostWakeup));
        explore(3, || {
            commit_on_threads(&Model::new(), &[1, 1, 1]);
        });
        return;
    }
    let mut planted = std::process::Command::new(std::env::current_exe().unwrap());
    planted.args(["commit_queue::loom_model::a_lost_wake_up_is_caught", "--exact", "--nocapture"]);
    let output = planted.env(PLANTED, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("deadlock"), "{text}");
}
