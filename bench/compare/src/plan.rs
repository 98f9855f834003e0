//! Which measurements a run consists of, and which store each of them starts from.

use crate::cli::Workload;
use crate::engine::Abilities;
use crate::job::{Order, Scale, Task};

/// Rows of the store for memory and quick opens.
pub const SMALL_ROWS: u64 = 1000;

const MIB: u64 = 1 << 20;

/// The store that a task starts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// An empty folder of its own.
    Empty,
    /// The base store, as it is; the task does not write.
    Base,
    /// A copy of the base store, so that each round starts from the same state.
    BaseCopy,
    /// A small store, as it is.
    Small,
}

/// The tasks of a workload, in order.
pub fn tasks_of(workload: Workload, scale: &Scale) -> Vec<Task> {
    match workload {
        Workload::Limits => vec![Task::Limits],
        Workload::Load => loads(),
        Workload::Overwrite => [MIB, 16 * MIB].map(|batch_bytes| Task::Overwrite { batch_bytes }).into(),
        Workload::Put => [1, 16, 64].map(|threads| Task::Put { threads }).into(),
        Workload::Pipeline => vec![Task::Pipeline],
        Workload::Get => vec![Task::Get],
        Workload::Scan => vec![Task::Scan],
        Workload::Mixed => [0, MIB].map(|batch_bytes| Task::Mixed { batch_bytes }).into(),
        Workload::Crash => vec![Task::Crash],
        Workload::Open => vec![Task::Open { rows: SMALL_ROWS }, Task::Open { rows: scale.rows }],
        Workload::Memory => vec![Task::Memory { rows: SMALL_ROWS }],
    }
}

fn loads() -> Vec<Task> {
    let mut tasks = Vec::new();
    for value_bytes in [256, 4096] {
        for batch_bytes in [MIB, 16 * MIB] {
            for order in [Order::Sequential, Order::Append, Order::Random] {
                tasks.push(Task::Load { order, value_bytes, batch_bytes });
            }
        }
    }
    tasks
}

/// Whether an engine can do a task at all.
pub fn applies(task: &Task, abilities: Abilities) -> bool {
    match task {
        Task::Load { order: Order::Append, .. } => abilities.append_hint,
        Task::Pipeline => abilities.pipeline,
        _ => true,
    }
}

/// The store that a task starts from.
pub fn need_of(task: &Task) -> Need {
    match task {
        Task::Get | Task::Scan => Need::Base,
        Task::Overwrite { .. } | Task::Put { .. } | Task::Pipeline | Task::Mixed { .. } => Need::BaseCopy,
        Task::Open { rows } | Task::Memory { rows } if *rows == SMALL_ROWS => Need::Small,
        Task::Open { .. } | Task::Memory { .. } => Need::Base,
        Task::Describe
        | Task::Fill { .. }
        | Task::Load { .. }
        | Task::Crash
        | Task::CrashVictim
        | Task::Limits => Need::Empty,
    }
}

/// Bytes that a store which is worked on may grow by in a second: more than the disks here take.
const GROWTH_BYTES_S: f64 = 500e6;

/// Bytes of disk that a run may take at its widest: `base_count` base stores, and one store that is worked on, which
/// may grow to three times its payload if there is the time for it.
pub fn disk_bytes_max(tasks: &[Task], base_count: u64, scale: &Scale) -> u64 {
    let base = scale.rows * 280;
    let has = |need: Need| tasks.iter().any(|task| need_of(task) == need);
    let bases = if has(Need::Base) || has(Need::BaseCopy) { base * 13 / 10 * base_count } else { 0 };
    let loads = tasks.iter().any(|task| matches!(task, Task::Load { .. }));
    let seconds = scale.overwrite_seconds.max(scale.seconds);
    let growth = (2 * base).min((seconds * GROWTH_BYTES_S) as u64);
    let copy = if has(Need::BaseCopy) { base + growth } else { 0 };
    bases + copy.max(if loads { 3 * scale.load_bytes } else { 0 }) + (512 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_for_those_who_have_them() {
        let append = Task::Load { order: Order::Append, value_bytes: 256, batch_bytes: MIB };
        assert!(!applies(&append, Abilities::default()));
        assert!(applies(&append, Abilities { append_hint: true, ..Abilities::default() }));
        assert!(applies(&Task::Get, Abilities::default()));
    }

    #[test]
    fn a_short_run_asks_for_the_room_that_it_can_fill() {
        let scale = |overwrite_seconds| Scale {
            rows: 1_000_000,
            load_bytes: 0,
            seconds: 0.1,
            overwrite_seconds,
            cache_bytes: 0,
        };
        let overwrite = [Task::Overwrite { batch_bytes: MIB }];
        let needed = |seconds| disk_bytes_max(&overwrite, 1, &scale(seconds));
        assert_eq!(needed(0.2) - needed(0.1), 50_000_000);
        assert_eq!(needed(1e6), needed(1e9), "three times the payload, however long it takes");
    }

    #[test]
    fn writers_never_touch_the_base_store() {
        for task in
            [Task::Put { threads: 1 }, Task::Overwrite { batch_bytes: MIB }, Task::Mixed { batch_bytes: 0 }]
        {
            assert_eq!(need_of(&task), Need::BaseCopy);
        }
    }
}
