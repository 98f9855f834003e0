//! What goes to stdout: text for people, JSON for programs.

use std::{
    fmt,
    io::{self, BufWriter, IsTerminal, StdoutLock, Write},
};

use serde_json::Value;

use crate::{failure::Failure, text::write_base64};

/// Stdout, buffered. What was written shows at the latest when the command ends.
#[derive(Debug)]
pub struct Output {
    /// Whether results are JSON.
    pub json: bool,
    stdout: BufWriter<StdoutLock<'static>>,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json, stdout: BufWriter::with_capacity(64 << 10, io::stdout().lock()) }
    }

    /// Whether somebody looks at a terminal.
    pub fn is_terminal(&self) -> bool {
        self.stdout.get_ref().is_terminal()
    }

    /// Prints a line of text.
    pub fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        Ok(writeln!(self.stdout, "{text}")?)
    }

    /// Prints a result: as JSON, or as the text that `text` makes.
    pub fn result<T: fmt::Display>(&mut self, json: &Value, text: impl FnOnce() -> T) -> Result<(), Failure> {
        if self.json { self.line(json) } else { self.line(text()) }
    }

    /// Says something on stderr that a program need not know.
    pub fn note(&self, text: impl fmt::Display) {
        if !self.json {
            eprintln!("llmdb: {text}");
        }
    }

    /// Shows what was written so far.
    pub fn finish(&mut self) -> Result<(), Failure> {
        Ok(self.stdout.flush()?)
    }

    pub fn writer(&mut self) -> &mut impl Write {
        &mut self.stdout
    }
}

/// Writes a row as one line of JSON: text as `"key"`, what is not UTF-8 as `"key_base64"`; the same for values.
pub fn write_row(
    to: &mut impl Write,
    tree: Option<&str>,
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<(), Failure> {
    to.write_all(b"{")?;
    if let Some(tree) = tree {
        to.write_all(b"\"tree\":")?;
        serde_json::to_writer(&mut *to, tree)?;
        to.write_all(b",")?;
    }
    write_bytes(to, "key", key)?;
    if let Some(value) = value {
        to.write_all(b",")?;
        write_bytes(to, "value", value)?;
    }
    Ok(to.write_all(b"}\n")?)
}

/// Writes a change as one line of JSON: the members of `head`, then key and value as in [`write_row`].
pub fn write_change(
    to: &mut impl Write,
    head: &Value,
    key: &Option<Vec<u8>>,
    value: Option<&[u8]>,
) -> Result<(), Failure> {
    let head = head.to_string();
    to.write_all(head.strip_suffix('}').unwrap_or(&head).as_bytes())?;
    for (name, bytes) in [("key", key.as_deref()), ("value", value)] {
        if let Some(bytes) = bytes {
            to.write_all(b",")?;
            write_bytes(to, name, bytes)?;
        }
    }
    Ok(to.write_all(b"}\n")?)
}

fn write_bytes(to: &mut impl Write, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            write!(to, "\"{name}\":")?;
            serde_json::to_writer(&mut *to, text)?;
        }
        Err(_) => {
            write!(to, "\"{name}_base64\":\"")?;
            write_base64(bytes, to)?;
            to.write_all(b"\"")?;
        }
    }
    Ok(())
}

/// A key as JSON, as in [`write_row`].
pub fn key_json(key: &[u8]) -> Value {
    let mut line = Vec::new();
    let written = write_row(&mut line, None, key, None);
    written.ok().and_then(|()| serde_json::from_slice(&line).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_text_where_they_can_be() {
        let mut line = Vec::new();
        write_row(&mut line, Some("t"), b"k\"", Some(b"\xff\x00")).unwrap();
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "{\"tree\":\"t\",\"key\":\"k\\\"\",\"value_base64\":\"/wA=\"}\n"
        );
        let mut line = Vec::new();
        write_change(&mut line, &serde_json::json!({ "op": "put" }), &Some(b"k".to_vec()), Some(b"v"))
            .unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), "{\"op\":\"put\",\"key\":\"k\",\"value\":\"v\"}\n");
        assert_eq!(key_json(b"a").to_string(), r#"{"key":"a"}"#);
    }
}
