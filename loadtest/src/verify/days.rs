//! Store-days as their topic has them: the latest record of each day, and what was added to sealed ones.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::books::{Books, sums};
use super::tills::BalanceRecord;
#[cfg(test)]
use super::tills::Tills;

/// A store and a business date.
pub(super) type Day = (String, String);

/// A record of `store.days`. Members that are not named are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct DayRecord<'a> {
    #[serde(borrow)]
    pub(super) tenant: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) store: Cow<'a, str>,
    #[serde(borrow)]
    business_date: Cow<'a, str>,
    /// Absent in a further part of the day's terminals.
    transactions: Option<BTreeMap<String, u64>>,
    #[serde(default)]
    totals: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    tenders: BTreeMap<String, BTreeMap<String, String>>,
    /// Absent in an amendment: a sealed day balances no more.
    till_balance: Option<BalanceRecord>,
    #[serde(default)]
    parked_count: u64,
}

/// What a record says of its day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DayBooks {
    pub(super) books: Books,
    pub(super) parked: u64,
    /// A record of it has no till balance, or not all of one.
    pub(super) is_unbalanced: bool,
}

/// The latest of each record of days and amendments, by its key.
#[derive(Debug, Default)]
pub(super) struct StoreDays {
    records: BTreeMap<Vec<u8>, (Day, DayBooks)>,
}

impl DayRecord<'_> {
    /// Reads the books of the record; `None` of a further part of the terminals.
    ///
    /// # Errors
    /// The first amount that is no decimal.
    pub(super) fn books(&self) -> Result<Option<DayBooks>, String> {
        let Some(transactions) = &self.transactions else { return Ok(None) };
        let events = transactions.iter().map(|(kind, count)| (kind.clone(), i128::from(*count)));
        let balance = self.till_balance.as_ref().map(BalanceRecord::sums).transpose()?.flatten();
        let is_unbalanced = balance.is_none();
        let books = Books {
            events: events.collect(),
            totals: sums(&self.totals)?,
            tenders: sums(&self.tenders)?,
            balance: balance.unwrap_or_default(),
        };
        Ok(Some(DayBooks { books, parked: self.parked_count, is_unbalanced }))
    }

    pub(super) fn day(&self) -> Day {
        (self.store.clone().into_owned(), self.business_date.clone().into_owned())
    }
}

impl StoreDays {
    /// Puts a record in the place of the one before.
    pub(super) fn put(&mut self, key: &[u8], day: Day, books: DayBooks) {
        self.records.insert(key.to_vec(), (day, books));
    }

    /// Adds up each day and its amendments.
    pub(super) fn by_day(&self) -> BTreeMap<Day, DayBooks> {
        let mut days: BTreeMap<Day, DayBooks> = BTreeMap::new();
        for (day, more) in self.records.values() {
            let sum = days.entry(day.clone()).or_default();
            sum.books.join(&more.books, 1);
            sum.parked += more.parked;
            sum.is_unbalanced |= more.is_unbalanced;
        }
        days
    }
}

/// Writes the records of a day as the mock gateway publishes them.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct DayRecordWriter(Books, Tills);

#[cfg(test)]
impl DayRecordWriter {
    pub(crate) fn add(&mut self, event: &str) {
        let receipt = serde_json::from_str(event).unwrap();
        self.0.add(&receipt);
        self.1.add(&receipt, &serde_json::from_str(event).unwrap());
    }

    pub(crate) fn record(&self, tenant: &str, store: &str, date: &str) -> String {
        let by_currency = |sums: &super::books::Sums| {
            let mut currencies: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
            for ((currency, name), sum) in sums {
                let amounts = currencies.entry(currency.clone()).or_default();
                amounts.insert(name.clone(), super::books::decimal(*sum));
            }
            currencies
        };
        serde_json::json!({
            "tenant": tenant, "store": store, "business_date": date, "transactions": self.0.events,
            "totals": by_currency(&self.0.totals), "tenders": by_currency(&self.0.tenders),
            "till_balance": {"currencies": by_currency(&self.1.sums()), "truncated": false},
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: &str = r#"{"tenant":"demo","store":"s","business_date":"2026-11-27","status":"open","transactions":{"sale":2},
        "totals":{"EUR":{"sales":"19.98","rounding":"0.00"}},"tenders":{"EUR":{"cash":"19.98"}},"parked_count":3,"terminals":[]}"#;

    #[test]
    fn the_latest_record_of_a_day_stands_and_amendments_are_added() {
        let record: DayRecord<'_> = serde_json::from_str(DAY).unwrap();
        let books = record.books().unwrap().unwrap();
        assert_eq!((books.parked, books.books.totals.len(), books.books.tenders.len()), (3, 1, 1));
        assert!(books.is_unbalanced, "it has no till balance");
        let mut days = StoreDays::default();
        for key in ["demo/s/2026-11-27", "demo/s/2026-11-27", "demo/s/2026-11-27/amendment/0-9"] {
            days.put(key.as_bytes(), record.day(), books.clone());
        }
        assert_eq!(days.by_day()[&record.day()].books.events["sale"], 4);
    }

    #[test]
    fn a_part_of_the_terminals_has_no_books_and_a_wrong_amount_is_named() {
        let part =
            r#"{"tenant":"demo","store":"s","business_date":"2026-11-27","part":1,"terminals":[]}"#;
        let part: DayRecord<'_> = serde_json::from_str(part).unwrap();
        assert_eq!(part.books(), Ok(None));
        let text = DAY.replace("19.98", "much");
        let wrong: DayRecord<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(wrong.books(), Err("much".to_owned()));
    }
}
