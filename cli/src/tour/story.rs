//! How the tour is told: paragraphs for people, figures for programs.

use std::fmt;

use serde_json::{Map, Value};

use crate::{failure::Failure, output::Output};

/// A story and its figures.
pub struct Story<'a> {
    output: &'a mut Output,
    figures: Map<String, Value>,
    chapter: u32,
}

/// Paragraphs are broken at this column.
const WIDTH: usize = 92;

impl<'a> Story<'a> {
    pub fn new(output: &'a mut Output) -> Self {
        Self { output, figures: Map::new(), chapter: 0 }
    }

    /// Begins a chapter.
    pub fn chapter(&mut self, title: &str) -> Result<(), Failure> {
        self.chapter += 1;
        let number = self.chapter;
        self.print(format_args!("\n{number}. {title}"))
    }

    /// Tells a paragraph.
    pub fn say(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        for line in wrap(&text.to_string(), WIDTH) {
            self.print(format_args!("   {line}"))?;
        }
        Ok(())
    }

    /// Remembers a figure for programs.
    pub fn figure(&mut self, name: &str, value: Value) {
        self.figures.insert(name.to_owned(), value);
    }

    /// Ends the story; for programs, this is where it is told.
    pub fn finish(self) -> Result<(), Failure> {
        if self.output.json { self.output.line(Value::Object(self.figures)) } else { Ok(()) }
    }

    fn print(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        if self.output.json {
            return Ok(());
        }
        self.output.line(line)?;
        self.output.finish()
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    #[test]
    fn paragraphs_are_broken_between_words() {
        assert_eq!(super::wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(super::wrap("unbreakable", 3), ["unbreakable"]);
    }
}
