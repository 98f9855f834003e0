//! Whether bytes are a Protocol Buffers message on the wire. Its type is not known, so what a field holds is not
//! looked at; that every field has a number, a wire type and its length is.

use super::{Kind, ValueError};

/// How deep groups may be nested.
const DEPTH_MAX: usize = 100;
const FIELD_NUMBER_MAX: u64 = (1 << 29) - 1;

pub(super) fn check(payload: &[u8]) -> Result<(), ValueError> {
    let mut reader = Reader { payload, offset: 0 };
    let mut groups: Vec<u64> = Vec::new();
    while reader.offset < payload.len() {
        let start = reader.offset;
        let field = reader.varint()?;
        let number = field >> 3;
        if number == 0 || number > FIELD_NUMBER_MAX {
            return Err(error(start, format!("no field has the number {number}")));
        }
        match field & 7 {
            0 => drop(reader.varint()?),
            1 => reader.skip(8)?,
            2 => {
                let len = reader.varint()?;
                reader.skip(len)?;
            }
            3 if groups.len() == DEPTH_MAX => return Err(error(start, "groups are nested too deep")),
            3 => groups.push(number),
            4 if groups.pop() == Some(number) => {}
            4 => return Err(error(start, format!("group {number} ends, but was not the last to begin"))),
            5 => reader.skip(4)?,
            wire_type => return Err(error(start, format!("there is no wire type {wire_type}"))),
        }
    }
    match groups.last() {
        Some(number) => Err(error(payload.len(), format!("group {number} does not end"))),
        None => Ok(()),
    }
}

fn error(offset: usize, what: impl Into<String>) -> ValueError {
    ValueError::new(Kind::Protobuf, offset, what)
}

struct Reader<'a> {
    payload: &'a [u8],
    offset: usize,
}

impl Reader<'_> {
    fn skip(&mut self, len: u64) -> Result<(), ValueError> {
        let left = self.payload.len() - self.offset;
        match usize::try_from(len) {
            Ok(len) if len <= left => {
                self.offset += len;
                Ok(())
            }
            _ => Err(error(self.payload.len(), "it ends too early")),
        }
    }

    /// Seven bits a byte, lowest first; at most 64 bits.
    fn varint(&mut self) -> Result<u64, ValueError> {
        let (start, mut number) = (self.offset, 0);
        for shift in (0..64).step_by(7) {
            let byte =
                *self.payload.get(self.offset).ok_or_else(|| error(self.offset, "it ends too early"))?;
            self.offset += 1;
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(error(start, "a number is longer than 64 bits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_accepted_and_cuts_are_not() {
        // 1: 150; 2: "testing"; 3 as group with 1: 0 inside; 4: fixed64; 5: fixed32.
        let fields: [&[u8]; 5] = [
            &[0x08, 0x96, 0x01],
            b"\x12\x07testing",
            &[0x1B, 0x08, 0x00, 0x1C],
            &[0x21, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x2D, 0, 0, 0, 0],
        ];
        for field in fields {
            assert_eq!(check(field), Ok(()));
            assert!(check(&field[..field.len() - 1]).is_err(), "{field:x?} cut");
        }
        assert_eq!(check(&fields.concat()), Ok(()));
        assert_eq!(check(&[]), Ok(()), "a message without fields is empty");
        assert_eq!(check(&[0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]), Ok(()));
    }

    #[test]
    fn the_reason_is_named() {
        let cases: [(&[u8], usize, &str); 7] = [
            (&[0x00, 0x01], 0, "number 0"),
            (&[0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02], 1, "64 bits"),
            (&[0x0E], 0, "wire type 6"),
            (&[0x0B, 0x14], 1, "group 2 ends"),
            (&[0x0B], 1, "does not end"),
            (&[0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], 6, "too early"),
            (&[0x80, 0x80, 0x80, 0x80, 0x10, 0], 0, "no field has the number"),
        ];
        for (payload, offset, what) in cases {
            let error = check(payload).unwrap_err();
            assert!(error.offset == offset && error.what.contains(what), "{payload:x?}: {error}");
        }
        assert!(check(&[0x0B; 101]).unwrap_err().what.contains("too deep"));
    }
}
