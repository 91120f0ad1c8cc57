//! Events, envelopes and a place to run members of the group, for the aggregator's tests.

mod rig;

use serde_json::{Value, json};
use tillrace_log::{Offset, Partition};
use xxhash_rust::xxh3::xxh3_128;

pub(super) use self::rig::Rig;
use crate::decode::Decoder;
use crate::envelope::{Admission, Envelope, ParkedMark, Readmission, Scope, TYPE_PARKED};
use crate::text::Timestamp;

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
            scope: self.scope,
            policy_revision: "1".into(),
            admission: Admission::Live,
            gateway: "gw".into(),
            data,
            ..Envelope::default()
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

    /// The journal record of another event of its terminal and number.
    pub(super) fn written_as(&self, event: &Value, hash: u128, data: &[u8]) -> Vec<u8> {
        let text = |member: &str| event[member].as_str().unwrap().to_owned();
        let event_type = format!("tillrace.pos.{}", text("kind"));
        let envelope = Envelope {
            time: Some(text("occurred_at").into()),
            event_id: Some(text("event_id").into()),
            business_date: Some(text("business_date").into()),
            content_hash: Some(hash),
            ..self.envelope(&event_type, data)
        };
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
