//! A till balance as others read it: its sums in the store-day, and its drawers.
//!
//! The shapes are those of `docs/schemas/store-day.v1.schema.json`.

use std::collections::BTreeMap;

use bytes::{BufMut as _, BytesMut};
use serde::Serialize;

use super::drawer::{Drawer, DrawerTender};
use super::safe::{MAX_CURRENCIES, SafeTotals};
use super::{DayBalance, NamedDrawer};
use crate::aggregate::json_text::{boolean, integer};
use crate::text::{Currency, format_minor, put_minor};

/// Sums of one currency in a store-day, minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CurrencyBalance {
    /// What should lie in drawers, of the tenders that were declared.
    pub(super) expected: i128,
    pub(super) declared: i128,
    pub(super) over: i128,
    pub(super) short: i128,
    /// Cash that should lie in drawers and was not counted.
    pub(super) undeclared: i128,
    pub(super) safe: SafeTotals,
}

impl CurrencyBalance {
    fn of(currency: Currency) -> Self {
        let safe = SafeTotals::of(currency);
        Self { expected: 0, declared: 0, over: 0, short: 0, undeclared: 0, safe }
    }

    fn add(&mut self, tender: &DrawerTender) {
        self.undeclared += tender.undeclared_cash();
        let (Some(declared), Some(difference)) = (tender.declared(), tender.over_short()) else {
            return;
        };
        self.expected += tender.expected();
        self.declared += declared;
        self.over += difference.max(0);
        self.short -= difference.min(0);
    }

    /// The sums by their names, in the order in which they are written.
    fn by_name(&self) -> [(&'static str, i128); 9] {
        [
            ("expected", self.expected),
            ("declared", self.declared),
            ("over", self.over),
            ("short", self.short),
            ("undeclared", self.undeclared),
            ("loans", self.safe.loans),
            ("pickups", self.safe.pickups),
            ("bank", self.safe.bank),
            ("safe", self.safe.change()),
        ]
    }
}

impl DayBalance {
    /// Adds up its drawers and its safe by currency.
    pub(super) fn by_currency(&self) -> BTreeMap<Currency, CurrencyBalance> {
        let of = |&currency: &Currency| (currency, CurrencyBalance::of(currency));
        let mut sums: BTreeMap<_, _> = self.currencies.iter().map(of).collect();
        for tender in self.drawers.iter().flat_map(|named| named.drawer.tenders()) {
            if let Some(sums) = sums.get_mut(&tender.currency) {
                sums.add(tender);
            }
        }
        for totals in &self.safe.totals {
            if let Some(sums) = sums.get_mut(&totals.currency) {
                sums.safe = *totals;
            }
        }
        sums
    }

    fn is_truncated(&self) -> bool {
        self.truncated
            || self.currencies.len() > MAX_CURRENCIES
            || self.drawers.iter().any(|named| named.drawer.truncated)
    }
}

/// Writes the balance of a store-day; an empty one if there is none.
pub(in crate::aggregate) fn write_balance(text: &mut BytesMut, balance: Option<&DayBalance>) {
    let nothing = DayBalance::default();
    let balance = balance.unwrap_or(&nothing);
    text.extend_from_slice(br#"{"currencies":{"#);
    for (place, (currency, sums)) in balance.by_currency().iter().take(MAX_CURRENCIES).enumerate() {
        text.extend_from_slice(if place == 0 { b"\"" } else { b",\"" });
        text.extend_from_slice(currency.code().as_bytes());
        text.extend_from_slice(b"\":{");
        for (place, (name, minor)) in sums.by_name().into_iter().enumerate() {
            text.extend_from_slice(if place == 0 { b"\"" } else { b",\"" });
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"\":\"");
            put_minor(text, minor, currency.exponent());
            text.put_u8(b'"');
        }
        text.put_u8(b'}');
    }
    let count =
        |is: fn(&Drawer) -> bool| balance.drawers.iter().filter(|named| is(&named.drawer)).count();
    text.extend_from_slice(br#"},"declared_count":"#);
    integer(text, count(Drawer::is_declared));
    text.extend_from_slice(br#","undeclared_count":"#);
    integer(text, count(Drawer::is_undeclared));
    text.extend_from_slice(br#","truncated":"#);
    boolean(text, balance.is_truncated());
    text.put_u8(b'}');
}

/// A drawer as others read it.
#[derive(Serialize)]
struct PublishedDrawer<'a> {
    terminal: &'a str,
    epoch: &'a str,
    session: Option<&'a str>,
    operator: Option<&'a str>,
    tenders: BTreeMap<Currency, BTreeMap<&'a str, PublishedTender>>,
    truncated: bool,
}

#[derive(Serialize)]
struct PublishedTender {
    expected: String,
    declared: Option<String>,
    over_short: Option<String>,
}

impl PublishedTender {
    fn of(tender: &DrawerTender) -> Self {
        let text = |minor: i128| format_minor(minor, tender.currency.exponent());
        Self {
            expected: text(tender.expected()),
            declared: tender.declared().map(text),
            over_short: tender.over_short().map(text),
        }
    }
}

impl NamedDrawer {
    /// The drawer for others to read.
    pub(in crate::aggregate) fn published(&self) -> impl Serialize + '_ {
        let mut tenders: BTreeMap<Currency, BTreeMap<&str, PublishedTender>> = BTreeMap::new();
        for tender in self.drawer.tenders() {
            let of_currency = tenders.entry(tender.currency).or_default();
            of_currency.insert(&tender.tender, PublishedTender::of(tender));
        }
        PublishedDrawer {
            terminal: &self.terminal,
            epoch: &self.epoch,
            session: Some(&*self.session).filter(|session| !session.is_empty()),
            operator: self.drawer.operator(),
            tenders,
            truncated: self.drawer.truncated,
        }
    }
}
