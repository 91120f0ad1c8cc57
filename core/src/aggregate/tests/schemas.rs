//! What is rare on the aggregator's topics, held against the published schemas: records that can not be read, further parts of a
//! day's terminals, drawers, amendments. What is common is held against them in `core/tests`.

use std::path::Path;

use serde_json::{Value, json};

use super::super::days::PART_TERMINALS;
use super::super::fixture::{DAY_MS, FRIDAY_MS, Rig, Sample};
use super::unreadable::garbage;
use crate::decode::Decoder;

/// Checks every record against a schema, which must refuse what it does not name, and what lacks anything it has.
pub(super) fn assert_follow(schema: &str, records: &[Value]) {
    let path = format!("../docs/schemas/{schema}.v1.schema.json");
    let text = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let document: Value = serde_json::from_slice(&text).unwrap();
    let options = jsonschema::options().should_validate_formats(true);
    let validator = options.build(&document).unwrap();
    for record in records {
        if let Err(error) = validator.validate(record) {
            panic!("{error} at {}: {record}", error.instance_path());
        }
        let mut more = record.clone();
        more["surplus"] = json!(1);
        assert!(!validator.is_valid(&more), "{schema} allows what it does not name");
        for member in record.as_object().unwrap().keys() {
            let mut fewer = record.clone();
            fewer.as_object_mut().unwrap().remove(member);
            assert!(!validator.is_valid(&fewer), "{schema} does not ask for {member} in {record}");
        }
    }
}

#[test]
fn records_that_can_not_be_read_follow_their_schema_for_every_reason() {
    let rig = Rig::new(1);
    let garbage = garbage();
    for (_, key, value) in &garbage {
        rig.log.append(&rig.topics.events, 0, key, value.clone(), FRIDAY_MS);
    }
    rig.log.append(&rig.topics.events, 0, "demo/1", None, FRIDAY_MS);
    rig.run();
    let kept = rig.read(&rig.topics.conflicts);
    assert_eq!(kept.len(), garbage.len() + 1);
    let details: std::collections::BTreeSet<_> =
        kept.iter().map(|record| record["detail"].as_str().unwrap()).collect();
    let every = [
        "no_envelope",
        "no_event",
        "no_release",
        "no_value",
        "other_key",
        "too_long",
        "unknown_schema",
    ];
    assert!(details.into_iter().eq(every), "a reason has no example");
    assert_follow("conflict", &kept);
}

#[test]
fn parts_of_a_day_its_drawers_and_amendments_follow_their_schema() {
    let rig = Rig::new(1);
    let terminals = 2 * PART_TERMINALS + 1;
    for terminal in 0..terminals {
        rig.accept(&Sample::sale("1", &format!("t{terminal}"), 1));
    }
    let mut later = Sample::sale("1", "t0", 2).date("2027-01-01");
    later.occurred_ms += 35 * DAY_MS;
    let declaration = Sample::sale("1", "t1", 2);
    let mut event: Value = serde_json::from_slice(&declaration.data()).unwrap();
    event["kind"] = json!("till_declaration");
    event["declarations"] = json!([{"tender": "cash", "amount": "20.00"}]);
    event["operator_id"] = json!("ann");
    event.as_object_mut().unwrap().remove("lines");
    let text = serde_json::to_vec(&event).unwrap();
    let hash = Decoder::new().decode(&text).unwrap().hash;
    rig.append(&declaration, declaration.written_as(&event, hash, &text), declaration.occurred_ms);
    let recorded = Sample::sale("1", "t2", 2);
    let mut event: Value = serde_json::from_slice(&recorded.data()).unwrap();
    event["fiscal"] = json!({"scheme": "rksv", "device": "d", "counter": 7});
    let text = serde_json::to_vec(&event).unwrap();
    let hash = Decoder::new().decode(&text).unwrap().hash;
    rig.append(&recorded, recorded.written_as(&event, hash, &text), recorded.occurred_ms);
    rig.accept(&later);
    let mut engine = rig.join();
    rig.drain(&mut engine).unwrap();
    engine.flush(rig.now).unwrap();
    let amending = Sample::sale("1", "t0", 3);
    rig.append(&amending, amending.accepted(), later.occurred_ms);
    rig.drain(&mut engine).unwrap();
    let days = rig.latest(&rig.topics.days);
    let of = |tail: &str| days.keys().filter(|key| key.contains(tail)).count();
    assert_eq!((of("/terminals/1"), of("/terminals/2"), of("/amendment/")), (1, 1, 1), "{days:?}");
    assert_eq!(of("/drawer/t1//"), 1, "{days:?}");
    let terminals_in = |key: &str| days[key]["terminals"].as_array().unwrap().len();
    assert_eq!(terminals_in("demo/1/2026-11-27"), PART_TERMINALS);
    assert_eq!(terminals_in("demo/1/2026-11-27/terminals/1"), PART_TERMINALS);
    assert_eq!(terminals_in("demo/1/2026-11-27/terminals/2"), 1);
    assert_follow("store-day", &rig.read(&rig.topics.days));
    let ledgers = rig.read(&rig.topics.ledger);
    assert!(ledgers.iter().any(|record| !record["fiscal"].is_null()), "no fiscal device");
    assert_follow("ledger", &ledgers);
}
