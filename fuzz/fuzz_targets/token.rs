//! Any bytes as a token and as a key set: neither panics, what is read is within bounds, and none is taken by keys that signed nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tillrace_ingest::token::{
    KeySet, MAX_TOKEN_BYTES, TokenAlgorithm, TokenProfile, TokenRules, UnverifiedToken,
};

/// The public key of RFC 8037, appendix A.2, whose private half no input was signed with.
const KEYS: &[u8] =
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(keys) = KeySet::parse(bytes) {
        let (usable, skipped) = keys.counts();
        assert!(usable + skipped <= 64);
    }
    let Ok(token) = UnverifiedToken::parse(bytes) else { return };
    assert!(bytes.len() <= MAX_TOKEN_BYTES);
    assert_eq!(bytes.iter().filter(|byte| **byte == b'.').count(), 2);
    for profile in [
        TokenProfile::Rfc9068,
        TokenProfile::EntraId,
        TokenProfile::Cognito,
        TokenProfile::Keycloak,
    ] {
        let rules = TokenRules {
            issuer: token.claimed_issuer().unwrap_or_default().to_owned(),
            audiences: vec!["a".to_owned()],
            profile,
            algorithms: TokenAlgorithm::ALL.to_vec(),
            skew_s: 60,
        };
        let _verdict = rules.check(&token, 1_796_126_400);
    }
    let keys = KeySet::parse(KEYS).expect("a sound set");
    if let Ok(key) = keys.key_of(&token) {
        assert!(key.verify(token).is_err(), "a signature was made without its key");
    }
});
