//! Ids as clients send them, and as they stand in keys.

/// Longest id, bytes of UTF-8.
const MAX_ID_BYTES: usize = 64;

/// What is wrong with an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It is empty.
    #[error("must not be empty")]
    Empty,
    /// It has more than 64 bytes.
    #[error("must not exceed 64 bytes")]
    TooLong,
    /// It holds a control character.
    #[error("must not hold control characters")]
    Control,
}

/// Checks an id: 1 to 64 bytes of UTF-8 without control characters.
///
/// # Errors
/// Says which of the three does not hold.
pub fn check_id(id: &str) -> Result<(), IdError> {
    if id.is_empty() {
        return Err(IdError::Empty);
    }
    if id.len() > MAX_ID_BYTES {
        return Err(IdError::TooLong);
    }
    let is_plain = id.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !is_plain && id.chars().any(char::is_control) {
        return Err(IdError::Control);
    }
    Ok(())
}

/// Tells whether a text is as long as an id may be; it is one if it also has no control characters.
pub(crate) fn is_id_long(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
}

/// Appends an id to a key: unreserved bytes of RFC 3986 as they are, all others percent-encoded,
/// so that no id can reach into its neighbour.
pub fn percent_encode(id: &str, key: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    // Most ids are plain, which is found without a branch for each byte.
    if id.bytes().fold(true, |all, byte| all & is_unreserved(byte)) {
        return key.push_str(id);
    }
    for byte in id.bytes() {
        if is_unreserved(byte) {
            key.push(char::from(byte));
        } else {
            key.push('%');
            key.push(char::from(HEX[usize::from(byte >> 4)]));
            key.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// Tells whether a byte stands for itself in a URI (RFC 3986, section 2.3).
#[inline]
fn is_unreserved(byte: u8) -> bool {
    const UNRESERVED: [bool; 256] = {
        let mut unreserved = [false; 256];
        let mut byte = 0_u8;
        while byte < 0x80 {
            unreserved[byte as usize] =
                byte.is_ascii_alphanumeric() | matches!(byte, b'.' | b'_' | b'~' | b'-');
            byte += 1;
        }
        unreserved
    };
    UNRESERVED[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_can_reach_into_its_neighbour() {
        let mut key = String::new();
        percent_encode("a/b%2F ü", &mut key);
        assert_eq!(key, "a%2Fb%252F%20%C3%BC");
    }

    #[test]
    fn ids_are_bounded() {
        assert_eq!(check_id(""), Err(IdError::Empty));
        assert_eq!(check_id(&"x".repeat(65)), Err(IdError::TooLong));
        assert_eq!(check_id("a\nb"), Err(IdError::Control));
        assert_eq!(check_id(&"x".repeat(64)), Ok(()));
    }
}
