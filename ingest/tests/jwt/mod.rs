//! An issuer for tests: its keys, its key set, and tokens good and bad.

pub(crate) mod bad;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://issuer.example/";
pub(crate) const AUDIENCE: &str = "https://tillrace.example";
/// When the tests take place: 2026-12-01T12:00:00Z.
pub(crate) const NOW_S: i64 = 1_796_126_400;
pub(crate) const SKEW_S: i64 = 60;
pub(crate) const ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];

/// Keys of one issuer, one for each algorithm, by the ids `rs`, `ps`, `es` and `ed`.
pub(crate) struct Issuer {
    rsa: PKey<Private>,
    pss: PKey<Private>,
    ec: EcKey<Private>,
    ed: PKey<Private>,
}

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn key_id(algorithm: &str) -> &'static str {
    match algorithm {
        "RS256" => "rs",
        "PS256" => "ps",
        "ES256" => "es",
        _ => "ed",
    }
}

/// The header of a good token.
pub(crate) fn header(algorithm: &str) -> Value {
    json!({"alg": algorithm, "kid": key_id(algorithm), "typ": "at+jwt"})
}

/// The claims of a good token (RFC 9068, section 2.2).
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "till-7", "client_id": "till-7", "jti": "a1",
        "iat": NOW_S - 10, "exp": NOW_S + 600, "scope": "events:write",
    })
}

/// Claims with others added or put in their place; `null` takes one away.
pub(crate) fn claims_with(changes: Value) -> Value {
    with(claims(), changes)
}

pub(crate) fn with(mut object: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { return object };
    for (name, value) in changes {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(&name);
        } else {
            object[name] = value;
        }
    }
    object
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let rsa = || PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap();
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        Self {
            rsa: rsa(),
            pss: rsa(),
            ec: EcKey::generate(&group).unwrap(),
            ed: PKey::generate_ed25519().unwrap(),
        }
    }

    /// Its key set.
    pub(crate) fn key_set(&self) -> Value {
        let keys: Vec<Value> =
            ALGORITHMS.into_iter().map(|algorithm| self.jwk(algorithm)).collect();
        json!({"keys": keys})
    }

    pub(crate) fn jwk(&self, algorithm: &str) -> Value {
        let common = json!({"kid": key_id(algorithm), "alg": algorithm, "use": "sig"});
        let own = match algorithm {
            "RS256" | "PS256" => {
                let key = if algorithm == "RS256" { &self.rsa } else { &self.pss };
                let key = key.rsa().unwrap();
                json!({"kty": "RSA", "n": base64(key.n().to_vec()), "e": base64(key.e().to_vec())})
            }
            "ES256" => {
                let mut context = BigNumContext::new().unwrap();
                let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
                let point = self.ec.public_key();
                point.affine_coordinates(self.ec.group(), &mut x, &mut y, &mut context).unwrap();
                let [x, y] = [x, y].map(|number| base64(number.to_vec_padded(32).unwrap()));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
            _ => {
                let x = self.ed.raw_public_key().unwrap();
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64(x)})
            }
        };
        with(common, own)
    }

    /// Signs a text as an algorithm does.
    pub(crate) fn sign(&self, algorithm: &str, text: &[u8]) -> Vec<u8> {
        let sha256 = MessageDigest::sha256();
        match algorithm {
            "RS256" => Signer::new(sha256, &self.rsa).unwrap().sign_oneshot_to_vec(text).unwrap(),
            "PS256" => {
                let mut signer = Signer::new(sha256, &self.pss).unwrap();
                signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
                signer.set_rsa_mgf1_md(sha256).unwrap();
                signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
                signer.sign_oneshot_to_vec(text).unwrap()
            }
            "ES256" => {
                let digest = hash(sha256, text).unwrap();
                let signature = EcdsaSig::sign(&digest, &self.ec).unwrap();
                let halves = [signature.r(), signature.s()];
                halves.map(|half| half.to_vec_padded(32).unwrap()).concat()
            }
            "EdDSA" => {
                assert_eq!(self.ed.id(), Id::ED25519);
                Signer::new_without_digest(&self.ed).unwrap().sign_oneshot_to_vec(text).unwrap()
            }
            // With the public key as the secret, which everybody knows.
            _ => {
                let secret = self.rsa.public_key_to_pem().unwrap();
                let key = PKey::hmac(&secret).unwrap();
                Signer::new(sha256, &key).unwrap().sign_oneshot_to_vec(text).unwrap()
            }
        }
    }

    /// Makes a token of texts, whatever they are, signed as `algorithm` says.
    pub(crate) fn token_of(&self, algorithm: &str, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64(header), base64(claims));
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", base64(signature))
    }

    /// Makes a token.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let algorithm = header["alg"].as_str().unwrap_or("RS256");
        self.token_of(algorithm, &header.to_string(), &claims.to_string())
    }
}
