//! JSON lines as a source: documents, or rows that `llmdb export` wrote.

use std::{
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use serde_json::Value;

use super::{
    position::Position,
    source::{Content, Next, Place, Row, Source, number_key},
};
use crate::{failure::Failure, host, text::from_base64};

/// Longest line; a longer one is not JSON lines but something else.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// Lines, with their place.
struct Lines {
    reader: Box<dyn BufRead>,
    place: Place,
    total_bytes: u64,
    name: String,
}

impl Lines {
    fn open(path: &Path, start: &Position) -> Result<Self, Failure> {
        let (place, name) = (start.place.clone(), path.display().to_string());
        if path.as_os_str() == "-" {
            let reader = Box::new(BufReader::new(io::stdin()));
            return Ok(Self { reader, place, total_bytes: 0, name: "stdin".into() });
        }
        let open = || {
            let mut file = host::open(path)?;
            let total_bytes = file.metadata()?.len();
            file.seek(SeekFrom::Start(place.offset))?;
            Ok((total_bytes, file))
        };
        let (total_bytes, file) = open().map_err(|error| Failure::file(path, &error))?;
        Ok(Self { reader: Box::new(BufReader::with_capacity(256 << 10, file)), place, total_bytes, name })
    }

    /// The next line that is not blank, without its end.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut self.reader).take(LINE_BYTES_MAX);
            let len = limited
                .read_until(b'\n', &mut line)
                .map_err(|error| Failure::file(self.name.as_ref(), &error))?;
            if len == 0 {
                return Ok(None);
            }
            self.place.line += 1;
            self.place.offset += len as u64;
            if len as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
                return Err(Failure::bad_input(format!(
                    "{}: longer than {LINE_BYTES_MAX} bytes",
                    self.here()
                )));
            }
            let text = line.trim_ascii_end().len();
            line.truncate(text);
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
    }

    /// Where the line is that was read last.
    fn here(&self) -> String {
        format!("{}, line {}", self.name, self.place.line)
    }

    /// The next line, made a row; what `row` objects to is reported with its place.
    fn row(&mut self, row: impl FnOnce(&Place, Vec<u8>) -> Result<Row, String>) -> Result<Next, Failure> {
        let Some(line) = self.next()? else { return Ok(Next::End) };
        Ok(match row(&self.place, line) {
            Ok(row) => Next::Row(row),
            Err(why) => Next::Bad(format!("{}: {why}", self.here())),
        })
    }
}

/// Documents, one per line.
pub struct JsonLines {
    lines: Lines,
    keys: Vec<String>,
    separator: String,
}

impl JsonLines {
    pub fn open(path: &Path, keys: &[String], separator: &str, start: &Position) -> Result<Self, Failure> {
        Ok(Self { lines: Lines::open(path, start)?, keys: keys.to_vec(), separator: separator.to_owned() })
    }
}

impl Source for JsonLines {
    fn next(&mut self) -> Result<Next, Failure> {
        let (keys, separator) = (&self.keys, &self.separator);
        self.lines.row(|place, line| {
            let document: Value = serde_json::from_slice(&line).map_err(|error| not_json(&error))?;
            let key = if keys.is_empty() {
                number_key(place.line)
            } else {
                let parts: Result<Vec<_>, _> = keys.iter().map(|key| key_of(&document, key)).collect();
                parts?.join(separator).into_bytes()
            };
            Ok(Row { tree: None, key, value: Content::Bytes(line) })
        })
    }

    fn place(&self) -> Place {
        self.lines.place.clone()
    }

    fn total_bytes(&self) -> u64 {
        self.lines.total_bytes
    }

    fn done_bytes(&self) -> u64 {
        self.lines.place.offset
    }
}

/// Says what is wrong with a line; where in the line is what the parser knows, which line it does not.
fn not_json(error: &serde_json::Error) -> String {
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    format!("not JSON: {what} (column {})", error.column())
}

/// The field `a.b.c` of a document, as text.
fn key_of(document: &Value, path: &str) -> Result<String, String> {
    let field = path.split('.').try_fold(document, |value, name| value.get(name));
    match field {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Bool(truth)) => Ok(truth.to_string()),
        Some(_) => Err(format!("field {path:?} is not text, a number or a truth value")),
        None => Err(format!("there is no field {path:?}")),
    }
}

/// Rows that `llmdb export` wrote.
pub struct RowLines {
    lines: Lines,
}

impl RowLines {
    pub fn open(path: &Path, start: &Position) -> Result<Self, Failure> {
        Ok(Self { lines: Lines::open(path, start)? })
    }
}

impl Source for RowLines {
    fn next(&mut self) -> Result<Next, Failure> {
        self.lines.row(|_, line| {
            let row: Value = serde_json::from_slice(&line).map_err(|error| not_json(&error))?;
            let tree = row.get("tree").and_then(Value::as_str).map(str::to_owned);
            if tree.as_ref().is_some_and(|name| name.is_empty() || name.len() > llmdb::TREE_NAME_LEN_MAX) {
                return Err("the name of a tree is empty or too long".into());
            }
            Ok(Row { tree, key: bytes_of(&row, "key")?, value: Content::Bytes(bytes_of(&row, "value")?) })
        })
    }

    fn place(&self) -> Place {
        self.lines.place.clone()
    }

    fn total_bytes(&self) -> u64 {
        self.lines.total_bytes
    }

    fn done_bytes(&self) -> u64 {
        self.lines.place.offset
    }
}

fn bytes_of(row: &Value, name: &str) -> Result<Vec<u8>, String> {
    if let Some(text) = row.get(name).and_then(Value::as_str) {
        return Ok(text.as_bytes().to_vec());
    }
    let base64 = row.get(format!("{name}_base64")).and_then(Value::as_str);
    base64.and_then(from_base64).ok_or_else(|| format!("neither \"{name}\" nor a good \"{name}_base64\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_reach_into_documents() {
        let document = json!({ "a": { "b": "x", "n": 7 }, "list": [1] });
        assert_eq!(key_of(&document, "a.b").unwrap(), "x");
        assert_eq!(key_of(&document, "a.n").unwrap(), "7");
        assert!(key_of(&document, "a.c").is_err());
        assert!(key_of(&document, "list").is_err());
    }
}
