//! Any bytes: the decoder never panics, what it accepts is JSON to another parser too, and written
//! again by that parser it has the same content hash.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tillrace_core::card::CardRules;
use tillrace_core::decode::{RejectCode, Decoder};

fuzz_target!(|text: &[u8]| {
    let mut decoder = Decoder::new();
    let admitted = decoder.admit(text, &CardRules::default()).map(|event| event.hash);
    let decoded = decoder.decode(text).map(|event| event.hash);
    match (&admitted, &decoded) {
        (Ok(one), Ok(other)) => assert_eq!(one, other),
        (Err(rejection), _) => assert!(
            decoded.is_err() || matches!(rejection.code, RejectCode::CardData | RejectCode::AuthenticationData)
        ),
        (Ok(_), Err(rejection)) => panic!("admitted, then {rejection}"),
    }
    if let Ok(hash) = decoded {
        let value: Value = serde_json::from_slice(text).expect("what decodes is JSON");
        let again = decoder.decode(value.to_string().as_bytes()).expect("written again it decodes");
        assert_eq!(again.hash, hash);
    }
});
