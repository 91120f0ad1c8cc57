use proptest::prelude::*;
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::day_currencies::DayCurrencies;
use super::super::days::PublishedTotals;
use super::super::sequence_set::SequenceSet;
use super::super::state::{day_value, part_value};
use super::*;
use crate::envelope::Scope;
use crate::event::Kind;
use crate::text::Currency;

/// The totals' record as serde would write it.
#[derive(Serialize)]
struct DayRecord<'a> {
    tenant: &'a str,
    store: &'a str,
    business_date: String,
    status: DayStatus,
    #[serde(flatten)]
    control: PublishedTotals<'a>,
    terminal_count: u64,
    closed_count: u64,
    missing_count: u64,
    refused_count: u64,
    parked_count: u64,
    till_balance: Box<RawValue>,
    completeness: Completeness,
    terminals: Vec<AttendanceRecord<'a>>,
    partition: u32,
    offset: u64,
    flush: u64,
}

/// What a day lacks, where there is no register.
#[derive(Serialize)]
struct Completeness {
    expected: &'static str,
}

/// A further part of the terminals as serde would write it.
#[derive(Serialize)]
struct PartRecord<'a> {
    tenant: &'a str,
    store: &'a str,
    business_date: String,
    part: usize,
    terminals: Vec<AttendanceRecord<'a>>,
    partition: u32,
    offset: u64,
    flush: u64,
}

/// An amendment as serde would write it.
#[derive(Serialize)]
struct AmendmentRecord<'a> {
    tenant: &'a str,
    store: &'a str,
    business_date: String,
    status: &'static str,
    #[serde(flatten)]
    control: PublishedTotals<'a>,
    partition: u32,
    from_offset: u64,
    to_offset: u64,
    flush: u64,
}

#[derive(Serialize)]
struct AttendanceRecord<'a> {
    terminal: &'a str,
    epoch: &'a str,
    opened: bool,
    closed: bool,
    missing: u64,
}

fn part<'a>(store: &'a Store, date: Date, day: &Day, part: usize) -> Vec<AttendanceRecord<'a>> {
    let present = store.present(day.part(part));
    let record = |terminal: &'a Terminal| {
        let seen = terminal.days.on(date).unwrap();
        AttendanceRecord {
            terminal: &terminal.name,
            epoch: &terminal.epoch,
            opened: seen.opened,
            closed: seen.closed,
            missing: terminal.lacking_on(date).missing,
        }
    };
    present.map(record).collect()
}

/// The balance as it is written: `drawers` compares it with what it stands for.
fn balance(store: &Store, date: Date) -> Box<RawValue> {
    let mut text = BytesMut::new();
    drawers::write_balance(&mut text, store.balances.get(&date));
    RawValue::from_string(String::from_utf8(text.to_vec()).unwrap()).unwrap()
}

fn by_serde(store: &Store, (date, day): (Date, &Day), source: RecordOrigin) -> String {
    let DaySummary { terminals, closed, missing, refused, parked, .. } = store.summary(date);
    let record = DayRecord {
        tenant: &store.tenant,
        store: &store.name,
        business_date: date.to_string(),
        status: day.status,
        control: day.control.published(),
        terminal_count: terminals,
        closed_count: closed,
        missing_count: missing,
        refused_count: refused,
        parked_count: parked,
        till_balance: balance(store, date),
        completeness: Completeness { expected: "unknown" },
        terminals: part(store, date, day, 0),
        partition: source.partition,
        offset: source.offset,
        flush: source.flush,
    };
    serde_json::to_string(&record).unwrap()
}

fn part_by_serde(
    store: &Store,
    (date, day): (Date, &Day),
    of: usize,
    source: RecordOrigin,
) -> String {
    let record = PartRecord {
        tenant: &store.tenant,
        store: &store.name,
        business_date: date.to_string(),
        part: of,
        terminals: part(store, date, day, of),
        partition: source.partition,
        offset: source.offset,
        flush: source.flush,
    };
    serde_json::to_string(&record).unwrap()
}

proptest! {
    #[test]
    fn serde_writes_the_same_bytes(
        [tenant, name] in ["[a-z]{1,4}", "\\PC{1,4}"],
        tills in prop::collection::vec(("[ -~]{1,6}", "[0-9]{0,3}"), 0..40),
        acts in prop::collection::vec((0..40_u32, any::<bool>(), prop::option::of(0..400_u64)), 0..90),
        date in -5..30_000_i32,
        truncated: bool,
        (partition, offset, flush) in (any::<u32>(), any::<u64>(), any::<u64>()),
    ) {
        let (mut store, date) = (Store::new(&tenant, &name), Date(date));
        for (till, epoch) in &tills {
            store.add_terminal(till, epoch, Scope::Terminal);
        }
        let mut currencies = DayCurrencies::default();
        currencies.push(Currency::parse(b"EUR").unwrap(), offset, &name, Some(flush));
        let day = Day::restored(ControlTotals::default(), currencies, DayStatus::OpenEnded);
        store.days.insert(date, day);
        for (terminal, close, number) in acts {
            let Some(till) = store.terminals.get_mut(terminal as usize) else { continue };
            if let Some(number) = number {
                till.ledger.sequences.get_or_insert_with(|| SequenceSet::open_at(number)).fill(number);
            }
            store.attend(terminal, date, if close { Kind::Close } else { Kind::Open }, number);
        }
        let mut day = store.days[&date].clone();
        day.control.truncated = truncated;
        let (source, held) = (RecordOrigin { partition, offset, flush }, (date, &day));
        let mut text = BytesMut::new();
        write_totals(&mut text, &store, held, store.summary(date), source);
        let expected = by_serde(&store, held, source);
        prop_assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
        text.clear();
        write_state(&mut text, &store, held);
        let expected = serde_json::to_string(&day_value(&store, date, &day)).unwrap();
        prop_assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
        for part in 1..day.parts() {
            text.clear();
            write_part(&mut text, &store, held, part, source);
            let expected = part_by_serde(&store, held, part, source);
            prop_assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
            text.clear();
            write_part_state(&mut text, &store, held, part);
            let expected = serde_json::to_string(&part_value(&store, date, &day, part)).unwrap();
            prop_assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
        }
        text.clear();
        let from_offset = offset / 2;
        write_amendment(&mut text, &store, (date, &day.control), from_offset, source);
        let expected = serde_json::to_string(&AmendmentRecord {
            tenant: &store.tenant,
            store: &store.name,
            business_date: date.to_string(),
            status: "sealed",
            control: day.control.published(),
            partition,
            from_offset,
            to_offset: offset,
            flush,
        });
        prop_assert_eq!(std::str::from_utf8(&text).unwrap(), expected.unwrap());
    }
}
