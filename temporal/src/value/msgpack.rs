//! Whether bytes are one MessagePack object, by the specification at msgpack.org.

use super::{Kind, ValueError};

/// What an object consists of, behind its first byte.
enum Shape {
    /// So many bytes.
    Bytes(usize),
    /// A length of so many bytes, and as many bytes as it says, of which `extra` more.
    Sized { len_bytes: usize, extra: usize, is_text: bool },
    /// Text of so many bytes.
    Text(usize),
    /// So many further objects.
    Objects(u64),
    /// A count of so many bytes, and `each` objects for each.
    Counted { len_bytes: usize, each: u64 },
}

/// Walks over the objects without recursion: what is left to read is a count, however they are nested.
pub(super) fn check(payload: &[u8]) -> Result<(), ValueError> {
    let mut reader = Reader { payload, offset: 0 };
    let mut objects_left: u64 = 1;
    while objects_left > 0 {
        objects_left += reader.object()?;
        objects_left -= 1;
        // Every object takes a byte, so a count that cannot be true is found before it is believed.
        if objects_left > (payload.len() - reader.offset) as u64 {
            return Err(reader.error(payload.len(), "it ends too early"));
        }
    }
    match reader.offset < payload.len() {
        true => Err(reader.error(reader.offset, "bytes follow behind the object")),
        false => Ok(()),
    }
}

struct Reader<'a> {
    payload: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, offset: usize, what: &str) -> ValueError {
        ValueError::new(Kind::MsgPack, offset, what)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ValueError> {
        let rest = self.payload.get(self.offset..).unwrap_or_default();
        let taken = rest.get(..len).ok_or_else(|| self.error(self.payload.len(), "it ends too early"))?;
        self.offset += len;
        Ok(taken)
    }

    fn big_endian(&mut self, len: usize) -> Result<u64, ValueError> {
        Ok(self.take(len)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Reads one object, and returns how many more it announces.
    fn object(&mut self) -> Result<u64, ValueError> {
        let start = self.offset;
        let marker = self.take(1)?[0];
        match shape(marker).ok_or_else(|| self.error(start, "0xc1 begins no object"))? {
            Shape::Bytes(len) => {
                self.take(len)?;
            }
            Shape::Text(len) => self.text(len)?,
            Shape::Sized { len_bytes, extra, is_text } => {
                let len = usize::try_from(self.big_endian(len_bytes)?).unwrap_or(usize::MAX);
                match is_text {
                    true => self.text(len)?,
                    false => drop(self.take(len.saturating_add(extra))?),
                }
            }
            Shape::Objects(count) => return Ok(count),
            Shape::Counted { len_bytes, each } => return Ok(self.big_endian(len_bytes)? * each),
        }
        Ok(0)
    }

    fn text(&mut self, len: usize) -> Result<(), ValueError> {
        let start = self.offset;
        match std::str::from_utf8(self.take(len)?) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error(start + error.valid_up_to(), "text is not UTF-8")),
        }
    }
}

fn shape(marker: u8) -> Option<Shape> {
    let sized = |len_bytes, extra, is_text| Shape::Sized { len_bytes, extra, is_text };
    Some(match marker {
        0x00..=0x7F | 0xC0 | 0xC2 | 0xC3 | 0xE0..=0xFF => Shape::Bytes(0),
        0x80..=0x8F => Shape::Objects(u64::from(marker & 0x0F) * 2),
        0x90..=0x9F => Shape::Objects(u64::from(marker & 0x0F)),
        0xA0..=0xBF => Shape::Text(usize::from(marker & 0x1F)),
        0xC1 => return None,
        0xC4..=0xC6 => sized(1 << (marker - 0xC4), 0, false),
        0xC7..=0xC9 => sized(1 << (marker - 0xC7), 1, false),
        0xCA => Shape::Bytes(4),
        0xCB => Shape::Bytes(8),
        0xCC..=0xCF => Shape::Bytes(1 << (marker - 0xCC)),
        0xD0..=0xD3 => Shape::Bytes(1 << (marker - 0xD0)),
        // One byte that says what it is, then the data.
        0xD4..=0xD8 => Shape::Bytes(1 + (1 << (marker - 0xD4))),
        0xD9..=0xDB => sized(1 << (marker - 0xD9), 0, true),
        0xDC | 0xDD => Shape::Counted { len_bytes: 2 << (marker - 0xDC), each: 1 },
        0xDE | 0xDF => Shape::Counted { len_bytes: 2 << (marker - 0xDE), each: 2 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_every_form_are_accepted() {
        let sound: [&[u8]; 18] = [
            &[0x05],
            &[0xFF],
            &[0xC0],
            &[0xC3],
            &[0x82, 0xA1, b'a', 1, 0xA1, b'b', 0x90],
            &[0xA2, 0xC3, 0xBC],
            &[0xC4, 2, 0xFF, 0xFE],
            &[0xC5, 0, 1, 7],
            &[0xC7, 1, 5, 9],
            &[0xCA, 0, 0, 0, 0],
            &[0xCB, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xCD, 1, 2],
            &[0xD3, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xD4, 1, 2],
            &[0xD6, 1, 2, 3, 4, 5],
            &[0xD9, 1, b'x'],
            &[0xDC, 0, 2, 1, 2],
            &[0xDE, 0, 1, 0xA0, 0xC2],
        ];
        for payload in sound {
            assert_eq!(check(payload), Ok(()), "{payload:x?}");
            assert!(check(&payload[..payload.len() - 1]).is_err(), "{payload:x?} cut");
            assert!(check(&[payload, &[0]].concat()).is_err(), "{payload:x?} and more");
        }
    }

    #[test]
    fn depth_and_false_counts_cost_nothing() {
        assert_eq!(check(&[vec![0x91; 1_000_000], vec![0xC0]].concat()), Ok(()));
        let error = check(&[0xDD, 0xFF, 0xFF, 0xFF, 0xFF, 1]).unwrap_err();
        assert_eq!((error.offset, error.what.as_str()), (6, "it ends too early"));
        assert_eq!(check(&[0xC6, 0xFF, 0xFF, 0xFF, 0xFF, 1]).unwrap_err().offset, 6);
    }

    #[test]
    fn the_reason_is_named() {
        assert_eq!(check(&[0x91, 0xC1]).unwrap_err().offset, 1);
        let error = check(&[0xA3, b'a', 0xFF, b'b']).unwrap_err();
        assert_eq!((error.offset, error.what.as_str()), (2, "text is not UTF-8"));
    }
}
