//! What the generator calls good is good by the published JSON Schema of events.

#![allow(clippy::unwrap_used, reason = "a test")]

use serde_json::Value;
use tillrace_loadtest::fleet::{Fleet, FleetSettings};
use tillrace_loadtest::source::{ExpectedOutcome, Source as _};

const SCHEMA: &str = include_str!("../../docs/schemas/event.v1.schema.json");

#[test]
fn every_good_event_obeys_the_published_schema() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut fleet = Fleet::new(FleetSettings {
        stores: 20,
        skus: 300,
        epoch: Some("e1".to_owned()),
        events: Some(30_000),
        bad: 0.02,
        parked: 0.01,
        ..FleetSettings::default()
    });
    let (mut text, mut effects) = (Vec::new(), Vec::new());
    let mut kinds = std::collections::BTreeSet::new();
    while let Some(planned) = fleet.next(&mut text, &mut effects) {
        if planned.expected == ExpectedOutcome::Accepted {
            let event: Value = serde_json::from_slice(&text).unwrap();
            let faults: Vec<String> =
                validator.iter_errors(&event).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{faults:?}\n{event}");
            kinds.insert(event["kind"].as_str().unwrap().to_owned());
        }
        text.clear();
    }
    assert_eq!(kinds.len(), 36, "{kinds:?}");
}
