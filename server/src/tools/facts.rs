//! The tools for facts: something said of a subject, for a time, by somebody; known since a moment, and never lost.

mod past;
mod recall;
mod removal;
mod shapes;
mod told;
mod writing;

use super::Tool;

/// In the order in which they are listed.
pub(super) static TOOLS: [&Tool; 9] = [
    &writing::REMEMBER,
    &recall::RECALL,
    &past::HISTORY,
    &past::WHY,
    &writing::CORRECT,
    &removal::FORGET,
    &removal::ERASE,
    &past::DIFF,
    &removal::UNDO,
];
