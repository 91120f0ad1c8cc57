//! Check (g): whether each store-day says rightly how far it has come, and who is lacking.
//!
//! The recount keeps who spoke and closed on each date, in which currencies, and the registers of the journal; it judges a day
//! by rules of its own and compares the latest record of each on `store.days`. It needs the whole journal. Of a sealed day it
//! compares the status alone, because what it lacked is frozen at an hour that the journal does not name. Days on which nobody
//! spoke are written some time after they are over: the aggregator's checkpoint names the clock by which they were, and those that
//! were over by then, wherever the store is, must be there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use tillrace_log::{LogError, LogView, Offset, Partition, Topic};

use crate::text::Date;

use super::check::{Amount, Check, Difference};
use super::day_recount::{CompletenessRecord, DayRecount, Lacks, Presence};
use super::registers::Registers;
use super::scan::Scan;
use super::terminals::TerminalNumbers;

const DAY_MS: i64 = 86_400_000;
const SEALED_AFTER: i32 = 35;
const OPEN_ENDED_AFTER: i32 = 2;
/// Nowhere does a date end later than so long after it ends in UTC.
const LATEST_ZONE_MS: i64 = 12 * 3_600_000;

/// A day as it is published. Further parts and amendments have other members.
#[derive(Debug, Deserialize)]
struct DayRecord {
    tenant: String,
    store: String,
    business_date: String,
    status: String,
    terminal_count: u64,
    closed_count: u64,
    missing_count: u64,
    refused_count: u64,
    parked_count: u64,
    completeness: CompletenessRecord,
    offset: Offset,
}

/// The stores of one partition.
#[derive(Debug, Default)]
pub(super) struct StoreDays {
    stores: BTreeMap<String, BTreeMap<Date, DayRecount>>,
    pub(super) registers: BTreeMap<String, Registers>,
    /// Dates of UTC by the clock of the journal, at the offsets of published days; those that are still to come fall.
    dates_at: BTreeMap<Offset, Date>,
    ahead: Vec<Offset>,
    published: BTreeMap<String, (Offset, DayRecord)>,
    /// Days of which there is a record, one that is newer than the recount included.
    recorded: BTreeSet<String>,
    today: Option<Date>,
}

/// What the record of a counted event says of its day.
pub(super) struct DayEvent<'a> {
    pub(super) store: &'a str,
    pub(super) date: Date,
    pub(super) currency: Option<&'a str>,
}

impl StoreDays {
    /// Reads the latest record of each day that was published up to an offset of the journal.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn read(
        view: &dyn LogView,
        topic: &Topic,
        partition: Partition,
        limit: Offset,
    ) -> Result<Self, LogError> {
        let mut days = Self::default();
        let mut scan = Scan::whole(view, topic, partition)?;
        while let Some(entry) = scan.next()? {
            let key = String::from_utf8_lossy(&entry.key).into_owned();
            let Some(value) = entry.value.as_deref() else {
                days.published.remove(&key);
                days.recorded.remove(&key);
                continue;
            };
            let Ok(day) = serde_json::from_slice::<DayRecord>(value) else { continue };
            days.recorded.insert(key.clone());
            if day.offset <= limit {
                days.published.insert(key, (entry.offset, day));
            }
        }
        let offsets: BTreeSet<Offset> =
            days.published.values().map(|(_, day)| day.offset).collect();
        days.ahead = offsets.into_iter().rev().collect();
        Ok(days)
    }

    /// Moves on to a record of the journal, before it is recounted; the clock is the latest append before it.
    pub(super) fn pass(&mut self, offset: Offset) {
        while let Some(&at) = self.ahead.last()
            && at <= offset
        {
            self.ahead.pop();
            self.dates_at.insert(at, self.today());
        }
    }

    /// Moves the clock.
    pub(super) fn tick(&mut self, newest_ms: i64) {
        let days = newest_ms.div_euclid(DAY_MS);
        self.today = Some(Date(i32::try_from(days).unwrap_or(i32::MAX / 2)));
    }

    pub(super) fn today(&self) -> Date {
        self.today.unwrap_or(Date(0))
    }

    /// Counts an event on its day; on a sealed one it is an amendment. Returns whether it counts on the day.
    pub(super) fn count(&mut self, event: &DayEvent<'_>, today: Date) -> bool {
        if is_sealed(event.date, today) {
            return false;
        }
        let day = self.day(event.store, event.date);
        day.counted += 1;
        if let Some(currency) = event.currency {
            *day.currencies.entry(currency.to_owned()).or_default() += 1;
        }
        true
    }

    /// A terminal took part with a number, or without one.
    pub(super) fn attend(
        &mut self,
        (store, date): (&str, Date),
        (ledger, terminal): (&str, &str),
        number: Option<u64>,
        closes: bool,
    ) {
        let day = self.day(store, date);
        let present = day.present.entry(ledger.to_owned());
        let (_, presence) = present.or_insert_with(|| (terminal.to_owned(), Presence::default()));
        presence.last = presence.last.max(number);
        if closes {
            presence.closed = true;
            presence.close = presence.close.max(number);
        }
    }

    /// A parked event without a number belongs to its own date.
    pub(super) fn park(&mut self, store: &str, date: Date) {
        self.day(store, date).parked += 1;
    }

    /// It is settled.
    pub(super) fn unpark(&mut self, store: &str, date: Date) {
        let day = self.day(store, date);
        day.parked = day.parked.saturating_sub(1);
    }

    fn day(&mut self, store: &str, date: Date) -> &mut DayRecount {
        if !self.stores.contains_key(store) {
            self.stores.insert(store.to_owned(), BTreeMap::new());
        }
        self.stores.entry(store.to_owned()).or_default().entry(date).or_default()
    }

    /// Compares every day that was published, and asks for those that were not.
    pub(super) fn compare(
        &mut self,
        topic: &Topic,
        partition: Partition,
        terminals: &HashMap<String, TerminalNumbers>,
        totals: &mut DayTotals,
        check: &mut Check,
    ) {
        self.pass(Offset::MAX);
        let mut seen = BTreeSet::new();
        for (key, (offset, record)) in &self.published {
            let place = |what| Difference::new(topic, partition, what).at(*offset).of(key);
            let Some(date) = Date::parse(record.business_date.as_bytes()) else {
                check.differs(place("a day has no date"));
                continue;
            };
            let store = crate::topics::key(&[&record.tenant, &record.store]);
            if *key != format!("{store}/{date}") {
                check.differs(place("has the key of another day"));
            }
            seen.insert((store.clone(), date));
            let empty = DayRecount::default();
            let days = self.stores.get(&store);
            let day = days.and_then(|days| days.get(&date)).unwrap_or(&empty);
            let then = self.dates_at.get(&record.offset).copied().unwrap_or(Date(0));
            let judged = Judged { store: &store, date, day, record, then };
            totals.days += 1;
            if let Some((what, recounted, recorded)) = self.judge(&judged, terminals, totals) {
                check.differs(place(what).between(recounted, recorded));
            }
        }
        let today = self.today();
        for (store, days) in &self.stores {
            for (date, day) in days {
                let is_due = day.counted > 0 && !is_sealed(*date, today);
                if is_due && !seen.contains(&(store.clone(), *date)) {
                    let what = "a day of which there are events has no record";
                    check.differs(
                        Difference::new(topic, partition, what).of(format!("{store}/{date}")),
                    );
                }
            }
        }
    }

    /// Asks for the days on which nobody spoke of the stores that have a register, of those that were over by a clock.
    pub(super) fn ask_for_silent(
        &self,
        topic: &Topic,
        partition: Partition,
        until_ms: Option<i64>,
        check: &mut Check,
    ) {
        let Some(until_ms) = until_ms else { return };
        let over = until_ms.saturating_sub(LATEST_ZONE_MS).div_euclid(DAY_MS);
        let over = i32::try_from(over).unwrap_or(i32::MIN);
        // Older ones are sealed, and may have been when the register came.
        let first = self.today().0.saturating_sub(SEALED_AFTER - 1);
        for (store, registers) in &self.registers {
            for date in (first..over).map(Date) {
                let is_open = registers.on(date).is_some_and(|register| register.is_open(date));
                let key = format!("{store}/{date}");
                if is_open && !self.recorded.contains(&key) {
                    let what =
                        "a day on which nobody spoke, by the store's register, has no record";
                    check.differs(Difference::new(topic, partition, what).of(key));
                }
            }
        }
    }

    /// Returns the first thing that a record says wrongly: what, as recounted, as recorded.
    fn judge(
        &self,
        judged: &Judged<'_>,
        terminals: &HashMap<String, TerminalNumbers>,
        totals: &mut DayTotals,
    ) -> Option<(&'static str, String, String)> {
        let Judged { store, date, day, record, then } = *judged;
        let differ = |what, ours: &dyn std::fmt::Debug, theirs: &dyn std::fmt::Debug| {
            Some((what, format!("{ours:?}"), format!("{theirs:?}")))
        };
        if is_sealed(date, then) || record.status == "sealed" {
            let sealed = is_sealed(date, then) && record.status == "sealed";
            return if sealed { None } else { differ("status", &then, &record.status) };
        }
        let (mut lacks, register) =
            (Lacks::of(day), self.registers.get(store).and_then(|all| all.on(date)));
        if let Some(register) = register {
            lacks.compare(day, register, date, &record.completeness.unclosed);
        } else if day.counted == 0
            && day.present.is_empty()
            && day.parked == 0
            && record.parked_count == 0
        {
            return differ(
                "a day of which there is neither event nor register",
                &"none",
                &record.status,
            );
        }
        totals.silent[0] += lacks.expected.silent_count;
        totals.silent[1] += record.completeness.silent_count;
        totals.other_currency[0] += lacks.expected.other_currency_count;
        totals.other_currency[1] += record.completeness.other_currency_count;
        lacks.expected.other_currency_truncated = record.completeness.other_currency_truncated;
        if record.completeness.other_currency_truncated {
            lacks.expected.other_currency_count = record.completeness.other_currency_count;
        }
        if lacks.expected != record.completeness {
            return differ(
                "what a day lacks by its register",
                &lacks.expected,
                &record.completeness,
            );
        }
        let present = (day.present.len() as u64, lacks.closed);
        if present != (record.terminal_count, record.closed_count) {
            let recorded = (record.terminal_count, record.closed_count);
            return differ("terminals, and those that closed", &present, &recorded);
        }
        let numbers = [record.missing_count, record.refused_count, record.parked_count]
            .into_iter()
            .fold(0, u64::saturating_add);
        let (fewest, most) = self.open_numbers(judged, terminals);
        if !(fewest..=most).contains(&numbers) {
            return differ("numbers that lack", &(fewest, most), &numbers);
        }
        let is_complete = numbers == 0 && lacks.expected.silent_count == 0 && lacks.waiting == 0;
        let status = match is_complete {
            true => "complete",
            false if then.0 >= date.0.saturating_add(OPEN_ENDED_AFTER) => "open_ended",
            false => "open",
        };
        totals.complete[0] += u64::from(is_complete);
        totals.complete[1] += u64::from(record.status == "complete");
        if status == record.status { None } else { differ("status", &status, &record.status) }
    }

    /// How many numbers lack a first on a day. Once the day before is sealed, its numbers may count on the next; whether that
    /// was so already when the record was written is not known, so that there are two answers.
    fn open_numbers(
        &self,
        judged: &Judged<'_>,
        terminals: &HashMap<String, TerminalNumbers>,
    ) -> (u64, u64) {
        let Judged { store, date, day, .. } = *judged;
        let (mut fewest, mut most) = (day.parked, day.parked);
        for (ledger, (_, presence)) in &day.present {
            let Some(numbers) = terminals.get(ledger) else { continue };
            let close_before = |upto: u64, only_open: bool| {
                let days = self.stores.get(store).into_iter().flatten();
                let days = days.filter(|(other, _)| {
                    **other == date || !(only_open && is_sealed(**other, self.today()))
                });
                let closes = days.filter_map(|(_, day)| day.present.get(ledger)?.1.close);
                closes.filter(|&close| close < upto).max()
            };
            for upto in presence.reaches() {
                fewest = fewest.saturating_add(numbers.lacking(close_before(upto, false), upto));
                most = most.saturating_add(numbers.lacking(close_before(upto, true), upto));
            }
        }
        (fewest, most)
    }
}

/// A day that is judged.
#[derive(Clone, Copy)]
struct Judged<'a> {
    store: &'a str,
    date: Date,
    day: &'a DayRecount,
    record: &'a DayRecord,
    /// The date of UTC when the record was written, by the journal's clock.
    then: Date,
}

/// Sums over the days of a recount, recounted and recorded.
#[derive(Debug, Default)]
pub(super) struct DayTotals {
    days: u64,
    complete: [u64; 2],
    silent: [u64; 2],
    other_currency: [u64; 2],
}

impl DayTotals {
    /// Writes the sums into the check.
    pub(super) fn figures(&self, check: &mut Check) {
        check.figure("store-days", Amount::Unknown, Amount::Count(self.days));
        for (what, [recounted, recorded]) in [
            ("complete days", self.complete),
            ("silent terminals", self.silent),
            ("events in another currency than the store's", self.other_currency),
        ] {
            check.figure(what, Amount::Count(recounted), Amount::Count(recorded));
        }
    }
}

fn is_sealed(date: Date, today: Date) -> bool {
    today.0.saturating_sub(date.0) >= SEALED_AFTER
}
