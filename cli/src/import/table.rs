//! CSV and TSV as a source: each record becomes a JSON object of its columns.

use std::{
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::{
    position::Position,
    source::{Content, Next, Place, Row, Source, number_key},
};
use crate::{failure::Failure, host};

/// Which columns make the key.
pub struct Keys {
    pub columns: Vec<String>,
    pub separator: String,
}

/// Records of a file.
pub struct Table {
    reader: Reader<Box<dyn Read>>,
    /// Names of the columns; `None` if the file has none.
    header: Option<Vec<String>>,
    keys: Keys,
    /// Where the reader began: its own positions count from there.
    base: Place,
    place: Place,
    total_bytes: u64,
    name: String,
}

impl Table {
    pub fn open(
        path: &Path,
        delimiter: u8,
        has_header: bool,
        keys: Keys,
        start: &Position,
    ) -> Result<Self, Failure> {
        let open = || open_at(path, start.place.offset);
        let (total_bytes, file) = open().map_err(|error| Failure::file(path, &error))?;
        let name = if path.as_os_str() == "-" { "stdin".into() } else { path.display().to_string() };
        let mut table = Self {
            reader: reader(delimiter, file),
            header: None,
            keys,
            base: start.place.clone(),
            place: start.place.clone(),
            total_bytes,
            name,
        };
        if has_header {
            table.header = Some(if start.place.offset == 0 {
                table.read_header()?
            } else {
                let (_, file) = open_at(path, 0).map_err(|error| Failure::file(path, &error))?;
                header_of(&mut reader(delimiter, file), &table.name)?
            });
        }
        table.check_keys()?;
        Ok(table)
    }

    fn read_header(&mut self) -> Result<Vec<String>, Failure> {
        let header = header_of(&mut self.reader, &self.name)?;
        self.note_place();
        Ok(header)
    }

    fn check_keys(&self) -> Result<(), Failure> {
        let Some(header) = &self.header else { return Ok(()) };
        match self.keys.columns.iter().find(|column| !header.contains(column)) {
            None => Ok(()),
            Some(column) => Err(Failure::usage(format!("{} has no column {column:?}", self.name))
                .advise(format!("columns: {}", header.join(", ")))),
        }
    }

    fn note_place(&mut self) {
        let position = self.reader.position();
        self.place.offset = self.base.offset + position.byte();
        self.place.line = self.base.line + position.line().saturating_sub(1);
    }

    fn row(&self, record: &ByteRecord) -> Result<Row, String> {
        let fields: Result<Vec<&str>, _> = record.iter().map(std::str::from_utf8).collect();
        let fields = fields.map_err(|_| "not UTF-8")?;
        let names = self.names(fields.len())?;
        let columns: Vec<_> = names.into_iter().zip(fields).collect();
        Ok(Row { tree: None, key: self.key(&columns)?, value: Content::Bytes(to_json(&columns)) })
    }

    fn names(&self, count: usize) -> Result<Vec<String>, String> {
        match &self.header {
            Some(header) if header.len() == count => Ok(header.clone()),
            Some(header) => Err(format!("{count} columns where the header has {}", header.len())),
            None => Ok((1..=count).map(|number| number.to_string()).collect()),
        }
    }

    fn key(&self, columns: &[(String, &str)]) -> Result<Vec<u8>, String> {
        if self.keys.columns.is_empty() {
            return Ok(number_key(self.place.record));
        }
        let value = |wanted: &String| {
            let column = columns.iter().find(|(name, _)| name == wanted);
            column.map(|(_, value)| *value).ok_or_else(|| format!("there is no column {wanted:?}"))
        };
        let parts: Result<Vec<_>, _> = self.keys.columns.iter().map(value).collect();
        Ok(parts?.join(&self.keys.separator).into_bytes())
    }
}

impl Source for Table {
    fn next(&mut self) -> Result<Next, Failure> {
        let mut record = ByteRecord::new();
        let more =
            self.reader.read_byte_record(&mut record).map_err(|error| unreadable(&self.name, error))?;
        if !more {
            return Ok(Next::End);
        }
        self.place.record += 1;
        let first_line = record.position().map_or(0, csv::Position::line) + self.base.line;
        self.note_place();
        Ok(match self.row(&record) {
            Ok(row) => Next::Row(row),
            Err(why) => Next::Bad(format!("{}, line {first_line}: {why}", self.name)),
        })
    }

    fn place(&self) -> Place {
        self.place.clone()
    }

    fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    fn done_bytes(&self) -> u64 {
        self.place.offset
    }
}

/// A file from `offset` on, with its length.
fn open_at(path: &Path, offset: u64) -> io::Result<(u64, Box<dyn Read>)> {
    if path.as_os_str() == "-" {
        return Ok((0, Box::new(io::stdin())));
    }
    let mut file = host::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok((file.metadata()?.len(), Box::new(file)))
}

fn reader(delimiter: u8, file: Box<dyn Read>) -> Reader<Box<dyn Read>> {
    // The number of columns is compared with the header here, where the line can be named and left out.
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(256 << 10)
        .from_reader(file)
}

fn header_of(reader: &mut Reader<Box<dyn Read>>, name: &str) -> Result<Vec<String>, Failure> {
    let mut record = ByteRecord::new();
    reader.read_byte_record(&mut record).map_err(|error| unreadable(name, error))?;
    let names = record.iter().map(|field| String::from_utf8(field.to_vec()));
    let names: Result<Vec<_>, _> = names.collect();
    names.map_err(|_| Failure::bad_input(format!("{name}: the header is not UTF-8")))
}

fn unreadable(name: &str, error: csv::Error) -> Failure {
    Failure::file(name.as_ref(), &io::Error::other(error))
}

/// A JSON object with its fields in the order of the columns.
fn to_json(columns: &[(String, &str)]) -> Vec<u8> {
    let fields: Vec<_> = columns
        .iter()
        .map(|(name, value)| {
            format!("{}:{}", serde_json::Value::from(name.as_str()), serde_json::Value::from(*value))
        })
        .collect();
    format!("{{{}}}", fields.join(",")).into_bytes()
}
