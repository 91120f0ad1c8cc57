//! Short texts as one number, to be looked at as a whole instead of byte by byte.

/// Returns a text of at most 16 bytes as a little-endian number, zeros behind its end.
#[inline]
pub(crate) fn short(text: &[u8]) -> u128 {
    match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            // Where the two overlap they have the same bits.
            u128::from(first) | u128::from(last) << (8 * (text.len() - 8) % 128)
        }
        _ => shorter(text).into(),
    }
}

/// Returns a text of at most 8 bytes as a little-endian number, zeros behind its end.
#[inline]
pub(crate) fn shorter(text: &[u8]) -> u64 {
    if let Some(all) = text.first_chunk::<8>() {
        return u64::from_le_bytes(*all);
    }
    match (text.first_chunk::<4>(), text.last_chunk::<4>(), text) {
        (Some(first), Some(last), _) => {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            u64::from(first) | u64::from(last) << (8 * (text.len() - 4) % 64)
        }
        (_, _, [a, b, c]) => u64::from(*a) | u64::from(*b) << 8 | u64::from(*c) << 16,
        (_, _, [a, b]) => u64::from(*a) | u64::from(*b) << 8,
        (_, _, [a]) => u64::from(*a),
        _ => 0,
    }
}

/// Fills every byte of a number with one byte.
pub(crate) const fn all(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Tells whether a text holds nothing but ASCII digits.
#[inline]
pub(crate) fn is_number(text: &[u8]) -> bool {
    match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) if text.len() <= 16 => {
            [first, last].into_iter().all(|half| are_digits(u64::from_le_bytes(*half)))
        }
        (None, None) => {
            let zeros = ((1 << (8 * text.len())) - 1) & all(b'0');
            are_digit_values(shorter(text) ^ zeros)
        }
        _ => text.iter().all(u8::is_ascii_digit),
    }
}

/// Tells whether all eight bytes are ASCII digits.
#[inline]
pub(crate) fn are_digits(bytes: u64) -> bool {
    are_digit_values(bytes ^ all(b'0'))
}

/// Tells whether all eight bytes are from 0 to 9.
#[inline]
pub(crate) fn are_digit_values(bytes: u64) -> bool {
    // A digit leaves four bits empty, and with six more as well. A larger byte that carries into the next fills them itself.
    (bytes | bytes.wrapping_add(all(6))) & all(0xf0) == 0
}

/// Reads the ASCII digits that eight bytes begin with; returns their value, and how many they are.
#[inline]
pub(crate) fn leading_digits(bytes: u64) -> (u64, usize) {
    let halves = bytes ^ all(0x30);
    // A digit leaves four bits, which do not reach the fifth with six more.
    let others = (halves | (halves & all(0x7f)).wrapping_add(all(6))) & all(0xf0);
    if others == 0 {
        return (eight_digits(bytes), 8);
    }
    let digits = others.trailing_zeros() / 8;
    // Zeros in front count for nothing; two shifts, as there may be eight of them.
    (eight_digits(halves << 8 << (8 * (7 - digits))), digits as usize)
}

/// Reads eight ASCII digits, or their values, the first being the highest.
///
/// Pairs are joined, then fours, then all (Daniel Lemire, "Quickly parsing eight digits", 2018).
#[inline]
pub(crate) fn eight_digits(bytes: u64) -> u64 {
    let ones = bytes & all(0x0f);
    let pairs = (ones.wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000 << 32 | 1) >> 32
}

/// Reads 32 hexadecimal digits in lower case, the first being the highest.
#[inline]
pub(crate) fn thirty_two_hex_digits(digits: &[u8; 32]) -> Option<u128> {
    let (eights, _) = digits.as_chunks::<8>();
    let mut number = 0;
    for eight in eights {
        number = number << 32 | u128::from(eight_hex_digits(u64::from_le_bytes(*eight))?);
    }
    Some(number)
}

/// The same of eight, joined as in [`eight_digits`].
#[inline]
fn eight_hex_digits(bytes: u64) -> Option<u64> {
    // A letter has a bit that a digit has not; the last four bits of `a` are 1, nine below its value.
    let nibbles = (bytes & all(0x0f)) + (bytes >> 6 & all(1)) * 9;
    let letters = (nibbles + all(6)) >> 4 & all(1);
    // Only what they would be written as is what they were read from.
    if nibbles & all(0xf0) != 0
        || nibbles + all(b'0') + letters * u64::from(b'a' - b'0' - 10) != bytes
    {
        return None;
    }
    let pairs = (nibbles.wrapping_mul(1 << 12 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(1 << 24 | 1) >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(1 << 48 | 1) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_alone_whatever_its_length() {
        for length in 0..20 {
            let mut text = vec![b'7'; length];
            assert!(is_number(&text), "{length}");
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    text[at] = byte;
                    assert_eq!(is_number(&text), byte.is_ascii_digit(), "{length} {at} {byte}");
                }
                text[at] = b'0';
            }
        }
    }

    #[test]
    fn a_text_is_its_bytes_in_order() {
        let text = b"0123456789abcdef";
        for length in 0..=16 {
            let mut padded = [0; 16];
            padded[..length].copy_from_slice(&text[..length]);
            assert_eq!(short(&text[..length]), u128::from_le_bytes(padded), "{length}");
            if length <= 8 {
                assert_eq!(u128::from(shorter(&text[..length])), short(&text[..length]));
            }
        }
    }

    #[test]
    fn digits_are_told_from_all_other_bytes() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut bytes = [b'9'; 8];
                bytes[at] = byte;
                assert_eq!(are_digits(u64::from_le_bytes(bytes)), byte.is_ascii_digit(), "{byte}");
            }
        }
        for digits in 0..=8 {
            for other in [b' ', b'/', b':', b',', 0x80, 0xb0, 0xff] {
                let mut bytes = *b"12345678";
                bytes[digits..].fill(other);
                let value = 12_345_678 / 10_u64.pow(8 - u32::try_from(digits).unwrap());
                assert_eq!(leading_digits(u64::from_le_bytes(bytes)), (value, digits), "{other}");
            }
        }
        assert_eq!(eight_digits(u64::from_le_bytes(*b"12345678")), 12_345_678);
        assert_eq!(eight_digits(u64::from_le_bytes(*b"99999999")), 99_999_999);
    }

    #[test]
    fn hexadecimal_digits_are_those_in_lower_case() {
        for byte in 0..=u8::MAX {
            for at in 0..32 {
                let mut digits = *b"fedcba98765432100123456789abcdef";
                digits[at] = byte;
                let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                let expected = u128::from_str_radix(&String::from_utf8_lossy(&digits), 16);
                assert_eq!(
                    thirty_two_hex_digits(&digits),
                    expected.ok().filter(|_| is_digit),
                    "{byte}"
                );
            }
        }
    }
}
