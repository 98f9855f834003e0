//! Lets one thread run at a time, and chance decide which.

use std::{
    cell::Cell,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use llmdb_vfs::crash::Chooser;

/// Who holds it runs; the others wait.
pub(super) struct Baton {
    state: Mutex<State>,
    passed: Condvar,
}

struct State {
    holder: usize,
    /// Threads that have not left.
    runners: Vec<usize>,
    chooser: Chooser,
}

thread_local! {
    static RUNNER: Cell<usize> = const { Cell::new(usize::MAX) };
}

impl Baton {
    /// A baton for the threads 0 to `count`; one of them has it.
    pub(super) fn new(count: usize, mut chooser: Chooser) -> Self {
        let holder = chooser.index(count);
        let state = State { holder, runners: (0..count).collect(), chooser };
        Self { state: Mutex::new(state), passed: Condvar::new() }
    }

    /// This thread is number `runner` from now on. Returns when it has the baton.
    pub(super) fn join(&self, runner: usize) {
        RUNNER.set(runner);
        self.wait(self.state());
    }

    /// Gives the baton to somebody, and returns when this thread has it again.
    pub(super) fn pass(&self) {
        let mut state = self.state();
        state.choose();
        self.passed.notify_all();
        self.wait(state);
    }

    /// Gives the baton away for good.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.runners.retain(|runner| *runner != RUNNER.get());
        state.choose();
        self.passed.notify_all();
    }

    fn wait(&self, state: MutexGuard<'_, State>) {
        let is_other = |state: &mut State| state.holder != RUNNER.get();
        drop(self.passed.wait_while(state, is_other).unwrap_or_else(PoisonError::into_inner));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn choose(&mut self) {
        if !self.runners.is_empty() {
            self.holder = *self.chooser.pick(&self.runners);
        }
    }
}
