//! Progress bars: on a terminal only, on stderr, never beside JSON.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

const BYTES: &str = "{msg} [{bar:32}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
const KEYS: &str = "{msg} [{bar:32}] {pos} of {len} keys, {eta} left";
const ROWS: &str = "{msg} [{bar:32}] {pos} of {len} rows, {eta} left";
const PAGES: &str = "{msg} [{bar:32}] {pos} of {len} pages, {eta} left";

/// A bar over `total` bytes.
pub fn bytes(total: u64, what: &str, output: &Output) -> ProgressBar {
    bar(total, what, BYTES, output)
}

/// A bar over `total` keys.
pub fn keys(total: u64, what: &str, output: &Output) -> ProgressBar {
    bar(total, what, KEYS, output)
}

/// A bar over `total` rows.
pub fn rows(total: u64, what: &str, output: &Output) -> ProgressBar {
    bar(total, what, ROWS, output)
}

/// A bar over `total` pages.
pub fn pages(total: u64, what: &str, output: &Output) -> ProgressBar {
    bar(total, what, PAGES, output)
}

fn bar(total: u64, what: &str, template: &str, output: &Output) -> ProgressBar {
    // The target hides itself where stderr is not a terminal.
    let target = if output.json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template(template).expect("the templates above are well formed");
    ProgressBar::with_draw_target(Some(total), target)
        .with_style(style.progress_chars("=> "))
        .with_message(what.to_owned())
}
