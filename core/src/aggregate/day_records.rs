//! The records of a store-day: its totals for others to read, what is kept of it on `state.v1`, and what is added to it after it was
//! sealed.
//!
//! Each flush writes the first two of every day that changed, with all its terminals: they are written by hand, as in
//! [`super::terminals`]. The shapes are those of `docs/schemas/store-day.v1.schema.json` and of [`super::state`]; a test holds them
//! against serde.

use bytes::{BufMut as _, BytesMut};

use super::days::{Attendance, Control, Day, Status};
use super::json_text::{integer, optional};
use super::outputs::write_json;
use super::state::VERSION;
use super::store::{Store, Terminal};
use super::terminals::Source;
use crate::log::Offset;
use crate::text::{Date, escape};

/// Writes a day's totals; `missing` has a number for each of its terminals.
pub(super) fn write_totals(
    text: &mut BytesMut,
    store: &Store,
    (date, day): (Date, &Day),
    missing: &[u64],
    source: Source,
) {
    totals(text, store, (date, day.status), &day.control);
    text.extend_from_slice(br#","terminals":["#);
    let mut missing = missing.iter();
    terminals(text, store, day, |text, _seen| {
        text.extend_from_slice(br#","missing":"#);
        integer(text, missing.next().copied().unwrap_or_default());
    });
    text.extend_from_slice(br#"],"partition":"#);
    integer(text, source.partition);
    text.extend_from_slice(br#","offset":"#);
    integer(text, source.offset);
    text.extend_from_slice(br#","flush":"#);
    integer(text, source.flush);
    text.put_u8(b'}');
}

/// Writes what was counted from an offset on after a day was sealed, to be added to its totals.
pub(super) fn write_amendment(
    text: &mut BytesMut,
    store: &Store,
    (date, control): (Date, &Control),
    from: Offset,
    source: Source,
) {
    totals(text, store, (date, Status::Sealed), control);
    text.extend_from_slice(br#","partition":"#);
    integer(text, source.partition);
    text.extend_from_slice(br#","from_offset":"#);
    integer(text, from);
    text.extend_from_slice(br#","to_offset":"#);
    integer(text, source.offset);
    text.extend_from_slice(br#","flush":"#);
    integer(text, source.flush);
    text.put_u8(b'}');
}

/// Writes what is kept of a day.
pub(super) fn write_state(text: &mut BytesMut, store: &Store, (date, day): (Date, &Day)) {
    text.extend_from_slice(br#"{"v":"#);
    integer(text, VERSION);
    text.put_u8(b',');
    names(text, store);
    text.extend_from_slice(br#","date":"#);
    integer(text, date.0);
    text.extend_from_slice(br#","status":"#);
    write_json(text, &day.status);
    text.extend_from_slice(br#","control":"#);
    day.control.write_state(text);
    text.extend_from_slice(br#","terminals":["#);
    terminals(text, store, day, |text, seen| {
        text.extend_from_slice(br#","close":"#);
        optional(text, seen.close);
        text.extend_from_slice(br#","last":"#);
        optional(text, seen.last);
    });
    text.extend_from_slice(b"]}");
}

/// The members that totals and amendments begin with.
fn totals(text: &mut BytesMut, store: &Store, (date, status): (Date, Status), control: &Control) {
    text.put_u8(b'{');
    names(text, store);
    text.extend_from_slice(br#","business_date":""#);
    text.extend_from_slice(date.ascii().as_str().as_bytes());
    text.extend_from_slice(br#"","status":"#);
    write_json(text, &status);
    text.put_u8(b',');
    control.write_published(text);
}

fn names(text: &mut BytesMut, store: &Store) {
    text.extend_from_slice(br#""tenant":""#);
    escape(text, &store.tenant);
    text.extend_from_slice(br#"","store":""#);
    escape(text, &store.name);
    text.put_u8(b'"');
}

fn terminals(
    text: &mut BytesMut,
    store: &Store,
    day: &Day,
    mut members: impl FnMut(&mut BytesMut, &Attendance),
) {
    for (place, seen) in day.terminals.iter().enumerate() {
        let Terminal { name, epoch, .. } = &store.terminals[seen.terminal as usize];
        let head: &[u8] = if place == 0 { br#"{"terminal":""# } else { br#",{"terminal":""# };
        text.extend_from_slice(head);
        escape(text, name);
        text.extend_from_slice(br#"","epoch":""#);
        escape(text, epoch);
        flags(text, seen);
        members(text, seen);
        text.put_u8(b'}');
    }
}

/// Writes what ends the epoch, and the two flags.
fn flags(text: &mut BytesMut, seen: &Attendance) {
    text.extend_from_slice(match (seen.opened, seen.closed) {
        (false, false) => br#"","opened":false,"closed":false"#,
        (false, true) => br#"","opened":false,"closed":true"#,
        (true, false) => br#"","opened":true,"closed":false"#,
        (true, true) => br#"","opened":true,"closed":true"#,
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;

    use super::super::days::Published;
    use super::super::state::day_value;
    use super::*;
    use crate::envelope::Scope;
    use crate::event::Kind;

    /// The totals' record as serde would write it.
    #[derive(Serialize)]
    struct DayRecord<'a> {
        tenant: &'a str,
        store: &'a str,
        business_date: String,
        status: Status,
        #[serde(flatten)]
        control: Published<'a>,
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
        control: Published<'a>,
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

    fn by_serde(
        store: &Store,
        (date, day): (Date, &Day),
        missing: &[u64],
        source: Source,
    ) -> String {
        let attendance = |(seen, missing): (&Attendance, &u64)| AttendanceRecord {
            terminal: &store.terminals[seen.terminal as usize].name,
            epoch: &store.terminals[seen.terminal as usize].epoch,
            opened: seen.opened,
            closed: seen.closed,
            missing: *missing,
        };
        let record = DayRecord {
            tenant: &store.tenant,
            store: &store.name,
            business_date: date.to_string(),
            status: day.status,
            control: day.control.published(),
            terminals: day.terminals.iter().zip(missing).map(attendance).collect(),
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
            tills in prop::collection::vec(("[ -~]{1,6}", "[0-9]{0,3}", any::<u64>()), 0..5),
            acts in prop::collection::vec((0..5_u32, any::<bool>(), prop::option::of(any::<u64>())), 0..9),
            date in -5..30_000_i32,
            truncated: bool,
            (partition, offset, flush) in (any::<u32>(), any::<u64>(), any::<u64>()),
        ) {
            let mut store = Store::new(&tenant, &name);
            for (till, epoch, _) in &tills {
                store.add_terminal(till, epoch, Scope::Terminal);
            }
            let mut day = Day { status: Status::OpenEnded, ..Day::default() };
            day.control.truncated = truncated;
            for (terminal, close, number) in acts {
                if (terminal as usize) < tills.len() {
                    day.attend(terminal, if close { Kind::Close } else { Kind::Open }, number);
                }
            }
            let missing: Vec<u64> = tills.iter().map(|(.., missing)| *missing).collect();
            let missing = &missing[..day.terminals.len()];
            let (source, held) = (Source { partition, offset, flush }, (Date(date), &day));
            let mut text = BytesMut::new();
            write_totals(&mut text, &store, held, missing, source);
            let expected = by_serde(&store, held, missing, source);
            prop_assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
            text.clear();
            write_state(&mut text, &store, held);
            let expected = serde_json::to_string(&day_value(&store, Date(date), &day)).unwrap();
            prop_assert_eq!(std::str::from_utf8(&text).unwrap(), expected);
            text.clear();
            let from_offset = offset / 2;
            write_amendment(&mut text, &store, (Date(date), &day.control), from_offset, source);
            let expected = serde_json::to_string(&AmendmentRecord {
                tenant: &store.tenant,
                store: &store.name,
                business_date: Date(date).to_string(),
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
}
