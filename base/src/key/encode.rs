//! Elements to bytes.

use super::{
    BYTES, END, ESCAPE, Element, FLOAT, INTEGER, TEXT, TIMESTAMP, TUPLE, TUPLE_DEPTH_MAX, UUID,
    element::canonical,
};

/// Appends `element`, which stands inside `depth` tuples.
pub(super) fn append(bytes: &mut Vec<u8>, element: &Element<'_>, depth: usize) {
    match element {
        Element::Integer(value) => integer(bytes, *value),
        Element::Float(value) => fixed(bytes, FLOAT, &ordered_bits(*value).to_be_bytes()),
        Element::Text(text) => escaped(bytes, TEXT, text.as_bytes()),
        Element::Bytes(value) => escaped(bytes, BYTES, value),
        Element::Timestamp(value) => fixed(bytes, TIMESTAMP, &ordered_i64(value.get()).to_be_bytes()),
        Element::Uuid(value) => fixed(bytes, UUID, &value.to_be_bytes()),
        Element::Tuple(elements) => {
            assert!(depth < TUPLE_DEPTH_MAX, "tuples nest at most {TUPLE_DEPTH_MAX} deep");
            bytes.push(TUPLE);
            for element in elements {
                append(bytes, element, depth + 1);
            }
            bytes.push(END);
        }
    }
}

/// The tag says how long the magnitude is, and on which side of zero: longer is farther from it. A negative
/// magnitude is complemented, so that greater ones sort first.
fn integer(bytes: &mut Vec<u8>, value: i128) {
    let magnitude = value.unsigned_abs().to_be_bytes();
    let digits = &magnitude[value.unsigned_abs().leading_zeros() as usize / 8..];
    let len = u8::try_from(digits.len()).expect("at most 16 bytes");
    if value < 0 {
        bytes.push(INTEGER - len);
        bytes.extend(digits.iter().map(|digit| !digit));
    } else {
        bytes.push(INTEGER + len);
        bytes.extend_from_slice(digits);
    }
}

fn fixed(bytes: &mut Vec<u8>, tag: u8, payload: &[u8]) {
    bytes.push(tag);
    bytes.extend_from_slice(payload);
}

fn escaped(bytes: &mut Vec<u8>, tag: u8, payload: &[u8]) {
    bytes.push(tag);
    for byte in payload {
        match byte {
            0 | 1 => bytes.extend([ESCAPE, byte + 1]),
            _ => bytes.push(*byte),
        }
    }
    bytes.push(END);
}

/// Bits that sort as the numbers do: the sign bit flipped for positive ones, every bit for negative ones.
pub(super) fn ordered_bits(value: f64) -> u64 {
    let bits = canonical(value).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// A number that sorts, as unsigned, as `value` does as signed.
pub(super) fn ordered_i64(value: i64) -> u64 {
    value.cast_unsigned() ^ 1 << 63
}
