//! Loyalty ids as keyed hashes, for tenants that ask for it: replaced before anything stores them.
//!
//! The hash is HMAC-SHA-256 (RFC 2104) under the tenant's secret, cut to 128 bits, so that one
//! customer stays one customer without the log knowing whom. Replacing works on the text of an
//! event that the decoder has accepted: the member is found at the top level by brackets and
//! quotes, and nothing else of the text changes.

use std::ops::Range;

use sha2::{Digest, Sha256};

const BLOCK_BYTES: usize = 64;
const MEMBER: &str = "loyalty_id";

/// A tenant's keyed hash of loyalty ids.
#[derive(Clone)]
pub(crate) struct LoyaltyHash {
    inner: Sha256,
    outer: Sha256,
}

impl std::fmt::Debug for LoyaltyHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LoyaltyHash").finish_non_exhaustive()
    }
}

impl LoyaltyHash {
    /// Takes the tenant's secret.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let mut key = [0_u8; BLOCK_BYTES];
        if secret.len() > BLOCK_BYTES {
            key[..32].copy_from_slice(&Sha256::digest(secret));
        } else {
            key[..secret.len()].copy_from_slice(secret);
        }
        let keyed = |pad: u8| Sha256::new_with_prefix(key.map(|byte| byte ^ pad));
        Self { inner: keyed(0x36), outer: keyed(0x5c) }
    }

    fn mac(&self, message: &[u8]) -> [u8; 32] {
        let inner = self.inner.clone().chain_update(message).finalize();
        self.outer.clone().chain_update(inner).finalize().into()
    }

    /// Returns the text with its loyalty id `id` hashed, or `None` where the member is not found.
    pub(crate) fn replace(&self, text: &[u8], id: &str) -> Option<Vec<u8>> {
        let place = member_value(text, MEMBER)?;
        let hash = self.mac(id.as_bytes());
        let mut replaced = Vec::with_capacity(text.len() + 64);
        replaced.extend_from_slice(&text[..place.start]);
        replaced.extend_from_slice(b"\"lh1-");
        for byte in &hash[..16] {
            replaced.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
        replaced.push(b'"');
        replaced.extend_from_slice(&text[place.end..]);
        Some(replaced)
    }
}

/// Finds the string value of a top-level member in the text of a valid JSON object.
fn member_value(text: &[u8], member: &str) -> Option<Range<usize>> {
    let mut depth = 0_u32;
    let mut is_key = false;
    let mut found_key = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                let end = string_end(text, at)?;
                if depth == 1 && found_key {
                    return Some(at..end);
                }
                if depth == 1 && is_key {
                    let key: String = serde_json::from_slice(text.get(at..end)?).ok()?;
                    found_key = key == member;
                    is_key = false;
                }
                at = end;
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                is_key = depth == 1;
            }
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 1 => is_key = true,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Returns the place after the string that begins at `quote`.
fn string_end(text: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Test cases 2 and 6 of RFC 4231.
    #[test]
    fn the_hash_is_hmac_sha_256() {
        assert_eq!(
            hex(&LoyaltyHash::new(b"Jefe").mac(b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let long = LoyaltyHash::new(&[0xaa; 131]);
        assert_eq!(
            hex(&long.mac(b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn only_the_top_level_member_is_replaced() {
        let hash = LoyaltyHash::new(b"secret");
        let text = br#"{"a":{"loyalty_id":"x"},"b":"loyalty_id","l":[{"loyalty_id":"x"}], "loyalty\u005fid" : "x\"7" ,"z":1}"#;
        let replaced = hash.replace(text, "x\"7").unwrap();
        let token = format!("\"lh1-{}\"", hex(&hash.mac(b"x\"7")[..16]));
        let expected = String::from_utf8_lossy(text).replace(r#""x\"7""#, &token);
        assert_eq!(String::from_utf8(replaced).unwrap(), expected);
        assert_eq!(hash.replace(br#"{"b":1}"#, "x"), None);
        assert_ne!(hash.mac(b"x"), LoyaltyHash::new(b"other").mac(b"x"));
    }
}
