//! Encodes the body of a call to a CRM: the points of one event.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tillrace_core::event::Kind;
use tillrace_core::text::{Currency, format_minor, parse_scaled};
use tillrace_log::{Offset, Partition};

use super::settings::PointsRule;
use crate::record::{Record, RecordError, Transaction, read};

#[derive(Serialize)]
struct Change<'a> {
    id: &'a str,
    tenant: &'a str,
    store: &'a str,
    loyalty_id: &'a str,
    kind: &'a str,
    points: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    business_date: Option<&'a str>,
    occurred_at: Option<&'a str>,
    partition: Partition,
    offset: Offset,
}

/// The part of an event that points depend on.
#[derive(Deserialize)]
struct Purchase<'a> {
    #[serde(borrow, default)]
    loyalty_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    currency: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    lines: Option<Vec<PurchaseLine<'a>>>,
    #[serde(borrow, default)]
    totals: Option<Totals<'a>>,
}

#[derive(Deserialize)]
struct PurchaseLine<'a> {
    #[serde(borrow, rename = "type")]
    line_type: Cow<'a, str>,
    #[serde(borrow, default)]
    class: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    amount: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    discounts: Option<Vec<Discount<'a>>>,
    #[serde(default)]
    void: Option<bool>,
}

#[derive(Deserialize)]
struct Discount<'a> {
    #[serde(borrow)]
    amount: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Totals<'a> {
    #[serde(borrow, default)]
    total: Option<Cow<'a, str>>,
}

/// Tells whether an event names a loyalty account.
pub(super) fn has_account(transaction: &Transaction<'_>) -> Result<bool, RecordError> {
    let purchase: Purchase<'_> = read(transaction.envelope.data)?;
    Ok(purchase.loyalty_id.is_some())
}

/// Encodes the points of an event; returns their id, and the body.
pub(super) fn points(
    record: &Record,
    partition: Partition,
    rule: PointsRule,
) -> Result<(String, Vec<u8>), RecordError> {
    let transaction = Transaction::read(record)?;
    let purchase: Purchase<'_> = read(transaction.envelope.data)?;
    let currency = purchase.currency.as_deref().and_then(|code| Currency::parse(code.as_bytes()));
    let worth =
        currency.and_then(|currency| Some((purchase.worth(transaction.kind, currency)?, currency)));
    let id = transaction.identity();
    let envelope = &transaction.envelope;
    let body = serde_json::to_vec(&Change {
        id: &id,
        tenant: &envelope.tenant,
        store: &envelope.store,
        loyalty_id: purchase.loyalty_id.as_deref().unwrap_or_default(),
        kind: transaction.kind.as_str(),
        points: worth
            .map_or(Some(0), |(minor, currency)| rule.points(minor, currency))
            .ok_or(RecordError::OutOfRange { what: "the points" })?,
        amount: worth.map(|(minor, currency)| format_minor(minor, currency.exponent())),
        currency: purchase.currency.as_deref(),
        business_date: envelope.business_date.as_deref(),
        occurred_at: envelope.time.as_deref(),
        partition,
        offset: record.offset,
    })?;
    Ok((id, body))
}

impl Purchase<'_> {
    /// Returns what goods were bought for, less what was brought back, after discounts and before
    /// taxes that are added; minor units. Services, deposits and gift cards earn nothing. Without
    /// amounts on the lines it is the printed total; without that there is nothing to go by.
    fn worth(&self, kind: Kind, currency: Currency) -> Option<i64> {
        let minor = |text: &str| parse_scaled(text.as_bytes(), currency.exponent());
        let mut worth = Some(0_i64);
        let earns = |line: &&PurchaseLine<'_>| {
            let class = line.class.as_deref().unwrap_or("merchandise");
            line.void != Some(true) && class == "merchandise"
        };
        for line in self.lines.iter().flatten().filter(earns) {
            let sign = match &*line.line_type {
                "sale" => 1,
                "return" => -1,
                _ => continue,
            };
            let mut amount = line.amount.as_deref().and_then(minor);
            for discount in line.discounts.iter().flatten() {
                let off = minor(&discount.amount);
                amount = amount.zip(off).and_then(|(amount, off)| amount.checked_sub(off));
            }
            worth = worth
                .zip(amount)
                .and_then(|(worth, amount)| worth.checked_add(amount.checked_mul(sign)?));
        }
        let reverses = kind == Kind::PostVoid;
        // The printed total of a reversal is negative already.
        let printed = || self.totals.as_ref()?.total.as_deref().and_then(minor);
        worth
            .and_then(|worth| if reverses { worth.checked_neg() } else { Some(worth) })
            .or_else(printed)
    }
}

impl PointsRule {
    /// Returns the points of an amount in minor units, rounded towards zero, so that a return of
    /// everything takes back exactly what the sale gave; nothing where they are beyond an `i64`.
    pub(super) fn points(self, minor: i64, currency: Currency) -> Option<i64> {
        let unit = 10_i128.pow(currency.exponent()) * i128::from(self.per_major_units.max(1));
        let points = i128::from(minor) * i128::from(self.points) / unit;
        i64::try_from(points).ok()
    }
}
