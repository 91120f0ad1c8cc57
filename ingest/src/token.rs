//! JSON Web Tokens as proof of who calls: what a token must be, and by which keys it is verified.
//!
//! Pure: no request is made and no clock is read here. A token is read strictly ([`UnverifiedToken`]), which costs no
//! cryptography; its claims are held against the rules of an issuer ([`TokenRules`]); and only then is its signature verified,
//! once and by one key ([`KeySet`]), which the issuer is asked for with measure ([`KeyCache`]). JWS compact serialisation (RFC 7515), JWK sets (RFC 7517), JWT (RFC 7519, with the advice
//! of RFC 8725), access tokens (RFC 9068), Ed25519 (RFC 8037).

mod claims;
mod fault;
mod key_cache;
mod key_set;
mod parse;
mod rules;
mod signature;
mod strict_json;

pub use claims::Claims;
pub use fault::TokenFault;
pub use key_cache::{FetchPermit, KeyCache, KeyCacheTimes, KeyLookup};
pub use key_set::{KeySet, KeySetError, VerifyingKey};
pub use parse::{MAX_TOKEN_BYTES, UnverifiedToken};
pub use rules::{TokenProfile, TokenRules};
pub use signature::TokenAlgorithm;
