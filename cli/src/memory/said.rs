//! What is said of a fact on the command line.

use std::io::{self, Read};

use clap::Args;
use llmdb::memory::facts::{Document, limits::TEXT_BYTES_MAX};

use crate::failure::Failure;

/// Where a fact comes from, and how to find it.
#[derive(Debug, Args)]
pub struct SaidArgs {
    /// Where it comes from: a person, a page, a file
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// How sure that is, from 0 to 1
    #[arg(long, value_name = "NUMBER")]
    confidence: Option<f64>,
    /// A word to find it by; can be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// The fact as data: one JSON value
    #[arg(long, value_name = "JSON")]
    value: Option<String>,
}

impl SaidArgs {
    /// The document that says `text`; `-` reads it from stdin.
    pub fn document(&self, text: &str, agent: Option<String>) -> Result<Document, Failure> {
        let text = if text == "-" { from_stdin()? } else { text.to_owned() };
        let value = self.value.as_deref().map(serde_json::from_str).transpose().map_err(|error| {
            Failure::usage(format!("--value: not JSON: {error}")).advise("write a text as '\"text\"'")
        })?;
        let (source, confidence, tags) = (self.source.clone(), self.confidence, self.tags.clone());
        Ok(Document { text, value, source, confidence, tags, agent })
    }
}

/// Text from stdin, without the line end that echo adds. What is too long is refused as any text is.
fn from_stdin() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(TEXT_BYTES_MAX as u64 + 2).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage("stdin: a fact is text, in UTF-8"))?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}
