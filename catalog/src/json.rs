//! JSON documents: read with limits, written again, measured.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Longest document that is compared with a schema or rewritten, in bytes.
pub const DOCUMENT_LEN_MAX: usize = 16 << 20;
/// How deep arrays and objects of a document may be nested.
pub const DEPTH_MAX: usize = 127;

/// Reads a document. What a reader could understand in two ways is refused: a name that occurs twice in an object, an
/// integer that does not fit in 64 bits.
///
/// # Errors
/// What is wrong, and where.
pub fn read(text: &[u8]) -> Result<Value, String> {
    if text.len() > DOCUMENT_LEN_MAX {
        return Err(format!("it has {} bytes; at most {DOCUMENT_LEN_MAX} can be checked", text.len()));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Document.deserialize(&mut reader).map_err(|error| format!("it is not JSON: {error}"))?;
    reader.end().map_err(|error| format!("it is not JSON: {error}"))?;
    match wide_integer(text) {
        Some(offset) => Err(format!("byte {offset}: the integer does not fit in 64 bits")),
        None => Ok(value),
    }
}

/// Where the first integer is that would lose digits. `text` is sound JSON.
fn wide_integer(text: &[u8]) -> Option<usize> {
    let (mut offset, mut in_string) = (0, false);
    while let Some(byte) = text.get(offset) {
        match byte {
            b'\\' => offset += 1,
            b'"' => in_string = !in_string,
            b'-' | b'0'..=b'9' if !in_string => {
                let is_number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let number = text[offset..].split(|byte| !is_number(byte)).next().unwrap_or_default();
                let digits = std::str::from_utf8(number).unwrap_or_default();
                let is_integer = !digits.contains(['.', 'e', 'E']);
                if is_integer && digits.parse::<i64>().is_err() && digits.parse::<u64>().is_err() {
                    return Some(offset);
                }
                offset += number.len() - 1;
            }
            _ => {}
        }
        offset += 1;
    }
    None
}

/// Bytes that a document takes in memory, about; `None` if it is nested too deep or longer than a document may be.
pub fn size(value: &Value) -> Option<usize> {
    fn add(value: &Value, depth: usize, sum: &mut usize) -> Option<()> {
        *sum += match value {
            Value::String(text) => text.len() + 2,
            _ => 4,
        };
        if depth > DEPTH_MAX || *sum > DOCUMENT_LEN_MAX {
            return None;
        }
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| add(item, depth + 1, sum)),
            Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
                *sum += name.len() + 3;
                add(value, depth + 1, sum)
            }),
            _ => Some(()),
        }
    }
    let mut sum = 0;
    add(value, 0, &mut sum)?;
    Some(sum)
}

/// How deep arrays and objects are nested; 0 for a number or text.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The beginning of a text, for messages.
pub fn cut(text: &str, len: usize) -> String {
    match text.char_indices().nth(len) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Builds a document, see [`read`].
struct Document;

impl<'de> DeserializeSeed<'de> for Document {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON document")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Document)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let value = fields.next_value_seed(Document)?;
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the name {:?} occurs twice", cut(&name, 60))));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_two_meanings_is_refused() {
        for text in [
            r#"{"a":1,"a":2}"#,
            "[{\"b\":{\"x\":1,\"x\":1}}]",
            "18446744073709551616",
            "-99999999999999999999",
            "1e400",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        for text in [
            r#"{"a":1,"b":{"a":2}}"#,
            "18446744073709551615",
            "-9223372036854775808",
            "0.1",
            "1e100",
            "6.022e23",
            "[]",
            "[\"-99999999999999999999\"]",
            "-0",
        ] {
            assert!(read(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn numbers_come_back_as_they_were() {
        for text in
            ["0.1", "1.7976931348623157e308", "123456789012345678", "2.2250738585072014e-308", "5e-324"]
        {
            let value = read(text.as_bytes()).unwrap();
            assert_eq!(read(value.to_string().as_bytes()).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert_eq!(depth(&read(deep(100).as_bytes()).unwrap()), 100);
        assert!(read(deep(100_000).as_bytes()).is_err());
        let mut value = Value::Null;
        for _ in 0..DEPTH_MAX {
            value = Value::Array(vec![value]);
        }
        assert!(size(&value).is_some());
        assert_eq!(size(&Value::Array(vec![value])), None);
        assert!(read(&vec![b' '; DOCUMENT_LEN_MAX + 1]).is_err());
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("\u{e9}\u{e9}\u{e9}", 2), "\u{e9}\u{e9}...");
        assert_eq!(cut("ab", 2), "ab");
    }
}
