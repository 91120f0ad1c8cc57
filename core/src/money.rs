//! The table of what an event's amounts count as.
//!
//! Kind × line class → what the amount of a line adds to: sales, a liability, money that only passes through, a tip. Control
//! totals, the check of sums and the documentation use it. A pair that is not in the table adds to nothing. Beside
//! [`crate::stock`], which says what becomes of the goods: a line's type moves stock, its class moves money.

use crate::event::{Event, Kind, Line, LineClass, LineType, Tender};

/// What the amount of a line, or a tender, counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyKind {
    /// Sold goods and services; a return line counts as returns.
    Sales,
    /// Owed to the customer: a gift card, a deposit, a payment on account. A line issues it, a return line redeems it.
    Liability,
    /// Taken for others, whatever they are: a fee that the law or a third party asks, a donation.
    PassThrough,
    /// Taken for those who work there.
    Tip,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoneyRule {
    /// Kinds of event.
    pub kinds: &'static [Kind],
    /// Class of line.
    pub class: LineClass,
    /// What the amount counts as.
    pub counts_as: MoneyKind,
}

/// Kinds that hand over goods or services, take them back, or correct that.
pub const TRADE: &[Kind] = &[
    Kind::Sale,
    Kind::Return,
    Kind::Exchange,
    Kind::PostVoid,
    Kind::OrderHandedOver,
    Kind::LayawayHandedOver,
    Kind::Correction,
];

/// Kinds that take or give back money before anything is handed over.
pub const ADVANCE: &[Kind] = &[
    Kind::OrderPlaced,
    Kind::OrderPaid,
    Kind::OrderPicked,
    Kind::OrderCancelled,
    Kind::LayawayPlaced,
    Kind::LayawayPaid,
    Kind::LayawayCancelled,
];

const fn rule(kinds: &'static [Kind], class: LineClass, counts_as: MoneyKind) -> MoneyRule {
    MoneyRule { kinds, class, counts_as }
}

/// Every pair that counts.
pub const TABLE: [MoneyRule; 14] = [
    rule(TRADE, LineClass::Merchandise, MoneyKind::Sales),
    rule(TRADE, LineClass::Service, MoneyKind::Sales),
    rule(TRADE, LineClass::Deposit, MoneyKind::Liability),
    rule(TRADE, LineClass::GiftCard, MoneyKind::Liability),
    rule(TRADE, LineClass::PaymentOnAccount, MoneyKind::Liability),
    rule(TRADE, LineClass::Fee, MoneyKind::PassThrough),
    rule(TRADE, LineClass::Donation, MoneyKind::PassThrough),
    rule(TRADE, LineClass::Tip, MoneyKind::Tip),
    rule(ADVANCE, LineClass::Deposit, MoneyKind::Liability),
    rule(ADVANCE, LineClass::GiftCard, MoneyKind::Liability),
    rule(ADVANCE, LineClass::PaymentOnAccount, MoneyKind::Liability),
    rule(ADVANCE, LineClass::Fee, MoneyKind::PassThrough),
    rule(ADVANCE, LineClass::Donation, MoneyKind::PassThrough),
    rule(ADVANCE, LineClass::Tip, MoneyKind::Tip),
];

/// Types of tender that pay with what the retailer owes; so does any with an account of stored value.
pub const REDEEMING_TENDERS: [&str; 3] = ["gift_card", "stored_value", "prepaid"];
/// The tender that is no money: what rounding of cash left out.
pub const ROUNDING_TENDER: &str = "rounding";

/// The table by kind and class.
const BY_KIND: [[Option<MoneyKind>; LineClass::ALL.len()]; Kind::ALL.len()] = {
    let mut by_kind = [[None; LineClass::ALL.len()]; Kind::ALL.len()];
    let mut row = 0;
    while row < TABLE.len() {
        let MoneyRule { kinds, class, counts_as } = TABLE[row];
        let mut kind = 0;
        while kind < kinds.len() {
            by_kind[kinds[kind] as usize][class as usize] = Some(counts_as);
            kind += 1;
        }
        row += 1;
    }
    by_kind
};

/// Returns what the amount of a line counts as; `None` if it counts as nothing. Taxes and discounts of a line count where its
/// amount does.
#[inline]
pub fn counts_as(kind: Kind, class: LineClass) -> Option<MoneyKind> {
    BY_KIND.get(kind as usize)?.get(class as usize).copied().flatten()
}

/// Returns the sign by which amounts of a kind count; 0 where none does.
#[inline]
pub fn sign(kind: Kind) -> i64 {
    match kind {
        Kind::PostVoid => -1,
        Kind::TipAdjustment => 1,
        kind => {
            let is_counted = counts_as(kind, LineClass::PaymentOnAccount).is_some();
            i64::from(is_counted)
        }
    }
}

/// Tells whether a tender is no money, but what rounding of cash left out.
#[inline]
pub fn is_rounding(tender: &Tender<'_>) -> bool {
    tender.tender_type == ROUNDING_TENDER
}

/// Tells whether a tender pays with what the retailer owes, or is paid out as such.
#[inline]
pub fn is_liability(tender: &Tender<'_>) -> bool {
    tender.stored_value.is_some() || REDEEMING_TENDERS.contains(&tender.tender_type)
}

/// Sums of one event, minor units, in the event's currency. A post-void counts all of them the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields are the words of the trade")]
pub struct MoneyEffect {
    /// Amounts of lines that sell, discounts not deducted.
    pub sales: i128,
    /// Amounts of lines that take back what was sold.
    pub returns: i128,
    pub discounts: i128,
    /// Taxes, whether the amounts contain them or not.
    pub taxes: i128,
    pub liabilities_issued: i128,
    pub liabilities_redeemed: i128,
    pub pass_through: i128,
    pub tips: i128,
    /// What rounding of cash added.
    pub rounding: i128,
}

/// Returns what an event adds to the sums of its day.
pub fn effect(event: &Event<'_>) -> MoneyEffect {
    let sign = sign(event.kind);
    let mut effect = MoneyEffect::default();
    if sign == 0 {
        return effect;
    }
    for line in event.lines.iter().filter(|line| !line.void) {
        effect.add_line(event.kind, line, sign);
    }
    for tender in &event.tenders {
        effect.add_tender(tender, sign);
    }
    if event.kind == Kind::TipAdjustment {
        effect.tips += i128::from(event.amount.unwrap_or(0));
    }
    if let Some(totals) = event.totals {
        // As the tenders, these are stated as they are, in a post-void negative.
        effect.tips += i128::from(totals.tip.unwrap_or(0));
        effect.rounding += i128::from(totals.rounding.unwrap_or(0));
    }
    effect
}

/// Returns what one line of an event adds to the sums of its day; a void line adds nothing.
pub fn line_effect(kind: Kind, line: &Line<'_>) -> MoneyEffect {
    let (mut effect, sign) = (MoneyEffect::default(), sign(kind));
    if sign != 0 && !line.void {
        effect.add_line(kind, line, sign);
    }
    effect
}

impl MoneyEffect {
    #[inline]
    fn add_line(&mut self, kind: Kind, line: &Line<'_>, sign: i64) {
        let Some(counts_as) = counts_as(kind, line.class) else { return };
        let is_return = line.line_type == LineType::Return;
        let amount = i128::from(sign * line.amount.unwrap_or(0));
        let direction = if is_return { -sign } else { sign };
        let side = match (counts_as, is_return) {
            (MoneyKind::Sales, false) => &mut self.sales,
            (MoneyKind::Sales, true) => &mut self.returns,
            (MoneyKind::Liability, false) => &mut self.liabilities_issued,
            (MoneyKind::Liability, true) => &mut self.liabilities_redeemed,
            (MoneyKind::PassThrough | MoneyKind::Tip, _) => {
                let net = if is_return { -amount } else { amount };
                let side = if counts_as == MoneyKind::Tip {
                    &mut self.tips
                } else {
                    &mut self.pass_through
                };
                *side += net;
                return self.add_deductions(line, direction);
            }
        };
        *side += amount;
        self.add_deductions(line, direction);
    }

    #[inline]
    fn add_deductions(&mut self, line: &Line<'_>, direction: i64) {
        self.discounts += i128::from(direction * line.discount);
        self.taxes +=
            i128::from(direction * line.tax_exclusive) + i128::from(direction * line.tax_inclusive);
    }

    #[inline]
    fn add_tender(&mut self, tender: &Tender<'_>, sign: i64) {
        let amount = i128::from(tender.amount);
        if is_rounding(tender) {
            self.rounding -= amount;
        } else if is_liability(tender) {
            // Paid with, it redeems; paid out, it issues. In a post-void either is taken back.
            if sign * tender.amount > 0 {
                self.liabilities_redeemed += amount;
            } else {
                self.liabilities_issued -= amount;
            }
        }
    }
}

/// Returns the sum due of an event's lines: amounts less discounts, with the taxes that they do not contain; `None` where an
/// amount is missing.
pub fn due(event: &Event<'_>) -> Option<i128> {
    if event.kind == Kind::TipAdjustment {
        return event.amount.map(i128::from);
    }
    let sign = if event.kind == Kind::PostVoid { -1 } else { 1 };
    // What counts nowhere, as a training or a suspended basket, is still added up as a sale is.
    let is_counted = self::sign(event.kind) != 0;
    let mut sum = 0_i128;
    for line in event.lines.iter().filter(|line| !line.void) {
        if is_counted && counts_as(event.kind, line.class).is_none() {
            continue;
        }
        let charged =
            i128::from(line.amount?) - i128::from(line.discount) + i128::from(line.tax_exclusive);
        sum += if line.line_type == LineType::Return { -charged } else { charged };
    }
    Some(sign * sum)
}

#[cfg(test)]
mod tests;
