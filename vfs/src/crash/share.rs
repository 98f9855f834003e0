//! Areas that the processes on a crashable disk share.

#[cfg(target_os = "linux")]
mod area;

#[cfg(target_os = "linux")]
pub(super) use area::{Areas, CrashArea};

use super::{chooser::Chooser, names::Ino};

/// There are none elsewhere.
#[cfg(not(target_os = "linux"))]
#[derive(Clone, Debug, Default)]
pub(super) struct Areas;

#[cfg(not(target_os = "linux"))]
impl Areas {
    pub(super) fn left(&self) -> Self {
        Self
    }

    pub(super) fn crash(&mut self, _chooser: &mut Chooser) {}

    pub(super) fn kill(&mut self, _process: u32) {}

    pub(super) fn retain(&mut self, _is_kept: impl Fn(Ino) -> bool) {}
}
