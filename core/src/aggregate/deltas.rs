//! The text of deltas, of which a flush has more than of all other records together.
//!
//! It is written by hand, because the parts that deltas of one flush, one store or one window have in common are formatted
//! only once. The shape is that of `docs/schemas/delta.v1.schema.json`; a test compares it with what serde writes. A delta's
//! key is part of its id, so that it needs no bytes of its own.

use std::ops::Range;

use bytes::{BufMut as _, BytesMut};
use tillrace_log::{Offset, Partition};

use super::json_text::{integer, put};
use super::store::Store;
use super::windows::{Cell, Delta, Unit};
use crate::stock::StockEffect;
use crate::text::{Date, Decimal, Timestamp, escape, is_number, percent_encode};

/// The part of the journal that a flush covers, which all its deltas name.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlushRange<'a> {
    pub(super) generation: &'a str,
    pub(super) partition: Partition,
    pub(super) from_offset: Offset,
    pub(super) to_offset: Offset,
    pub(super) window_seconds: u32,
}

/// Writes deltas one after the other.
#[derive(Debug)]
pub(super) struct DeltaWriter {
    window_seconds: u32,
    /// From the start of a record to the window in its id.
    head: Vec<u8>,
    /// From the end of the id to the tenant.
    source: Vec<u8>,
    window: WindowText,
    store: StoreText,
    delta_text: DeltaText,
    /// `/reason/location`, encoded, and the members; both empty where there is neither.
    cell: [Vec<u8>; 2],
    sku: String,
}

/// The text that the deltas of a window and business date have in common.
#[derive(Debug, Default)]
struct WindowText {
    of: Option<(i64, Date)>,
    in_id: Vec<u8>,
    members: Vec<u8>,
}

/// The text that the deltas of a store have in common.
#[derive(Debug, Default)]
struct StoreText {
    of: Option<u32>,
    /// `tenant/store/`, encoded.
    key: Vec<u8>,
    members: Vec<u8>,
}

/// The text around the SKU in deltas of one window, store, unit and cell, as those of one event mostly are.
#[derive(Debug, Default)]
struct DeltaText {
    of: Option<(i64, Date, u32, Unit, u16)>,
    /// From the start of a record to the SKU in its id; the key begins within.
    before: Vec<u8>,
    key: usize,
    /// From there to the member `sku`.
    between: Vec<u8>,
    /// From there to the quantities.
    behind: Vec<u8>,
}

impl DeltaWriter {
    pub(super) fn new(flush: FlushRange<'_>) -> Self {
        let FlushRange { generation, partition, from_offset, to_offset, window_seconds } = flush;
        let mut head = br#"{"id":""#.to_vec();
        escape(&mut head, generation);
        put(&mut head, format_args!(":{partition}:{from_offset}:{to_offset}:"));
        let mut source = br#"","generation":""#.to_vec();
        escape(&mut source, generation);
        put(&mut source, format_args!(r#"","partition":{partition},"from_offset":{from_offset},"#));
        put(&mut source, format_args!(r#""to_offset":{to_offset},"tenant":""#));
        let (window, store) = (WindowText::default(), StoreText::default());
        let (delta_text, sku) = (DeltaText::default(), String::new());
        let cell = [Vec::new(), Vec::new()];
        Self { window_seconds, head, source, window, store, delta_text, cell, sku }
    }

    /// Writes one delta; returns the range of its key in the text.
    pub(super) fn write(
        &mut self,
        text: &mut BytesMut,
        store: &Store,
        delta: &Delta,
        cell: &Cell,
        sku: &str,
    ) -> Range<usize> {
        self.update_common(store, delta, cell);
        let DeltaText { before, key, between, behind, .. } = &self.delta_text;
        // Most SKUs are digits, which neither a key nor JSON escapes.
        let is_number = is_number(sku.as_bytes());
        let key = text.len() + key;
        text.extend_from_slice(before);
        if is_number {
            text.extend_from_slice(sku.as_bytes());
        } else {
            self.sku.clear();
            percent_encode(sku, &mut self.sku);
            text.extend_from_slice(self.sku.as_bytes());
        }
        let key = key..text.len();
        text.extend_from_slice(between);
        if is_number {
            text.extend_from_slice(sku.as_bytes());
        } else {
            escape(text, sku);
        }
        text.extend_from_slice(behind);
        quantities(text, delta.effect);
        integer(text, delta.events);
        text.put_u8(b'}');
        key
    }

    /// Formats the common parts of a delta that differ from those of the last one.
    fn update_common(&mut self, store: &Store, delta: &Delta, cell: &Cell) {
        let of = Some((delta.window_start, delta.date, delta.store, delta.unit, delta.cell));
        if self.delta_text.of == of {
            return;
        }
        if self.window.of != Some((delta.window_start, delta.date)) {
            self.window.set(self.window_seconds, delta.window_start, delta.date);
        }
        if self.store.of != Some(delta.store) {
            self.store.set(&self.source, delta.store, store);
        }
        self.set_cell(cell);
        let (window, store, delta_text) = (&self.window, &self.store, &mut self.delta_text);
        let [in_id, members] = &self.cell;
        delta_text.of = of;
        let unit = delta.unit();
        fill(&mut delta_text.before, [&self.head, &window.in_id, &store.key]);
        delta_text.key = self.head.len() + window.in_id.len();
        fill(&mut delta_text.between, [b"/", unit, in_id, &store.members]);
        fill(&mut delta_text.behind, [br#"","unit":""#, unit, members, &window.members]);
    }

    fn set_cell(&mut self, cell: &Cell) {
        let Cell { reason, location } = cell;
        let [in_id, members] = &mut self.cell;
        in_id.clear();
        members.clear();
        if reason.is_empty() && location.is_empty() {
            return;
        }
        for (text, name) in
            [(reason, br#"","reason":""#.as_slice()), (location, br#"","location":""#)]
        {
            self.sku.clear();
            percent_encode(text, &mut self.sku);
            in_id.push(b'/');
            in_id.extend_from_slice(self.sku.as_bytes());
            if !text.is_empty() {
                members.extend_from_slice(name);
                escape(members, text);
            }
        }
    }
}

fn fill<const N: usize>(text: &mut Vec<u8>, parts: [&[u8]; N]) {
    text.clear();
    for part in parts {
        text.extend_from_slice(part);
    }
}

/// Writes the quantities, and the name of the member after them.
fn quantities(text: &mut BytesMut, effect: StockEffect) {
    let StockEffect { stock, sold, returned, adjusted } = effect;
    decimal(text, stock);
    text.extend_from_slice(br#"","sold":""#);
    decimal(text, sold);
    if returned | adjusted == 0 {
        text.extend_from_slice(br#"","returned":"0","adjusted":"0","events":"#);
        return;
    }
    text.extend_from_slice(br#"","returned":""#);
    decimal(text, returned);
    text.extend_from_slice(br#"","adjusted":""#);
    decimal(text, adjusted);
    text.extend_from_slice(br#"","events":"#);
}

impl WindowText {
    fn set(&mut self, window_seconds: u32, window_start: i64, date: Date) {
        self.of = Some((window_start, date));
        let (start, date) = (Timestamp::from_millis(window_start * 1_000).ascii(), date.ascii());
        let (start, date) = (start.as_str().as_bytes(), date.as_str().as_bytes());
        fill(&mut self.in_id, [start, b":", date, b":"]);
        let text = &mut self.members;
        fill(text, [br#"","window_start":""#, start, br#"","window_seconds":"#]);
        integer(text, window_seconds);
        text.extend_from_slice(br#","business_date":""#);
        text.extend_from_slice(date);
        text.extend_from_slice(br#"","net":""#);
    }
}

impl StoreText {
    fn set(&mut self, source: &[u8], slot: u32, store: &Store) {
        self.of = Some(slot);
        self.key.clear();
        self.key.extend_from_slice(&store.key);
        self.key.push(b'/');
        let text = &mut self.members;
        text.clear();
        text.extend_from_slice(source);
        escape(text, &store.tenant);
        text.extend_from_slice(br#"","store":""#);
        escape(text, &store.name);
        text.extend_from_slice(br#"","sku":""#);
    }
}

/// Writes a quantity; most are whole.
fn decimal(text: &mut BytesMut, millionths: i64) {
    if millionths == 0 {
        text.put_u8(b'0');
    } else if millionths % Decimal::ONE.0 == 0 {
        integer(text, millionths / Decimal::ONE.0);
    } else {
        text.extend_from_slice(Decimal(millionths).ascii().as_str().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use proptest::prelude::*;
    use serde::{Serialize, Serializer};

    use super::*;

    /// The record as serde would write it.
    #[derive(Serialize)]
    struct DeltaRecord<'a> {
        id: String,
        generation: &'a str,
        partition: Partition,
        from_offset: Offset,
        to_offset: Offset,
        tenant: &'a str,
        store: &'a str,
        sku: &'a str,
        unit: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        reason: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        location: &'a str,
        #[serde(serialize_with = "as_text")]
        window_start: Timestamp,
        window_seconds: u32,
        #[serde(serialize_with = "as_text")]
        business_date: Date,
        #[serde(serialize_with = "as_text")]
        net: Decimal,
        #[serde(serialize_with = "as_text")]
        sold: Decimal,
        #[serde(serialize_with = "as_text")]
        returned: Decimal,
        #[serde(serialize_with = "as_text")]
        adjusted: Decimal,
        events: u32,
    }

    fn as_text<S: Serializer>(value: &impl fmt::Display, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    fn by_serde(
        flush: FlushRange<'_>,
        store: &Store,
        (delta, cell): (&Delta, &Cell),
        sku: &str,
    ) -> String {
        let unit = std::str::from_utf8(delta.unit()).unwrap();
        let key = crate::topics::key(&[&store.tenant, &store.name, sku]);
        let window_start = Timestamp::from_millis(delta.window_start * 1_000);
        let FlushRange { generation, partition, from_offset, to_offset, window_seconds } = flush;
        let offsets = format!("{partition}:{from_offset}:{to_offset}");
        let date = delta.date;
        let Cell { reason, location } = cell;
        let cell = match (&**reason, &**location) {
            ("", "") => String::new(),
            (reason, location) => format!("/{}", crate::topics::key(&[reason, location])),
        };
        let record = DeltaRecord {
            id: format!("{generation}:{offsets}:{window_start}:{date}:{key}/{unit}{cell}"),
            generation,
            partition,
            from_offset,
            to_offset,
            tenant: &store.tenant,
            store: &store.name,
            sku,
            unit,
            reason,
            location,
            window_start,
            window_seconds,
            business_date: date,
            net: Decimal(delta.effect.stock),
            sold: Decimal(delta.effect.sold),
            returned: Decimal(delta.effect.returned),
            adjusted: Decimal(delta.effect.adjusted),
            events: delta.events,
        };
        serde_json::to_string(&record).unwrap()
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z0-9]{1,8}", "[ -~]{1,12}", "\\PC{1,6}", "[\u{0}-\u{1f}\"\\\\]{1,4}"]
    }

    prop_compose! {
        fn delta()(
            store in 0..3_u32,
            window in prop_oneof![-3..3_i64, 28_000_000..28_000_002_i64, -900_000_000..4_000_000_000_i64],
            date in prop_oneof![20_000..20_003_i32, -800_000..3_000_000_i32],
            [stock, sold, returned] in [quantity(), quantity(), quantity()],
            adjusted in quantity(),
            unit in prop_oneof![Just(*b"C62\0"), Just(*b"KG\0\0")],
            cell in 0..4_u16,
            events: u32,
        ) -> Delta {
            let effect = StockEffect { stock, sold, returned, adjusted };
            let mut delta = Delta::sample(store, window * 60, Date(date), unit, effect, events);
            delta.cell = cell;
            delta
        }
    }

    fn quantity() -> impl Strategy<Value = i64> {
        prop_oneof![Just(0), (-9..9_i64).prop_map(|whole| whole * 1_000_000), any::<i64>()]
    }

    proptest! {
        #[test]
        fn serde_writes_the_same_bytes(
            names in prop::collection::vec((name(), name()), 3),
            words in prop::collection::vec(name(), 2),
            deltas in prop::collection::vec((delta(), prop_oneof![name(), "[0-9]{1,18}"]), 1..20),
            [from_offset, to_offset] in [any::<u64>(), any::<u64>()],
            partition: u32,
        ) {
            let generation = "0b1f\"-4";
            let flush = FlushRange { generation, partition, from_offset, to_offset, window_seconds: 60 };
            let stores: Vec<Store> = names.iter().map(|(t, s)| Store::new(t, s)).collect();
            let [one, other] = [words[0].as_str(), words[1].as_str()];
            let cells = [("", ""), (one, ""), ("", one), (one, other)]
                .map(|(reason, location)| Cell { reason: reason.into(), location: location.into() });
            let (mut writer, mut text) = (DeltaWriter::new(flush), BytesMut::new());
            for (delta, sku) in &deltas {
                let store = &stores[delta.store as usize];
                let from = text.len();
                let cell = &cells[usize::from(delta.cell)];
                let key = writer.write(&mut text, store, delta, cell, sku);
                let expected = by_serde(flush, store, (delta, cell), sku);
                prop_assert_eq!(std::str::from_utf8(&text[from..]).unwrap(), &expected);
                let named = crate::topics::key(&[&store.tenant, &store.name, sku]);
                prop_assert_eq!(&text[key], named.as_bytes());
            }
        }
    }
}
