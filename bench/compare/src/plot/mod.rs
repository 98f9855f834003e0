//! Plots of results: which charts there are, and their points. Drawing is in [`svg`].

mod svg;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::engine::Outcome;
use crate::job::{Line, Record};
use crate::plot::svg::{Chart, Series};
use crate::table::median;

/// What a chart shows.
struct Subject {
    file: &'static str,
    title: &'static str,
    metric: &'static str,
    y_title: &'static str,
    x_title: &'static str,
    /// Where a result stands on the x axis; `None` if the chart does not show it.
    x_of: fn(&Record) -> Option<f64>,
}

const SUBJECTS: &[Subject] = &[
    Subject {
        file: "put-throughput.svg",
        title: "One durable put per transaction",
        metric: "tx_s",
        y_title: "transactions per second",
        x_title: "threads",
        x_of: |record| threads_of(record, "put", |_| true),
    },
    Subject {
        file: "put-p99.svg",
        title: "One durable put per transaction, p99",
        metric: "p99_us",
        y_title: "us",
        x_title: "threads",
        x_of: |record| threads_of(record, "put", |_| true),
    },
    Subject {
        file: "get-throughput.svg",
        title: "Random get, one snapshot",
        metric: "gets_s",
        y_title: "gets per second",
        x_title: "threads",
        x_of: |record| threads_of(record, "get", |case| case.ends_with("one snapshot")),
    },
    Subject {
        file: "get-p99.svg",
        title: "Random get, one snapshot, p99",
        metric: "p99_us",
        y_title: "us",
        x_title: "threads",
        x_of: |record| threads_of(record, "get", |case| case.ends_with("one snapshot")),
    },
    Subject {
        file: "load-sequential.svg",
        title: "Durable sequential load, 16 MiB batches",
        metric: "mb_s",
        y_title: "MB per second",
        x_title: "value bytes",
        x_of: |record| value_bytes_of(record, "sequential"),
    },
    Subject {
        file: "load-random.svg",
        title: "Durable random load, 16 MiB batches, settled",
        metric: "settled_mb_s",
        y_title: "MB per second",
        x_title: "value bytes",
        x_of: |record| value_bytes_of(record, "random"),
    },
    Subject {
        file: "load-sequential-p99.svg",
        title: "Durable sequential load, 16 MiB batches, p99 of a commit",
        metric: "p99_us",
        y_title: "us",
        x_title: "value bytes",
        x_of: |record| value_bytes_of(record, "sequential"),
    },
];

fn threads_of(record: &Record, workload: &str, case: impl Fn(&str) -> bool) -> Option<f64> {
    (record.workload == workload && case(&record.case)).then_some(record.threads? as f64)
}

fn value_bytes_of(record: &Record, order: &str) -> Option<f64> {
    let is_shown =
        record.workload == "load" && record.case.starts_with(order) && record.batch_bytes == Some(16 << 20);
    is_shown.then_some(record.value_bytes? as f64)
}

/// Draws every chart that has points into `dir`, and says which.
///
/// # Errors
/// A file cannot be written.
pub fn write_all(lines: &[Line], dir: &Path) -> Outcome<()> {
    fs::create_dir_all(dir)?;
    for subject in SUBJECTS {
        let series = series_of(subject, lines);
        if series.is_empty() {
            continue;
        }
        let chart =
            Chart { title: subject.title, x_title: subject.x_title, y_title: subject.y_title, series };
        let path = dir.join(subject.file);
        fs::write(&path, chart.draw())?;
        println!("{}", path.display());
    }
    Ok(())
}

/// One line per engine: the median over rounds at each place on the x axis.
fn series_of(subject: &Subject, lines: &[Line]) -> Vec<Series> {
    let mut points: BTreeMap<&str, BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    for line in lines {
        let Line::Result(record) = line else { continue };
        if let (Some(x), Some(y)) = ((subject.x_of)(record), record.metrics.get(subject.metric)) {
            points.entry(&record.engine).or_default().entry(x as u64).or_default().push(*y);
        }
    }
    let series = points.into_iter().map(|(name, by_x)| Series {
        name: name.to_owned(),
        points: by_x.into_iter().map(|(x, figures)| (x as f64, median(&figures))).collect(),
    });
    series.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_medians_by_engine_and_place() {
        let result = |engine: &str, threads, figure| {
            let mut record = Record::new("put", "any");
            (record.engine, record.threads) = (engine.to_owned(), Some(threads));
            record.metric("tx_s", figure);
            Line::Result(record)
        };
        let lines = [result("a", 1, 5.0), result("a", 1, 7.0), result("a", 16, 9.0), result("b", 1, 1.0)];
        let series = series_of(&SUBJECTS[0], &lines);
        assert_eq!(series.len(), 2);
        assert_eq!(series[0].points, [(1.0, 6.0), (16.0, 9.0)]);
    }
}
