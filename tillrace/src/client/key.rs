//! API keys: `tlr_`, 43 letters and digits that nobody can guess, and six that check them.
//!
//! The beginning and the checksum let a scanner tell a leaked key from other text without asking anybody: a key matches
//! `tlr_[0-9A-Za-z]{49}`, and its last six characters are the CRC-32C of the 43 before, base 62. 43 characters of 62 hold 256 bits.

use rand::distr::{Alphanumeric, SampleString as _};

const PREFIX: &str = "tlr_";
const RANDOM_CHARACTERS: usize = 43;
const CHECK_CHARACTERS: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes a key, from the random numbers of the system.
pub(super) fn generate() -> String {
    let secret = Alphanumeric.sample_string(&mut rand::rng(), RANDOM_CHARACTERS);
    format!("{PREFIX}{secret}{}", checksum(&secret))
}

fn checksum(secret: &str) -> String {
    let mut rest = crc32c::crc32c(secret.as_bytes());
    let mut digits = [0; CHECK_CHARACTERS];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_can_be_told_from_other_text_and_no_two_are_alike() {
        let key = generate();
        let rest = key.strip_prefix(PREFIX).unwrap();
        assert_eq!(rest.len(), RANDOM_CHARACTERS + CHECK_CHARACTERS);
        assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let (secret, check) = rest.split_at(RANDOM_CHARACTERS);
        assert_eq!(checksum(secret), check);
        assert_ne!(generate(), key);
    }

    /// CRC-32C of "123456789" is 0xE3069283 (RFC 3720, appendix B.4 has the polynomial).
    #[test]
    fn the_checksum_is_that_of_castagnoli_in_base_62() {
        let number = checksum("123456789").bytes().fold(0_u64, |sum, byte| {
            sum * 62 + DIGITS.iter().position(|digit| *digit == byte).unwrap() as u64
        });
        assert_eq!(number, 0xE306_9283);
    }
}
