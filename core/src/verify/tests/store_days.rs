//! Store-days that the real aggregator wrote, recounted; then the same log with one thing that they say changed.

use bytes::Bytes;
use serde_json::{Value, json};
use tillrace_log::testing::MemoryLog;

use super::engine::{Gateway, NOON_MS, PARTITIONS, aggregate, blank, copied, recount};
use super::failing;
use super::world::World;
use crate::decode::Decoder;
use crate::envelope::{Scope, TYPE_REGISTER, TYPE_TICK};
use crate::register::part::RegisterPart;
use crate::register::read::read;
use crate::topics::{Topics, partition_of};

const STORE: &str = "north";
const FRIDAY: &str = "acme/north/2026-11-27";

fn register(store: &str) -> Value {
    let week = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    json!({"store": store, "valid_from": "2026-11-27", "zone": "America/New_York", "currency": "USD",
        "calendar": {"weekdays": week, "exceptions": {"2026-11-28": "closed"}}, "terminals": [
            {"terminal": "1", "kind": "staffed"}, {"terminal": "2", "kind": "self_checkout"},
            {"terminal": "3", "kind": "mobile", "closes": false}]})
}

fn apply(gateway: &Gateway, store: &str) {
    let file = read(&json!({"tenant": "acme", "stores": [register(store)]})).unwrap();
    for part in RegisterPart::of(&file.stores[0].1, "kim") {
        let data = serde_json::to_vec(&part).unwrap();
        let mut value = Vec::new();
        blank(store, TYPE_REGISTER, &data).write(&mut value);
        gateway.publish(store, value);
    }
}

fn tick(gateway: &Gateway, store: &str) {
    let mut value = Vec::new();
    blank(store, TYPE_TICK, b"{}").write(&mut value);
    gateway.publish(store, value);
}

fn event(gateway: &mut Gateway, terminal: &str, sequence: u64, change: &Value) {
    let mut event = gateway.sale(STORE, terminal, sequence);
    event["currency"] = json!("USD");
    for (member, value) in change.as_object().unwrap() {
        event[member] = value.clone();
    }
    gateway.event(&event, Scope::Terminal, None);
}

/// A store of which one terminal is silent, one closed and one did not, a stranger spoke, and an event was in euros; and one of
/// which nobody spoke.
fn world() -> World {
    let topics = Topics::new("");
    let log = MemoryLog::new(PARTITIONS);
    log.assign(&[0, 1], 0);
    let (decoder, now_ms) = (Decoder::new(), NOON_MS);
    let mut gateway = Gateway { topics: topics.clone(), log: log.clone(), decoder, now_ms };
    event(&mut gateway, "1", 1, &json!({}));
    apply(&gateway, STORE);
    apply(&gateway, "south");
    event(&mut gateway, "1", 2, &json!({"currency": "EUR"}));
    event(&mut gateway, "1", 4, &json!({"kind": "close", "lines": []}));
    event(&mut gateway, "2", 1, &json!({}));
    event(&mut gateway, "9", 1, &json!({}));
    aggregate(&log, &topics);
    gateway.now_ms += 24 * 3_600_000;
    tick(&gateway, STORE);
    tick(&gateway, "south");
    log.assign(&[0, 1], log.members());
    aggregate(&log, &topics);
    log.assign(&[0, 1], log.members());
    gateway.now_ms += 3 * 24 * 3_600_000;
    tick(&gateway, STORE);
    tick(&gateway, "south");
    aggregate(&log, &topics);
    // Sweeps go on with each flush; the aggregator ends with whatever was committed.
    let latest = || {
        let log = copied(&log, &topics);
        let made = |partition: u32| {
            let of = log.entries(&topics.state, partition).iter();
            let of = of.filter(|entry| entry.key.starts_with(b"checkpoint/"));
            let until = |entry: &tillrace_log::ConsumerRecord| {
                let value: Value = serde_json::from_slice(entry.value.as_ref()?).ok()?;
                value["silent_days_until_ms"].as_i64()
            };
            of.filter_map(until).max()
        };
        [STORE, "south"].map(|store| made(partition_of("acme", store, PARTITIONS)))
    };
    let all = gateway.now_ms;
    for _ in 0..20 {
        if latest().into_iter().all(|until| until >= Some(all)) {
            break;
        }
        gateway.now_ms += 1_000;
        tick(&gateway, STORE);
        tick(&gateway, "south");
        log.assign(&[0, 1], log.members());
        aggregate(&log, &topics);
    }
    World { log: copied(&log, &topics), sinks: Vec::new(), topics }
}

/// The latest record of a day.
fn day(world: &World, key: &str) -> Value {
    let store = key.split('/').nth(1).unwrap();
    let entries = world.log.entries(&world.topics.days, partition_of("acme", store, PARTITIONS));
    let latest = entries.iter().rfind(|entry| entry.key == key.as_bytes());
    latest
        .map_or(Value::Null, |entry| serde_json::from_slice(entry.value.as_ref().unwrap()).unwrap())
}

/// Changes the latest record of a day.
fn with(world: &World, key: &str, change: impl Fn(&mut Value)) -> World {
    let mut changed = world.clone();
    let store = key.split('/').nth(1).unwrap();
    let place = (world.topics.days.clone(), partition_of("acme", store, PARTITIONS));
    let entries = changed.log.topics.get_mut(&place).unwrap();
    let entry = entries.iter_mut().rfind(|entry| entry.key == key.as_bytes()).unwrap();
    let mut value = serde_json::from_slice(entry.value.as_ref().unwrap()).unwrap();
    change(&mut value);
    entry.value = Some(Bytes::from(value.to_string()));
    changed
}

#[test]
fn what_a_day_lacks_holds_until_one_thing_of_it_is_changed() {
    let world = world();
    assert_eq!(failing(&world), "", "{}", recount(&world.log, &world.topics));
    let friday = day(&world, FRIDAY);
    let completeness = &friday["completeness"];
    assert_eq!(friday["status"], "open_ended");
    assert_eq!(
        (&completeness["silent"], &completeness["unexpected"]),
        (&json!(["3"]), &json!(["9"]))
    );
    assert_eq!(
        (&completeness["unclosed_count"], &completeness["other_currency_count"]),
        (&json!(2), &json!(1))
    );
    let changes: [fn(&mut Value); 13] = [
        |day| day["status"] = json!("complete"),
        |day| day["status"] = json!("open"),
        |day| day["status"] = json!("sealed"),
        |day| day["closed_count"] = json!(2),
        |day| day["missing_count"] = json!(0),
        |day| day["completeness"] = json!({"expected": "unknown"}),
        |day| day["completeness"]["expected"] = json!(2),
        |day| day["completeness"]["register"] = json!("0"),
        |day| day["completeness"]["silent_count"] = json!(0),
        |day| day["completeness"]["silent"] = json!(["2"]),
        |day| day["completeness"]["unclosed"] = json!(["1", "2"]),
        |day| day["completeness"]["unexpected_count"] = json!(0),
        |day| day["completeness"]["other_currency_count"] = json!(0),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert_eq!(failing(&with(&world, FRIDAY, change)), "g", "change {number}");
    }
}

#[test]
fn a_day_of_nobody_needs_a_register_that_says_so() {
    let world = world();
    let south = day(&world, "acme/south/2026-11-27");
    assert_eq!(
        (&south["terminal_count"], &south["completeness"]["silent_count"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(day(&world, "acme/south/2026-11-28"), Value::Null, "closed on that date");
    let unknown = |day: &mut Value| day["completeness"] = json!({"expected": "unknown"});
    assert_eq!(failing(&with(&world, "acme/south/2026-11-27", unknown)), "g");
    // Without its register on the journal the day has no reason.
    let mut without = world.clone();
    let partition = partition_of("acme", "south", PARTITIONS);
    let journal = without.log.topics.get_mut(&(world.topics.events.clone(), partition)).unwrap();
    let is_register = |entry: &tillrace_log::ConsumerRecord| {
        entry.key == "acme/south"
            && entry
                .value
                .as_ref()
                .unwrap()
                .windows(21)
                .any(|text| text == b"tillrace.pos.register")
    };
    let before = journal.len();
    journal.retain(|entry| !is_register(entry));
    assert_eq!(journal.len() + 1, before);
    assert!(failing(&without).contains('g'));
}

#[test]
fn a_day_on_which_nobody_spoke_is_missed_when_its_record_is_gone() {
    let world = world();
    let partition = partition_of("acme", "south", PARTITIONS);
    let days: Vec<String> =
        ["27", "29", "30"].map(|day| format!("acme/south/2026-11-{day}")).into();
    for key in &days {
        assert_ne!(day(&world, key), Value::Null, "{key}");
        let mut without = world.clone();
        let place = (world.topics.days.clone(), partition);
        without.log.topics.get_mut(&place).unwrap().retain(|entry| entry.key != key.as_bytes());
        assert_eq!(failing(&without), "g", "{key}");
        let report = recount(&without.log, &without.topics).to_string();
        assert!(report.contains(&format!("{key}: a day on which nobody spoke")), "{report}");
    }
    // A tombstone takes a day back as well.
    let mut withdrawn = world.clone();
    let place = (world.topics.days.clone(), partition);
    let entries = withdrawn.log.topics.get_mut(&place).unwrap();
    let last = entries.iter_mut().rfind(|entry| entry.key == days[0].as_bytes()).unwrap();
    last.value = None;
    assert_eq!(failing(&withdrawn), "g");
}

#[test]
fn a_day_of_which_there_are_events_needs_a_record() {
    let mut world = world();
    let place = (world.topics.days.clone(), partition_of("acme", STORE, PARTITIONS));
    world.log.topics.get_mut(&place).unwrap().retain(|entry| entry.key != FRIDAY.as_bytes());
    // Its till balance lacks too.
    assert_eq!(failing(&world), "fg");
}
