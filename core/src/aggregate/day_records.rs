//! The records of a store-day: its published totals and drawers, its state on `state.v1`, and amendments after it was sealed.
//!
//! Each flush writes the first two of every day that changed, with the first part of its terminals, and further parts only
//! where they changed. They are written by hand, as in [`super::terminals`]. The shapes are those of
//! `docs/schemas/store-day.v1.schema.json` and of [`super::state`]; a test compares them with what serde writes.

use bytes::{BufMut as _, BytesMut};
use tillrace_log::Offset;

use super::completeness::write_completeness;
use super::days::{ControlTotals, Day, DayStatus, DaySummary};
use super::drawers::{self, NamedDrawer};
use super::json_text::{integer, optional, write_json};
use super::state::VERSION;
use super::store::{Store, Terminal};
use super::terminal_days::TerminalDay;
use super::terminals::RecordOrigin;
use crate::text::{Date, escape};

/// Writes a day's totals, with the first part of its terminals.
pub(super) fn write_totals(
    text: &mut BytesMut,
    store: &Store,
    (date, day): (Date, &Day),
    summary: DaySummary,
    source: RecordOrigin,
) {
    totals(text, store, (date, day.status), &day.control);
    text.extend_from_slice(br#","terminal_count":"#);
    integer(text, summary.terminals);
    text.extend_from_slice(br#","closed_count":"#);
    integer(text, summary.closed);
    text.extend_from_slice(br#","missing_count":"#);
    integer(text, summary.missing);
    text.extend_from_slice(br#","refused_count":"#);
    integer(text, summary.refused);
    text.extend_from_slice(br#","parked_count":"#);
    integer(text, summary.parked);
    text.extend_from_slice(br#","till_balance":"#);
    drawers::write_balance(text, store.balances.get(&date));
    write_completeness(text, store, (date, day));
    published_terminals(text, store, date, day.part(0));
    written_by(text, source);
}

/// Writes a published further part of a day's terminals.
pub(super) fn write_part(
    text: &mut BytesMut,
    store: &Store,
    (date, day): (Date, &Day),
    part: usize,
    source: RecordOrigin,
) {
    text.put_u8(b'{');
    names(text, store);
    business_date(text, date);
    text.extend_from_slice(br#"","part":"#);
    integer(text, part);
    published_terminals(text, store, date, day.part(part));
    written_by(text, source);
}

/// Writes a published drawer of a day.
pub(super) fn write_drawer(
    text: &mut BytesMut,
    store: &Store,
    date: Date,
    named: &NamedDrawer,
    source: RecordOrigin,
) {
    text.put_u8(b'{');
    names(text, store);
    business_date(text, date);
    text.extend_from_slice(br#"","drawer":"#);
    write_json(text, &named.published());
    written_by(text, source);
}

fn published_terminals(text: &mut BytesMut, store: &Store, date: Date, slots: &[u32]) {
    text.extend_from_slice(br#","terminals":["#);
    terminals(text, store, date, slots, |text, terminal, _seen| {
        text.extend_from_slice(br#","missing":"#);
        integer(text, terminal.lacking_on(date).missing);
    });
    text.put_u8(b']');
}

/// Writes the members that the records of a flush end with.
fn written_by(text: &mut BytesMut, source: RecordOrigin) {
    text.extend_from_slice(br#","partition":"#);
    integer(text, source.partition);
    text.extend_from_slice(br#","offset":"#);
    integer(text, source.offset);
    text.extend_from_slice(br#","flush":"#);
    integer(text, source.flush);
    text.put_u8(b'}');
}

/// Writes an amendment: what was counted from an offset on after a day was sealed, to be added to its totals.
pub(super) fn write_amendment(
    text: &mut BytesMut,
    store: &Store,
    (date, control): (Date, &ControlTotals),
    from: Offset,
    source: RecordOrigin,
) {
    totals(text, store, (date, DayStatus::Sealed), control);
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

/// Writes the state of a day, with the first part of its terminals.
pub(super) fn write_state(text: &mut BytesMut, store: &Store, (date, day): (Date, &Day)) {
    state_of(text, store, date);
    text.extend_from_slice(br#","status":"#);
    write_json(text, &day.status);
    text.extend_from_slice(br#","control":"#);
    day.control.write_state(text);
    text.extend_from_slice(br#","currencies":"#);
    day.currencies.write_state(text);
    state_terminals(text, store, date, day.part(0));
}

/// Writes the state of a further part of a day's terminals.
pub(super) fn write_part_state(
    text: &mut BytesMut,
    store: &Store,
    (date, day): (Date, &Day),
    part: usize,
) {
    state_of(text, store, date);
    text.extend_from_slice(br#","part":"#);
    integer(text, part);
    state_terminals(text, store, date, day.part(part));
}

fn state_of(text: &mut BytesMut, store: &Store, date: Date) {
    text.extend_from_slice(br#"{"v":"#);
    integer(text, VERSION);
    text.put_u8(b',');
    names(text, store);
    text.extend_from_slice(br#","date":"#);
    integer(text, date.0);
}

fn state_terminals(text: &mut BytesMut, store: &Store, date: Date, slots: &[u32]) {
    text.extend_from_slice(br#","terminals":["#);
    terminals(text, store, date, slots, |text, _terminal, seen| {
        text.extend_from_slice(br#","close":"#);
        optional(text, seen.close);
        text.extend_from_slice(br#","last":"#);
        optional(text, seen.last);
    });
    text.extend_from_slice(b"]}");
}

/// The members that totals and amendments begin with.
fn totals(
    text: &mut BytesMut,
    store: &Store,
    (date, status): (Date, DayStatus),
    control: &ControlTotals,
) {
    text.put_u8(b'{');
    names(text, store);
    business_date(text, date);
    text.extend_from_slice(br#"","status":"#);
    write_json(text, &status);
    text.put_u8(b',');
    control.write_published(text);
}

/// Writes the business date, all but what ends it.
fn business_date(text: &mut BytesMut, date: Date) {
    text.extend_from_slice(br#","business_date":""#);
    text.extend_from_slice(date.ascii().as_str().as_bytes());
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
    date: Date,
    slots: &[u32],
    mut members: impl FnMut(&mut BytesMut, &Terminal, &TerminalDay),
) {
    let present = store.present(slots);
    let present = present.filter_map(|terminal| Some((terminal, terminal.days.on(date)?)));
    for (index, (terminal, seen)) in present.enumerate() {
        let head: &[u8] = if index == 0 { br#"{"terminal":""# } else { br#",{"terminal":""# };
        text.extend_from_slice(head);
        escape(text, &terminal.name);
        text.extend_from_slice(br#"","epoch":""#);
        escape(text, &terminal.epoch);
        flags(text, seen);
        members(text, terminal, seen);
        text.put_u8(b'}');
    }
}

/// Writes what ends the epoch, and the two flags.
fn flags(text: &mut BytesMut, seen: &TerminalDay) {
    text.extend_from_slice(match (seen.opened, seen.closed) {
        (false, false) => br#"","opened":false,"closed":false"#,
        (false, true) => br#"","opened":false,"closed":true"#,
        (true, false) => br#"","opened":true,"closed":false"#,
        (true, true) => br#"","opened":true,"closed":true"#,
    });
}

#[cfg(test)]
mod tests;
