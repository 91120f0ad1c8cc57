//! The balances and drawers that the aggregator published, and their comparison with the recount.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use tillrace_log::{LogError, Offset, Partition, Topic};

use super::{DayCount, Tills};
use crate::text::{Currency, Date, parse_scaled};
use crate::topics;
use crate::verify::check::{Amount, Check, Difference};
use crate::verify::scan::Scan;

/// What stands between the key of a day and the names of a drawer.
const DRAWER: &str = "/drawer/";
/// A day without money.
const NOTHING: &DayCount =
    &DayCount { drawers: BTreeMap::new(), safe: BTreeMap::new(), closed: BTreeSet::new() };

/// A record of `store.days`, as far as balances need it.
#[derive(Deserialize)]
struct DayRecord {
    tenant: String,
    store: String,
    business_date: String,
    offset: Option<Offset>,
    till_balance: Option<Value>,
    drawer: Option<Value>,
}

/// The latest record of a key.
struct Latest {
    at: Offset,
    date: Date,
    content: Value,
}

/// The latest balances and drawers within the coverage.
#[derive(Default)]
pub(in crate::verify) struct PublishedTills {
    /// Balances by the key of their day.
    days: BTreeMap<String, Latest>,
    /// Drawers by their whole key.
    drawers: BTreeMap<String, Latest>,
    /// Days of which anything newer is kept.
    moved_on: BTreeSet<String>,
}

impl PublishedTills {
    /// Reads records from a scan of `store.days`. `limit` is the aggregator's committed offset; `None` before it is read.
    ///
    /// # Errors
    /// When the log fails.
    pub(in crate::verify) fn read(
        &mut self,
        scan: &mut Scan,
        limit: Option<Offset>,
        topic: &Topic,
        partition: Partition,
        check: &mut Check,
    ) -> Result<(), LogError> {
        while let Some(entry) = scan.next()? {
            let Some(value) = entry.value.as_deref() else { continue };
            let difference = |what| Difference::new(topic, partition, what).at(entry.offset);
            let record = serde_json::from_slice::<DayRecord>(value).ok();
            let read = record
                .and_then(|record| Some((Date::parse(record.business_date.as_bytes())?, record)));
            let Some((date, record)) = read else {
                check.differs(difference("cannot be read"));
                continue;
            };
            let day = topics::key(&[&record.tenant, &record.store, &record.business_date]);
            let key = String::from_utf8_lossy(&entry.key).into_owned();
            let (place, content) = match (record.till_balance, record.drawer) {
                (Some(balance), None) => (&mut self.days, balance),
                (None, Some(drawer)) => (&mut self.drawers, drawer),
                _ => continue,
            };
            if !key.starts_with(&day) {
                check.differs(difference("the record key does not match the record"));
            }
            if limit.is_none_or(|limit| record.offset.is_some_and(|offset| offset <= limit)) {
                place.insert(key, Latest { at: entry.offset, date, content });
            } else {
                self.moved_on.insert(day);
            }
        }
        Ok(())
    }
}

/// Sums over the days of a recount; of each pair the first is recounted, the second recorded.
#[derive(Debug, Default)]
pub(in crate::verify) struct TillTotals {
    days: u64,
    truncated: u64,
    drawers: [u64; 2],
    declared: [u64; 2],
    undeclared: [u64; 2],
    /// Over and short by currency.
    over: BTreeMap<Currency, [i128; 2]>,
    short: BTreeMap<Currency, [i128; 2]>,
}

impl TillTotals {
    /// Writes the sums into the check.
    pub(in crate::verify) fn figures(&self, check: &mut Check) {
        check.figure("store-days with money", Amount::Count(self.days), Amount::Unknown);
        for (what, [recounted, recorded]) in [
            ("drawers published", self.drawers),
            ("drawers declared", self.declared),
            ("drawers with cash not declared", self.undeclared),
        ] {
            check.figure(what, Amount::Count(recounted), Amount::Count(recorded));
        }
        for (what, sums) in [("over", &self.over), ("short", &self.short)] {
            for (currency, [recounted, recorded]) in sums {
                let money = |minor: i128| Amount::Money(minor, currency.exponent());
                check.figure(format!("{what} {currency}"), money(*recounted), money(*recorded));
            }
        }
        if self.truncated > 0 {
            check.notes.push(format!("{} store-days say truncated: not compared", self.truncated));
        }
    }

    fn add_day(&mut self, day: &DayCount, recorded: &Value) {
        self.days += 1;
        let [declared, undeclared] = day.drawer_counts();
        let count = |name: &str| recorded[name].as_u64().unwrap_or(0);
        add(&mut self.declared, [declared, count("declared_count")]);
        add(&mut self.undeclared, [undeclared, count("undeclared_count")]);
        for (currency, sums) in day.sums() {
            let minor = |name: &str| {
                let text = recorded["currencies"][currency.code()][name].as_str();
                text.and_then(|text| parse_scaled(text.as_bytes(), currency.exponent()))
                    .map_or(0, i128::from)
            };
            let [over, short] = [minor("over"), minor("short")];
            if sums[0] == 0 && sums[1] == 0 && over == 0 && short == 0 {
                continue;
            }
            for (all, both) in
                [(&mut self.over, [sums[2], over]), (&mut self.short, [sums[3], short])]
            {
                let sums = all.entry(currency).or_default();
                sums[0] += both[0];
                sums[1] += both[1];
            }
        }
    }
}

fn add(sums: &mut [u64; 2], both: [u64; 2]) {
    sums[0] += both[0];
    sums[1] += both[1];
}

impl Tills {
    /// Compares the balances of one partition with what was published.
    pub(in crate::verify) fn compare(
        &self,
        published: &PublishedTills,
        topic: &Topic,
        partition: Partition,
        check: &mut Check,
        totals: &mut TillTotals,
    ) {
        let keys: BTreeSet<&String> = self.days.keys().chain(published.days.keys()).collect();
        let mut left_out = BTreeSet::new();
        for key in keys {
            let difference = |what| Difference::new(topic, partition, what).of(key.as_str());
            if published.moved_on.contains(key) {
                check.notes.push(format!("{key} moved on during the recount: not compared"));
                left_out.insert(key.as_str());
                continue;
            }
            let Some(recorded) = published.days.get(key) else {
                check.differs(difference("a store-day with money has no record"));
                continue;
            };
            if !self.covers(recorded.date) {
                left_out.insert(key.as_str());
                continue;
            }
            let day = self.days.get(key).unwrap_or(NOTHING);
            if day.is_too_much() && recorded.content["truncated"] == true {
                totals.truncated += 1;
                left_out.insert(key.as_str());
                continue;
            }
            if let Some([what, ours, theirs]) =
                first_difference(&day.published(), &recorded.content)
            {
                let found = difference("the till balance differs").at(recorded.at);
                check.differs(
                    found.between(format_args!("{what} {ours}"), format_args!("{what} {theirs}")),
                );
            }
            if self.days.contains_key(key) {
                totals.add_day(day, &recorded.content);
            }
        }
        self.compare_drawers(published, &left_out, (topic, partition), check, totals);
    }

    fn compare_drawers(
        &self,
        published: &PublishedTills,
        left_out: &BTreeSet<&str>,
        (topic, partition): (&Topic, Partition),
        check: &mut Check,
        totals: &mut TillTotals,
    ) {
        let is_compared = |day: &str| !left_out.contains(day);
        let mut due = BTreeMap::new();
        for (key, day) in self.days.iter().filter(|(key, _)| is_compared(key)) {
            for (name, drawer) in &day.drawers {
                let names = (drawer.terminal.clone(), drawer.epoch.clone());
                if drawer.is_declared() || day.closed.contains(&names) {
                    due.insert(format!("{key}{DRAWER}{name}"), drawer);
                }
            }
        }
        let of_compared =
            |key: &str| key.split_once(DRAWER).is_some_and(|(day, _)| is_compared(day));
        let known = published
            .drawers
            .iter()
            .filter(|(key, latest)| of_compared(key) && self.covers(latest.date));
        let known: BTreeMap<&String, &Latest> = known.collect();
        add(&mut totals.drawers, [due.len() as u64, known.len() as u64]);
        for (key, drawer) in &due {
            let difference = |what| Difference::new(topic, partition, what).of(key.as_str());
            let Some(latest) = known.get(key) else {
                check.differs(difference("a drawer has no record"));
                continue;
            };
            if let Some([what, ours, theirs]) =
                first_difference(&drawer.published(), &latest.content)
            {
                let found = difference("the drawer differs").at(latest.at);
                check.differs(
                    found.between(format_args!("{what} {ours}"), format_args!("{what} {theirs}")),
                );
            }
        }
        for (key, latest) in known.iter().filter(|(key, _)| !due.contains_key(**key)) {
            let what = "a drawer that no event declared or closed";
            check.differs(Difference::new(topic, partition, what).at(latest.at).of(key.as_str()));
        }
    }
}

/// Finds the first member that differs: its path, and both texts.
fn first_difference(ours: &Value, theirs: &Value) -> Option<[String; 3]> {
    let (Value::Object(one), Value::Object(other)) = (ours, theirs) else {
        return (ours != theirs).then(|| [String::new(), ours.to_string(), theirs.to_string()]);
    };
    one.keys().chain(other.keys()).find_map(|name| {
        let [one, other] = [one, other].map(|side| side.get(name).unwrap_or(&Value::Null));
        let [path, ours, theirs] = first_difference(one, other)?;
        Some([format!("/{name}{path}"), ours, theirs])
    })
}
