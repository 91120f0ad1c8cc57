//! Short ASCII text put together on the stack, without the machinery of formatting.

/// Room for the longest: a time with six decimals and an offset has 32 bytes.
const ROOM: usize = 32;

/// An ASCII text of at most 32 bytes; what does not fit is dropped.
#[derive(Default)]
pub(super) struct Ascii {
    bytes: [u8; ROOM],
    used: usize,
}

impl Ascii {
    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.used) {
            *place = byte;
            self.used += 1;
        }
    }

    /// Adds a number in so many digits; higher ones are dropped.
    #[inline]
    pub(super) fn push_digits<const DIGITS: usize>(&mut self, mut value: u32) {
        let mut digits = [b'0'; DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
        for digit in digits {
            self.push(digit);
        }
    }

    #[inline]
    pub(super) fn as_str(&self) -> &str {
        // Only ASCII was pushed.
        self.bytes.get(..self.used).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}
