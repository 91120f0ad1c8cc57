//! The columns that came with the second version: what kind of money a line's amount is, reasons, and places in the store.

use arrow_array::builder::{Decimal128Builder, StringBuilder};
use tillrace_core::event::{Event, Line, LineType};
use tillrace_core::money::{self, MoneyKind};

use super::super::columns::{Column, column, decimals};
use super::{AMOUNT, amount_factor};

pub(super) struct DetailColumns {
    class: StringBuilder,
    counts_as: StringBuilder,
    counted_amount: Decimal128Builder,
    reason: StringBuilder,
    location: StringBuilder,
    to_location: StringBuilder,
    transaction_reason: StringBuilder,
}

impl Default for DetailColumns {
    fn default() -> Self {
        Self {
            class: StringBuilder::default(),
            counts_as: StringBuilder::default(),
            counted_amount: decimals(AMOUNT),
            reason: StringBuilder::default(),
            location: StringBuilder::default(),
            to_location: StringBuilder::default(),
            transaction_reason: StringBuilder::default(),
        }
    }
}

impl DetailColumns {
    /// Appends a row: that of a line, or the one of a transaction without lines.
    pub(super) fn append(&mut self, event: &Event<'_>, line: Option<&Line<'_>>) {
        let counts_as = line.and_then(|line| counts_as(event, line));
        let counted = line.filter(|_| counts_as.is_some()).and_then(|line| counted(event, line));
        let details = line.map(|line| event.details_of(line)).unwrap_or_default();
        self.class.append_option(line.map(|line| line.class.as_str()));
        self.counts_as.append_option(counts_as.map(name));
        self.counted_amount.append_option(counted);
        self.reason.append_option(details.reason);
        self.location.append_option(details.location);
        self.to_location.append_option(details.to_location);
        self.transaction_reason.append_option(event.details().reason);
    }

    pub(super) fn finish(mut self) -> Vec<Column> {
        vec![
            column("class", self.class.finish(), true),
            column("counts_as", self.counts_as.finish(), true),
            column("counted_amount", self.counted_amount.finish(), true),
            column("reason", self.reason.finish(), true),
            column("location", self.location.finish(), true),
            column("to_location", self.to_location.finish(), true),
            column("transaction_reason", self.transaction_reason.finish(), true),
        ]
    }
}

fn counts_as(event: &Event<'_>, line: &Line<'_>) -> Option<MoneyKind> {
    money::counts_as(event.kind, line.class).filter(|_| !line.void)
}

/// The amount of a line by the direction in which it counts, discounts not deducted.
fn counted(event: &Event<'_>, line: &Line<'_>) -> Option<i128> {
    let direction = if line.line_type == LineType::Return { -1 } else { 1 };
    let sign = i128::from(money::sign(event.kind));
    Some(sign * direction * i128::from(line.amount?) * amount_factor(event.currency))
}

fn name(counts_as: MoneyKind) -> &'static str {
    match counts_as {
        MoneyKind::Sales => "sales",
        MoneyKind::Liability => "liability",
        MoneyKind::PassThrough => "pass_through",
        MoneyKind::Tip => "tip",
    }
}
