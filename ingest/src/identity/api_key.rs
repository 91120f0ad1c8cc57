//! API keys: `tlr_`, 43 characters that hold 256 random bits, and 6 that check them.
//!
//! All 49 are digits or letters, so that a double click takes the whole key, and `tlr_[0-9A-Za-z]{49}` is what a scanner for
//! leaked secrets looks for. The last six are the CRC-32C (RFC 3720, section 12.1) of the 43 before them, in base 62, so
//! that a scanner can tell a key from a likeness. They guard against typing errors and protect nothing.
//!
//! A key is stored as its SHA-256 only. 256 random bits need no salt and no slow hash: there is no list of them to try.

use openssl::rand::rand_bytes;
use sha2::{Digest, Sha256};

/// What every key begins with.
pub const PREFIX: &str = "tlr_";

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SECRET_BYTES: usize = 32;
/// 62^43 is more than 2^256.
const SECRET_DIGITS: usize = 43;
/// 62^6 is more than 2^32.
const CHECK_DIGITS: usize = 6;

/// A new API key. It has no `Debug` that shows it, and is to be shown once.
pub struct GeneratedKey {
    /// The key itself.
    pub secret: String,
    /// What is stored of it: `sha256:` and 64 hexadecimal digits.
    pub hash: String,
}

impl std::fmt::Debug for GeneratedKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GeneratedKey").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// The system has no random numbers to give.
#[derive(Debug, thiserror::Error)]
#[error("failed to make an API key: the system gave no random numbers; try again")]
pub struct RandomError(#[from] openssl::error::ErrorStack);

/// Makes a new API key.
///
/// # Errors
/// [`RandomError`] when the system gives no random numbers.
pub fn generate() -> Result<GeneratedKey, RandomError> {
    let mut secret = [0; SECRET_BYTES];
    rand_bytes(&mut secret)?;
    let key = spell(secret);
    Ok(GeneratedKey { hash: hash_key(&key), secret: key })
}

/// Returns what is stored of an API key: `sha256:` and 64 hexadecimal digits.
pub fn hash_key(key: &str) -> String {
    use std::fmt::Write;
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(key.as_bytes()) {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

/// Tells whether a text has the shape of a key, with the check that belongs to it.
pub fn is_well_formed(text: &str) -> bool {
    let Some(digits) = text.strip_prefix(PREFIX) else { return false };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric();
    if digits.len() != SECRET_DIGITS + CHECK_DIGITS || !digits.as_bytes().iter().all(is_digit) {
        return false;
    }
    let (secret, check) = digits.split_at(SECRET_DIGITS);
    check == check_of(secret)
}

fn spell(secret: [u8; SECRET_BYTES]) -> String {
    let secret = base62(&secret, SECRET_DIGITS);
    let check = check_of(&secret);
    format!("{PREFIX}{secret}{check}")
}

fn check_of(text: &str) -> String {
    base62(&crc32c::crc32c(text.as_bytes()).to_be_bytes(), CHECK_DIGITS)
}

/// Writes a number, its most significant byte first, in `length` digits of base 62.
fn base62(number: &[u8], length: usize) -> String {
    let mut rest = number.to_vec();
    let mut digits = Vec::with_capacity(length);
    for _ in 0..length {
        let mut remainder = 0_u32;
        for byte in &mut rest {
            let dividend = remainder * 256 + u32::from(*byte);
            // A remainder below 62 leaves a quotient below 256.
            *byte = u8::try_from(dividend / 62).unwrap_or(u8::MAX);
            remainder = dividend % 62;
        }
        digits.push(DIGITS.get(remainder as usize).copied().unwrap_or(b'0'));
    }
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_key_is_its_sha_256() {
        assert_eq!(
            hash_key("abc"),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_key_has_the_shape_that_scanners_know() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one.secret, other.secret);
        assert_eq!((one.secret.len(), one.hash), (53, hash_key(&one.secret)));
        assert!(is_well_formed(&one.secret) && is_well_formed(&other.secret));
        assert!(!format!("{other:?}").contains(&other.secret));
    }

    #[test]
    fn the_ends_of_the_range_are_spelled_in_full() {
        let least = spell([0; SECRET_BYTES]);
        assert!(least.starts_with(&format!("tlr_{}", "0".repeat(43))), "{least}");
        let most = spell([0xff; SECRET_BYTES]);
        assert!(is_well_formed(&least) && is_well_formed(&most) && most.len() == 53);
        assert_eq!(base62(&62_u32.pow(2).to_be_bytes(), 4), "0100");
    }

    /// CRC-32C of "123456789" is 0xE3069283 (RFC 3720, appendix B.4 has the polynomial).
    #[test]
    fn the_check_is_that_of_castagnoli_in_base_62() {
        let number = check_of("123456789").bytes().fold(0_u64, |sum, byte| {
            sum * 62 + DIGITS.iter().position(|digit| *digit == byte).unwrap() as u64
        });
        assert_eq!(number, 0xE306_9283);
    }

    #[test]
    fn a_typing_error_is_seen() {
        let key = spell([7; SECRET_BYTES]);
        for place in PREFIX.len()..key.len() {
            let mut typed = key.clone().into_bytes();
            typed[place] = if typed[place] == b'a' { b'b' } else { b'a' };
            assert!(!is_well_formed(&String::from_utf8(typed).unwrap()), "{place}");
        }
        for likeness in ["", "tlr_", &key[1..], &key[..52], &format!("{key}0"), "tlr_é"] {
            assert!(!is_well_formed(likeness), "{likeness}");
        }
    }
}
