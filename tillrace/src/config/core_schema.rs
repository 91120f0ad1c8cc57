//! What a plain scalar stands for by the core schema of YAML 1.2 (section 10.3); in quotes it is text.

use super::node::Scalar;

/// A whole number by the core schema.
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
}

impl Scalar {
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<Number> {
        let text = self.text.as_str();
        let digits = |digits: &str, radix| {
            let sound =
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
            sound.then(|| u64::from_str_radix(digits, radix).ok()).flatten()
        };
        if !self.plain {
            None
        } else if let Some(octal) = text.strip_prefix("0o") {
            digits(octal, 8).map(Number::Unsigned)
        } else if let Some(hexadecimal) = text.strip_prefix("0x") {
            digits(hexadecimal, 16).map(Number::Unsigned)
        } else if let Some(negative) = text.strip_prefix('-') {
            let sound = negative.bytes().all(|byte| byte.is_ascii_digit());
            sound.then(|| text.parse().ok()).flatten().map(Number::Signed)
        } else {
            digits(text.strip_prefix('+').unwrap_or(text), 10).map(Number::Unsigned)
        }
    }

    pub(super) fn float(&self) -> Option<f64> {
        let is_float = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        let is_float = self.plain && self.text.bytes().all(is_float);
        is_float.then(|| self.text.parse().ok()).flatten()
    }
}
