//! The table of what an event does to the drawer of its till, to the store's safe, and to the bank.
//!
//! Beside [`crate::money`], which says what amounts count as, this table says where the money then lies. Folding, `verify`'s tests
//! and the documentation use it. A kind that is not in the table moves no money and states none. Which drawer it is, and what
//! is expected of it, is up to [`crate::aggregate`].

use crate::event::{Event, Foreign, Kind, Tender};
use crate::money::{ADVANCE, ROUNDING_TENDER, TRADE};
use crate::text::Currency;

/// The tender of notes and coins, in which amounts without a tender are.
pub const CASH: &str = "cash";
/// The tender that is cash going back to the customer.
pub const CHANGE: &str = "change";
/// Types of tender that put nothing into a drawer: what was paid before, and what rounding of cash left out.
pub const NOT_IN_DRAWER: [&str; 2] = ["prepaid", ROUNDING_TENDER];

/// What of an event concerns the till's balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TillEffect {
    /// Its tenders go into the drawer, each by its type.
    Tenders,
    /// Its amount is cash that moves; each sign says which way.
    Cash {
        /// Into the drawer, or out of it.
        drawer: i64,
        /// Into the safe, or out of it.
        safe: i64,
        /// To the bank.
        bank: i64,
    },
    /// Its amount is the cash that the drawer holds at the beginning.
    OpeningCash,
    /// Its amount is the cash that the drawer holds at the end; what it declares is what was counted.
    ClosingCash,
    /// What it declares is what was counted in the drawer.
    Declaration,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TillRule {
    /// Kinds of event.
    pub kinds: &'static [Kind],
    /// What they do.
    pub effect: TillEffect,
}

const fn cash(kinds: &'static [Kind], drawer: i64, safe: i64, bank: i64) -> TillRule {
    TillRule { kinds, effect: TillEffect::Cash { drawer, safe, bank } }
}

/// Every kind that concerns a balance.
pub const TABLE: [TillRule; 11] = [
    TillRule { kinds: TRADE, effect: TillEffect::Tenders },
    TillRule { kinds: ADVANCE, effect: TillEffect::Tenders },
    TillRule { kinds: &[Kind::TipAdjustment], effect: TillEffect::Tenders },
    cash(&[Kind::PaidIn], 1, 0, 0),
    cash(&[Kind::PaidOut], -1, 0, 0),
    cash(&[Kind::Loan], 1, -1, 0),
    cash(&[Kind::Pickup], -1, 1, 0),
    cash(&[Kind::BankDeposit], 0, -1, 1),
    TillRule { kinds: &[Kind::Open], effect: TillEffect::OpeningCash },
    TillRule { kinds: &[Kind::Close], effect: TillEffect::ClosingCash },
    TillRule { kinds: &[Kind::TillDeclaration], effect: TillEffect::Declaration },
];

/// The table by kind.
const BY_KIND: [Option<TillEffect>; Kind::ALL.len()] = {
    let mut by_kind = [None; Kind::ALL.len()];
    let mut row = 0;
    while row < TABLE.len() {
        let TillRule { kinds, effect } = TABLE[row];
        let mut kind = 0;
        while kind < kinds.len() {
            by_kind[kinds[kind] as usize] = Some(effect);
            kind += 1;
        }
        row += 1;
    }
    by_kind
};

/// Returns what an event of a kind does to drawer, safe and bank; `None` if nothing.
#[inline]
pub fn effect(kind: Kind) -> Option<TillEffect> {
    BY_KIND.get(kind as usize).copied().flatten()
}

/// Money of one tender that lies in a drawer, minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed<'a> {
    /// Currency of the notes, cheques or slips.
    pub currency: Currency,
    /// Type of the tender under which it is expected and declared.
    pub tender: &'a str,
    /// How much; what goes out is negative.
    pub amount: i64,
}

/// Returns what a tender of an event in `currency` puts into the drawer, or takes from it; `None` if nothing.
///
/// What was handed over in another currency is expected in that one: it is counted as it lies there. Change is cash of the
/// event's own currency.
#[inline]
pub fn placed<'a>(currency: Currency, tender: &Tender<'a>) -> Option<Placed<'a>> {
    let Tender { tender_type, amount, foreign, .. } = *tender;
    if NOT_IN_DRAWER.contains(&tender_type) {
        return None;
    }
    let tender = if tender_type == CHANGE { CASH } else { tender_type };
    Some(match foreign {
        Some(Foreign { currency, amount, .. }) => Placed { currency, tender, amount },
        None => Placed { currency, tender, amount },
    })
}

/// Returns what an event declares, summed over denominations, each tender once.
pub fn declared<'a>(event: &'a Event<'_>) -> impl Iterator<Item = (&'a str, i128)> {
    let all = &event.declarations;
    all.iter().enumerate().filter_map(move |(index, declaration)| {
        let tender = declaration.tender;
        let is_repeated = all.iter().take(index).any(|earlier| earlier.tender == tender);
        let same = all.iter().filter(|other| other.tender == tender);
        (!is_repeated).then(|| (tender, same.map(|other| i128::from(other.amount)).sum()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Decoder;

    fn decoded<R>(kind: &str, more: &str, look: impl FnOnce(&Event<'_>) -> R) -> R {
        let text = format!(
            r#"{{"store":"1","terminal":"2","event_id":"3","kind":"{kind}","occurred_at":"2026-11-27T08:15:30Z",
            "business_date":"2026-11-27","currency":"CHF",{more}}}"#
        );
        look(&Decoder::new().decode(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_kind_is_in_one_row_and_money_that_moves_leaves_its_place() {
        for kind in Kind::ALL {
            let rows = TABLE.iter().filter(|rule| rule.kinds.contains(&kind)).count();
            assert_eq!(usize::from(effect(kind).is_some()), rows, "{kind:?}");
        }
        let within = |kind| matches!(effect(kind), Some(TillEffect::Cash { drawer, safe, bank }) if drawer + safe + bank == 0);
        assert!([Kind::Loan, Kind::Pickup, Kind::BankDeposit].into_iter().all(within));
        for kind in [Kind::Training, Kind::Void, Kind::Suspend, Kind::NoSale, Kind::X] {
            assert_eq!(effect(kind), None, "{kind:?}");
        }
    }

    #[test]
    fn tenders_lie_in_the_drawer_as_what_they_are() {
        let tenders = r#""lines":[{"line":1,"type":"sale","sku":"a","quantity":"1"}],"tenders":[
            {"type":"cash","amount":"20.00"},{"type":"change","amount":"-9.90"},{"type":"prepaid","amount":"5.00"},
            {"type":"rounding","amount":"-0.02"},{"type":"gift_card","amount":"7.00"},{"type":"cheque","amount":"8.00"},
            {"type":"cash","amount":"5.20","foreign":{"currency":"EUR","amount":"5.50","rate":"0.9455"}}]"#;
        decoded("sale", tenders, |event| {
            let placed: Vec<_> = event
                .tenders
                .iter()
                .filter_map(|tender| placed(event.currency.unwrap(), tender))
                .map(|placed| format!("{} {} {}", placed.currency, placed.tender, placed.amount))
                .collect();
            let expected = [
                "CHF cash 2000",
                "CHF cash -990",
                "CHF gift_card 700",
                "CHF cheque 800",
                "EUR cash 550",
            ];
            assert_eq!(placed, expected);
        });
    }

    #[test]
    fn denominations_of_one_tender_are_one_declared_amount() {
        let declarations = r#""declarations":[{"tender":"cash","denomination":"50.00","count":4,"amount":"200.00"},
            {"tender":"card","amount":"412.30"},{"tender":"cash","denomination":"0.50","count":11,"amount":"5.50"}]"#;
        decoded("till_declaration", declarations, |event| {
            let all: Vec<_> = declared(event).collect();
            assert_eq!(all, [("cash", 20_550), ("card", 41_230)]);
        });
    }
}
