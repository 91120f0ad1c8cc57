//! A small consistent log: a few stores' journal, and what a naive aggregator and a naive sink make
//! of it. Everything here is written for its plainness; nothing is shared with engine or recount.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tillrace_log::{Offset, Partition};

use crate::decode::Decoder;
use crate::text::Decimal;
use crate::topics::{self, Topics};
use crate::verify::SinkUnderTest;

use super::double::{EditableLog, STRIDE};

const PARTITIONS: Partition = 2;
const GENERATION: &str = "0f3a1f5e-0000-4000-8000-000000000001";
/// Journal records a flush takes in.
const FLUSH: usize = 5;

/// The log, and how to ask it.
#[derive(Clone)]
pub(super) struct World {
    pub(super) log: EditableLog,
    pub(super) topics: Topics,
    pub(super) sinks: Vec<SinkUnderTest>,
}

/// What a journal record is to become.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EventOutcome {
    First,
    Duplicate,
    Conflict,
    Quarantined,
    Refused,
    /// Releases the last quarantined record of its store.
    Release,
}

/// One record of the journal, and what is to become of it.
struct Scripted {
    terminal: &'static str,
    sequence: Option<u64>,
    id: &'static str,
    kind: &'static str,
    lines: Vec<Value>,
    outcome: EventOutcome,
    scope: &'static str,
}

impl Scripted {
    fn new(sequence: u64, kind: &'static str, lines: Vec<Value>, outcome: EventOutcome) -> Self {
        let (terminal, scope) = ("1", "terminal");
        Self { terminal, sequence: Some(sequence), id: "e", kind, lines, outcome, scope }
    }

    fn unnumbered(self, id: &'static str) -> Self {
        Self { sequence: None, id, ..self }
    }

    fn by_date(self) -> Self {
        Self { terminal: "2", scope: "business_date", ..self }
    }
}

fn line(number: u64, line_type: &str, sku: &str, quantity: &str) -> Value {
    json!({"line": number, "type": line_type, "sku": sku, "quantity": quantity})
}

fn script() -> Vec<Scripted> {
    use EventOutcome::{Conflict, Duplicate, First, Quarantined, Refused, Release};
    let new = Scripted::new;
    let sale = || vec![line(1, "sale", "milk", "2"), line(2, "sale", "rice", "0.734")];
    let mut damaged = line(2, "return", "cup", "1");
    damaged["disposition"] = json!("damaged");
    let mut struck = line(3, "sale", "milk", "-5");
    struck["void"] = json!(true);
    let exchange = vec![line(1, "return", "milk", "1"), damaged];
    let counted = vec![line(1, "count", "milk", "41"), line(2, "count", "rice", "7.5")];
    let adjusted = || vec![line(1, "adjustment", "rice", "-0.25")];
    let moved = vec![line(1, "transfer", "cup", "12")];
    vec![
        new(7, "open", vec![], First),
        new(8, "sale", sale(), First),
        new(8, "sale", sale(), Duplicate),
        new(10, "sale", vec![line(1, "sale", "milk", "1"), struck], First),
        new(9, "exchange", exchange, First),
        new(9, "sale", sale(), Conflict),
        new(12, "refused", vec![], Refused),
        new(40_000, "inventory_count", vec![line(1, "count", "milk", "3")], Quarantined),
        new(15, "inventory_count", counted, First),
        new(0, "inventory_adjustment", adjusted(), First).unnumbered("a-1"),
        new(0, "inventory_adjustment", adjusted(), Duplicate).unnumbered("a-1"),
        new(0, "release", vec![], Release).unnumbered("ops"),
        new(3, "transfer_in", moved, First).by_date(),
        new(4, "post_void", vec![line(1, "sale", "cup", "3")], First).by_date(),
        new(13, "refused", vec![], Refused),
        new(13, "sale", sale(), First),
    ]
}

/// Makes the whole log.
pub(super) fn build() -> World {
    build_up_to(usize::MAX)
}

/// Makes the log as it stands after so many journal records of each store.
pub(super) fn build_up_to(records: usize) -> World {
    let topics = Topics::new("test");
    let mut log = EditableLog::new(PARTITIONS);
    for partition in 0..PARTITIONS {
        let store = ["north", "south", "east", "west"]
            .into_iter()
            .find(|store| topics::partition_of("acme", store, PARTITIONS) == partition)
            .unwrap();
        let mut aggregator = Aggregator::new(&mut log, &topics, store);
        for scripted in script().iter().take(records) {
            aggregator.take(scripted);
        }
        aggregator.flush();
        let group = topics.group("aggregate");
        let end = log.end(&topics.events, partition);
        log.groups.insert((group, topics.events.clone(), partition), end);
    }
    assert_eq!(log.entries(&topics.events, 0).len(), log.entries(&topics.events, 1).len());
    let erp = sink(&topics, "erp");
    for partition in 0..PARTITIONS {
        deliver(&mut log, &topics, &erp, partition);
    }
    World { log, topics, sinks: vec![erp] }
}

pub(super) fn sink(topics: &Topics, name: &str) -> SinkUnderTest {
    SinkUnderTest {
        name: name.to_owned(),
        topic: topics.transactions.clone(),
        group: topics.group(&format!("deliver.{name}")),
        is_configured: true,
    }
}

/// Delivers two records at a time; the third call's are dead, the fourth's filtered.
pub(super) fn deliver(
    log: &mut EditableLog,
    topics: &Topics,
    sink: &SinkUnderTest,
    partition: Partition,
) {
    let records = log.entries(&sink.topic, partition).to_vec();
    let mut previous = String::new();
    for (number, call) in records.chunks(2).enumerate() {
        let outcome = ["delivered", "delivered", "dead", "filtered", "delivered"][number % 5];
        if outcome == "dead" {
            for record in call {
                let original: &str = str::from_utf8(record.value.as_ref().unwrap()).unwrap();
                let letter = format!(
                    r#"{{"sink":"{}","topic":"{}","partition":{partition},"offset":{},"reason":"rejected","error":"no","attempts":1,"key":"k","value":{original}}}"#,
                    sink.name, sink.topic, record.offset
                );
                log.append(&topics.dead(&sink.name), partition, "k", &letter);
            }
        }
        let offsets: Vec<_> =
            call.iter().map(|record| [record.offset, record.offset + 1]).collect();
        let body = json!({"sink": sink.name, "topic": sink.topic.as_str(), "partition": partition,
            "offsets": offsets, "outcome": outcome, "attempts": 1, "exceptions": [],
            "redriven": false, "writer": format!("w{partition}"), "number": number,
            "previous": previous});
        let mut text = body.to_string();
        previous = hex(&Sha256::digest(&text));
        text.pop();
        write!(text, r#","hash":"{previous}"}}"#).unwrap();
        log.append(&topics.audit, partition, &format!("{}/{partition}", sink.name), &text);
    }
    let end = log.end(&sink.topic, partition);
    log.groups.insert((sink.group.clone(), sink.topic.clone(), partition), end);
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[derive(Default)]
struct Till {
    scope: &'static str,
    firsts: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    unnumbered: u64,
    changed: bool,
}

/// The naive aggregator of one store.
struct Aggregator<'a> {
    log: &'a mut EditableLog,
    topics: &'a Topics,
    store: &'static str,
    partition: Partition,
    from: Offset,
    pending: usize,
    flushes: u64,
    totals: BTreeMap<&'static str, u64>,
    tills: BTreeMap<(&'static str, &'static str), Till>,
    deltas: BTreeMap<(String, String), ([i64; 4], u64)>,
    quarantined: Option<(Offset, Value)>,
    decoder: Decoder,
    last_first: u128,
}

impl<'a> Aggregator<'a> {
    fn new(log: &'a mut EditableLog, topics: &'a Topics, store: &'static str) -> Self {
        Self {
            log,
            topics,
            store,
            partition: topics::partition_of("acme", store, PARTITIONS),
            from: 0,
            pending: 0,
            flushes: 0,
            totals: BTreeMap::new(),
            tills: BTreeMap::new(),
            deltas: BTreeMap::new(),
            quarantined: None,
            decoder: Decoder::new(),
            last_first: 0,
        }
    }

    fn take(&mut self, scripted: &Scripted) {
        let key = topics::key(&["acme", self.store]);
        let minute = scripted.sequence.unwrap_or(0) % 3;
        let time = format!("2026-11-27T23:5{minute}:30+01:00");
        let data = match scripted.outcome {
            EventOutcome::Refused => json!({"code": "invalid_date", "pointer": "/business_date"}),
            EventOutcome::Release => {
                let offset = self.quarantined.as_ref().map(|(offset, _)| *offset);
                json!({"partition": self.partition, "offset": offset, "operator": "kim"})
            }
            _ => json!({"store": self.store, "terminal": scripted.terminal,
                "sequence": scripted.sequence, "event_id": scripted.id, "kind": scripted.kind,
                "occurred_at": time, "business_date": "2026-11-27", "lines": scripted.lines,
                "reference": {"sequence": 1, "transfer_id": "t-1"}}),
        };
        let decoded = self.decoder.decode(data.to_string().as_bytes()).map(|event| event.hash);
        let hash = match scripted.outcome {
            EventOutcome::Refused | EventOutcome::Release => 0,
            _ => decoded.unwrap(),
        };
        if scripted.outcome == EventOutcome::First {
            self.last_first = hash;
        }
        let mut envelope = json!({
            "specversion": "1.0", "id": scripted.id,
            "type": format!("tillrace.pos.{}", scripted.kind), "tenant": "acme",
            "store": self.store, "terminal": scripted.terminal, "eventid": scripted.id,
            "businessdate": "2026-11-27", "time": time, "contenthash": format!("h2:{hash:032x}"),
            "scope": scripted.scope, "data": data,
        });
        if let Some(sequence) = scripted.sequence {
            envelope["sequence"] = json!(sequence.to_string());
        }
        if scripted.scope == "business_date" {
            envelope["epoch"] = json!("2026-11-27");
        }
        let events = self.topics.events.clone();
        let offset = self.log.append(&events, self.partition, &key, &envelope.to_string());
        self.judge(scripted, offset, &key, &envelope);
        self.pending += 1;
        if self.pending == FLUSH {
            self.flush();
        }
    }

    fn judge(&mut self, scripted: &Scripted, offset: Offset, key: &str, envelope: &Value) {
        let epoch = if scripted.scope == "business_date" { "2026-11-27" } else { "" };
        let till = self.tills.entry((scripted.terminal, epoch)).or_default();
        till.scope = scripted.scope;
        till.changed = true;
        let verdict = match scripted.outcome {
            EventOutcome::First => {
                match scripted.sequence {
                    Some(sequence) => drop(till.firsts.insert(sequence)),
                    None => till.unnumbered += 1,
                }
                self.put_out(offset, key, envelope, "first", None);
                "first"
            }
            EventOutcome::Duplicate => "duplicate",
            EventOutcome::Conflict | EventOutcome::Quarantined => {
                let reason = if scripted.outcome == EventOutcome::Conflict {
                    "conflict"
                } else {
                    "quarantined"
                };
                self.keep(offset, key, envelope, reason);
                reason
            }
            EventOutcome::Refused => {
                till.refused.insert(scripted.sequence.unwrap());
                "refused"
            }
            EventOutcome::Release => {
                let (released, original) = self.quarantined.take().unwrap();
                self.put_out(released, key, &original, "released", Some(released));
                *self.totals.entry("released").or_default() += 1;
                "control"
            }
        };
        *self.totals.entry(verdict).or_default() += 1;
    }

    fn keep(&mut self, offset: Offset, key: &str, envelope: &Value, reason: &str) {
        let mut conflict = json!({"reason": reason, "detail": "other_content",
            "partition": self.partition, "offset": offset, "tenant": "acme", "store": self.store,
            "terminal": envelope["terminal"], "sequence": envelope["sequence"],
            "eventid": envelope["eventid"], "contenthash": envelope["contenthash"],
            "data": envelope["data"]});
        if reason == "conflict" {
            // The script has each conflict right behind its first.
            conflict["known_hash"] = json!(format!("h2:{:08x}", self.last_first >> 96));
        } else {
            self.quarantined = Some((offset, envelope.clone()));
        }
        let conflicts = self.topics.conflicts.clone();
        self.log.append(&conflicts, self.partition, key, &conflict.to_string());
    }

    fn put_out(
        &mut self,
        offset: Offset,
        key: &str,
        envelope: &Value,
        verdict: &str,
        released: Option<Offset>,
    ) {
        let mut copy = envelope.clone();
        copy["verdict"] = json!(verdict);
        copy["sourcepartition"] = json!(self.partition);
        copy["sourceoffset"] = json!(offset);
        if let Some(released) = released {
            copy["id"] = json!(format!("{}~r{released}", copy["id"].as_str().unwrap()));
        }
        let transactions = self.topics.transactions.clone();
        self.log.append(&transactions, self.partition, key, &copy.to_string());
        self.count(offset, envelope);
        let time = envelope["time"].as_str().unwrap();
        let window = format!("2026-11-27T22:5{}:00Z", &time[15..16]);
        let mut moved: BTreeMap<String, [i64; 4]> = BTreeMap::new();
        for line in envelope["data"]["lines"].as_array().unwrap() {
            let sku = line["sku"].as_str().unwrap();
            let columns = effect(envelope["data"]["kind"].as_str().unwrap(), line);
            let sums = moved.entry(sku.to_owned()).or_default();
            sums.iter_mut().zip(columns).for_each(|(sum, column)| *sum += column);
        }
        for (sku, columns) in moved.into_iter().filter(|(_, columns)| *columns != [0; 4]) {
            let (sums, events) = self.deltas.entry((sku, window.clone())).or_default();
            sums.iter_mut().zip(columns).for_each(|(sum, column)| *sum += column);
            *events += 1;
        }
    }

    fn count(&mut self, offset: Offset, envelope: &Value) {
        for line in envelope["data"]["lines"].as_array().unwrap() {
            if line["type"] != "count" {
                continue;
            }
            let sku = line["sku"].as_str().unwrap();
            let count = json!({"partition": self.partition, "offset": offset, "line": line["line"],
                "tenant": "acme", "store": self.store, "sku": sku, "unit": "C62",
                "quantity": line["quantity"], "counted_at": envelope["time"],
                "business_date": "2026-11-27"});
            let counts = self.topics.counts.clone();
            let key = topics::key(&["acme", self.store, sku]);
            self.log.append(&counts, self.partition, &key, &count.to_string());
        }
    }

    fn flush(&mut self) {
        let to = self.log.end(&self.topics.events, self.partition);
        if self.pending == 0 {
            return;
        }
        for ((sku, window), (sums, events)) in std::mem::take(&mut self.deltas) {
            let key = topics::key(&["acme", self.store, &sku]);
            let columns = sums.map(|sum| Decimal(sum).to_string());
            let delta = json!({
                "id": format!("{GENERATION}:{}:{}:{to}:{window}:2026-11-27:{key}/C62", self.partition, self.from),
                "generation": GENERATION, "partition": self.partition, "from_offset": self.from,
                "to_offset": to, "tenant": "acme", "store": self.store, "sku": sku, "unit": "C62",
                "window_start": window, "window_seconds": 60, "business_date": "2026-11-27",
                "net": columns[0], "sold": columns[1], "returned": columns[2],
                "adjusted": columns[3], "events": events});
            let deltas = self.topics.deltas.clone();
            self.log.append(&deltas, self.partition, &key, &delta.to_string());
        }
        self.write_ledgers(to);
        self.write_day(to);
        self.flushes += 1;
        let checkpoint = json!({"generation": GENERATION, "flush": self.flushes, "next_offset": to,
            "totals": self.totals});
        let state = self.topics.state.clone();
        let slot = format!("checkpoint/{}", self.flushes % 16);
        self.log.append(&state, self.partition, "store/acme", r#"{"private":true}"#);
        self.log.append(&state, self.partition, &slot, &checkpoint.to_string());
        self.from = to;
        self.pending = 0;
    }

    /// The one day of the store; nobody closes it.
    fn write_day(&mut self, to: Offset) {
        let spoke = |till: &&Till| !till.firsts.is_empty() || till.unnumbered > 0;
        let (mut terminals, mut missing, mut refused) = (0, 0, 0);
        for till in self.tills.values().filter(spoke) {
            terminals += 1;
            let Some(&high) = till.firsts.last() else { continue };
            let lowest = till.firsts.union(&till.refused).min().copied().unwrap();
            let from = if till.scope == "business_date" { 1 } else { lowest };
            for number in (from..=high).filter(|number| !till.firsts.contains(number)) {
                let known = till.refused.contains(&number);
                *(if known { &mut refused } else { &mut missing }) += 1;
            }
        }
        let day = json!({"tenant": "acme", "store": self.store, "business_date": "2026-11-27",
            "status": "open", "terminal_count": terminals, "closed_count": 0,
            "missing_count": missing, "refused_count": refused, "parked_count": 0,
            "completeness": {"expected": "unknown"}, "partition": self.partition, "offset": to});
        let days = self.topics.days.clone();
        let key = topics::key(&["acme", self.store, "2026-11-27"]);
        self.log.append(&days, self.partition, &key, &day.to_string());
    }

    fn write_ledgers(&mut self, to: Offset) {
        for ((terminal, epoch), till) in &mut self.tills {
            if !std::mem::take(&mut till.changed) {
                continue;
            }
            let seen: BTreeSet<u64> = till.firsts.union(&till.refused).copied().collect();
            let (Some(&lowest), Some(&high)) = (seen.first(), seen.last()) else { continue };
            let baseline = if till.scope == "business_date" { 1 } else { lowest };
            let missing: Vec<u64> =
                (baseline..=high).filter(|number| !seen.contains(number)).collect();
            let record = json!({"tenant": "acme", "store": self.store, "terminal": terminal,
                "epoch": epoch, "scope": till.scope, "baseline": baseline, "high_water": high,
                "firsts": till.firsts.len() as u64 + till.unnumbered,
                "refused": till.refused.difference(&till.firsts).count(),
                "parked": 0, "dismissed": 0, "missing_count": missing.len(), "missing": spans(&missing),
                "missing_truncated": false, "partition": self.partition, "offset": to,
                "flush": self.flushes});
            let ledger = self.topics.ledger.clone();
            let key = topics::key(&["acme", self.store, terminal, epoch]);
            self.log.append(&ledger, self.partition, &key, &record.to_string());
        }
    }
}

fn spans(numbers: &[u64]) -> Vec<[u64; 2]> {
    let mut spans: Vec<[u64; 2]> = Vec::new();
    for &number in numbers {
        match spans.last_mut() {
            Some(span) if span[1] + 1 == number => span[1] = number,
            _ => spans.push([number, number]),
        }
    }
    spans
}

/// Stock, sold, returned, adjusted.
fn effect(kind: &str, line: &Value) -> [i64; 4] {
    let quantity = Decimal::parse(line["quantity"].as_str().unwrap().as_bytes()).unwrap().0;
    if line["void"] == true {
        return [0; 4];
    }
    match (kind, line["type"].as_str().unwrap()) {
        ("post_void", "sale") => [quantity, -quantity, 0, 0],
        (_, "sale") => [-quantity, quantity, 0, 0],
        (_, "return") if line["disposition"] == "damaged" => [0, 0, quantity, 0],
        (_, "return") => [quantity, 0, quantity, 0],
        (_, "adjustment" | "transfer") => [quantity, 0, 0, quantity],
        _ => [0; 4],
    }
}

/// The offset right after a record's, which nothing else has.
pub(super) fn beside(offset: Offset) -> Offset {
    offset + STRIDE / 2
}
