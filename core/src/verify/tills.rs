//! Check (f): the till balances of store-days, and the drawers, against the firsts and released events.
//!
//! It recounts the drawers of every business date of which it sees all events: none of them can have come before the date less
//! [`DAYS_AHEAD`]. A date that is sealed when an event is counted balances no more. Days for which
//! the aggregator had no room are left out, if they say so.

mod drawer;
mod published;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};
use tillrace_log::Offset;

pub(super) use self::drawer::is_with_customers;
use self::drawer::{Act, DrawerCount, Rank, concerns_drawer, currency_of};
pub(super) use self::published::{PublishedTills, TillTotals};
use super::record::EventText;
use super::terminals::Scope;
use crate::text::{Currency, Date, Timestamp, format_minor, parse_scaled};
use crate::topics;

const DAY_MS: i64 = 86_400_000;
/// Days by which a business date may be ahead of the append of its event.
const DAYS_AHEAD: i32 = 2;
/// Days after which a date is sealed.
const SEALED_AFTER_DAYS: i32 = 35;
/// Drawers of a day that the aggregator has room for.
const ROOM: usize = 1_024;

/// The identity of a counted event, as far as its envelope says it.
pub(super) struct Counted<'a> {
    pub(super) tenant: &'a str,
    pub(super) epoch: &'a str,
    pub(super) scope: Scope,
    pub(super) hash: u128,
    /// Whether its terminal takes part in the day: a released event has none.
    pub(super) is_attended: bool,
}

/// One store and business date.
#[derive(Debug, Default)]
struct DayCount {
    drawers: BTreeMap<String, DrawerCount>,
    /// Loans, pickups and deposits.
    safe: BTreeMap<Currency, [i128; 3]>,
    /// Terminals and epochs that closed.
    closed: BTreeSet<(String, String)>,
}

/// The balances of one partition, as recounted.
#[derive(Debug, Default)]
pub(super) struct Tills {
    days: BTreeMap<String, DayCount>,
    today: i32,
    /// The date of the first record of the coverage, where that is not the first of all.
    begins: Option<i32>,
    /// When releases were ordered.
    ordered: HashMap<Offset, i32>,
}

impl Tills {
    /// Begins at a coverage, complete or not.
    pub(super) fn new(is_complete: bool) -> Self {
        let begins = if is_complete { None } else { Some(i32::MAX) };
        Self { begins, ..Self::default() }
    }

    /// Moves the clock to the append of a record.
    pub(super) fn tick(&mut self, appended_ms: i64) {
        let date = i32::try_from(appended_ms.div_euclid(DAY_MS)).unwrap_or(i32::MAX / 2);
        self.today = self.today.max(date);
        if let Some(begins) = &mut self.begins {
            *begins = date.min(*begins);
        }
    }

    /// Remembers when an event was ordered to be released.
    pub(super) fn order(&mut self, offset: Offset) {
        self.ordered.insert(offset, self.today);
    }

    /// Adds a first; returns false if its amounts cannot be read.
    pub(super) fn first(&mut self, counted: &Counted<'_>, event: &EventText<'_>) -> bool {
        self.add(counted, event, self.today)
    }

    /// Adds a released event; returns false if its amounts cannot be read.
    pub(super) fn released(
        &mut self,
        offset: Offset,
        counted: &Counted<'_>,
        event: &EventText<'_>,
    ) -> bool {
        let today = self.ordered.get(&offset).copied();
        today.is_none_or(|today| self.add(counted, event, today))
    }

    fn add(&mut self, counted: &Counted<'_>, event: &EventText<'_>, today: i32) -> bool {
        let Some(act) = Act::of(&event.kind) else { return true };
        let Some(date) = Date::parse(event.business_date.as_bytes()) else { return false };
        if today >= date.0.saturating_add(SEALED_AFTER_DAYS) || !self.covers(date) {
            return true;
        }
        let key = topics::key(&[counted.tenant, &event.store, &event.business_date]);
        let has_closed = act == Act::Closes && counted.is_attended;
        let moves_safe = matches!(act, Act::Moves([_, safe, _]) if safe != 0);
        if !(has_closed || moves_safe || concerns_drawer(event, act)) {
            return true;
        }
        let day = self.days.entry(key).or_default();
        if has_closed {
            day.closed.insert((event.terminal.as_ref().to_owned(), counted.epoch.to_owned()));
        }
        day.add(counted, event, act).is_some()
    }

    /// Tells whether all events of a date are covered.
    fn covers(&self, date: Date) -> bool {
        self.begins.is_none_or(|begins| date.0.saturating_sub(DAYS_AHEAD) > begins)
    }
}

impl DayCount {
    fn add(&mut self, counted: &Counted<'_>, event: &EventText<'_>, act: Act) -> Option<()> {
        if let (Act::Moves([_, safe, bank]), Some(text)) = (act, &event.amount)
            && safe != 0
        {
            let currency = currency_of(event)?;
            let amount = i128::from(parse_scaled(text.as_bytes(), currency.exponent())?);
            let [loans, pickups, deposits] = self.safe.entry(currency).or_default();
            let sum = if bank > 0 {
                deposits
            } else if safe > 0 {
                pickups
            } else {
                loans
            };
            *sum += amount;
        }
        if !concerns_drawer(event, act) {
            return Some(());
        }
        let occurred_at = Timestamp::parse(event.occurred_at.as_bytes())?;
        let number = match counted.scope {
            Scope::Wrapping(_) => 0,
            Scope::Terminal | Scope::BusinessDate => event.sequence.unwrap_or(0),
        };
        let rank: Rank =
            (number, occurred_at.micros, u64::try_from(counted.hash & u128::from(u64::MAX)).ok()?);
        let session = event.session.as_ref().map(|session| session.id.as_ref());
        let name = topics::key(&[&event.terminal, counted.epoch, session.unwrap_or("")]);
        let drawer = self.drawers.entry(name);
        let drawer =
            drawer.or_insert_with(|| DrawerCount::new(&event.terminal, counted.epoch, session));
        drawer.add(event, act, rank)
    }

    fn is_too_much(&self) -> bool {
        self.drawers.len() > ROOM
            || self.sums().len() > 16
            || self.drawers.values().any(DrawerCount::is_too_much)
    }

    /// Expected, declared, over, short, undeclared, loans, pickups, bank, safe by currency.
    fn sums(&self) -> BTreeMap<Currency, [i128; 9]> {
        let mut sums: BTreeMap<Currency, [i128; 9]> = BTreeMap::new();
        for ((currency, name), tender) in self.drawers.values().flat_map(|drawer| &drawer.tenders) {
            let sums = sums.entry(*currency).or_default();
            let expected = tender.expected();
            match tender.counted() {
                Some(counted) => {
                    sums[0] += expected;
                    sums[1] += counted;
                    sums[2] += (counted - expected).max(0);
                    sums[3] += (expected - counted).max(0);
                }
                None if name == "cash" => sums[4] += expected,
                None => {}
            }
        }
        for (currency, [loans, pickups, deposits]) in &self.safe {
            let sums = sums.entry(*currency).or_default();
            sums[5..].copy_from_slice(&[*loans, *pickups, *deposits, pickups - loans - deposits]);
        }
        sums
    }

    /// How many drawers are declared, and how many hold cash that is not.
    fn drawer_counts(&self) -> [u64; 2] {
        let count = |is: &dyn Fn(&DrawerCount) -> bool| {
            self.drawers.values().filter(|drawer| is(drawer)).count() as u64
        };
        let is_undeclared = |drawer: &DrawerCount| {
            drawer.tenders.iter().any(|((_, name), tender)| {
                name == "cash" && tender.counted().is_none() && tender.expected() != 0
            })
        };
        [count(&DrawerCount::is_declared), count(&is_undeclared)]
    }

    /// The balance as it has to be published.
    fn published(&self) -> Value {
        let names = [
            "expected",
            "declared",
            "over",
            "short",
            "undeclared",
            "loans",
            "pickups",
            "bank",
            "safe",
        ];
        let currencies = self.sums().into_iter().map(|(currency, sums)| {
            let text = |minor| json!(format_minor(minor, currency.exponent()));
            let sums: Map<String, Value> = names
                .iter()
                .zip(sums)
                .map(|(name, minor)| ((*name).to_owned(), text(minor)))
                .collect();
            (currency.code().to_owned(), Value::Object(sums))
        });
        let currencies: Map<String, Value> = currencies.collect();
        let [declared, undeclared] = self.drawer_counts();
        json!({"currencies": currencies, "declared_count": declared, "undeclared_count": undeclared, "truncated": false})
    }
}
