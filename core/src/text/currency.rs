//! ISO 4217 currencies and the exponent of their minor unit.

use std::fmt;

/// An ISO 4217 currency code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

/// Currencies whose minor unit is not a hundredth (ISO 4217 list one, 2026).
const OTHER_EXPONENTS: [([u8; 3], u32); 26] = [
    (*b"BIF", 0),
    (*b"CLP", 0),
    (*b"DJF", 0),
    (*b"GNF", 0),
    (*b"ISK", 0),
    (*b"JPY", 0),
    (*b"KMF", 0),
    (*b"KRW", 0),
    (*b"PYG", 0),
    (*b"RWF", 0),
    (*b"UGX", 0),
    (*b"UYI", 0),
    (*b"VND", 0),
    (*b"VUV", 0),
    (*b"XAF", 0),
    (*b"XOF", 0),
    (*b"XPF", 0),
    (*b"BHD", 3),
    (*b"IQD", 3),
    (*b"JOD", 3),
    (*b"KWD", 3),
    (*b"LYD", 3),
    (*b"OMR", 3),
    (*b"TND", 3),
    (*b"CLF", 4),
    (*b"UYW", 4),
];

impl Currency {
    /// Parses three upper-case letters.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let code: [u8; 3] = text.try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    /// Returns the number of decimals of the minor unit.
    pub fn exponent(self) -> u32 {
        OTHER_EXPONENTS
            .iter()
            .find(|(code, _)| *code == self.0)
            .map_or(2, |&(_, exponent)| exponent)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&letter| write!(formatter, "{}", char::from(letter)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_those_of_the_standard() {
        for (code, exponent) in [("EUR", 2), ("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)] {
            assert_eq!(Currency::parse(code.as_bytes()).unwrap().exponent(), exponent);
        }
        assert_eq!(Currency::parse(b"eur"), None);
        assert_eq!(Currency::parse(b"EURO"), None);
    }
}
