//! Little-endian fields at fixed offsets of a byte slice.
//!
//! The offsets are constants of the caller and the slices have a fixed size, so an index outside the slice is a
//! mistake in this program, never a property of the bytes read.

macro_rules! field {
    ($get:ident, $put:ident, $ty:ty) => {
        /// Reads the little-endian field at `offset`.
        #[inline]
        pub fn $get(bytes: &[u8], offset: usize) -> $ty {
            const LEN: usize = size_of::<$ty>();
            let mut raw = [0; LEN];
            raw.copy_from_slice(&bytes[offset..offset + LEN]);
            <$ty>::from_le_bytes(raw)
        }

        /// Writes the little-endian field at `offset`.
        #[inline]
        pub fn $put(bytes: &mut [u8], offset: usize, value: $ty) {
            bytes[offset..offset + size_of::<$ty>()].copy_from_slice(&value.to_le_bytes());
        }
    };
}

field!(get_u16, put_u16, u16);
field!(get_u32, put_u32, u32);
field!(get_u64, put_u64, u64);
field!(get_i64, put_i64, i64);
field!(get_u128, put_u128, u128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_little_endian() {
        let mut bytes = [0; 8];
        put_u32(&mut bytes, 2, 0x0102_0304);
        assert_eq!(bytes, [0, 0, 4, 3, 2, 1, 0, 0]);
        assert_eq!(get_u32(&bytes, 2), 0x0102_0304);
        assert_eq!(get_u16(&bytes, 2), 0x0304);
    }
}
