//! The gate that lets one writer in at a time.

use parking_lot::{Mutex, MutexGuard};

/// One permit. Who waits is served in order as a rule; a thread that is running may overtake one that is still
/// waking up, but not for longer than half a millisecond (parking_lot's eventual fairness): strict hand-over
/// would leave the permit idle for the length of a wake-up, and free barging starves the tail.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<()>);

/// The right to write; dropping it lets the next writer in. It may move to another thread.
pub(crate) type Permit<'a> = MutexGuard<'a, ()>;

impl Gate {
    /// Waits for the permit.
    pub(crate) fn enter(&self) -> Permit<'_> {
        self.0.lock()
    }

    /// The permit, if it is free.
    pub(crate) fn try_enter(&self) -> Option<Permit<'_>> {
        self.0.try_lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_permits_move_between_threads() {
        let gate = Gate::default();
        let permit = gate.enter();
        assert!(gate.try_enter().is_none());
        std::thread::scope(|scope| scope.spawn(move || drop(permit)).join()).unwrap();
        assert!(gate.try_enter().is_some());
    }
}
