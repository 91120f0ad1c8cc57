//! Events, envelopes and a place to run members of the group, for the aggregator's tests.

use std::collections::BTreeMap;
use std::time::Instant;

use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tillrace_log::health::Health;
use tillrace_log::testing::MemoryLog;
use tillrace_log::{Offset, Partition, Topic};
use xxhash_rust::xxh3::xxh3_128;

use super::engine::Engine;
use super::{AggregateError, AggregateMetrics, AggregateSettings};
use crate::decode::Decoder;
use crate::envelope::{Admission, Envelope, ParkedMark, Readmission, Scope, TYPE_PARKED};
use crate::text::Timestamp;
use crate::topics::{Topics, key, partition_of};

/// 2026-11-27T00:00:00Z.
pub(super) const FRIDAY_MS: i64 = 1_795_737_600_000;
pub(super) const DAY_MS: i64 = 86_400_000;

/// An event to be appended to the journal.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) store: String,
    pub(super) terminal: String,
    pub(super) epoch: Option<String>,
    pub(super) sequence: Option<u64>,
    pub(super) kind: &'static str,
    pub(super) scope: Scope,
    pub(super) business_date: String,
    pub(super) occurred_ms: i64,
    pub(super) lines: Vec<Value>,
    pub(super) note: String,
}

impl Sample {
    /// A sale of one milk at noon.
    pub(super) fn sale(store: &str, terminal: &str, sequence: u64) -> Self {
        Self {
            store: store.into(),
            terminal: terminal.into(),
            epoch: None,
            sequence: Some(sequence),
            kind: "sale",
            scope: Scope::Terminal,
            business_date: "2026-11-27".into(),
            occurred_ms: FRIDAY_MS + DAY_MS / 2,
            lines: vec![line(1, "sale", "milk", "1")],
            note: String::new(),
        }
    }

    pub(super) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        if matches!(kind, "open" | "close" | "no_sale") {
            self.lines.clear();
        }
        self
    }

    pub(super) fn lines(mut self, lines: Vec<Value>) -> Self {
        self.lines = lines;
        self
    }

    pub(super) fn note(mut self, note: &str) -> Self {
        self.note = note.into();
        self
    }

    pub(super) fn date(mut self, date: &str) -> Self {
        self.business_date = date.into();
        self
    }

    fn event_id(&self) -> String {
        match self.sequence {
            Some(sequence) => format!("{}-{sequence}", self.terminal),
            None => format!("id-{}", self.note),
        }
    }

    pub(super) fn data(&self) -> Vec<u8> {
        let mut event = json!({
            "store": self.store,
            "terminal": self.terminal,
            "event_id": self.event_id(),
            "kind": self.kind,
            "occurred_at": Timestamp::from_millis(self.occurred_ms).to_string(),
            "business_date": self.business_date,
            "currency": "EUR",
        });
        if let Some(sequence) = self.sequence {
            event["sequence"] = sequence.into();
        }
        if !self.note.is_empty() {
            event["operator_id"] = self.note.as_str().into();
        }
        if !self.lines.is_empty() {
            event["lines"] = Value::Array(self.lines.clone());
        }
        if self.kind == "return" {
            event["blind"] = true.into();
        }
        serde_json::to_vec(&event).unwrap()
    }

    /// Its content hash, as the gateway has it from the decoder.
    pub(super) fn hash(&self) -> u128 {
        Decoder::new().decode(&self.data()).expect("samples follow the schema").hash
    }

    fn envelope<'a>(&'a self, event_type: &'a str, data: &'a [u8]) -> Envelope<'a> {
        let epoch = self.epoch.as_deref();
        let id = match self.sequence {
            Some(sequence) => sequence.to_string(),
            None => format!("id:{}", self.event_id()),
        };
        Envelope {
            id: id.into(),
            source: format!("/demo/{}/{}", self.store, self.terminal).into(),
            event_type: event_type.into(),
            time: Some(Timestamp::from_millis(self.occurred_ms).to_string().into()),
            tenant: "demo".into(),
            store: self.store.as_str().into(),
            terminal: Some(self.terminal.as_str().into()),
            epoch: epoch.map(Into::into),
            sequence: self.sequence,
            event_id: Some(self.event_id().into()),
            business_date: Some(self.business_date.as_str().into()),
            received_time: "2026-11-27T12:00:00.000Z".into(),
            content_hash: Some(self.hash()),
            data_hash: None,
            parked: None,
            readmission: None,
            transforms: None,
            scope: self.scope,
            policy_revision: "1".into(),
            flags: None,
            admission: Admission::Live,
            gateway: "gw".into(),
            traceparent: None,
            source_verdict: None,
            data,
        }
    }

    fn written(&self, event_type: &str, data: &[u8]) -> Vec<u8> {
        let mut value = Vec::new();
        self.envelope(event_type, data).write(&mut value);
        value
    }

    /// The journal record of the event.
    pub(super) fn accepted(&self) -> Vec<u8> {
        self.written(&format!("tillrace.pos.{}", self.kind), &self.data())
    }

    /// The journal record of the event with another time, as its sender wrote it.
    pub(super) fn written_with(&self, time: &str, hash: u128, data: &[u8]) -> Vec<u8> {
        let envelope = self.envelope("tillrace.pos.sale", data);
        let envelope = Envelope { time: Some(time.into()), content_hash: Some(hash), ..envelope };
        let mut value = Vec::new();
        envelope.write(&mut value);
        value
    }

    /// The marker of its refusal.
    pub(super) fn refused(&self) -> Vec<u8> {
        self.written("tillrace.pos.refused", br#"{"code":"invalid_money","pointer":"/lines/0"}"#)
    }

    /// A text that breaks a rule.
    pub(super) fn broken(&self) -> Vec<u8> {
        serde_json::to_vec(&json!({"kind": "tip_jar", "note": self.note})).unwrap()
    }

    /// The journal record that keeps such a text.
    pub(super) fn parked(&self) -> Vec<u8> {
        let data = self.broken();
        let (code, pointer) = ("unknown_kind".into(), "/kind".into());
        let envelope = Envelope {
            content_hash: None,
            time: None,
            data_hash: Some(xxh3_128(&data)),
            parked: Some(ParkedMark { code, pointer }),
            ..self.envelope(TYPE_PARKED, &data)
        };
        let mut value = Vec::new();
        envelope.write(&mut value);
        value
    }

    /// The event itself, parked by a rule of its tenant's.
    pub(super) fn parked_by_rule(&self) -> Vec<u8> {
        let data = self.data();
        let (code, pointer) = ("line_count_mismatch".into(), "/totals/line_count".into());
        let envelope = Envelope {
            data_hash: Some(xxh3_128(&data)),
            parked: Some(ParkedMark { code, pointer }),
            ..self.envelope(TYPE_PARKED, &data)
        };
        let mut value = Vec::new();
        envelope.write(&mut value);
        value
    }

    /// The readmission of a text that was parked at an offset, as this event.
    pub(super) fn readmitted(&self, offset: Offset, broken: &[u8]) -> Vec<u8> {
        let data = self.data();
        let event_type = format!("tillrace.pos.{}", self.kind);
        let envelope = Envelope {
            data_hash: Some(xxh3_128(&data)),
            readmission: Some(Readmission { offset, text_hash: xxh3_128(broken) }),
            transforms: Some("mapping:1".into()),
            ..self.envelope(&event_type, &data)
        };
        let mut value = Vec::new();
        envelope.write(&mut value);
        value
    }

    /// A control record.
    pub(super) fn control(&self, event_type: &str, data: &Value) -> Vec<u8> {
        let data = serde_json::to_vec(data).unwrap();
        let mut envelope = self.envelope(event_type, &data);
        (envelope.terminal, envelope.sequence, envelope.event_id) = (None, None, None);
        (envelope.content_hash, envelope.business_date) = (None, None);
        let mut value = Vec::new();
        envelope.write(&mut value);
        value
    }

    /// An operator's order to release an offset of its store's partition.
    pub(super) fn release(&self, partition: Partition, offset: Offset) -> Vec<u8> {
        let data = json!({"partition": partition, "offset": offset, "operator": "ada"});
        self.control("tillrace.pos.release", &data)
    }
}

/// A line of a sample.
pub(super) fn line(number: u32, line_type: &str, sku: &str, quantity: &str) -> Value {
    json!({"line": number, "type": line_type, "sku": sku, "quantity": quantity, "amount": "2.50"})
}

/// A log, its topics and what members need.
pub(super) struct Rig {
    pub(super) log: MemoryLog,
    pub(super) topics: Topics,
    pub(super) settings: AggregateSettings,
    pub(super) metrics: AggregateMetrics,
    pub(super) health: Health,
    pub(super) now: Instant,
}

impl Rig {
    pub(super) fn new(partitions: Partition) -> Self {
        Self {
            log: MemoryLog::new(partitions),
            topics: Topics::new(""),
            settings: AggregateSettings::default(),
            metrics: AggregateMetrics::register(&mut Registry::default()),
            health: Health::default(),
            now: Instant::now(),
        }
    }

    fn partitions(&self) -> Vec<Partition> {
        (0..tillrace_log::LogView::partitions(&self.log)).collect()
    }

    pub(super) fn partition(&self, sample: &Sample) -> Partition {
        let count = u32::try_from(self.partitions().len()).unwrap();
        partition_of("demo", &sample.store, count)
    }

    /// Appends a journal record at a time.
    pub(super) fn append(&self, sample: &Sample, value: Vec<u8>, at_ms: i64) -> Offset {
        let key = key(&["demo", &sample.store]);
        self.log.append(&self.topics.events, self.partition(sample), &key, value, at_ms)
    }

    /// Appends an event at its own time.
    pub(super) fn accept(&self, sample: &Sample) -> Offset {
        self.append(sample, sample.accepted(), sample.occurred_ms)
    }

    /// Joins as the next member, to which all partitions go.
    pub(super) fn join(&self) -> Engine<'_> {
        let engine = self.join_idle();
        self.log.assign(&self.partitions(), self.log.members() - 1);
        engine
    }

    /// Joins as the next member, without any partition.
    pub(super) fn join_idle(&self) -> Engine<'_> {
        let Self { log, topics, settings, metrics, health, now } = self;
        Engine::join(log, topics, settings, metrics, health, *now).unwrap()
    }

    /// Steps until everything on the journal is committed.
    pub(super) fn drain(&self, engine: &mut Engine<'_>) -> Result<(), AggregateError> {
        for _ in 0..10_000 {
            engine.step(self.now)?;
            if self.is_settled() && engine.is_clean() {
                return Ok(());
            }
            if self.is_read(engine) {
                engine.flush(self.now)?;
            }
        }
        panic!("did not settle: {engine:?}");
    }

    fn is_read(&self, engine: &Engine<'_>) -> bool {
        self.partitions()
            .into_iter()
            .all(|partition| engine.next_offset(partition) == Some(self.end(partition)))
    }

    fn is_settled(&self) -> bool {
        self.partitions()
            .into_iter()
            .all(|partition| self.log.group_offset(partition) == Some(self.end(partition)))
    }

    fn end(&self, partition: Partition) -> Offset {
        tillrace_log::LogView::bounds(&self.log, &self.topics.events, partition).unwrap().end
    }

    /// Runs one member over everything and lets it go.
    pub(super) fn run(&self) {
        self.drain(&mut self.join()).unwrap();
    }

    /// The records of a topic, parsed.
    pub(super) fn read(&self, topic: &Topic) -> Vec<Value> {
        let entries = self.log.entries(topic);
        let values = entries.iter().filter_map(|entry| entry.value.as_deref());
        values.map(|value| serde_json::from_slice(value).unwrap()).collect()
    }

    /// The latest record of each key of a topic, without what depends on the points of flushing.
    pub(super) fn latest(&self, topic: &Topic) -> BTreeMap<String, Value> {
        let mut latest = BTreeMap::new();
        for entry in self.log.entries(topic) {
            let mut value: Value = serde_json::from_slice(entry.value.as_deref().unwrap()).unwrap();
            let members = value.as_object_mut().unwrap();
            members.remove("flush");
            members.remove("offset");
            latest.insert(String::from_utf8(entry.key.to_vec()).unwrap(), value);
        }
        latest
    }

    /// The unsettled parked events: the keys of their copies.
    pub(super) fn parked(&self) -> Vec<String> {
        let mut keys = std::collections::BTreeSet::new();
        for entry in self.log.entries(&self.topics.parked) {
            let key = String::from_utf8(entry.key.to_vec()).unwrap();
            if entry.value.is_some() {
                keys.insert(key)
            } else {
                keys.remove(&key)
            };
        }
        keys.into_iter().collect()
    }

    /// The latest checkpoint of each partition.
    pub(super) fn checkpoints(&self) -> Vec<Value> {
        let mut latest: BTreeMap<Partition, Value> = BTreeMap::new();
        for entry in self.log.entries(&self.topics.state) {
            if entry.key.starts_with(b"checkpoint/") {
                let value = entry.value.as_deref().unwrap();
                latest.insert(entry.partition, serde_json::from_slice(value).unwrap());
            }
        }
        latest.into_values().collect()
    }

    /// Sums of the committed deltas over all flushes, by key, window and business date.
    pub(super) fn stock(&self) -> BTreeMap<String, [i64; 5]> {
        let mut sums: BTreeMap<String, [i64; 5]> = BTreeMap::new();
        for delta in self.read(&self.topics.deltas) {
            let text = |name: &str| delta[name].as_str().unwrap().to_owned();
            let names = ["store", "sku", "unit", "window_start", "business_date"].map(text);
            let sums = sums.entry(names.join("/")).or_default();
            for (sum, name) in sums.iter_mut().zip(["net", "sold", "returned", "adjusted"]) {
                let decimal = crate::text::Decimal::parse(text(name).as_bytes()).unwrap();
                *sum += decimal.0;
            }
            sums[4] += delta["events"].as_i64().unwrap();
        }
        sums
    }

    /// Everything that must be the same, whatever the points of flushing and whatever went wrong.
    pub(super) fn outcome(&self) -> Value {
        let strip = |topic: &Topic| {
            let mut records = self.read(topic);
            records.sort_by_key(Value::to_string);
            records
        };
        let mut amended: BTreeMap<String, u64> = BTreeMap::new();
        let mut days = self.latest(&self.topics.days);
        days.retain(|key, day| {
            let Some((day_key, _)) = key.split_once("/amendment/") else { return true };
            let transactions = day["transactions"].as_object().unwrap();
            let count: u64 = transactions.values().map(|count| count.as_u64().unwrap()).sum();
            *amended.entry(day_key.to_owned()).or_default() += count;
            false
        });
        let totals: Vec<Value> =
            self.checkpoints().into_iter().map(|checkpoint| checkpoint["totals"].clone()).collect();
        json!({
            "transactions": strip(&self.topics.transactions),
            "conflicts": strip(&self.topics.conflicts),
            "counts": strip(&self.topics.counts),
            "stock": self.stock(),
            "ledger": self.latest(&self.topics.ledger),
            "days": days,
            "amended": amended,
            "parked": self.parked(),
            "totals": totals,
        })
    }
}
