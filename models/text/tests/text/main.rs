//! Search, seen from outside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the numbers are small")]
mod behaviour;
mod building;
mod crash;
mod model;
mod naive;
mod planted;
mod sweeping;
