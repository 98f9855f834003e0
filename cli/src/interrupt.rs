//! Ctrl-C, noticed where it is safe to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use signal_hook::{consts::TERM_SIGNALS, flag};

use crate::failure::{Exit, Failure};

/// Whether somebody asked the program to stop. The first time is a request, served at the next safe place; the
/// second time ends the program on the spot.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to listen. Without this, Ctrl-C ends the program at once, which suits commands that only read.
    pub fn listen() -> Result<Self, Failure> {
        let asked = Self::default();
        for signal in TERM_SIGNALS {
            flag::register_conditional_shutdown(*signal, Exit::Interrupted as i32, Arc::clone(&asked.0))?;
            flag::register(*signal, Arc::clone(&asked.0))?;
        }
        Ok(asked)
    }

    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails if somebody asked.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_asked() { Err(Failure::interrupted("stopped")) } else { Ok(()) }
    }
}
