//! Bytes as text and back: hexadecimal, base64, escapes.

use std::{fmt::Write as _, io};

use crate::failure::Failure;

/// How bytes are written on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Text, unless it begins with `0x` and goes on in pairs of hexadecimal digits.
    Auto,
    Hex,
    Text,
}

/// The bytes that an argument stands for.
pub fn bytes_of(argument: &str, form: Form) -> Result<Vec<u8>, Failure> {
    let digits = argument.strip_prefix("0x");
    match form {
        Form::Text => Ok(argument.as_bytes().to_vec()),
        Form::Auto => Ok(digits.and_then(from_hex).unwrap_or_else(|| argument.as_bytes().to_vec())),
        Form::Hex => from_hex(digits.unwrap_or(argument)).ok_or_else(|| {
            Failure::usage(format!("{argument:?} is not hexadecimal: pairs of 0-9 and a-f are wanted"))
        }),
    }
}

/// The bytes that pairs of hexadecimal digits stand for.
pub fn from_hex(digits: &str) -> Option<Vec<u8>> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Pairs of hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes `bytes` in base64, padded.
pub fn write_base64(bytes: &[u8], to: &mut impl io::Write) -> io::Result<()> {
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let mut four = [b'='; 4];
        for (index, place) in four.iter_mut().enumerate().take(chunk.len() + 1) {
            *place = BASE64[(group >> (18 - 6 * index) & 63) as usize];
        }
        to.write_all(&four)?;
    }
    Ok(())
}

/// The bytes that base64 stands for.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in digits.as_bytes().chunks(4) {
        let mut group = 0_u32;
        for digit in chunk {
            let value = BASE64.iter().position(|known| known == digit)?;
            group = group << 6 | u32::try_from(value).ok()?;
        }
        let group = (group << (6 * (4 - chunk.len()))).to_be_bytes();
        bytes.extend_from_slice(&group[1..chunk.len()]);
    }
    Some(bytes)
}

/// What may stand as it is in escaped text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// One line per value, which can be read back: only what is printed; a backslash is doubled.
    Line,
    /// For reading: line ends, tabs and backslashes too.
    Paragraphs,
}

/// Bytes as text that a terminal can take: what is not printable UTF-8 becomes `\n`, `\t`, `\r` or `\xNN`.
pub fn escape(bytes: &[u8], keep: Keep) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            escape_char(character, keep, &mut text);
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn escape_char(character: char, keep: Keep, text: &mut String) {
    match (character, keep) {
        ('\n' | '\t' | '\\', Keep::Paragraphs) => text.push(character),
        ('\\', Keep::Line) => text.push_str("\\\\"),
        ('\n', Keep::Line) => text.push_str("\\n"),
        ('\t', Keep::Line) => text.push_str("\\t"),
        ('\r', _) => text.push_str("\\r"),
        _ if character.is_control() => {
            let mut utf8 = [0; 4];
            for byte in character.encode_utf8(&mut utf8).bytes() {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        _ => text.push(character),
    }
}

/// Length of the longest beginning of `bytes` that does not end inside a character; what follows is at most
/// three bytes, kept for the next piece of a stream.
pub fn whole_chars(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Ok(_) => bytes.len(),
        // Invalid bytes before a character that is cut: look at the tail alone.
        Err(error) => {
            let from = error.valid_up_to() + error.error_len().unwrap_or(1);
            from + whole_chars(&bytes[from..])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_text_or_hexadecimal() {
        assert_eq!(bytes_of("0x00ff", Form::Auto).unwrap(), [0, 255]);
        assert_eq!(bytes_of("0x00ff", Form::Text).unwrap(), b"0x00ff");
        assert_eq!(bytes_of("0xyz", Form::Auto).unwrap(), b"0xyz");
        assert_eq!(bytes_of("00FF", Form::Hex).unwrap(), [0, 255]);
        assert!(bytes_of("0x0", Form::Hex).is_err());
    }

    #[test]
    fn base64_comes_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in [0, 1, 2, 3, 4, 255, 256] {
            let mut text = Vec::new();
            write_base64(&bytes[..len], &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert_eq!(from_base64(&text).unwrap(), &bytes[..len], "{text}");
        }
        assert_eq!(from_base64("aGVsbG8=").unwrap(), b"hello");
        assert_eq!(from_base64("aGVsbG8"), None);
        assert_eq!(from_base64("a==="), None);
        assert_eq!(from_base64("a-bc"), None);
    }

    #[test]
    fn escapes_keep_terminals_safe_and_lines_whole() {
        assert_eq!(escape(b"a\\b\n\x1b[31m\xff\xc3\xa9", Keep::Line), "a\\\\b\\n\\x1b[31m\\xff\u{e9}");
        assert_eq!(escape("a\\b\n\tc\r\u{85}".as_bytes(), Keep::Paragraphs), "a\\b\n\tc\\r\\xc2\\x85");
    }

    #[test]
    fn streams_are_cut_between_characters() {
        assert_eq!(whole_chars("a\u{e9}".as_bytes()), 3);
        assert_eq!(whole_chars(b"a\xc3"), 1);
        assert_eq!(whole_chars(b"\xff\xff\xc3"), 2);
        assert_eq!(whole_chars(b"\xff"), 1);
        assert_eq!(whole_chars(b""), 0);
    }
}
