//! Parked events that the real aggregator wrote, recounted; then the same log with one thing about them changed.

use bytes::Bytes;
use serde_json::{Value, json};
use tillrace_log::testing::MemoryLog;
use tillrace_log::{ConsumerRecord, Offset, Topic};
use xxhash_rust::xxh3::xxh3_128;

use super::engine::{Gateway, NOON_MS, PARTITIONS, aggregate, blank, copied, recount};
use super::failing;
use super::world::World;
use crate::decode::Decoder;
use crate::envelope::{Envelope, ParkedMark, Readmission, TYPE_DISMISS, TYPE_PARKED};
use crate::topics::{Topics, partition_of};

const STORE: &str = "north";
const TEXT: &[u8] = br#"{"kind":"tip_jar"}"#;

fn park(gateway: &Gateway, sequence: u64) -> Offset {
    let mut value = Vec::new();
    Envelope {
        terminal: Some("1".into()),
        sequence: Some(sequence),
        event_id: Some(format!("1-{sequence}").into()),
        data_hash: Some(xxh3_128(TEXT)),
        parked: Some(ParkedMark { code: "unknown_kind".into(), pointer: "/kind".into() }),
        ..blank(STORE, TYPE_PARKED, TEXT)
    }
    .write(&mut value);
    gateway.publish(STORE, value)
}

fn readmit(gateway: &Gateway, sequence: u64, offset: Offset) {
    let sale = gateway.sale(STORE, "1", sequence);
    let data = serde_json::to_vec(&sale).unwrap();
    let text = |member: &str| sale[member].as_str().unwrap().to_owned().into();
    let mut value = Vec::new();
    Envelope {
        terminal: Some("1".into()),
        sequence: Some(sequence),
        event_id: Some(text("event_id")),
        time: Some(text("occurred_at")),
        business_date: Some(text("business_date")),
        content_hash: Some(Decoder::new().decode(&data).unwrap().hash),
        data_hash: Some(xxh3_128(&data)),
        readmission: Some(Readmission { offset, text_hash: xxh3_128(TEXT) }),
        ..blank(STORE, "tillrace.pos.sale", &data)
    }
    .write(&mut value);
    gateway.publish(STORE, value);
}

fn dismiss(gateway: &Gateway, order: &Value) {
    let order = serde_json::to_vec(order).unwrap();
    let mut value = Vec::new();
    blank(STORE, TYPE_DISMISS, &order).write(&mut value);
    gateway.publish(STORE, value);
}

/// A store with a parked number, a readmitted one, and two that were dismissed.
fn world() -> World {
    let topics = Topics::new("");
    let log = MemoryLog::new(PARTITIONS);
    log.assign(&[0, 1], 0);
    let mut gateway = Gateway {
        topics: topics.clone(),
        log: log.clone(),
        decoder: Decoder::new(),
        now_ms: NOON_MS,
    };
    for sequence in [1, 6] {
        let sale = gateway.sale(STORE, "1", sequence);
        gateway.event(&sale, crate::envelope::Scope::Terminal, None);
    }
    let parked = [2, 3, 4].map(|sequence| park(&gateway, sequence));
    gateway.refusal(STORE, 5);
    let partition = partition_of("acme", STORE, PARTITIONS);
    dismiss(&gateway, &json!({"partition": partition, "offset": parked[1], "operator": "kim"}));
    dismiss(&gateway, &json!({"terminal": "1", "sequence": 5, "operator": "kim"}));
    readmit(&gateway, 4, parked[2]);
    readmit(&gateway, 4, parked[2]);
    aggregate(&log, &topics);
    let report = recount(&log, &topics);
    assert!(report.holds(), "{report}");
    let counts = report.verdicts;
    assert_eq!((counts.first, counts.parked, counts.settled, counts.control), (3, 3, 1, 2));
    World { log: copied(&log, &topics), sinks: vec![], topics }
}

/// Changes the last record of a topic that `is_it` finds.
fn changed(
    world: &World,
    topic: fn(&Topics) -> &Topic,
    is_it: fn(&Value) -> bool,
    change: fn(&mut Vec<ConsumerRecord>, usize),
) -> String {
    let mut world = world.clone();
    let partition = partition_of("acme", STORE, PARTITIONS);
    let place = (topic(&world.topics).clone(), partition);
    let entries = world.log.topics.get_mut(&place).unwrap();
    let read = |entry: &ConsumerRecord| serde_json::from_slice(entry.value.as_deref()?).ok();
    let found = entries.iter().rposition(|entry| read(entry).is_some_and(|value| is_it(&value)));
    change(entries, found.unwrap());
    failing(&world)
}

fn alter(entry: &mut ConsumerRecord, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(entry.value.as_deref().unwrap()).unwrap();
    change(&mut value);
    entry.value = Some(Bytes::from(value.to_string()));
}

fn is_two(value: &Value) -> bool {
    value["sequence"] == "2"
}

fn is_readmitted(value: &Value) -> bool {
    value.get("parkedoffset").is_some()
}

fn drop_it(entries: &mut Vec<ConsumerRecord>, place: usize) {
    entries.remove(place);
}

#[test]
fn a_change_of_what_is_parked_makes_a_check_fail() {
    let world = world();
    assert_eq!(failing(&world), "");
    let found = changed(&world, |topics| &topics.events, is_two, drop_it);
    assert!(found.contains('b'), "a parked record dropped: {found}");
    let found = changed(&world, |topics| &topics.parked, is_two, drop_it);
    assert_eq!(found, "b", "a copy dropped");
    let found = changed(
        &world,
        |topics| &topics.parked,
        is_two,
        |entries, place| {
            alter(&mut entries[place], |value| value["data"]["kind"] = json!("sale"));
        },
    );
    assert_eq!(found, "b", "a copy altered");
    let found = changed(
        &world,
        |topics| &topics.transactions,
        is_readmitted,
        |entries, place| {
            let twin = entries[place].clone();
            entries.insert(place + 1, twin);
        },
    );
    assert!(found.contains('b'), "a readmission counted twice: {found}");
    let found = changed(
        &world,
        |topics| &topics.ledger,
        |_| true,
        |entries, place| {
            alter(&mut entries[place], |value| {
                (value["parked"], value["dismissed"]) = (json!(2), json!(1));
            });
        },
    );
    assert_eq!(found, "e", "a dismissed number shown as parked");
    let found = changed(
        &world,
        |topics| &topics.events,
        is_readmitted,
        |entries, place| {
            alter(&mut entries[place], |value| value["datahash"] = json!(format!("x3:{:032x}", 7)));
        },
    );
    assert!(found.contains('b'), "a hash of data altered: {found}");
}
