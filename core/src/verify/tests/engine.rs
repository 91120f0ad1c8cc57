//! The real aggregator, recounted; then the same log with one record edited.

mod kinds;
mod tills;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tillrace_log::health::Health;
use tillrace_log::testing::MemoryLog;
use tillrace_log::{ConsumerRecord, LogView, Offset, Partition, Topic};

use crate::aggregate::{self, AggregateMetrics, AggregateSettings};
use crate::decode::Decoder;
use crate::envelope::{Admission, Envelope, Scope, TYPE_REFUSED, TYPE_RELEASE};
use crate::text::Timestamp;
use crate::topics::{Topics, key, partition_of};
use crate::verify::{Report, verify};

use super::double::EditableLog;
use super::world::{World, deliver, sink};
use super::{Edit, edited_beside, failing};

pub(super) const PARTITIONS: Partition = 2;
const STORES: [&str; 3] = ["north", "west", "east"];
/// 2026-11-27T12:00:00Z.
pub(super) const NOON_MS: i64 = 1_795_780_800_000;
const WAIT: Duration = Duration::from_millis(100);

/// Writes the journal as gateways do.
pub(super) struct Gateway {
    pub(super) topics: Topics,
    pub(super) log: MemoryLog,
    pub(super) decoder: Decoder,
    pub(super) now_ms: i64,
}

impl Gateway {
    pub(super) fn publish(&self, store: &str, value: Vec<u8>) -> Offset {
        let partition = partition_of("acme", store, PARTITIONS);
        let store = key(&["acme", store]);
        self.log.append(&self.topics.events, partition, &store, value, self.now_ms)
    }

    pub(super) fn event(&mut self, event: &Value, scope: Scope, epoch: Option<&str>) -> Offset {
        let data = serde_json::to_vec(event).unwrap();
        let hash = self.decoder.decode(&data).unwrap().hash;
        let text = |member: &str| event[member].as_str().unwrap().to_owned();
        let store = text("store");
        let mut value = Vec::new();
        let kind = text("kind");
        let kind = if kind.starts_with("x-") { "x" } else { &kind };
        let event_type = format!("tillrace.pos.{kind}");
        Envelope {
            content_hash: Some(hash),
            data_hash: None,
            parked: None,
            readmission: None,
            transforms: None,
            time: Some(text("occurred_at").into()),
            business_date: Some(text("business_date").into()),
            event_id: Some(text("event_id").into()),
            terminal: Some(text("terminal").into()),
            sequence: event["sequence"].as_u64(),
            epoch: epoch.map(Into::into),
            scope,
            ..blank(&store, &event_type, &data)
        }
        .write(&mut value);
        self.publish(&store, value)
    }

    pub(super) fn refusal(&self, store: &str, sequence: u64) {
        let mut value = Vec::new();
        Envelope {
            terminal: Some("1".into()),
            sequence: Some(sequence),
            ..blank(store, TYPE_REFUSED, br#"{"code":"invalid_date","pointer":"/business_date"}"#)
        }
        .write(&mut value);
        self.publish(store, value);
    }

    fn release(&self, store: &str, offset: Offset) {
        let partition = partition_of("acme", store, PARTITIONS);
        let order = json!({"partition": partition, "offset": offset, "operator": "kim"});
        let order = serde_json::to_vec(&order).unwrap();
        let mut value = Vec::new();
        blank(store, TYPE_RELEASE, &order).write(&mut value);
        self.publish(store, value);
    }

    /// A sale of two lines, one of them weighed.
    pub(super) fn sale(&self, store: &str, terminal: &str, sequence: u64) -> Value {
        let number = i64::try_from(sequence).unwrap();
        // A jump in the numbers is none in time: far ahead of the append it would be quarantined.
        let occurred_at = Timestamp::from_millis(self.now_ms - 60_000 + number % 1_000 * 7_000);
        json!({"store": store, "terminal": terminal, "sequence": sequence,
            "event_id": format!("{terminal}-{sequence}"), "kind": "sale",
            "occurred_at": occurred_at.to_string(), "business_date": self.today(0), "lines": [
            {"line": 1, "type": "sale", "sku": "milk", "quantity": "2"},
            {"line": 2, "type": "sale", "sku": "rice", "quantity": "0.734", "unit": "KGM"}]})
    }

    fn today(&self, days_later: i64) -> String {
        let at = Timestamp::from_millis(self.now_ms + days_later * 86_400_000);
        at.to_string()[..10].to_owned()
    }
}

pub(super) fn blank<'a>(store: &'a str, event_type: &'a str, data: &'a [u8]) -> Envelope<'a> {
    Envelope {
        id: "1".into(),
        source: format!("/acme/{store}/1").into(),
        event_type: event_type.into(),
        tenant: "acme".into(),
        store: store.into(),
        received_time: "2026-11-27T12:00:00.000Z".into(),
        scope: Scope::Terminal,
        policy_revision: "1".into(),
        admission: Admission::Live,
        gateway: "gw".into(),
        data,
        ..Envelope::default()
    }
}

/// A little of everything, from one store.
fn trade(gateway: &mut Gateway, store: &str) {
    let plain = Scope::Terminal;
    for sequence in [5, 6, 8, 7, 12, 30_000] {
        let sale = gateway.sale(store, "1", sequence);
        gateway.event(&sale, plain, None);
    }
    let again = gateway.sale(store, "1", 8);
    gateway.event(&again, plain, None);
    let mut other = gateway.sale(store, "1", 12);
    other["lines"][0]["quantity"] = json!("3");
    gateway.event(&other, plain, None);
    for sequence in [9, 10] {
        gateway.refusal(store, sequence);
    }
    let good = gateway.sale(store, "1", 10);
    gateway.event(&good, plain, None);
    let mut back = gateway.sale(store, "1", 11);
    back["kind"] = json!("return");
    back["blind"] = json!(true);
    back["lines"] = json!([
        {"line": 1, "type": "return", "sku": "milk", "quantity": "1"},
        {"line": 2, "type": "return", "sku": "cup", "quantity": "1", "disposition": "damaged"},
        {"line": 3, "type": "return", "sku": "cup", "quantity": "4", "void": true}]);
    gateway.event(&back, plain, None);
    let mut ahead = gateway.sale(store, "1", 13);
    ahead["business_date"] = json!(gateway.today(20));
    ahead["kind"] = json!("inventory_count");
    ahead["lines"] = json!([{"line": 1, "type": "count", "sku": "milk", "quantity": "40"}]);
    let kept = gateway.event(&ahead, plain, None);
    gateway.release(store, kept);
    gateway.release(store, kept);
    let mut adjustment = gateway.sale(store, "1", 1);
    adjustment.as_object_mut().unwrap().remove("sequence");
    adjustment["kind"] = json!("inventory_adjustment");
    adjustment["lines"] = json!([
        {"line": 1, "type": "adjustment", "sku": "rice", "quantity": "-1.5", "unit": "KGM"},
        {"line": 2, "type": "adjustment", "sku": "cup", "quantity": "0"}]);
    for _ in 0..2 {
        gateway.event(&adjustment, plain, None);
    }
    let mut count = gateway.sale(store, "1", 14);
    count["kind"] = json!("inventory_count");
    count["lines"] = json!([
        {"line": 1, "type": "count", "sku": "milk", "quantity": "41"},
        {"line": 2, "type": "count", "sku": "cup", "quantity": "2.0"}]);
    gateway.event(&count, plain, None);
    let day = gateway.today(0);
    for sequence in [2, 3] {
        let sale = gateway.sale(store, "2", sequence);
        gateway.event(&sale, Scope::BusinessDate, Some(&day));
    }
    for sequence in [98, 99, 1, 0, 99] {
        let sale = gateway.sale(store, "3", sequence);
        gateway.event(&sale, Scope::Wrapping(100), None);
    }
}

/// Runs the aggregator until it has consumed the journal.
pub(super) fn aggregate(log: &MemoryLog, topics: &Topics) {
    let settings = AggregateSettings {
        flush_interval: Duration::from_millis(20),
        flush_records: 9,
        ..AggregateSettings::default()
    };
    let stop = AtomicBool::new(false);
    let metrics = AggregateMetrics::register(&mut Registry::default());
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            aggregate::run(
                Arc::new(log.clone()),
                topics,
                &settings,
                &stop,
                &metrics,
                &Health::default(),
            )
        });
        let group = topics.group("aggregate");
        let is_behind = |partition| {
            let committed = log.committed(&group, &topics.events, partition).unwrap();
            let end = log.bounds(&topics.events, partition).unwrap().end;
            committed.is_none_or(|committed| committed.offset < end)
        };
        while !running.is_finished() && (0..PARTITIONS).any(is_behind) {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        running.join().unwrap().unwrap();
    });
}

fn read(log: &MemoryLog, topic: &Topic, partition: Partition) -> Vec<ConsumerRecord> {
    let bounds = log.bounds(topic, partition).unwrap();
    let mut reader = log.reader(topic, partition, bounds.start).unwrap();
    let mut entries = Vec::new();
    while reader.position() < bounds.end {
        entries.extend(reader.read(1_000, WAIT).unwrap());
    }
    entries
}

/// Copies everything into a log that can be edited.
pub(super) fn copied(log: &MemoryLog, topics: &Topics) -> EditableLog {
    let mut copy = EditableLog::new(PARTITIONS);
    for spec in topics.specs(&["erp"], 7) {
        for partition in 0..PARTITIONS {
            let place = (spec.topic.clone(), partition);
            let end = log.bounds(&spec.topic, partition).unwrap().end;
            copy.topics.insert(place.clone(), read(log, &spec.topic, partition));
            copy.ends.insert(place, end);
        }
    }
    let group = topics.group("aggregate");
    for partition in 0..PARTITIONS {
        let committed = log.committed(&group, &topics.events, partition).unwrap().unwrap();
        copy.groups.insert((group.clone(), topics.events.clone(), partition), committed.offset);
    }
    copy
}

pub(super) fn recount(log: &dyn LogView, topics: &Topics) -> Report {
    verify(log, topics, &[], i64::MAX, &mut |_| {}).unwrap()
}

#[test]
fn what_the_aggregator_writes_holds_until_one_record_is_edited() {
    let topics = Topics::new("");
    let log = MemoryLog::new(PARTITIONS);
    log.assign(&[0, 1], 0);
    let mut gateway = Gateway {
        topics: topics.clone(),
        log: log.clone(),
        decoder: Decoder::new(),
        now_ms: NOON_MS,
    };
    for store in STORES {
        trade(&mut gateway, store);
    }
    aggregate(&log, &topics);
    let report = recount(&log, &topics);
    assert!(report.holds(), "{report}");
    let verdicts = report.verdicts;
    let stores = STORES.len() as u64;
    assert_eq!(verdicts.first, 16 * stores);
    assert_eq!(verdicts.duplicate, 3 * stores);
    assert_eq!((verdicts.conflict, verdicts.quarantined), (stores, stores));
    assert_eq!((verdicts.control, verdicts.released), (2 * stores, stores));

    let mut world = World { log: copied(&log, &topics), sinks: vec![sink(&topics, "erp")], topics };
    for partition in 0..PARTITIONS {
        deliver(&mut world.log, &world.topics, &world.sinks[0], partition);
    }
    assert_eq!(failing(&world), "");
    let topics = &world.topics;
    for (topic, letter) in [
        (&topics.events, 'b'),
        (&topics.transactions, 'b'),
        (&topics.conflicts, 'b'),
        (&topics.deltas, 'c'),
        (&topics.counts, 'c'),
    ] {
        for partition in 0..PARTITIONS {
            for place in 0..world.log.entries(topic, partition).len() {
                let edit = [Edit::Drop, Edit::Double, Edit::Alter][place % 3];
                let broken = edited_beside(&world, topic, partition, place, edit, |twin| twin);
                let found = failing(&broken);
                // A refused number altered is a ledger's matter; all else is the first check's.
                let seen = found.contains(letter) || found.contains('e');
                assert!(seen, "{edit:?} {topic}/{partition} number {place}: failing {found:?}");
            }
        }
    }
}
