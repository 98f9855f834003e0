//! Blocks of vectors: numbers of 32 bits, packed, where they can be reached without copying.

use llmdb_base::codec;

use super::{Kind, ValueError};

// Offsets in the payload, which stands one byte behind the beginning of the stored value: so the numbers begin at
// byte 16 of it.
const ELEMENT: usize = 0;
const DIMENSION: usize = 3;
const COUNT: usize = DIMENSION + 4;
const RESERVED: usize = COUNT + 4;
const NUMBERS: usize = RESERVED + 4;
const _: () = assert!(1 + NUMBERS == 16 && (1 + DIMENSION).is_multiple_of(4));
/// The one element type so far: f32.
const F32: u8 = 0;

/// A block of vectors of one dimension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vectors<'a> {
    dimension: usize,
    numbers: &'a [u8],
}

impl<'a> Vectors<'a> {
    /// The payload of a value of kind [`Kind::Vectors`] that holds `numbers`, `dimension` for each vector.
    ///
    /// # Errors
    /// [`ValueError`] if there is no vector, the last one is not whole, or a number is not finite.
    pub fn encode(dimension: usize, numbers: &[f32]) -> Result<Vec<u8>, ValueError> {
        let count = numbers.len().checked_div(dimension).unwrap_or_default();
        let mut payload = vec![0; NUMBERS];
        codec::put_u32(&mut payload, DIMENSION, u32::try_from(dimension).unwrap_or_default());
        codec::put_u32(&mut payload, COUNT, u32::try_from(count).unwrap_or_default());
        payload.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        Vectors::decode(&payload)?.check_finite()?;
        Ok(payload)
    }

    /// Reads a payload. Cost: the numbers are not looked at.
    ///
    /// # Errors
    /// [`ValueError`] with the place and the reason.
    pub fn decode(payload: &'a [u8]) -> Result<Self, ValueError> {
        let refuse = |offset, what: String| Err(ValueError::new(Kind::Vectors, offset, what));
        let Some((header, numbers)) = payload.split_at_checked(NUMBERS) else {
            return refuse(payload.len(), "it ends too early".into());
        };
        if header[ELEMENT] != F32 {
            return refuse(ELEMENT, format!("there is no element type {}", header[ELEMENT]));
        }
        if header[ELEMENT + 1..DIMENSION] != [0; 2] || header[RESERVED..] != [0; 4] {
            return refuse(ELEMENT + 1, "reserved bytes are not zero".into());
        }
        let (dimension, count) = (codec::get_u32(header, DIMENSION), codec::get_u32(header, COUNT));
        if dimension == 0 || count == 0 {
            return refuse(
                DIMENSION,
                format!("{count} vectors of dimension {dimension}: both must be above 0"),
            );
        }
        let expected = u64::from(dimension) * u64::from(count);
        if u64::try_from(numbers.len()) != Ok(expected.saturating_mul(4)) {
            let what = format!("{} bytes of numbers, not 4 * {dimension} * {count}", numbers.len());
            return refuse(NUMBERS, what);
        }
        Ok(Self { dimension: dimension as usize, numbers })
    }

    /// Refuses infinities and NaN, with which no distance can be computed.
    pub(super) fn check_finite(&self) -> Result<(), ValueError> {
        match self.numbers().position(|number| !number.is_finite()) {
            Some(index) => {
                Err(ValueError::new(Kind::Vectors, NUMBERS + 4 * index, "a number is infinite, or none"))
            }
            None => Ok(()),
        }
    }

    /// Numbers in each vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Number of vectors.
    pub fn count(&self) -> usize {
        self.numbers.len() / 4 / self.dimension
    }

    /// The numbers as stored: little-endian, one vector behind the other.
    pub fn bytes(&self) -> &'a [u8] {
        self.numbers
    }

    /// The numbers of the vector at `index`; none if there is no such vector.
    pub fn vector(&self, index: usize) -> impl Iterator<Item = f32> + use<'a> {
        let mut vectors = self.numbers.chunks_exact(4 * self.dimension);
        read(vectors.nth(index).unwrap_or_default())
    }

    fn numbers(&self) -> impl Iterator<Item = f32> + use<'a> {
        read(self.numbers)
    }
}

fn read(bytes: &[u8]) -> impl Iterator<Item = f32> + use<'_> {
    bytes.chunks_exact(4).map(|raw| f32::from_bits(codec::get_u32(raw, 0)))
}
