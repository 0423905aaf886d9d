//! Numbers in binary files.

/// The order of the bytes of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// The highest byte is the first one.
    Big,
    /// The lowest byte is the first one.
    Little,
}

impl ByteOrder {
    /// The number of `width` bytes, at most 8, at a position. `None` if the bytes do not exist.
    pub(super) fn number(self, bytes: &[u8], at: usize, width: usize) -> Option<u64> {
        let bytes = bytes.get(at..at.checked_add(width)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(match self {
            Self::Big => bytes.iter().fold(0, add),
            Self::Little => bytes.iter().rev().fold(0, add),
        })
    }

    /// The number of four bytes at a position. `None` if the bytes do not exist.
    pub(super) fn word(self, bytes: &[u8], at: usize) -> Option<u32> {
        u32::try_from(self.number(bytes, at, 4)?).ok()
    }

    /// The same as [`Self::number`], as a position or a length.
    pub(super) fn size(self, bytes: &[u8], at: usize, width: usize) -> Option<usize> {
        usize::try_from(self.number(bytes, at, width)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_its_byte_order_and_is_never_read_past_the_end() {
        let bytes = [1, 2, 3, 4, 5];
        for (order, at, width, expected) in [
            (ByteOrder::Big, 1, 2, Some(0x0203)),
            (ByteOrder::Little, 1, 2, Some(0x0302)),
            (ByteOrder::Big, 0, 1, Some(1)),
            (ByteOrder::Little, 2, 3, Some(0x0005_0403)),
            (ByteOrder::Big, 2, 4, None),
            (ByteOrder::Little, usize::MAX, 2, None),
        ] {
            assert_eq!(
                order.number(&bytes, at, width),
                expected,
                "{order:?} {at} {width}"
            );
        }
        assert_eq!(ByteOrder::Big.word(&bytes, 0), Some(0x0102_0304));
        assert_eq!(ByteOrder::Little.word(&bytes, 2), None);
        assert_eq!(ByteOrder::Little.size(&bytes, 0, 2), Some(0x0201));
    }
}
