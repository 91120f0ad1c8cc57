//! The records that others write by hand, as serde writes them: tests compare the two.

use super::*;

/// A terminal's record, as [`terminals`](super::super::terminals) writes it.
pub(in crate::aggregate) fn terminal_value<'a>(
    store: &'a Store,
    terminal: &'a Terminal,
) -> impl Serialize + 'a {
    let scope = match terminal.ledger.scope {
        Scope::Terminal => Cow::Borrowed("terminal"),
        scope => Cow::Owned(scope.to_string()),
    };
    TerminalState {
        v: VERSION,
        tenant: Cow::Borrowed(&store.tenant),
        store: Cow::Borrowed(&store.name),
        terminal: Cow::Borrowed(&terminal.name),
        epoch: Cow::Borrowed(&terminal.epoch),
        scope,
        sequences: terminal.ledger.sequences.as_ref().map(Cow::Borrowed),
        streak: terminal.ledger.streak,
        unnumbered: terminal.unnumbered,
        expires: terminal.expires.map(|date| date.0),
    }
}

/// A day's record, as [`day_records`](super::super::day_records) writes it.
pub(in crate::aggregate) fn day_value<'a>(
    store: &'a Store,
    date: Date,
    day: &'a Day,
) -> impl Serialize + 'a {
    DayState {
        v: VERSION,
        tenant: Cow::Borrowed(&store.tenant),
        store: Cow::Borrowed(&store.name),
        date: date.0,
        status: day.status,
        control: Cow::Borrowed(&day.control),
        currencies: Cow::Borrowed(&day.currencies),
        terminals: attendances(store, date, day.part(0)),
    }
}

/// The record of a further part of a day's terminals, as [`day_records`](super::super::day_records) writes it.
pub(in crate::aggregate) fn part_value<'a>(
    store: &'a Store,
    date: Date,
    day: &'a Day,
    part: usize,
) -> impl Serialize + 'a {
    PartState {
        v: VERSION,
        tenant: Cow::Borrowed(&store.tenant),
        store: Cow::Borrowed(&store.name),
        date: date.0,
        part,
        terminals: attendances(store, date, day.part(part)),
    }
}

fn attendances<'a>(store: &'a Store, date: Date, slots: &[u32]) -> Vec<AttendanceState<'a>> {
    let terminal_days = |terminal: &'a Terminal| {
        let &TerminalDay { opened, closed, close, last, .. } = terminal.days.on(date)?;
        let (terminal, epoch) = (Cow::Borrowed(&*terminal.name), Cow::Borrowed(&*terminal.epoch));
        Some(AttendanceState { terminal, epoch, opened, closed, close, last })
    };
    store.present(slots).filter_map(terminal_days).collect()
}
