//! The books of a store's day, worked out from the events themselves: how many of each kind, what counts as sales, liabilities,
//! money for others, tips and rounding, and what was paid with.
//!
//! The rules are those that `docs/samples/README.md` tells, written down here a second time on purpose: the engine has a table of
//! its own, and what its store-days say is compared with this.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::kinds::{ADVANCE, TRADE};

/// Decimals that amounts are counted in; no currency has more.
const AMOUNT_SCALE: u32 = 4;

/// Sums by currency and name, in ten-thousandths.
pub(super) type Sums = BTreeMap<(String, String), i128>;

/// The books of a day, or of several; what is zero is left out, so that equal books are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Books {
    /// Events by kind; those of the retailer's own together as `x`.
    pub(super) events: BTreeMap<String, i128>,
    pub(super) totals: Sums,
    /// What was paid with, by currency and type of tender.
    pub(super) tenders: Sums,
    /// The till balance.
    pub(super) balance: Sums,
}

impl Books {
    /// Adds an event.
    pub(super) fn add(&mut self, receipt: &Receipt<'_>) {
        let kind = if receipt.kind.starts_with("x-") { "x" } else { &receipt.kind };
        add(&mut self.events, kind.to_owned(), 1);
        let (is_trade, is_advance) = (TRADE.contains(&kind), ADVANCE.contains(&kind));
        let Some(currency) = &receipt.currency else { return };
        if !(is_trade || is_advance || kind == "tip_adjustment") {
            return;
        }
        let sign = if kind == "post_void" { -1 } else { 1 };
        for line in receipt.lines.iter().flatten().filter(|line| line.void != Some(true)) {
            self.add_line(currency, line, sign, is_trade);
        }
        for tender in receipt.tenders.iter().flatten() {
            self.add_tender(currency, tender, sign);
        }
        if kind == "tip_adjustment" {
            self.add_sum(currency, "tips", amount(receipt.amount.as_ref()));
        }
        if let Some(totals) = &receipt.totals {
            self.add_sum(currency, "tips", amount(totals.tip.as_ref()));
            self.add_sum(currency, "rounding", amount(totals.rounding.as_ref()));
        }
    }

    /// Adds a line by the class of its money; ordered goods count when they are handed over.
    fn add_line(&mut self, currency: &str, line: &ReceiptLine<'_>, sign: i128, is_trade: bool) {
        let is_return = line.line_type == "return";
        let default = if line.line_type == "service" { "service" } else { "merchandise" };
        let (taken, given_back) = match line.class.as_deref().unwrap_or(default) {
            "merchandise" | "service" if is_trade => ("sales", "returns"),
            "deposit" | "gift_card" | "payment_on_account" => {
                ("liabilities_issued", "liabilities_redeemed")
            }
            "fee" | "donation" => ("pass_through", "pass_through"),
            "tip" => ("tips", "tips"),
            _ => return,
        };
        let direction = if is_return { -sign } else { sign };
        let (sum, side) = match (taken == given_back, is_return) {
            (true, _) => (taken, direction),
            (false, false) => (taken, sign),
            (false, true) => (given_back, sign),
        };
        self.add_sum(currency, sum, side * amount(line.amount.as_ref()));
        for discount in line.discounts.iter().flatten() {
            self.add_sum(currency, "discounts", direction * amount(Some(&discount.amount)));
        }
        for tax in line.taxes.iter().flatten() {
            self.add_sum(currency, "taxes", direction * amount(Some(&tax.amount)));
        }
    }

    /// Adds a tender: rounding is no money, what the retailer owed is redeemed, or issued where it is paid out.
    fn add_tender(&mut self, currency: &str, tender: &ReceiptTender<'_>, sign: i128) {
        let value = amount(Some(&tender.amount));
        if tender.tender_type == "rounding" {
            return self.add_sum(currency, "rounding", -value);
        }
        let redeems = matches!(&*tender.tender_type, "gift_card" | "stored_value" | "prepaid");
        if redeems || tender.stored_value.is_some() {
            if sign * value > 0 {
                self.add_sum(currency, "liabilities_redeemed", value);
            } else {
                self.add_sum(currency, "liabilities_issued", -value);
            }
        }
        add(
            &mut self.tenders,
            (currency.to_owned(), tender.tender_type.clone().into_owned()),
            value,
        );
    }

    fn add_sum(&mut self, currency: &str, name: &str, value: i128) {
        add(&mut self.totals, (currency.to_owned(), name.to_owned()), value);
    }

    /// Adds other books, or takes them away where `sign` is -1.
    pub(super) fn join(&mut self, other: &Self, sign: i128) {
        for (kind, count) in &other.events {
            add(&mut self.events, kind.clone(), sign * count);
        }
        for (key, value) in &other.totals {
            add(&mut self.totals, key.clone(), sign * value);
        }
        for (key, value) in &other.tenders {
            add(&mut self.tenders, key.clone(), sign * value);
        }
        for (key, value) in &other.balance {
            add(&mut self.balance, key.clone(), sign * value);
        }
    }

    /// Names the first thing in which these books differ from others, which are the right ones.
    pub(super) fn difference(&self, right: &Self) -> Option<String> {
        let mut rest = right.clone();
        rest.join(self, -1);
        let events = rest.events.keys().next().map(|kind| {
            let count = |books: &Self| books.events.get(kind).copied().unwrap_or_default();
            format!("{kind}: sent {}, found {}", count(right), count(self))
        });
        let sums = |rest: &Sums, of: fn(&Self) -> &Sums, where_from: &str| {
            rest.keys().next().map(|key| {
                let value = |books| decimal(of(books).get(key).copied().unwrap_or_default());
                let name = format!("{where_from}{} {}", key.1, key.0);
                format!("{name}: sent {}, found {}", value(right), value(self))
            })
        };
        events
            .or_else(|| sums(&rest.totals, |books| &books.totals, ""))
            .or_else(|| sums(&rest.tenders, |books| &books.tenders, ""))
            .or_else(|| sums(&rest.balance, |books| &books.balance, "till balance, "))
    }
}

pub(super) fn add<K: Ord + Clone>(map: &mut BTreeMap<K, i128>, key: K, value: i128) {
    let sum = map.get(&key).copied().unwrap_or_default() + value;
    if sum == 0 {
        map.remove(&key);
    } else {
        map.insert(key, sum);
    }
}

/// Reads an amount as ten-thousandths; nothing where there is none.
pub(super) fn amount(text: Option<&Cow<'_, str>>) -> i128 {
    text.and_then(|text| ten_thousandths(text)).unwrap_or_default()
}

/// Reads a decimal as ten-thousandths; `None` if it is none.
pub(super) fn ten_thousandths(text: &str) -> Option<i128> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = u32::try_from(part.len()).ok().filter(|&scale| scale <= AMOUNT_SCALE)?;
    let value: i128 = format!("{whole}{part}").parse().ok()?;
    let value = value.checked_mul(10_i128.pow(AMOUNT_SCALE - scale))?;
    Some(if negative { -value } else { value })
}

/// Writes ten-thousandths as a decimal: without places where they are nothing, otherwise with two at least.
pub(super) fn decimal(value: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let one = 10_u128.pow(AMOUNT_SCALE);
    let text = format!("{sign}{}.{:04}", value.unsigned_abs() / one, value.unsigned_abs() % one);
    let whole = text.len() - 5;
    match text.trim_end_matches('0').len() {
        cut if cut <= whole + 1 => text[..whole].to_owned(),
        cut => text[..cut.max(whole + 3)].to_owned(),
    }
}

/// What the books need of an event. Members that are not named are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Receipt<'a> {
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) business_date: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) currency: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) amount: Option<Cow<'a, str>>,
    #[serde(borrow)]
    lines: Option<Vec<ReceiptLine<'a>>>,
    #[serde(borrow)]
    pub(super) tenders: Option<Vec<ReceiptTender<'a>>>,
    #[serde(borrow)]
    totals: Option<ReceiptTotals<'a>>,
}

#[derive(Debug, Deserialize)]
struct ReceiptLine<'a> {
    #[serde(borrow, rename = "type")]
    line_type: Cow<'a, str>,
    #[serde(borrow)]
    class: Option<Cow<'a, str>>,
    #[serde(borrow)]
    amount: Option<Cow<'a, str>>,
    void: Option<bool>,
    #[serde(borrow)]
    discounts: Option<Vec<Amount<'a>>>,
    #[serde(borrow)]
    taxes: Option<Vec<Amount<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Amount<'a> {
    #[serde(borrow)]
    amount: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReceiptTender<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) tender_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) amount: Cow<'a, str>,
    stored_value: Option<serde::de::IgnoredAny>,
    #[serde(borrow)]
    pub(super) foreign: Option<ForeignMoney<'a>>,
}

/// What was handed over in another currency.
#[derive(Debug, Deserialize)]
pub(super) struct ForeignMoney<'a> {
    #[serde(borrow)]
    pub(super) currency: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) amount: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct ReceiptTotals<'a> {
    #[serde(borrow)]
    tip: Option<Cow<'a, str>>,
    #[serde(borrow)]
    rounding: Option<Cow<'a, str>>,
}

/// Reads sums by currency and name, without those that are nothing.
///
/// # Errors
/// The first amount that is no decimal.
pub(super) fn sums(
    by_currency: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<Sums, String> {
    let mut sums = Sums::new();
    for (currency, amounts) in by_currency {
        for (name, text) in amounts {
            let value = ten_thousandths(text).ok_or_else(|| text.clone())?;
            if value != 0 {
                sums.insert((currency.clone(), name.clone()), value);
            }
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::verify::tills::Tills;

    const EVENTS: &str = include_str!("../../../docs/samples/day/events.ndjson");
    const BOOKS: &str = include_str!("../../../docs/samples/day/books.json");

    /// The day's events in the docs come to the books in the docs, which were made by hand.
    #[test]
    fn a_day_of_one_store_comes_to_the_books_that_were_made_by_hand() {
        let (mut books, mut tills) = (Books::default(), Tills::default());
        for line in EVENTS.lines() {
            let receipt = serde_json::from_str(line).unwrap();
            books.add(&receipt);
            tills.add(&receipt, &serde_json::from_str(line).unwrap());
        }
        books.balance = tills.sums();
        let by_hand: Value = serde_json::from_str(BOOKS).unwrap();
        let map = |member: &str| by_hand[member].as_object().unwrap();
        let sums = |member: &str| -> Sums {
            let value = |value: &Value| ten_thousandths(value.as_str().unwrap()).unwrap();
            let sums = map(member)
                .iter()
                .map(|(name, sum)| (("CHF".to_owned(), name.clone()), value(sum)));
            sums.filter(|(_, sum)| *sum != 0).collect()
        };
        let right = Books {
            events: map("transactions")
                .iter()
                .map(|(kind, count)| (kind.clone(), count.as_i64().unwrap().into()))
                .collect(),
            totals: sums("totals"),
            tenders: sums("tenders"),
            balance: balance(by_hand["till_balance"].as_array().unwrap()),
        };
        assert_eq!(books.difference(&right), None);
        assert_eq!(books, right);
    }

    fn balance(rows: &[Value]) -> Sums {
        let mut sums = Sums::new();
        for row in rows {
            let currency = row["currency"].as_str().unwrap();
            for (name, sum) in
                row.as_object().unwrap().iter().filter(|(name, _)| *name != "currency")
            {
                let sum = ten_thousandths(sum.as_str().unwrap()).unwrap();
                add(&mut sums, (currency.to_owned(), name.clone()), sum);
            }
        }
        sums
    }

    #[test]
    fn a_difference_is_named() {
        let sale = r#"{"kind":"sale","business_date":"2026-11-27","currency":"EUR",
            "lines":[{"type":"sale","amount":"9.98"}],"tenders":[{"type":"cash","amount":"10.00"}],
            "totals":{"rounding":"0.02"}}"#;
        let (mut found, mut right) = (Books::default(), Books::default());
        right.add(&serde_json::from_str(sale).unwrap());
        assert_eq!(found.difference(&right).unwrap(), "sale: sent 1, found 0");
        let other = sale.replace("10.00", "10.01").replace("9.98", "9.99");
        found.add(&serde_json::from_str(&other).unwrap());
        assert_eq!(found.difference(&right).unwrap(), "sales EUR: sent 9.98, found 9.99");
        assert_eq!(right.difference(&right.clone()), None);
    }

    #[test]
    fn a_post_void_takes_back_what_its_sale_did() {
        let receipt = |kind: &str, sign: &str| {
            format!(
                r#"{{"kind":"{kind}","business_date":"2026-11-27","currency":"JPY","lines":[
                {{"type":"sale","amount":"700","taxes":[{{"amount":"52"}}],"discounts":[{{"amount":"10"}}]}},
                {{"type":"service","class":"gift_card","amount":"500"}},
                {{"type":"return","class":"deposit","amount":"20"}}],
                "tenders":[{{"type":"gift_card","amount":"{sign}170"}},{{"type":"cash","amount":"{sign}1000"}}]}}"#
            )
        };
        let mut books = Books::default();
        books.add(&serde_json::from_str(&receipt("sale", "")).unwrap());
        assert_eq!(books.totals[&("JPY".to_owned(), "liabilities_redeemed".to_owned())], 1_900_000);
        books.add(&serde_json::from_str(&receipt("post_void", "-")).unwrap());
        assert!(books.totals.is_empty() && books.tenders.is_empty(), "{books:?}");
    }

    #[test]
    fn decimals_are_read_and_written_exactly() {
        for (text, value) in [("0.0001", 1), ("-7", -70_000), ("12.30", 123_000), ("1.234", 12_340)]
        {
            assert_eq!(ten_thousandths(text), Some(value));
        }
        assert_eq!([0, -1, 123_000, 12_340].map(decimal), ["0", "-0.0001", "12.30", "1.234"]);
        assert_eq!(ten_thousandths("1.00001"), None);
    }
}
