//! Control totals as serde would publish them: what tests hold the written text against.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{Control, Sums, Tendered};
use crate::event::Kind;
use crate::text::format_minor;

/// Control totals as they are published, amounts as decimal text.
#[derive(Debug, Serialize)]
pub(in crate::aggregate) struct Published<'a> {
    transactions: &'a BTreeMap<Kind, u64>,
    #[serde(serialize_with = "by_currency")]
    totals: &'a [Sums],
    #[serde(serialize_with = "by_currency_and_type")]
    tenders: &'a [Tendered],
    truncated: bool,
}

#[derive(Debug, Serialize)]
struct PublishedSums {
    sales: String,
    returns: String,
    discounts: String,
    taxes: String,
}

fn by_currency<S: Serializer>(sums: &[Sums], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(sums.iter().map(|sums| {
        let text = |minor| format_minor(minor, sums.exponent);
        let published = PublishedSums {
            sales: text(sums.sales),
            returns: text(sums.returns),
            discounts: text(sums.discounts),
            taxes: text(sums.taxes),
        };
        (sums.currency, published)
    }))
}

fn by_currency_and_type<S: Serializer>(all: &[Tendered], serializer: S) -> Result<S::Ok, S::Error> {
    let currencies = all.chunk_by(|one, next| one.currency == next.currency);
    serializer
        .collect_map(currencies.filter_map(|types| Some((types.first()?.currency, Types(types)))))
}

/// Tender types of one currency.
struct Types<'a>(&'a [Tendered]);

impl Serialize for Types<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0.iter().map(|tendered| {
                (&tendered.tender, format_minor(tendered.amount, tendered.exponent))
            }),
        )
    }
}

impl Control {
    /// The totals for others to read.
    pub(in crate::aggregate) fn published(&self) -> Published<'_> {
        Published {
            transactions: &self.kinds,
            totals: &self.sums,
            tenders: &self.tenders,
            truncated: self.truncated,
        }
    }
}
