//! The cases of `JSONTestSuite`, as `core/tests/json_test_suite/fetch` brings them: every text that
//! must be refused is, every text that must be accepted is, and both decoders say the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its cases has failed")]

use std::io::Write as _;

use serde::Deserialize;
use tillrace_core::decode::{Decoder, RejectCode};

const EVENT: &str = r#"{"store":"1","terminal":"2","sequence":3,"event_id":"4","kind":"void","occurred_at":"2026-11-27T08:15:30Z","business_date":"2026-11-27","lines":[{"line":1,"type":"sale","sku":"5","quantity":"1"}]}"#;

#[derive(Deserialize)]
struct Case {
    name: String,
    input: String,
}

/// Reads the cases; without them it says so, and fails where CI is set.
fn cases() -> Option<Vec<Case>> {
    let Some(file) = std::env::var_os("TILLRACE_JSON_TEST_SUITE") else {
        const MISSING: &str = "NOT RUN: JSONTestSuite, TILLRACE_JSON_TEST_SUITE is not set";
        assert!(std::env::var_os("CI").is_none(), "{MISSING}");
        writeln!(std::io::stderr().lock(), "{MISSING}").unwrap();
        return None;
    };
    let text = std::fs::read_to_string(file).unwrap();
    let json = text.split_once("export default").unwrap().1.trim_end().trim_end_matches(';');
    Some(serde_json::from_str(json).unwrap())
}

/// Puts a text where an unknown member stands, and where each kind of known one does.
fn events(input: &str) -> Vec<String> {
    vec![
        input.to_owned(),
        EVENT.replacen('{', &format!("{{\"x\":{input},"), 1),
        format!("{},\"x\":{input}}}", EVENT.strip_suffix('}').unwrap()),
        EVENT.replacen("\"1\"", input, 1),
        EVENT.replacen('3', input, 1),
        EVENT.replacen("\"void\"", &format!("\"void\",\"blind\":{input}"), 1),
        EVENT.replacen("\"void\"", &format!("\"void\",\"reference\":{input}"), 1),
        EVENT.replacen("[{", &format!("[{input},{{"), 1),
        format!("{},\"tenders\":{input}}}", EVENT.strip_suffix('}').unwrap()),
    ]
}

#[test]
fn every_case_is_judged_as_it_must_be_and_alike() {
    let Some(cases) = cases() else { return };
    assert!(cases.len() > 300, "{}", cases.len());
    let mut reference = Decoder::reference();
    for Case { name, input } in cases {
        for event in events(&input) {
            let mut decoder = Decoder::new();
            assert!(decoder.decode(EVENT.as_bytes()).is_ok());
            let text = event.as_bytes();
            assert_eq!(decoder.decode(text), reference.decode(text), "{name}: {event}");
        }
        let unknown = &events(&input)[2];
        let code =
            reference.decode(unknown.as_bytes()).map(drop).map_err(|rejection| rejection.code);
        match name.split('_').next() {
            // JSON leaves names that occur twice open; an event may not have them.
            Some("y") => {
                assert!(matches!(code, Ok(()) | Err(RejectCode::DuplicateMember)), "{name}");
            }
            Some("n") => assert!(code.unwrap_err().is_malformed(), "{name}"),
            _ => {}
        }
    }
}
