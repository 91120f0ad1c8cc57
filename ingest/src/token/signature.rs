//! The four algorithms that are taken, over OpenSSL.

use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{PKey, Public};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Verifier};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes of each half of an ES256 signature (RFC 7518, section 3.4).
const P256_BYTES: usize = 32;

/// An algorithm by which tokens are signed (RFC 7518, RFC 8037). There is no other: none with a shared secret, and not `none`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
pub enum TokenAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    #[serde(rename = "PS256")]
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl TokenAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// Returns its name in headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Returns the algorithm of a name, which is case-sensitive.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Tells whether a signature is that of a key, which must be of the algorithm's type.
    ///
    /// # Errors
    /// What OpenSSL says of a signature that it cannot read; it is none of the key's then.
    pub(super) fn verify(
        self,
        key: &PKey<Public>,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<bool, ErrorStack> {
        match self {
            Self::Rs256 => {
                let mut verifier = Verifier::new(MessageDigest::sha256(), key)?;
                verifier.set_rsa_padding(Padding::PKCS1)?;
                verifier.verify_oneshot(signature, signed)
            }
            Self::Ps256 => {
                let mut verifier = Verifier::new(MessageDigest::sha256(), key)?;
                verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
                verifier.set_rsa_mgf1_md(MessageDigest::sha256())?;
                verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
                verifier.verify_oneshot(signature, signed)
            }
            Self::Es256 => {
                let Some((r, s)) = signature.split_at_checked(P256_BYTES) else { return Ok(false) };
                if s.len() != P256_BYTES {
                    return Ok(false);
                }
                let (r, s) = (BigNum::from_slice(r)?, BigNum::from_slice(s)?);
                let digest = hash(MessageDigest::sha256(), signed)?;
                EcdsaSig::from_private_components(r, s)?.verify(&digest, &*key.ec_key()?)
            }
            Self::EdDsa => Verifier::new_without_digest(key)?.verify_oneshot(signature, signed),
        }
    }
}
