//! Tables for people: columns as wide as what is in them, and one that gives way where the terminal ends.

use console::Term;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::{failure::Failure, output::Output};

/// What stands between two columns.
const GAP: &str = "  ";
/// The column that gives way keeps this width, and lets lines run over the end of the terminal.
const NARROWEST: usize = 12;

/// Rows of text, each cell on one line.
pub struct Table {
    head: Vec<&'static str>,
    /// The column that is cut where the line would be too long.
    giving: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(head: &[&'static str], giving: usize) -> Self {
        Self { head: head.to_vec(), giving, rows: Vec::new() }
    }

    /// Adds a row of as many cells as the head has.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints it. On a terminal, and where `COLUMNS` says how wide that is, no line is longer if that can be helped.
    pub fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let widths = self.widths(width(output));
        output.line(self.line(&self.head.iter().map(ToString::to_string).collect::<Vec<_>>(), &widths))?;
        self.rows.iter().try_for_each(|row| output.line(self.line(row, &widths)))
    }

    fn widths(&self, line_width: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.head.iter().map(|cell| cell.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let whole: usize = widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1);
        let excess = line_width.map_or(0, |line_width| whole.saturating_sub(line_width));
        if let Some(giving) = widths.get_mut(self.giving) {
            *giving = giving.saturating_sub(excess).max(NARROWEST.min(*giving));
        }
        widths
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let cell = cut(cell, *width);
            let pad = width.saturating_sub(cell.width());
            line.push_str(if index == 0 { "" } else { GAP });
            line.push_str(&cell);
            line.extend(std::iter::repeat_n(' ', pad));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// `text`, cut to `width` columns with an ellipsis at its end.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut left = width.saturating_sub(1);
    for character in text.chars() {
        let Some(rest) = left.checked_sub(character.width().unwrap_or(0)) else { break };
        left = rest;
        cut.push(character);
    }
    cut.truncate(cut.trim_end().len());
    cut.push('\u{2026}');
    cut
}

/// Columns of the terminal; `None` if nobody looks at one.
pub fn width(output: &Output) -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let seen = || Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    said.filter(|columns| *columns > 0).or_else(|| seen().filter(|_| output.is_terminal()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_giving_column_is_cut_between_characters() {
        let mut table = Table::new(&["KEY", "SAYS", "FROM"], 1);
        table.row(vec!["a".into(), "a long text with many words".into(), "2024".into()]);
        table.row(vec![
            "bb".into(),
            "\u{65e5}\u{672c}\u{8a9e}\u{65e5}\u{672c}\u{8a9e}\u{65e5}".into(),
            "2025".into(),
        ]);
        let widths = table.widths(Some(24));
        let lines: Vec<_> = table.rows.iter().map(|row| table.line(row, &widths)).collect();
        assert_eq!(
            lines,
            [
                "a    a long text\u{2026}   2024",
                "bb   \u{65e5}\u{672c}\u{8a9e}\u{65e5}\u{672c}\u{8a9e}\u{2026}  2025"
            ]
        );
        assert!(lines.iter().all(|line| line.width() <= 24), "{lines:?}");
        assert_eq!(table.widths(None)[1], 27);
        assert_eq!(table.widths(Some(5))[1], NARROWEST);
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab\u{2026}");
    }
}
