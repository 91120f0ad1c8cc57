//! The keys of an issuer, from its JWK set (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Rsa;
use serde_json::{Map, Value};

use super::claims::Claims;
use super::fault::TokenFault;
use super::parse::UnverifiedToken;
use super::signature::TokenAlgorithm;
use super::strict_json;

/// Largest key set that is read, bytes.
pub(super) const MAX_SET_BYTES: usize = 256 * 1024;
/// Most keys of an issuer.
const MAX_KEYS: usize = 64;
/// Sizes of RSA keys that are taken, bits: smaller ones are weak, larger ones cost too much to verify by.
const RSA_BITS: std::ops::RangeInclusive<i32> = 2_048..=8_192;
/// Largest public exponent, bits: verifying costs as many steps.
const MAX_EXPONENT_BITS: i32 = 32;

/// The keys of an issuer that tokens can be verified by.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<VerifyingKey>,
    skipped: usize,
}

/// One key, with what it is for.
#[derive(Clone)]
pub struct VerifyingKey {
    id: Option<String>,
    /// The only algorithms that it is for.
    algorithms: Vec<TokenAlgorithm>,
    key: PKey<Public>,
}

/// A text that is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is longer than 256 KiB.
    #[error("the key set is longer than 256 KiB")]
    TooLarge,
    /// It is no JSON object with an array `keys`.
    #[error("the key set is no JSON object with an array `keys`, or names a member twice")]
    Malformed,
    /// It has more keys than are taken.
    #[error("the key set has more than 64 keys")]
    TooMany,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("VerifyingKey")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

impl KeySet {
    /// Reads a key set. Keys that cannot verify a token are skipped: other types and curves, other uses, shared secrets, weak
    /// ones, those that are no point of their curve, and all of one id for the same algorithm.
    ///
    /// # Errors
    /// [`KeySetError`] for a text that is no key set.
    pub fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        if text.len() > MAX_SET_BYTES {
            return Err(KeySetError::TooLarge);
        }
        let set = strict_json::object(text).ok_or(KeySetError::Malformed)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(KeySetError::Malformed)?;
        if listed.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let read: Vec<VerifyingKey> =
            listed.iter().filter_map(|key| VerifyingKey::of(key.as_object()?)).collect();
        let is_alone =
            |one: &&VerifyingKey| read.iter().filter(|other| one.clashes(other)).count() == 1;
        let keys: Vec<_> = read.iter().filter(is_alone).cloned().collect();
        Ok(Self { skipped: listed.len() - keys.len(), keys })
    }

    /// Returns the number of keys that can be used, and of those that were skipped.
    pub fn counts(&self) -> (usize, usize) {
        (self.keys.len(), self.skipped)
    }

    /// Tells whether some key has an id.
    pub(super) fn has_id(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// Finds the key of a token. One without a key id is taken only where the issuer has a single key for its algorithm.
    ///
    /// # Errors
    /// [`TokenFault::UnknownKey`] without such a key.
    pub fn key_of(&self, token: &UnverifiedToken<'_>) -> Result<&VerifyingKey, TokenFault> {
        let is_for = |key: &&VerifyingKey| {
            key.algorithms.contains(&token.algorithm)
                && token.key_id.as_ref().is_none_or(|id| key.id.as_ref() == Some(id))
        };
        let mut found = self.keys.iter().filter(is_for);
        match (found.next(), found.next()) {
            (Some(key), None) => Ok(key),
            _ => Err(TokenFault::UnknownKey),
        }
    }
}

impl VerifyingKey {
    /// Verifies a token's signature, which is the one costly step.
    ///
    /// # Errors
    /// [`TokenFault::Signature`] if it is not this key's, [`TokenFault::UnknownKey`] if the key is for other algorithms.
    pub fn verify(&self, token: UnverifiedToken<'_>) -> Result<Claims, TokenFault> {
        if !self.algorithms.contains(&token.algorithm) {
            return Err(TokenFault::UnknownKey);
        }
        match token.algorithm.verify(&self.key, token.signed, &token.signature) {
            Ok(true) => Ok(token.claims),
            // OpenSSL reports signatures that cannot be read as errors; its queue is emptied by that.
            Ok(false) | Err(_) => Err(TokenFault::Signature),
        }
    }

    fn of(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let is_for_signatures = jwk.get("use").is_none_or(|usage| usage == "sig");
        let verifies = |operations: &Value| {
            operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"))
        };
        if !is_for_signatures || !jwk.get("key_ops").is_none_or(verifies) || jwk.contains_key("d") {
            return None;
        }
        let (key, of_type): (_, &[TokenAlgorithm]) = match (text("kty")?, text("crv")) {
            ("RSA", None) => {
                (rsa(&bytes("n")?, &bytes("e")?)?, &[TokenAlgorithm::Rs256, TokenAlgorithm::Ps256])
            }
            ("EC", Some("P-256")) => (p256(&bytes("x")?, &bytes("y")?)?, &[TokenAlgorithm::Es256]),
            ("OKP", Some("Ed25519")) => {
                let key = PKey::public_key_from_raw_bytes(&bytes("x")?, Id::ED25519).ok()?;
                (key, &[TokenAlgorithm::EdDsa])
            }
            _ => return None,
        };
        let algorithms = match jwk.get("alg") {
            None => of_type.to_vec(),
            // RFC 9864 names the curve in place of EdDSA.
            Some(Value::String(name)) if name == "Ed25519" => vec![TokenAlgorithm::EdDsa],
            Some(name) => vec![TokenAlgorithm::named(name.as_str()?)?],
        };
        if !algorithms.iter().all(|algorithm| of_type.contains(algorithm)) {
            return None;
        }
        let id = match jwk.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        Some(Self { id, algorithms, key })
    }

    /// Tells whether two keys answer to one id and algorithm, as every key does with itself.
    fn clashes(&self, other: &Self) -> bool {
        self.id == other.id && self.algorithms.iter().any(|one| other.algorithms.contains(one))
    }
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<PKey<Public>> {
    let (modulus, exponent) =
        (BigNum::from_slice(modulus).ok()?, BigNum::from_slice(exponent).ok()?);
    let is_sound = RSA_BITS.contains(&modulus.num_bits())
        && (2..=MAX_EXPONENT_BITS).contains(&exponent.num_bits())
        && exponent.is_bit_set(0);
    if !is_sound {
        return None;
    }
    PKey::from_rsa(Rsa::from_public_components(modulus, exponent).ok()?).ok()
}

fn p256(x: &[u8], y: &[u8]) -> Option<PKey<Public>> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).ok()?;
    let (x, y) = (BigNum::from_slice(x).ok()?, BigNum::from_slice(y).ok()?);
    // OpenSSL refuses what is no point of the curve.
    PKey::from_ec_key(EcKey::from_public_key_affine_coordinates(&group, &x, &y).ok()?).ok()
}
