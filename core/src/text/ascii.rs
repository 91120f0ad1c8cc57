//! Short ASCII text put together on the stack, without the machinery of formatting.

/// Room for the longest: a time with six decimals and an offset has 32 bytes.
const ROOM: usize = 32;

/// An ASCII text of at most 32 bytes; what does not fit is dropped.
#[derive(Default)]
pub(crate) struct Ascii {
    bytes: [u8; ROOM],
    used: usize,
}

impl Ascii {
    #[inline]
    pub(super) fn push<const BYTES: usize>(&mut self, bytes: [u8; BYTES]) {
        self.push_slice(&bytes);
    }

    #[inline]
    pub(super) fn push_slice(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.used..end) {
            room.copy_from_slice(bytes);
            self.used = end;
        }
    }

    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        // Only ASCII was pushed.
        self.bytes.get(..self.used).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// Writes a number in so many digits; higher ones are dropped.
#[inline]
pub(super) fn digits<const DIGITS: usize>(mut value: u32) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    digits
}
