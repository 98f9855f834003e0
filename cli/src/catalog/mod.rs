//! The catalog: schemas, migrations, and how long history is kept.

pub mod migrate;
pub mod retention;
pub mod schema;

use std::{io::Read, path::Path};

use crate::{failure::Failure, host};

/// The text of a file, or of stdin if it is called `-`.
fn text_of(path: &Path) -> Result<String, Failure> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    let bytes = host::read(path).map_err(|error| Failure::file(path, &error))?;
    String::from_utf8(bytes).map_err(|_| Failure::bad_input(format!("{}: it is not UTF-8", path.display())))
}
