//! Control totals as serde would publish them, for tests to compare the written text with.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{ControlTotals, CurrencyTotals, TenderTotal};
use crate::event::Kind;
use crate::text::format_minor;

/// Control totals as they are published, amounts as decimal text.
#[derive(Debug, Serialize)]
pub(in crate::aggregate) struct PublishedTotals<'a> {
    transactions: &'a BTreeMap<Kind, u64>,
    #[serde(serialize_with = "by_currency")]
    totals: &'a [CurrencyTotals],
    #[serde(serialize_with = "by_currency_and_type")]
    tenders: &'a [TenderTotal],
    truncated: bool,
}

#[derive(Debug, Serialize)]
struct PublishedSums {
    sales: String,
    returns: String,
    discounts: String,
    taxes: String,
    liabilities_issued: String,
    liabilities_redeemed: String,
    pass_through: String,
    tips: String,
    rounding: String,
}

fn by_currency<S: Serializer>(sums: &[CurrencyTotals], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(sums.iter().map(|sums| {
        let text = |minor| format_minor(minor, sums.exponent);
        let published = PublishedSums {
            sales: text(sums.sales),
            returns: text(sums.returns),
            discounts: text(sums.discounts),
            taxes: text(sums.taxes),
            liabilities_issued: text(sums.liabilities_issued),
            liabilities_redeemed: text(sums.liabilities_redeemed),
            pass_through: text(sums.pass_through),
            tips: text(sums.tips),
            rounding: text(sums.rounding),
        };
        (sums.currency, published)
    }))
}

fn by_currency_and_type<S: Serializer>(
    all: &[TenderTotal],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let currencies = all.chunk_by(|one, next| one.currency == next.currency);
    serializer
        .collect_map(currencies.filter_map(|types| Some((types.first()?.currency, Types(types)))))
}

/// Tender types of one currency.
struct Types<'a>(&'a [TenderTotal]);

impl Serialize for Types<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|tender_total| {
            (&tender_total.tender, format_minor(tender_total.amount, tender_total.exponent))
        }))
    }
}

impl ControlTotals {
    /// The totals for others to read.
    pub(in crate::aggregate) fn published(&self) -> PublishedTotals<'_> {
        PublishedTotals {
            transactions: &self.kinds,
            totals: &self.sums,
            tenders: &self.tenders,
            truncated: self.truncated,
        }
    }
}
