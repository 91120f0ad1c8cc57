//! The largest record of each kind that the aggregator writes, held against the table of kinds.

use bytes::BytesMut;
use proptest::prelude::*;

use super::super::day_records::{
    write_amendment, write_drawer, write_part, write_part_state, write_state as write_day_state,
    write_totals,
};
use super::super::deltas::{DeltaWriter, FlushRange};
use super::super::drawers::{DayBalance, longest};
use super::super::fiscal;
use super::super::fixture::{DAY_MS, FRIDAY_MS, Rig};
use super::super::json_text::integer;
use super::super::partition::Checkpoint;
use super::super::registers::RegisterRecord;
use super::super::sequence_set::{MAX_INTERVALS, SequenceSet};
use super::super::state;
use super::super::store::Store;
use super::super::terminals::{
    RecordOrigin, write_device, write_device_key, write_ledger, write_state as write_terminal_state,
};
use super::super::windows::{Cell, Delta};
use super::super::{VerdictTotals, days::PART_TERMINALS};
use crate::decode::{Decoder, MAX_EVENT_BYTES};
use crate::envelope::{Admission, Envelope, MAX_MODULUS, Scope};
use crate::event::Kind;
use crate::record_size::largest;
use crate::register::part::{MAX_PARTS, PART_BYTES, RegisterPart};
use crate::register::read::read;
use crate::register::{MAX_EXCEPTIONS, MAX_TERMINALS};
use crate::stock::StockEffect;
use crate::text::{Currency, Date};

const DATE: Date = Date(20_000);
const ORIGIN: RecordOrigin =
    RecordOrigin { partition: u32::MAX, offset: u64::MAX, flush: u64::MAX };

/// An id of 64 bytes at most, made of what grows most in JSON or in a key.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![Just("\"".repeat(64)), Just("\u{7ff}".repeat(32)), "[ \"\\\\é\u{10ffff}]{1,16}"]
}

/// A store with one day, on which more terminals than a part holds took part, with all the totals that a day adds up.
fn store(tenant: &str, name: &str, till: &str) -> Store {
    let mut store = Store::new(tenant, name);
    store.days.entry(DATE).or_default();
    for number in 0..2 * PART_TERMINALS as u64 {
        let epoch = format!("{number:03}{}", &"\"".repeat(125));
        let slot = store.add_terminal(till, &epoch, Scope::Wrapping(u64::MAX));
        let ledger = &mut store.terminals[slot as usize].ledger;
        ledger.sequences = Some(SequenceSet::open_at(u64::MAX / 2 - 1_000 * 1_000));
        store.attend(slot, DATE, Kind::Close, Some(u64::MAX / 2));
    }
    let day = store.days.get_mut(&DATE).unwrap();
    let mut decoder = Decoder::new();
    let codes = b"AEDAFNALLAMDAOAARSAUDAWGAZNBAMBBDBDTBHDBIFBMDBND";
    let (codes, _) = codes.as_chunks::<3>();
    for (place, code) in codes.iter().cycle().take(38).enumerate() {
        let amount = "-9000000000";
        let tender = |number: usize| {
            let name = format!("{}{:\\<62}", number % 10, place);
            serde_json::json!({"type": name, "amount": amount})
        };
        let event = serde_json::json!({
            "store": "1", "terminal": "1", "sequence": 1, "event_id": "e", "kind": "sale",
            "occurred_at": "2026-11-27T08:15:30Z", "business_date": "2026-11-27",
            "currency": std::str::from_utf8(code).unwrap(),
            "lines": [{"line": 1, "type": "sale", "sku": "a", "quantity": "1", "amount": "9000000000"}],
            "tenders": (0..9).map(tender).collect::<Vec<_>>(),
        });
        let text = serde_json::to_vec(&event).unwrap();
        day.control.add(&decoder.decode(&text).unwrap());
    }
    for kind in Kind::ALL {
        day.control.count(kind);
    }
    assert_eq!(day.control.lists(), (Kind::ALL.len(), 16, 64));
    day.control.overstate();
    for code in codes {
        let currency = Currency::parse(code).unwrap();
        day.currencies.push(currency, u64::MAX / 16, &"\"".repeat(64), Some(u64::MAX));
    }
    let codes: Vec<_> = codes.iter().filter_map(|code| Currency::parse(code)).collect();
    store.balances.insert(DATE, longest(&codes, till));
    expect_others(&mut store);
    store
}

/// Gives the store a register that knows none of its terminals, and of whose own none has spoken.
fn expect_others(store: &mut Store) {
    let parts = register_parts();
    assert_eq!(parts.len(), MAX_PARTS as usize);
    store.registers.restore(&parts).unwrap();
}

fn register_parts() -> Vec<RegisterPart> {
    let terminals: Vec<_> = (0..MAX_TERMINALS)
        .map(|number| {
            let terminal = format!("{number:\"<64}");
            serde_json::json!({"terminal": terminal, "kind": "self_checkout", "closes": false})
        })
        .collect();
    let exceptions: serde_json::Map<String, serde_json::Value> = (0..MAX_EXCEPTIONS)
        .map(|day| (Date(DATE.0 + i32::try_from(day).unwrap()).to_string(), "open".into()))
        .collect();
    let weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let file = serde_json::json!({"tenant": "1", "stores": [{"store": "1", "valid_from": DATE.to_string(),
        "zone": "America/Argentina/ComodRivadavia", "currency": "EUR", "group": "\"".repeat(64),
        "calendar": {"weekdays": weekdays, "exceptions": exceptions}, "terminals": terminals}]});
    RegisterPart::of(&read(&file).unwrap().stores[0].1, &"\"".repeat(256))
}

fn check_registers(store: &Store) {
    for part in &register_parts() {
        let record = RegisterRecord { store, part, partition: u32::MAX, offset: u64::MAX };
        let key = state::register_key(store, DATE, part.part);
        let published = size(key.len(), |text| record.write(text));
        fits("store.registers.v1", "part of a register", published);
        let value = serde_json::to_vec(&state::register_value(part)).unwrap();
        let key = state::coming_register_key(store, part.part).len().max(key.len() + 9);
        fits("state.v1", "part of a register", key + value.len());
        // On the journal it stands in an envelope of a control record.
        let data = serde_json::to_vec(part).unwrap().len();
        assert!(
            data <= PART_BYTES && data + 4_096 <= largest("pos.events.v1", "part of a register")
        );
    }
}

/// Writes a record and returns how long it is, its key included.
fn size(key: usize, write: impl FnOnce(&mut BytesMut)) -> usize {
    let mut text = BytesMut::new();
    write(&mut text);
    key + text.len()
}

fn fits(topic: &str, kind: &str, bytes: usize) {
    assert!(bytes <= largest(topic, kind), "{kind} of {topic} has {bytes} bytes");
}

fn check_days(store: &Store) {
    let held = (DATE, &store.days[&DATE]);
    let mut day_key = BytesMut::new();
    state::write_totals_key(&mut day_key, store, DATE);
    let key = day_key.len();
    let summary = store.summary(DATE);
    fits(
        "store.days.v1",
        "day",
        size(key, |text| write_totals(text, store, held, summary, ORIGIN)),
    );
    fits("state.v1", "day", size(key + 4, |text| write_day_state(text, store, held)));
    let part = size(0, |text| {
        state::write_part_key(text, &day_key, usize::MAX);
        write_part(text, store, held, 1, ORIGIN);
    });
    fits("store.days.v1", "part of a day's terminals", part);
    let part = size(0, |text| {
        state::write_part_state_key(text, &day_key, usize::MAX);
        write_part_state(text, store, held, 1);
    });
    fits("state.v1", "part of a day's terminals", part);
    check_balance(store, &store.balances[&DATE]);
    let amended = (DATE, &held.1.control);
    let amendment = size(key + 60, |text| write_amendment(text, store, amended, u64::MAX, ORIGIN));
    fits("store.days.v1", "amendment", amendment);
}

fn check_balance(store: &Store, balance: &DayBalance) {
    let named = &balance.drawers()[0];
    let drawer = size(0, |text| {
        state::write_drawer_key(text, store, DATE, &named.key);
        write_drawer(text, store, DATE, named, ORIGIN);
    });
    fits("store.days.v1", "drawer", drawer);
    let drawer = size(0, |text| {
        state::write_drawer_state_key(text, store, DATE, named);
        state::write_drawer_state(text, &named.drawer);
    });
    fits("state.v1", "drawer", drawer);
    let safe = size(0, |text| {
        state::write_safe_key(text, store, DATE);
        state::write_safe_state(text, balance);
    });
    fits("state.v1", "safe of a day", safe);
}

fn check_device(store: &Store, name: &str) {
    let device = fiscal::longest(name);
    let published = size(0, |text| {
        write_device_key(text, store, &device);
        write_device(text, store, &device, ORIGIN);
    });
    fits("terminal.ledger.v1", "fiscal device", published);
    let kept = size(0, |text| {
        state::write_device_state_key(text, store, &device);
        state::write_device_state(text, &device);
    });
    fits("state.v1", "fiscal device", kept);
    // A block is that of a terminal's numbers, under a key of its own.
    let key = size(0, |text| state::write_device_block_key(text, store, &device, u64::MAX));
    fits("state.v1", "block of a device's counters", key + 1_600);
}

fn check_terminals(store: &mut Store) {
    let from = u64::MAX / 2 - 1_000 * 1_000;
    let ledger = &mut store.terminals[0].ledger;
    let sequences = ledger.sequences.as_mut().unwrap();
    // Far jumps, each a span, and near gaps before them, which go to blocks.
    (0..200).for_each(|number| sequences.fill(from + 4_096 * number));
    (0..MAX_INTERVALS as u64)
        .for_each(|number| sequences.fill(from + 1_000_000 + 1_000_000 * number));
    let mut blocks = 0;
    let ledger_key = store.terminals[0].key.clone();
    let sequences = store.terminals[0].ledger.sequences.as_mut().unwrap();
    sequences.take_changed(|index, block| {
        blocks += 1;
        let bytes = size(0, |text| {
            state::write_numbers_key(text, &ledger_key, index);
            if let Some(block) = block {
                block.encode(text);
            }
        });
        fits("state.v1", "block of a terminal's numbers", bytes);
    });
    assert!(blocks > 1);
    let hashes = &mut store.terminals[0].ledger.hashes;
    for number in from..from + 64 {
        hashes.insert(number, super::super::hashes::ShortHash(u32::MAX), i64::MAX / 2, 1);
    }
    hashes.take_changed(|index, block| {
        let bytes = size(0, |text| {
            state::write_hashes_key(text, &ledger_key, index);
            if let Some(block) = block {
                block.encode(text);
            }
        });
        fits("state.v1", "block of a terminal's hashes", bytes);
    });
    let terminal = &store.terminals[0];
    let key = terminal.key.len();
    let kept = size(key + 9, |text| write_terminal_state(text, store, terminal));
    fits("state.v1", "terminal", kept);
    fits(
        "terminal.ledger.v1",
        "ledger",
        size(key, |text| write_ledger(text, store, terminal, ORIGIN)),
    );
}

fn check_parked(store: &mut Store) {
    let name = super::super::parking::parked_name(
        &crate::topics::key(&[&store.name, &store.name.repeat(2), &store.name]),
        u128::MAX,
    );
    let event = super::super::parked_events::ParkedEvent {
        name: name.into(),
        number: Some(u64::MAX),
        date: Some(DATE),
    };
    let key = 8 + store.key.len() + event.name.len();
    let parked = serde_json::to_vec(&state::parked_value(u64::MAX, &event)).unwrap();
    fits("state.v1", "parked event", key + parked.len());
    for name in 0..65 {
        store.parked.remember(&name.to_string(), i64::MAX / 2, 1, usize::MAX);
    }
    let mut blocks = Vec::new();
    store.parked.settled.take_changed(|block, bytes| blocks.push((block, bytes)));
    for (block, bytes) in blocks {
        let bytes = state::settled_key(store, block).len() + bytes.map_or(0, |bytes| bytes.len());
        fits("state.v1", "block of settled parked events", bytes);
    }
}

fn check_the_rest(store: &mut Store, sku: &str) {
    (0..1_000).for_each(|number| store.released.add(u64::MAX - number));
    let released = serde_json::to_vec(&state::released_value(store, 0)).unwrap();
    let bytes = state::released_key(store, 127).len() + released.len();
    fits("state.v1", "part of a store's releases", bytes);
    for id in 0..65 {
        let hash = super::super::hashes::ShortHash(1);
        store.ids.decide(u128::MAX - id, hash, i64::MAX / 2, 1, usize::MAX);
    }
    let mut blocks = Vec::new();
    store.ids.take_changed(|block, bytes| blocks.push((block, bytes)));
    for (block, bytes) in blocks {
        let bytes = state::ids_key(store, block).len() + bytes.map_or(0, |bytes| bytes.len());
        fits("state.v1", "block of a store's event ids", bytes);
    }
    check_parked(store);
    let generation = "01234567-89ab-cdef-0123-456789abcdef";
    let most = u64::MAX / 8;
    let totals: VerdictTotals =
        serde_json::from_value(serde_json::json!({"first": most, "duplicate": most,
        "duplicate_unverified": most, "conflict": most, "quarantined": most, "refused": most,
        "parked": most, "settled": most, "control": most, "unreadable": most, "released": most}))
        .unwrap();
    let checkpoint = Checkpoint {
        version: state::VERSION,
        generation: generation.to_owned(),
        flush: u64::MAX,
        next_offset: u64::MAX,
        partitions: u32::MAX,
        clock_ms: i64::MIN,
        window_seconds: u32::MAX,
        totals,
        silent_days_until_ms: Some(i64::MIN),
    };
    fits("state.v1", "checkpoint", 20 + serde_json::to_vec(&checkpoint).unwrap().len());
    let mut writer = DeltaWriter::new(FlushRange {
        generation,
        partition: u32::MAX,
        from_offset: u64::MAX,
        to_offset: u64::MAX,
        window_seconds: 86_400,
    });
    let most = i64::MIN;
    let effect = StockEffect { stock: most, sold: most, returned: most, adjusted: most };
    let mut delta = Delta::sample(0, 1_795_737_600, DATE, *b"KGM\0", effect, u32::MAX);
    let key = crate::topics::key(&[&store.tenant, &store.name, sku]).len();
    // A reason and a location have as many bytes as an SKU.
    delta.cell = 1;
    let cell = Cell { reason: sku.into(), location: sku.into() };
    let bytes = size(key, |text| {
        writer.write(text, store, &delta, &cell, sku);
    });
    fits("inventory.deltas.v1", "delta", bytes);
    let mut decimal = BytesMut::new();
    integer(&mut decimal, i64::MIN);
    assert_eq!(decimal.len(), 20);
}

/// A count of as much as can be, as long as an event may be, in an envelope of which every attribute is so; `note` makes two of one
/// identity differ.
fn counted([tenant, name, till, sku]: [&str; 4], note: &str) -> Vec<u8> {
    let (time, epoch) = ("2026-11-27T08:15:30.123456789+05:45", till.repeat(64 / till.len()));
    let event = serde_json::json!({
        "store": name, "terminal": till, "epoch": epoch, "sequence": u32::MAX, "event_id": till,
        "kind": "inventory_count", "occurred_at": time, "business_date": "2026-11-27", "operator_id": note,
        "lines": [{"line": 1_000_000, "type": "count", "sku": sku, "unit": "KGM", "quantity": "999999.999999"}],
    });
    let mut data = serde_json::to_vec(&event).unwrap();
    data.resize(MAX_EVENT_BYTES, b' ');
    let envelope = Envelope {
        id: format!("id:{}", crate::topics::key(&[till])).into(),
        source: format!("/{}", crate::topics::key(&[tenant, name, till, &epoch])).into(),
        event_type: "tillrace.pos.inventory_count".into(),
        time: Some(time.into()),
        tenant: tenant.into(),
        store: name.into(),
        terminal: Some(till.into()),
        epoch: Some((&*epoch).into()),
        sequence: Some(u64::from(u32::MAX)),
        event_id: Some(till.into()),
        business_date: Some("2026-11-27".into()),
        received_time: "2026-11-27T08:15:30.123456Z".into(),
        content_hash: Some(Decoder::new().decode(&data).unwrap().hash),
        scope: Scope::Wrapping(MAX_MODULUS),
        policy_revision: "1".into(),
        admission: Admission::Flood,
        gateway: "gw".into(),
        data: &data,
        ..Envelope::default()
    };
    let mut value = Vec::new();
    envelope.write(&mut value);
    value
}

/// What follows one event directly is not made in a flush of its own: the whole engine writes it.
fn check_what_follows_an_event(names: [&str; 4]) {
    let rig = Rig::new(1);
    let key = crate::topics::key(&names[..2]);
    for note in ["first", "other"] {
        let at_ms = FRIDAY_MS + DAY_MS / 2;
        rig.log.append(&rig.topics.events, 0, &key, counted(names, note), at_ms);
    }
    rig.run();
    let topics = &rig.topics;
    for (topic, kind) in
        [(&topics.counts, "count"), (&topics.conflicts, "event"), (&topics.transactions, "event")]
    {
        let entries = rig.log.entries(topic);
        let [entry] = &entries[..] else { panic!("{topic} has {} records", entries.len()) };
        fits(topic.as_str(), kind, entry.key.len() + entry.value.as_ref().unwrap().len());
    }
}

#[test]
fn the_bounds_are_those_of_what_can_be() {
    let store = store(&"\"".repeat(64), &"\"".repeat(64), &"\"".repeat(64));
    let held = (DATE, &store.days[&DATE]);
    let mut text = BytesMut::new();
    write_day_state(&mut text, &store, held);
    // A bound that nothing comes near to would say nothing.
    assert!(text.len() > largest("state.v1", "day") / 2, "{}", text.len());
    assert_eq!(held.1.parts(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_largest_of_each_kind_fits_the_table([tenant, name, till, sku] in [id(), id(), id(), id()]) {
        let mut store = store(&tenant, &name, &till);
        check_days(&store);
        check_device(&store, &sku);
        check_registers(&store);
        check_terminals(&mut store);
        check_the_rest(&mut store, &sku);
        check_what_follows_an_event([&tenant, &name, &till, &sku]);
    }
}
