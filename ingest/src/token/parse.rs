//! A token before anything of it is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::claims::Claims;
use super::fault::TokenFault;
use super::signature::TokenAlgorithm;
use super::strict_json;

/// Longest token. Tokens of real issuers have one to three KiB.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Longest key id that is looked up.
const MAX_KEY_ID_BYTES: usize = 256;
/// Members of a header that would let its sender choose the key, or how the signature is read.
const REFUSED_MEMBERS: [&str; 7] = ["jwk", "jku", "x5c", "x5u", "crit", "b64", "zip"];

/// A token that was read and not verified.
#[derive(Clone)]
pub struct UnverifiedToken<'a> {
    /// What is signed: header and claims as they came.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    pub(super) algorithm: TokenAlgorithm,
    pub(super) key_id: Option<String>,
    /// The media type of the whole, in small letters and without `application/`.
    pub(super) media_type: Option<String>,
    pub(super) claims: Claims,
}

impl std::fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("UnverifiedToken")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl<'a> UnverifiedToken<'a> {
    /// Reads a token in compact form (RFC 7515, section 3.1). No cryptography is done.
    ///
    /// # Errors
    /// The [`TokenFault`] of what is no such token, is too long, or has a header that is not taken.
    pub fn parse(token: &'a [u8]) -> Result<Self, TokenFault> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenFault::TooLarge);
        }
        let dots: Vec<usize> =
            token.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at).collect();
        let (first, second) = match dots.as_slice() {
            [first, second] => (*first, *second),
            // Five parts are an encrypted token (RFC 7516, section 3.1).
            [_, _, _, _] => return Err(TokenFault::Nested),
            _ => return Err(TokenFault::Malformed),
        };
        let part = |from: usize, to: usize| {
            let text = token.get(from..to).ok_or(TokenFault::Malformed)?;
            URL_SAFE_NO_PAD.decode(text).ok().ok_or(TokenFault::Malformed)
        };
        let header = strict_json::object(&part(0, first)?).ok_or(TokenFault::Malformed)?;
        let (algorithm, key_id, media_type) = read_header(&header)?;
        let claims = part(first + 1, second)?;
        let claims = strict_json::object(&claims).ok_or(TokenFault::Malformed)?;
        Ok(Self {
            signed: token.get(..second).ok_or(TokenFault::Malformed)?,
            signature: part(second + 1, token.len())?,
            algorithm,
            key_id,
            media_type,
            claims: Claims(claims),
        })
    }

    /// Returns its algorithm.
    pub fn algorithm(&self) -> TokenAlgorithm {
        self.algorithm
    }

    /// Returns the id of the key that it says it was signed with.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Returns the issuer that it names, by which its rules are found; nothing is proved by it.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.claims.text("iss")
    }
}

type Header = (TokenAlgorithm, Option<String>, Option<String>);

fn read_header(header: &Map<String, Value>) -> Result<Header, TokenFault> {
    if header.contains_key("enc") {
        return Err(TokenFault::Nested);
    }
    if REFUSED_MEMBERS.iter().any(|member| header.contains_key(*member)) {
        return Err(TokenFault::Header);
    }
    let nested = |cty: &Value| cty.as_str().is_none_or(|cty| bare(cty) == "jwt");
    if header.get("cty").is_some_and(nested) {
        return Err(TokenFault::Nested);
    }
    let name = header.get("alg").and_then(Value::as_str).ok_or(TokenFault::Algorithm)?;
    let algorithm = TokenAlgorithm::named(name).ok_or(TokenFault::Algorithm)?;
    let text = |member: &str| match header.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TokenFault::Malformed),
    };
    let key_id = text("kid")?;
    if key_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_KEY_ID_BYTES) {
        return Err(TokenFault::UnknownKey);
    }
    Ok((algorithm, key_id, text("typ")?.map(|media_type| bare(&media_type))))
}

/// A media type without the `application/` that may be left out (RFC 7515, section 4.1.9).
fn bare(media_type: &str) -> String {
    let small = media_type.to_ascii_lowercase();
    small.strip_prefix("application/").map(str::to_owned).unwrap_or(small)
}
