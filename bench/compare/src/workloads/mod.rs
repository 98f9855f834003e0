//! What is measured, one file per family. Each workload knows engines only through the traits of `engine`.

mod crash;
mod get;
mod load;
mod mixed;
mod open;
mod put;
mod scan;
mod store;
#[cfg(test)]
mod tests;
mod write;

use crate::engine::{Outcome, Peer};
use crate::job::{Job, Record, Task};
use crate::limits;

pub use put::threads_name;

/// Does the job in this process.
///
/// # Errors
/// Whatever the engine reports; rows that are missing or wrong.
pub fn run(peer: &Peer, job: &Job) -> Outcome<Vec<Record>> {
    match job.task {
        Task::Describe => open::describe(peer, job),
        Task::Fill { rows } => load::fill(peer, job, rows),
        Task::Load { order, value_bytes, batch_bytes } => {
            load::load(peer, job, order, value_bytes, batch_bytes)
        }
        Task::Overwrite { batch_bytes } => load::overwrite(peer, job, batch_bytes),
        Task::Put { threads } => put::put(peer, job, threads),
        Task::Pipeline => put::pipeline(peer, job),
        Task::Get => get::get(peer, job),
        Task::Scan => scan::scan(peer, job),
        Task::Mixed { batch_bytes } => mixed::mixed(peer, job, batch_bytes),
        Task::Crash => crash::crash(peer, job),
        Task::CrashVictim => crash::victim(peer, job),
        Task::Open { rows } => open::open(peer, job, rows),
        Task::Memory { rows } => open::memory(peer, job, rows),
        Task::Limits => limits::run(job),
    }
}
