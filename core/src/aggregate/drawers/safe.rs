//! What went between drawers, safe and bank on one business date, by currency.

use serde::{Deserialize, Serialize};

use crate::text::Currency;

/// Currencies that a day adds up.
pub(super) const MAX_CURRENCIES: usize = 16;

/// Sums in one currency, minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SafeTotals {
    pub(super) currency: Currency,
    /// From the safe to drawers.
    pub(super) loans: i128,
    /// From drawers to the safe.
    pub(super) pickups: i128,
    /// From the safe to the bank.
    pub(super) bank: i128,
}

/// The movements of a day, by currency, rising.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::aggregate) struct Safe {
    pub(super) totals: Vec<SafeTotals>,
}

impl SafeTotals {
    pub(super) fn of(currency: Currency) -> Self {
        Self { currency, loans: 0, pickups: 0, bank: 0 }
    }

    /// By how much the safe has more than in the morning.
    pub(super) fn change(&self) -> i128 {
        self.pickups - self.loans - self.bank
    }
}

impl Safe {
    /// Adds a movement by its signs; returns false where there is no room for another currency.
    pub(super) fn add(&mut self, currency: Currency, amount: i128, safe: i64, bank: i64) -> bool {
        let index = match self.totals.binary_search_by_key(&currency, |totals| totals.currency) {
            Ok(index) => index,
            Err(_) if self.totals.len() >= MAX_CURRENCIES => return false,
            Err(index) => {
                self.totals.insert(index, SafeTotals::of(currency));
                index
            }
        };
        let Some(totals) = self.totals.get_mut(index) else { return false };
        match (safe, bank) {
            (_, 1..) => totals.bank += amount,
            (1.., _) => totals.pickups += amount,
            _ => totals.loans += amount,
        }
        true
    }
}
