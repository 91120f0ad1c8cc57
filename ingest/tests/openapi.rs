//! The published description of the HTTP interface lists every code there is, and no other.

use std::collections::BTreeSet;

use tillrace_core::decode::Code;
use tillrace_ingest::{Problem, Reason};

const DOCUMENT: &str = include_str!("../../docs/schemas/openapi.yaml");

#[test]
fn every_code_is_published() {
    let (_, codes) = DOCUMENT.split_once("      enum:\n        - malformed_batch\n").unwrap();
    let published: BTreeSet<&str> = codes
        .lines()
        .map_while(|line| line.strip_prefix("        - "))
        .chain(["malformed_batch"])
        .collect();
    let problems = Problem::ALL.iter().map(|problem| problem.code());
    let reasons = Reason::OWN.iter().map(|reason| reason.code());
    let events = Code::ALL.iter().map(|code| code.as_str());
    let known: BTreeSet<&str> = problems.chain(reasons).chain(events).collect();
    assert_eq!(published, known);
}

/// Statuses that problems and refusals have, each described at some path.
#[test]
fn every_status_is_described() {
    let statuses = Problem::ALL.iter().map(|problem| problem.status());
    let events = Code::ALL.iter().map(|code| Reason::Event(*code).status());
    let own = Reason::OWN.iter().map(|reason| reason.status());
    for status in statuses.chain(events).chain(own) {
        let described = DOCUMENT.contains(&format!("        '{}':", status.as_u16()));
        assert!(described || status == 404, "{status} is not described");
    }
}

/// Records of refused events carry these codes, and those who read them check them against the schema.
#[test]
fn every_code_fits_the_schema_of_refused_events() {
    const SCHEMA: &str = include_str!("../../docs/schemas/rejected.v1.schema.json");
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let code_schema = jsonschema::validator_for(&schema["properties"]["code"]).unwrap();
    let events = Code::ALL.iter().map(|code| code.as_str());
    for code in events.chain(Reason::OWN.iter().map(|reason| reason.code())) {
        assert!(code_schema.is_valid(&code.into()), "{code}");
    }
    assert!(!code_schema.is_valid(&"Invalid UTF-8".into()));
}
