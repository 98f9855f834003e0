//! Results as a table: medians over rounds, ratios to the best peer, the limit of the machine beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::engines::OWN;
use crate::job::{Line, Record};
use crate::limits;
use crate::metrics::{self, Better, METRICS, Metric};

/// Figures of all rounds by metric and engine, in one case of one workload.
#[derive(Default)]
struct Case {
    workload: String,
    case: String,
    figures: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
    /// Engines whose results come with a note.
    noted: BTreeSet<String>,
}

/// The results of a run as Markdown.
pub fn markdown(lines: &[Line]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut text, lines);
    text
}

fn write_all(text: &mut String, lines: &[Line]) -> std::fmt::Result {
    for line in lines {
        let Line::Run(info) = line else { continue };
        writeln!(text, "Machine: {}\n\nCommand: `{}`\n", info.machine.line(), info.command)?;
        for (name, about) in &info.engines {
            writeln!(text, "- {name}: {about}")?;
        }
        writeln!(text)?;
    }
    let records: Vec<&Record> = lines.iter().filter_map(result_of).collect();
    let (cases, engines) = (cases_of(&records), engines_of(&records));
    let limits: Vec<&Case> = cases.iter().filter(|case| case.workload == "limits").collect();
    write_limits(text, &limits)?;
    let mut workload = "limits";
    for case in cases.iter().filter(|case| case.workload != "limits") {
        if case.workload != workload {
            write_head(text, &case.workload, &engines)?;
            workload = &case.workload;
        }
        write_case(text, case, &engines, &limits)?;
    }
    write_notes(text, &records)
}

fn result_of(line: &Line) -> Option<&Record> {
    match line {
        Line::Result(record) => Some(record),
        Line::Run(_) => None,
    }
}

/// Cases in the order in which they were first measured, those of one workload together.
fn cases_of(records: &[&Record]) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for record in records.iter().filter(|record| record.error.is_none()) {
        let at = cases.iter().position(|case| case.workload == record.workload && case.case == record.case);
        let at = at.unwrap_or_else(|| {
            let behind = cases.iter().rposition(|case| case.workload == record.workload);
            let at = behind.map_or(cases.len(), |last| last + 1);
            let (workload, case) = (record.workload.clone(), record.case.clone());
            cases.insert(at, Case { workload, case, ..Case::default() });
            at
        });
        if !record.notes.is_empty() {
            cases[at].noted.insert(record.engine.clone());
        }
        for (metric, figure) in &record.metrics {
            let by_engine = cases[at].figures.entry(metric.clone()).or_default();
            by_engine.entry(record.engine.clone()).or_default().push(*figure);
        }
    }
    cases
}

/// Engines in the order of first results, our own first.
fn engines_of(records: &[&Record]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut ordered: Vec<_> = crate::engines::all().iter().map(|peer| peer.name.to_owned()).collect();
    ordered.extend(records.iter().map(|record| record.engine.clone()));
    for name in ordered {
        let has_results = records.iter().any(|record| record.engine == name);
        if name != limits::NAME && has_results && !names.contains(&name) {
            names.push(name);
        }
    }
    names.sort_by_key(|name| name != OWN);
    names
}

fn write_limits(text: &mut String, limits: &[&Case]) -> std::fmt::Result {
    if limits.is_empty() {
        return Ok(());
    }
    writeln!(text, "## limits of the machine\n\n| probe | result |\n|---|---|")?;
    for case in limits {
        let shown = METRICS.iter().filter_map(|metric| {
            let figure = median(case.figures.get(metric.name)?.get(limits::NAME)?);
            Some(format!("{} {}", number(figure), metric.title))
        });
        writeln!(text, "| {} | {} |", case.case, shown.collect::<Vec<_>>().join(", "))?;
    }
    writeln!(text)
}

fn write_head(text: &mut String, workload: &str, engines: &[String]) -> std::fmt::Result {
    writeln!(text, "\n## {workload}\n\n| case | figure | {} | limit |", engines.join(" | "))?;
    writeln!(text, "|---|---|{}---|", "---|".repeat(engines.len()))
}

fn write_case(text: &mut String, case: &Case, engines: &[String], limits: &[&Case]) -> std::fmt::Result {
    for metric in METRICS.iter().filter(|metric| metrics::is_shown(&case.workload, metric.name)) {
        let Some(by_engine) = case.figures.get(metric.name) else { continue };
        let all_done = || by_engine.values().flatten().all(|share| *share >= 1.0);
        if metric.name == "share" && all_done() {
            continue;
        }
        let medians: BTreeMap<&str, f64> =
            by_engine.iter().map(|(name, all)| (name.as_str(), median(all))).collect();
        let best = best_peer(metric, &medians);
        write!(text, "| {} | {} |", case.case, metric.title)?;
        for engine in engines {
            let figure = medians.get(engine.as_str()).copied();
            let mark = if figure.is_some() && case.noted.contains(engine) { "†" } else { "" };
            write!(text, " {}{mark} |", cell(figure, best))?;
        }
        writeln!(text, " {} |", limit_cell(case, metric, limits))?;
    }
    Ok(())
}

/// The best figure among the peers of our engine.
fn best_peer(metric: &Metric, medians: &BTreeMap<&str, f64>) -> Option<f64> {
    let peers = medians.iter().filter(|(name, _)| **name != OWN).map(|(_, figure)| *figure);
    match metric.better? {
        Better::Higher => peers.reduce(f64::max),
        Better::Lower => peers.reduce(f64::min),
    }
}

/// A figure and its ratio to the best peer; the best peer itself stands out.
fn cell(figure: Option<f64>, best: Option<f64>) -> String {
    match (figure, best) {
        (None, _) => "-".to_owned(),
        (Some(figure), Some(best)) if figure == best => format!("**{}**", number(figure)),
        (Some(figure), Some(best)) if best > 0.0 => format!("{} ({})", number(figure), number(figure / best)),
        (Some(figure), _) => number(figure),
    }
}

fn limit_cell(case: &Case, metric: &Metric, limits: &[&Case]) -> String {
    let limit = metrics::limit_of(&case.workload, &case.case, metric.name).and_then(|(probe, figure)| {
        let probe = limits.iter().find(|case| case.case == probe)?;
        Some(median(probe.figures.get(figure)?.get(limits::NAME)?))
    });
    limit.map_or_else(String::new, number)
}

/// What must be known about results: the same note is told once, with the engines that it is about.
fn write_notes(text: &mut String, records: &[&Record]) -> std::fmt::Result {
    let mut about: BTreeMap<(&str, String), BTreeSet<String>> = BTreeMap::new();
    for record in records {
        let failure =
            record.error.iter().map(|error| (format!("failed: {error}"), format!(" ({})", record.case)));
        for (note, place) in record.notes.iter().map(|note| (note.clone(), String::new())).chain(failure) {
            about.entry((&record.workload, note)).or_default().insert(format!("{}{place}", record.engine));
        }
    }
    writeln!(
        text,
        "\nFigures are medians over the rounds; in brackets the ratio to the best peer, which is bold. A dagger: see below.\n"
    )?;
    for ((workload, note), engines) in about {
        let engines: Vec<_> = engines.into_iter().collect();
        writeln!(text, "- {workload}: {note}: {}", engines.join(", "))?;
    }
    Ok(())
}

/// The figures of a result that show progress best.
pub fn headline(record: &Record) -> String {
    let shown = METRICS.iter().filter_map(|metric| {
        let figure = record.metrics.get(metric.name)?;
        Some(format!("{} {}", number(*figure), metric.title))
    });
    shown.take(3).collect::<Vec<_>>().join(", ")
}

/// Three digits that matter, thousands with k.
fn number(figure: f64) -> String {
    match figure.abs() {
        size if size >= 10_000.0 => format!("{:.1}k", figure / 1e3),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{figure:.2}"),
    }
}

/// The middle one, or the mean of the two in the middle. Zero for nothing.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        len if len % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(engine: &str, metric: &str, figure: f64) -> Line {
        let mut record = Record::new("get", "1 thread");
        record.engine = engine.to_owned();
        record.metric(metric, figure);
        Line::Result(record)
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn ratios_are_to_the_best_peer_and_not_to_ourselves() {
        let lines =
            [result("lmdb", "gets_s", 100.0), result("redb", "gets_s", 50.0), result(OWN, "gets_s", 200.0)];
        let text = markdown(&lines);
        assert!(text.contains("| 1 thread | gets/s | 200 (2.00) | **100** | 50.0 (0.50) |"), "{text}");
    }

    #[test]
    fn low_is_good_for_latencies() {
        let lines =
            [result("lmdb", "p50_us", 4.0), result("redb", "p50_us", 2.0), result("redb", "p50_us", 2.0)];
        assert!(markdown(&lines).contains("| 4.00 (2.00) | **2.00** |"));
    }

    #[test]
    fn failures_are_told() {
        let mut record = Record::new("get", "");
        record.error = Some("no luck".to_owned());
        assert!(markdown(&[Line::Result(record)]).contains("failed: no luck"));
    }
}
