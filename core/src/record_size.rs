//! The largest size of each kind of record: every record that any role writes fits the log by construction.
//!
//! A record that the log rejects would stop the role that writes it, and again after each restart. So no record grows with
//! the names that a sender chooses: it is truncated, or split into parts of fixed size. [`RECORD_KINDS`] has the largest size
//! of each kind and its bound. The tests of each writer build its largest record and compare it with this table, which
//! `docs/RECORDS.md` shows.

/// The least `frame_bytes` of a local log on which the aggregator runs: half of it is a flush, of which the last event may be as much
/// as 7 MiB (2,000 lines of different goods, each moved from one location to another).
pub const LEAST_FRAME_BYTES: usize = 16 << 20;

/// Most bytes of a record of the journal that the aggregator reads as an event: the largest event, and its envelope.
pub const EVENT_RECORD_BYTES: usize = 264 * KIB;

const KIB: usize = 1 << 10;

/// One kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordKind {
    /// Topic, without its namespace.
    pub topic: &'static str,
    /// What it is.
    pub kind: &'static str,
    /// Bytes of key and value, at most.
    pub largest_bytes: usize,
    /// Why it can not be larger.
    pub bound: &'static str,
}

const fn kind(
    topic: &'static str,
    kind: &'static str,
    largest_bytes: usize,
    bound: &'static str,
) -> RecordKind {
    RecordKind { topic, kind, largest_bytes, bound }
}

/// Every kind of record.
pub const RECORD_KINDS: &[RecordKind] = &[
    kind(
        "pos.events.v1",
        "event",
        EVENT_RECORD_BYTES,
        "text of 256 KiB at most, as sent; ids of 64 bytes, epochs of 128",
    ),
    kind("pos.events.v1", "marker", 8 * KIB, "code, and a pointer of 512 bytes at most"),
    kind(
        "pos.events.v1",
        "release",
        16 * KIB,
        "an operator of 256 bytes and a reason of 1,024 at most",
    ),
    kind(
        "pos.rejected.v1",
        "rejected event",
        400 * KIB,
        "64 KiB of the text at most, each byte six as an escape",
    ),
    kind(
        "pos.events.v1",
        "dismissal",
        16 * KIB,
        "an operator of 256 bytes and a reason of 1,024 at most",
    ),
    kind("pos.events.v1", "readmission", 72 * KIB, "a mapping of 64 KiB at most, and an operator"),
    kind("pos.events.v1", "part of a register", 72 * KIB, "64 KiB of it at most"),
    kind("pos.events.v1", "tick", 2 * KIB, "the names of a store"),
    kind("pos.parked.v1", "parked event", 266 * KIB, "the event's record and its source"),
    kind("pos.transactions.v1", "event", 265 * KIB, "the event's record, its verdict and source"),
    kind("pos.conflicts.v1", "event", 268 * KIB, "the event's text, and names as in its envelope"),
    kind(
        "pos.conflicts.v1",
        "unreadable record",
        16 * KIB,
        "512 bytes of its key and 1 KiB of its value at most, each byte six as an escape",
    ),
    kind("inventory.deltas.v1", "delta", 4 * KIB, "names, and numbers of 64 bits"),
    kind("stock.counts.v1", "count", 4 * KIB, "names, and numbers of 64 bits"),
    kind(
        "store.days.v1",
        "day",
        58 * KIB,
        "16 currencies, 64 tender types, 32 terminals; further ones in parts, drawers apart; 48 names of what lacks",
    ),
    kind("store.days.v1", "part of a day's terminals", 20 * KIB, "32 terminals"),
    kind("store.days.v1", "drawer", 8 * KIB, "16 tender types"),
    kind("store.days.v1", "amendment", 24 * KIB, "16 currencies, 64 tender types"),
    kind("store.registers.v1", "part of a register", 68 * KIB, "200 terminals, 366 dates"),
    kind("terminal.ledger.v1", "ledger", 12 * KIB, "64 missing ranges and 64 jumps"),
    kind(
        "terminal.ledger.v1",
        "fiscal device",
        8 * KIB,
        "64 missing ranges and 32 repeated counters",
    ),
    kind("policy.v1", "document", 256 * KIB, "checked when it is applied"),
    kind(
        "policy.v1",
        "commit or revocation",
        16 * KIB,
        "an operator of 256 bytes and a reason of 1,024 at most",
    ),
    kind("state.v1", "terminal", 8 * KIB, "64 intervals of numbers; blocks of them apart"),
    kind(
        "state.v1",
        "block of a terminal's numbers",
        4 * KIB,
        "three bits for each of 4,096 numbers",
    ),
    kind("state.v1", "block of a terminal's hashes", 2 * KIB, "32 hashes"),
    kind(
        "state.v1",
        "day",
        44 * KIB,
        "as on store.days.v1, without the balance, and 16 currencies of events",
    ),
    kind("state.v1", "part of a day's terminals", 20 * KIB, "32 terminals"),
    kind("state.v1", "drawer", 12 * KIB, "16 tender types"),
    kind("state.v1", "safe of a day", 4 * KIB, "16 currencies"),
    kind("state.v1", "fiscal device", 8 * KIB, "64 intervals of counters; blocks of them apart"),
    kind(
        "state.v1",
        "block of a device's counters",
        4 * KIB,
        "three bits for each of 4,096 counters",
    ),
    kind("state.v1", "block of a store's event ids", 2 * KIB, "64 ids"),
    kind("state.v1", "block of settled parked events", 2 * KIB, "64 hashes"),
    kind("state.v1", "parked event", 2 * KIB, "names, and numbers of 64 bits"),
    kind("state.v1", "part of a store's releases", 16 * KIB, "512 offsets"),
    kind("state.v1", "part of a register", 68 * KIB, "200 terminals, 366 dates"),
    kind("state.v1", "checkpoint", KIB, "numbers"),
    kind(
        "pos.audit.v1",
        "audit record",
        480 * KIB,
        "1,024 ranges and as many codes of 64 characters at most",
    ),
    kind(
        "<sink>.dead.v1",
        "dead letter",
        1_000 * KIB,
        "a value of 960 KiB at most as it stands, else 64 Ki characters of it; 4 KiB of the key, an error of 1,000 characters",
    ),
];

/// Returns the largest size of a kind.
///
/// # Panics
/// When the table has no such kind; it is for tests.
#[expect(clippy::panic, reason = "a test that names no kind has failed")]
pub fn largest(topic: &str, kind: &str) -> usize {
    let found = RECORD_KINDS.iter().find(|known| known.topic == topic && known.kind == kind);
    found.unwrap_or_else(|| panic!("no kind {kind} of {topic}")).largest_bytes
}

#[cfg(test)]
mod tests {
    use tillrace_log::RECORD_LIMIT_BYTES;

    use super::*;
    use crate::decode::MAX_EVENT_BYTES;
    use crate::envelope::{
        Admission, Envelope, ParkedMark, Readmission, Scope, SourceVerdict, VerdictKind,
    };
    use crate::topics::key;

    const ID: &str = "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"";

    /// An envelope of which every attribute is as long as it can be.
    fn longest<'a>(source: &'a str, epoch: &'a str, data: &'a [u8]) -> Envelope<'a> {
        Envelope {
            id: format!("id:{}", key(&[ID])).into(),
            source: source.into(),
            event_type: "tillrace.pos.inventory_adjustment".into(),
            time: Some("2026-11-27T08:15:30.123456789+05:45".into()),
            tenant: ID.into(),
            store: ID.into(),
            terminal: Some(ID.into()),
            epoch: Some(epoch.into()),
            sequence: Some(u64::MAX),
            event_id: Some(ID.into()),
            business_date: Some("2026-11-27".into()),
            received_time: "2026-11-27T08:15:30.123456Z".into(),
            content_hash: Some(u128::MAX),
            data_hash: Some(u128::MAX),
            parked: None,
            readmission: Some(Readmission { offset: u64::MAX, text_hash: u128::MAX }),
            transforms: Some(format!("mapping:{}", "f".repeat(64)).into()),
            scope: Scope::Wrapping(u64::MAX),
            policy_revision: ID.into(),
            flags: Some("totals_mismatch,tenders_mismatch,line_count_mismatch".into()),
            admission: Admission::Flood,
            gateway: ID.into(),
            traceparent: Some(ID.into()),
            source_verdict: None,
            data,
        }
    }

    fn size(envelope: &Envelope<'_>) -> usize {
        let mut text = Vec::new();
        envelope.write(&mut text);
        key(&[ID, ID]).len() + text.len()
    }

    #[test]
    fn the_largest_events_and_markers_fit_their_kinds() {
        assert_eq!(ID.len(), 64);
        let epoch = ID.repeat(2);
        let source = format!("/{}", key(&[ID, ID, ID, &epoch]));
        let data = vec![b'x'; MAX_EVENT_BYTES];
        let event = longest(&source, &epoch, &data);
        assert!(size(&event) <= largest("pos.events.v1", "event"), "{}", size(&event));
        let released = Envelope {
            id: format!("{}~r{}", event.id, u64::MAX).into(),
            source_verdict: Some(SourceVerdict {
                verdict: VerdictKind::Released,
                partition: u32::MAX,
                offset: u64::MAX,
            }),
            ..event.clone()
        };
        assert!(size(&released) <= largest("pos.transactions.v1", "event"), "{}", size(&released));
        let pointer = "\u{1}".repeat(512);
        let parked = Envelope {
            content_hash: None,
            readmission: None,
            transforms: None,
            flags: None,
            parked: Some(ParkedMark { code: ID.into(), pointer: pointer.as_str().into() }),
            ..event.clone()
        };
        assert!(size(&parked) <= largest("pos.events.v1", "event"), "{}", size(&parked));
        let copy = Envelope {
            source_verdict: Some(SourceVerdict {
                verdict: VerdictKind::Parked,
                partition: u32::MAX,
                offset: u64::MAX,
            }),
            ..parked
        };
        let copied = size(&copy) + key(&[ID, ID, &epoch]).len() + 3 + 32;
        assert!(copied <= largest("pos.parked.v1", "parked event"), "{copied}");
        let marker = serde_json::to_vec(&serde_json::json!({"code": ID, "pointer": pointer}));
        let marker = marker.unwrap();
        let marker = Envelope { data: &marker, ..event };
        assert!(size(&marker) <= largest("pos.events.v1", "marker"), "{}", size(&marker));
    }

    #[test]
    fn every_kind_fits_the_log() {
        for kind in RECORD_KINDS {
            // What Kafka adds to a record and its batch is some hundred bytes.
            assert!(kind.largest_bytes + 4 * KIB <= RECORD_LIMIT_BYTES, "{kind:?}");
        }
    }

    #[test]
    fn the_document_shows_this_table() {
        let shown =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/RECORDS.md"));
        let shown = shown.unwrap();
        let rows = RECORD_KINDS.iter().map(|kind| {
            let RecordKind { topic, kind, largest_bytes, bound } = kind;
            format!("| `{topic}` | {kind} | {} KiB | {bound} |\n", largest_bytes / KIB)
        });
        let table: String = rows.collect();
        assert!(shown.contains(&table), "docs/RECORDS.md should have\n{table}");
    }
}
