//! CSV and TSV as a source: each record becomes a JSON object of its columns.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    rc::Rc,
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
    base_offset: u64,
    line_ends: LineEnds,
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
        let line_ends = LineEnds::default();
        let file = Box::new(Watched { inner: file, offset: 0, line_ends: line_ends.clone() });
        let mut table = Self {
            reader: reader(delimiter, file),
            header: None,
            keys,
            base_offset: start.place.offset,
            line_ends,
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

    /// Notes the end of the record read last. Whether the end of its line was read with it: of `\r\n`, the
    /// parser leaves the second byte for later.
    fn note_place(&mut self) -> bool {
        let end = self.reader.position().byte();
        let (passed, closed) = self.line_ends.pass(end);
        self.place.line += passed;
        self.place.offset = self.base_offset + end;
        closed
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
        let closed = self.note_place();
        let inner = record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        let first_line = self.place.line + 1 - inner - u64::from(closed);
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

/// Where lines end in what the parser has been given but has not passed yet. The parser counts lines itself, but
/// blank ones and `\r\n` with the record behind them, which would name the wrong line.
#[derive(Clone, Default)]
struct LineEnds(Rc<RefCell<VecDeque<u64>>>);

impl LineEnds {
    /// Forgets the ends before `offset`: how many there were, and whether the last was the byte before it.
    fn pass(&self, offset: u64) -> (u64, bool) {
        let mut ends = self.0.borrow_mut();
        let passed = ends.partition_point(|end| *end < offset);
        let closed = ends.drain(..passed).next_back().is_some_and(|end| end + 1 == offset);
        (passed as u64, closed)
    }
}

/// Tells [`LineEnds`] what goes by.
struct Watched<R> {
    inner: R,
    offset: u64,
    line_ends: LineEnds,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        let mut ends = self.line_ends.0.borrow_mut();
        ends.extend(
            (self.offset..).zip(&buf[..count]).filter(|(_, byte)| **byte == b'\n').map(|(offset, _)| offset),
        );
        self.offset += count as u64;
        Ok(count)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(path: &Path, start: &mut Position, limit: usize) -> Vec<String> {
        let keys = Keys { columns: Vec::new(), separator: "/".into() };
        let mut table = Table::open(path, b',', true, keys, start).unwrap();
        let mut seen = Vec::new();
        while seen.len() < limit {
            match table.next().unwrap() {
                Next::Row(row) => seen.push(format!("{:?} {:?}", row.key, row.value)),
                Next::Bad(why) => seen.push(why),
                Next::LeftOut(_) => {}
                Next::End => break,
            }
        }
        start.place = table.place();
        seen
    }

    #[test]
    fn stopped_and_resumed_after_every_record_it_reads_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "a,b\r\n1,\"two\nlines\"\r\n\nshort\r\n3,4\n\"5\",6";
        io::Write::write_all(&mut file.as_file(), text.as_bytes()).unwrap();
        let whole = rows(file.path(), &mut Position::default(), usize::MAX);
        assert_eq!(whole.len(), 4);
        assert!(whole[1].contains("line 5"), "{}", whole[1]);
        let mut position = Position::default();
        let mut pieces = Vec::new();
        loop {
            let piece = rows(file.path(), &mut position, 1);
            if piece.is_empty() {
                break;
            }
            pieces.extend(piece);
        }
        assert_eq!(pieces, whole);
        assert_eq!(position.place.offset, text.len() as u64);
    }
}
