//! The two records of a terminal: its state on `state.v1`, and its published ledger; and the published record of a fiscal device,
//! which stands among the ledgers.
//!
//! They are written by hand, because a flush writes both of every terminal that sent something, and most of those miss
//! nothing. Serde writes the long and rare part, missing numbers. The shapes are those of [`super::state`] and of
//! `docs/schemas/ledger.v1.schema.json`; tests compare them with what serde writes.

use bytes::{BufMut as _, BytesMut};
use tillrace_log::{Offset, Partition};

use super::fiscal::FiscalDevice;
use super::json_text::{boolean, integer, optional, put, write_json};
use super::sequence_set::{MAX_INTERVALS, SequenceSet};
use super::state::VERSION;
use super::store::{Store, Terminal};
use crate::envelope::Scope;
use crate::text::escape;

/// The origin of a published record.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordOrigin {
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) flush: u64,
}

/// Writes a terminal's state.
pub(super) fn write_state(text: &mut BytesMut, store: &Store, terminal: &Terminal) {
    text.extend_from_slice(br#"{"v":"#);
    integer(text, VERSION);
    text.put_u8(b',');
    names(text, store, terminal);
    text.extend_from_slice(br#","numbers":"#);
    match &terminal.ledger.sequences {
        Some(sequences) => sequences.write(text),
        None => text.extend_from_slice(b"null"),
    }
    text.extend_from_slice(br#","streak":"#);
    integer(text, terminal.ledger.streak);
    text.extend_from_slice(br#","unnumbered":"#);
    integer(text, terminal.unnumbered);
    text.extend_from_slice(br#","expires":"#);
    optional(text, terminal.expires.map(|date| date.0));
    text.put_u8(b'}');
}

/// Writes a terminal's ledger; nothing if no event was counted, refused or parked, so that there is no record yet.
pub(super) fn write_ledger(
    text: &mut BytesMut,
    store: &Store,
    terminal: &Terminal,
    source: RecordOrigin,
) {
    let sequences = terminal.ledger.sequences.as_ref();
    let count = |of: fn(&SequenceSet) -> u64| sequences.map_or(0, of);
    let (firsts, refused) = (terminal.firsts(), count(SequenceSet::refused));
    let (parked, dismissed) = (count(SequenceSet::parked), count(SequenceSet::dismissed));
    if firsts + refused + parked + dismissed == 0 {
        return;
    }
    let intervals = |jumped| {
        sequences.map_or((Vec::new(), false), |n| n.missing_intervals(jumped, MAX_INTERVALS))
    };
    text.put_u8(b'{');
    names(text, store, terminal);
    text.extend_from_slice(br#","baseline":"#);
    optional(text, sequences.map(SequenceSet::baseline));
    text.extend_from_slice(br#","high_water":"#);
    optional(text, sequences.map(SequenceSet::high));
    text.extend_from_slice(br#","firsts":"#);
    integer(text, firsts);
    text.extend_from_slice(br#","refused":"#);
    integer(text, refused);
    text.extend_from_slice(br#","parked":"#);
    integer(text, parked);
    text.extend_from_slice(br#","dismissed":"#);
    integer(text, dismissed);
    text.extend_from_slice(br#","missing_count":"#);
    integer(text, count(SequenceSet::missing));
    let (missing, truncated) = intervals(false);
    text.extend_from_slice(br#","missing":"#);
    write_json(text, &missing);
    text.extend_from_slice(br#","missing_truncated":"#);
    boolean(text, truncated);
    text.extend_from_slice(br#","jumps":"#);
    write_json(text, &intervals(true).0);
    text.extend_from_slice(br#","terminal_reset_suspected":"#);
    boolean(text, terminal.ledger.reset_suspected());
    text.extend_from_slice(br#","partition":"#);
    integer(text, source.partition);
    text.extend_from_slice(br#","offset":"#);
    integer(text, source.offset);
    text.extend_from_slice(br#","flush":"#);
    integer(text, source.flush);
    text.put_u8(b'}');
}

/// Writes the key of a fiscal device among the ledgers.
pub(super) fn write_device_key(text: &mut BytesMut, store: &Store, device: &FiscalDevice) {
    text.extend_from_slice(&store.key);
    text.extend_from_slice(b"/fiscal/");
    text.extend_from_slice(device.key.as_bytes());
}

/// Writes what others read of a fiscal device.
pub(super) fn write_device(
    text: &mut BytesMut,
    store: &Store,
    device: &FiscalDevice,
    source: RecordOrigin,
) {
    text.extend_from_slice(br#"{"tenant":""#);
    escape(text, &store.tenant);
    text.extend_from_slice(br#"","store":""#);
    escape(text, &store.name);
    text.extend_from_slice(br#"","fiscal":"#);
    write_json(text, &device.published());
    text.extend_from_slice(br#","partition":"#);
    integer(text, source.partition);
    text.extend_from_slice(br#","offset":"#);
    integer(text, source.offset);
    text.extend_from_slice(br#","flush":"#);
    integer(text, source.flush);
    text.put_u8(b'}');
}

/// The members that both begin with.
fn names(text: &mut BytesMut, store: &Store, terminal: &Terminal) {
    text.extend_from_slice(br#""tenant":""#);
    escape(text, &store.tenant);
    text.extend_from_slice(br#"","store":""#);
    escape(text, &store.name);
    text.extend_from_slice(br#"","terminal":""#);
    escape(text, &terminal.name);
    text.extend_from_slice(br#"","epoch":""#);
    escape(text, &terminal.epoch);
    text.extend_from_slice(br#"","scope":""#);
    match terminal.ledger.scope {
        Scope::Terminal => text.extend_from_slice(b"terminal"),
        scope => put(text, format_args!("{scope}")),
    }
    text.put_u8(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;

    use super::super::sequence_set::OpenReason;
    use super::super::state::terminal_value;
    use super::*;
    use crate::envelope::MAX_MODULUS;
    use crate::text::Date;

    /// The ledger's record as serde would write it.
    #[derive(Serialize)]
    struct LedgerRecord<'a> {
        tenant: &'a str,
        store: &'a str,
        terminal: &'a str,
        epoch: &'a str,
        scope: String,
        baseline: Option<u64>,
        high_water: Option<u64>,
        firsts: u64,
        refused: u64,
        parked: u64,
        dismissed: u64,
        missing_count: u64,
        missing: Vec<(u64, u64)>,
        missing_truncated: bool,
        jumps: Vec<(u64, u64)>,
        terminal_reset_suspected: bool,
        partition: Partition,
        offset: Offset,
        flush: u64,
    }

    fn by_serde(store: &Store, terminal: &Terminal, source: RecordOrigin) -> String {
        let sequences = terminal.ledger.sequences.as_ref();
        let intervals = |jumped| {
            sequences.map_or((vec![], false), |n| n.missing_intervals(jumped, MAX_INTERVALS))
        };
        let record = LedgerRecord {
            tenant: &store.tenant,
            store: &store.name,
            terminal: &terminal.name,
            epoch: &terminal.epoch,
            scope: terminal.ledger.scope.to_string(),
            baseline: sequences.map(SequenceSet::baseline),
            high_water: sequences.map(SequenceSet::high),
            firsts: terminal.firsts(),
            refused: sequences.map_or(0, SequenceSet::refused),
            parked: sequences.map_or(0, SequenceSet::parked),
            dismissed: sequences.map_or(0, SequenceSet::dismissed),
            missing_count: sequences.map_or(0, SequenceSet::missing),
            missing: intervals(false).0,
            missing_truncated: intervals(false).1,
            jumps: intervals(true).0,
            terminal_reset_suspected: terminal.ledger.reset_suspected(),
            partition: source.partition,
            offset: source.offset,
            flush: source.flush,
        };
        serde_json::to_string(&record).unwrap()
    }

    fn scope() -> impl Strategy<Value = Scope> {
        prop_oneof![
            Just(Scope::Terminal),
            Just(Scope::BusinessDate),
            (1..=MAX_MODULUS).prop_map(Scope::Wrapping)
        ]
    }

    proptest! {
        #[test]
        fn serde_writes_the_same_bytes(
            [tenant, name, terminal, epoch] in ["[a-z]{1,4}", "\\PC{1,4}", "[ -~]{1,6}", "[0-9]{0,3}"],
            scope in scope(),
            acts in prop::collection::vec((0..5_u8, 0..400_u64, 0..3_u64), 0..250),
            (streak, unnumbered) in (0..20_u32, 0..3_u64),
            expires in prop::option::of(-5..30_000_i32),
            (partition, offset, flush) in (any::<u32>(), any::<u64>(), any::<u64>()),
        ) {
            let mut store = Store::new(&tenant, &name);
            store.add_terminal(&terminal, &epoch, scope);
            let held = &mut store.terminals[0];
            for (act, number, far) in acts {
                let number = number + far * 50_000;
                let sequences = held.ledger.sequences.get_or_insert_with(|| SequenceSet::open_at(number));
                match act {
                    0 => sequences.refuse(number),
                    1 => sequences.park(number),
                    2 => _ = sequences.dismiss(number, OpenReason::Parked),
                    _ => sequences.fill(number),
                }
            }
            (held.ledger.streak, held.unnumbered) = (streak, unnumbered);
            held.expires = expires.map(Date);
            let (source, held) = (RecordOrigin { partition, offset, flush }, &store.terminals[0]);
            let mut text = BytesMut::new();
            write_state(&mut text, &store, held);
            let expected = serde_json::to_string(&terminal_value(&store, held)).unwrap();
            prop_assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
            text.clear();
            write_ledger(&mut text, &store, held, source);
            if text.is_empty() {
                prop_assert_eq!(held.firsts(), 0);
            } else {
                prop_assert_eq!(std::str::from_utf8(&text).unwrap(), by_serde(&store, held, source));
            }
        }
    }
}
