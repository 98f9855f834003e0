//! Whether bytes are one JSON text that the usual readers read.

use super::{Kind, ValueError};

/// How deep arrays and objects may be nested: as deep as serde_json reads.
const DEPTH_MAX: usize = 127;

pub(super) fn check(payload: &[u8]) -> Result<(), ValueError> {
    let text = std::str::from_utf8(payload)
        .map_err(|error| ValueError::new(Kind::Json, error.valid_up_to(), "it is not UTF-8"))?;
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|error| ValueError::new(Kind::Json, offset(text, &error), error.to_string()))?;
    check_depth(payload)
}

/// Where an error is, which says it by line and column.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    (before + error.column().saturating_sub(1)).min(text.len())
}

/// Ignoring a value knows no limit, reading one does. `payload` is sound JSON.
fn check_depth(payload: &[u8]) -> Result<(), ValueError> {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for (offset, byte) in payload.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(ValueError::new(Kind::Json, offset, "it is nested deeper than 127 levels"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_can_be_read() {
        for depth in [1, 100, DEPTH_MAX, DEPTH_MAX + 1, 100_000] {
            let text = ["[".repeat(depth), "]".repeat(depth)].concat();
            let read = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            assert_eq!(check(text.as_bytes()).is_ok(), read, "{depth}");
        }
    }

    #[test]
    fn brackets_in_strings_are_not_nesting() {
        let text = format!("[\"{}\\\"{}\"]", "[".repeat(300), "{".repeat(300));
        assert_eq!(check(text.as_bytes()), Ok(()));
    }

    #[test]
    fn the_place_is_named() {
        assert_eq!(check(b"{\n \"a\": 1,\n}").unwrap_err().offset, 11);
        assert_eq!(check(b"").unwrap_err().offset, 0);
        assert_eq!(check(b"\"ab\xFF\"").unwrap_err().offset, 3);
        assert_eq!(check(b"1 2").unwrap_err().offset, 2);
    }
}
