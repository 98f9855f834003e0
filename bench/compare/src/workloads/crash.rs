//! kill -9 in the middle of a durable load, then: how long until the first row is read, and is everything there that
//! was acknowledged? The page cache survives such a death; torn writes are not tested here.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::data::{self, Dataset, Shuffle};
use crate::engine::{Hint, Outcome, Pair, Peer, Session};
use crate::job::{Job, Record, Task};
use crate::rows::{Depth, Rows};
use crate::workloads::store::{self, BASE_VALUE_BYTES, ORDER_SEED};
use crate::workloads::write::{Plan, write};

const BATCH_BYTES: u64 = 1 << 20;

/// Starts a victim, kills it after its time, opens what it left.
pub fn crash(peer: &Peer, job: &Job) -> Outcome<Vec<Record>> {
    let acknowledged = kill_in_mid_load(job)?;
    let dataset = Dataset::new(BASE_VALUE_BYTES);
    let order = Shuffle::new(job.scale.rows, ORDER_SEED);

    let start = Instant::now();
    let engine = store::open(peer, job, 1)?;
    let mut session = engine.session()?;
    let mut first = Rows::new(Depth::Verify(&dataset, 0));
    session.fresh_get(&data::key(order.at(0)), &mut first)?;
    let opened = start.elapsed();

    let start = Instant::now();
    let pair = Pair { key: data::key(job.scale.rows), value: dataset.value(job.scale.rows, 0) };
    session.commit(&[pair], Hint::None)?;
    let committed = start.elapsed();

    let missing = count_missing(session.as_mut(), &dataset, order, acknowledged)?;
    drop(session);
    engine.close()?;
    let mut record = Record::new("crash", "kill -9 under 1 MiB commits");
    record
        .metric("open_ms", opened.as_secs_f64() * 1e3)
        .metric("first_commit_ms", committed.as_secs_f64() * 1e3)
        .metric("acknowledged_mb", (acknowledged * dataset.row_bytes()) as f64 / 1e6)
        .metric("missing_rows", missing as f64);
    Ok(vec![record])
}

/// Runs a victim and returns the rows that it was told are durable when it died.
fn kill_in_mid_load(job: &Job) -> Outcome<u64> {
    let job = Job { task: Task::CrashVictim, ..job.clone() };
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["worker", &serde_json::to_string(&job)?])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = victim.stdout.take().ok_or("the victim's output was piped")?;
    let counts = read_counts(output);
    let first = counts.recv_timeout(Duration::from_secs(60));
    let deadline = Instant::now() + job.scale.part(3).min(Duration::from_secs(4));
    let mut acknowledged = first.unwrap_or(0);
    while let Ok(count) = counts.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        acknowledged = count;
    }
    victim.kill()?;
    victim.wait()?;
    // What it said before it died is a promise as well.
    acknowledged = counts.iter().last().unwrap_or(acknowledged);
    if acknowledged == 0 {
        return Err("the victim died before its first commit".into());
    }
    Ok(acknowledged)
}

fn read_counts(output: ChildStdout) -> mpsc::Receiver<u64> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if line.parse().is_ok_and(|count| sender.send(count).is_err()) {
                return;
            }
        }
    });
    receiver
}

fn count_missing(
    session: &mut dyn Session,
    dataset: &Dataset,
    order: Shuffle,
    acknowledged: u64,
) -> Outcome<u64> {
    let mut rows = Rows::new(Depth::Verify(dataset, 0));
    session.snapshot(&mut |snapshot| {
        for position in 0..acknowledged {
            snapshot.get(&data::key(order.at(position)), &mut rows)?;
        }
        Ok(())
    })?;
    Ok(acknowledged - rows.count + rows.wrong)
}

/// Loads random rows for ever and prints, after each commit, how many rows are durable. Waits to be killed.
pub fn victim(peer: &Peer, job: &Job) -> Outcome<Vec<Record>> {
    let dataset = Dataset::new(BASE_VALUE_BYTES);
    let order = Shuffle::new(job.scale.rows, ORDER_SEED);
    let engine = store::open(peer, job, 1)?;
    let plan = Plan {
        dataset: &dataset,
        version: 0,
        rows: job.scale.rows,
        batch_rows: Plan::rows_of(&dataset, BATCH_BYTES),
        time_max: Duration::MAX,
        hint: Hint::None,
    };
    let mut output = std::io::stdout();
    let mut told = Ok(());
    let tell = |count| told = writeln!(output, "{count}").and_then(|()| output.flush());
    write(engine.session()?.as_mut(), &plan, |position| order.at(position), tell)?;
    told?;
    loop {
        std::thread::park();
    }
}
