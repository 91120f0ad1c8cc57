//! Who a client proved to be by its certificate, and keys that are taken from nobody else.

use std::fmt;
use std::str::FromStr;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::x509::X509Ref;
use schemars::JsonSchema;
use serde::Deserialize;
use tillrace_log::setting::Inspection;

/// A client whose certificate was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerIdentity {
    /// DNS names, URIs and addresses of mail among its subject alternative names.
    names: Vec<String>,
    fingerprint: Fingerprint,
}

/// SHA-256 of a certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", inline)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no fingerprint: write sha256: and the 64 hexadecimal digits of the certificate's SHA-256"
)]
pub struct FingerprintError;

/// The client certificate without which a key is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateBinding {
    /// A DNS name, URI or address of mail that must be among its subject alternative names, as it stands there.
    #[serde(default)]
    pub san: Option<String>,
    /// `sha256:` and the SHA-256 of the certificate in hexadecimal digits, as `openssl x509 -fingerprint -sha256` has them, with
    /// colons or without.
    #[serde(default)]
    pub fingerprint: Option<Fingerprint>,
}

impl PeerIdentity {
    /// Takes it from a certificate that OpenSSL has verified.
    pub(super) fn of(certificate: &X509Ref) -> Result<Self, ErrorStack> {
        let digest = certificate.digest(MessageDigest::sha256())?;
        let mut fingerprint = [0; 32];
        for (byte, of_digest) in fingerprint.iter_mut().zip(digest.iter()) {
            *byte = *of_digest;
        }
        let names = certificate.subject_alt_names();
        let names = names.iter().flatten().filter_map(|name| {
            name.dnsname().or_else(|| name.uri()).or_else(|| name.email()).map(str::to_owned)
        });
        Ok(Self { names: names.collect(), fingerprint: Fingerprint(fingerprint) })
    }
}

impl CertificateBinding {
    /// Tells whether a client is the one that is meant.
    pub(crate) fn admits(&self, identity: Option<&PeerIdentity>) -> bool {
        let Some(identity) = identity else { return false };
        let has_name =
            |san: &String| identity.names.iter().any(|name| name.eq_ignore_ascii_case(san));
        self.san.as_ref().is_none_or(has_name)
            && self.fingerprint.is_none_or(|fingerprint| fingerprint == identity.fingerprint)
    }

    /// Notes what the types cannot say.
    pub(crate) fn inspect(&self, found: &mut Inspection) {
        found.require(
            self.san.is_some() || self.fingerprint.is_some(),
            "",
            "names no certificate",
            "give it a san, a fingerprint or both",
        );
        let is_blank = self.san.as_ref().is_some_and(|san| san.trim().is_empty());
        found.require(!is_blank, "san", "is blank", "write the name, or remove it");
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits = text.strip_prefix("sha256:").ok_or(FingerprintError)?.replace(':', "");
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(FingerprintError);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().as_chunks::<2>().0) {
            let pair = std::str::from_utf8(pair).ok().ok_or(FingerprintError)?;
            *byte = u8::from_str_radix(pair, 16).ok().ok_or(FingerprintError)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, FingerprintError> {
        text.parse()
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> PeerIdentity {
        let names = vec!["till-7.example.com".to_owned(), "spiffe://acme/till/7".to_owned()];
        PeerIdentity { names, fingerprint: Fingerprint([0xab; 32]) }
    }

    #[test]
    fn a_fingerprint_is_read_as_openssl_writes_it() {
        let plain = format!("sha256:{}", "ab".repeat(32));
        let colons = format!("sha256:{}", ["AB"; 32].join(":"));
        assert_eq!(plain.parse(), Ok(identity().fingerprint));
        assert_eq!(colons.parse(), Ok(identity().fingerprint));
        assert_eq!(format!("{:?}", identity().fingerprint), plain);
        for text in ["", "sha256:", "ab", "sha256:+a", &plain[..70], &format!("{plain}0")] {
            assert_eq!(text.parse::<Fingerprint>(), Err(FingerprintError), "{text}");
        }
    }

    #[test]
    fn all_that_a_binding_names_must_fit() {
        let other = Fingerprint([0; 32]);
        let own = identity().fingerprint;
        for (san, fingerprint, admits) in [
            (Some("till-7.example.com"), None, true),
            (Some("TILL-7.example.com"), None, true),
            (Some("spiffe://acme/till/7"), Some(own), true),
            (Some("till-8.example.com"), Some(own), false),
            (Some("example.com"), None, false),
            (None, Some(own), true),
            (None, Some(other), false),
            (Some("till-7.example.com"), Some(other), false),
        ] {
            let binding = CertificateBinding { san: san.map(str::to_owned), fingerprint };
            assert_eq!(binding.admits(Some(&identity())), admits, "{binding:?}");
            assert!(!binding.admits(None), "{binding:?}");
        }
    }
}
