//! Store-days: control totals of one business date in one store.
//!
//! A day is *complete* when every terminal that took part has closed, none that the store's register expects is silent
//! ([`super::completeness`]), and no number up to its close, or up to an event of that date behind the close, is missing, refused or
//! parked; one below an earlier close of the same terminal counts against that earlier day. A parked event without a number counts
//! against its own date. A day that is over and not complete is *open ended*. 35 days after the business date, by append time, it is
//! sealed: what comes later is an amendment of its own and changes no total.
//! How many currencies and tender types a day adds up is bounded; past that it says so. How many terminals take part is up to
//! whoever sends, so that they are written in parts of [`PART_TERMINALS`], the first with the day, and only parts that changed.

#[cfg(test)]
mod published;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::event::{Event, Kind};
use crate::money::{self, MoneyEffect};
use crate::text::{Currency, Date};

#[cfg(test)]
pub(super) use published::PublishedTotals;

use super::completeness_totals::DayCompleteness;
use super::day_currencies::DayCurrencies;

/// Days after a business date, by append time, at which it is sealed.
pub(super) const SEALED_AFTER_DAYS: i32 = 35;
/// Days after which a day that is not complete is called open ended.
const OVER_AFTER_DAYS: i32 = 2;
/// Currencies, and tender types over all currencies, that a day adds up.
const CURRENCIES: usize = 16;
const TENDERS: usize = 64;
/// Terminals in one part of a day's list: as many as nearly every store has, which then has no further part.
pub(super) const PART_TERMINALS: usize = 32;

/// How far a store-day has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DayStatus {
    /// Not over, and not complete.
    #[default]
    Open,
    /// Every terminal closed, and nothing is missing, refused or parked.
    Complete,
    /// Over, and not complete.
    OpenEnded,
    /// Past its 35 days.
    Sealed,
}

/// Control totals of one store and business date. [`text`] writes them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
pub(super) struct ControlTotals {
    kinds: BTreeMap<Kind, u64>,
    /// By currency, rising.
    #[serde(deserialize_with = "in_order")]
    sums: Vec<CurrencyTotals>,
    /// By currency and type, rising.
    #[serde(deserialize_with = "in_order")]
    tenders: Vec<TenderTotal>,
    /// Amounts were left out because there was no room for another currency or tender type.
    pub(super) truncated: bool,
}

/// Sums in one currency, minor units.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct CurrencyTotals {
    currency: Currency,
    exponent: u32,
    sales: i128,
    returns: i128,
    discounts: i128,
    taxes: i128,
    #[serde(default)]
    liabilities_issued: i128,
    #[serde(default)]
    liabilities_redeemed: i128,
    #[serde(default)]
    pass_through: i128,
    #[serde(default)]
    tips: i128,
    #[serde(default)]
    rounding: i128,
}

impl CurrencyTotals {
    fn of(currency: Currency) -> Self {
        Self {
            currency,
            exponent: currency.exponent(),
            sales: 0,
            returns: 0,
            discounts: 0,
            taxes: 0,
            liabilities_issued: 0,
            liabilities_redeemed: 0,
            pass_through: 0,
            tips: 0,
            rounding: 0,
        }
    }

    /// Returns the sums by their names, in the order in which they are written.
    fn by_name(&self) -> [(&'static str, i128); 9] {
        [
            ("sales", self.sales),
            ("returns", self.returns),
            ("discounts", self.discounts),
            ("taxes", self.taxes),
            ("liabilities_issued", self.liabilities_issued),
            ("liabilities_redeemed", self.liabilities_redeemed),
            ("pass_through", self.pass_through),
            ("tips", self.tips),
            ("rounding", self.rounding),
        ]
    }

    fn add(&mut self, effect: MoneyEffect) {
        self.sales += effect.sales;
        self.returns += effect.returns;
        self.discounts += effect.discounts;
        self.taxes += effect.taxes;
        self.liabilities_issued += effect.liabilities_issued;
        self.liabilities_redeemed += effect.liabilities_redeemed;
        self.pass_through += effect.pass_through;
        self.tips += effect.tips;
        self.rounding += effect.rounding;
    }
}

/// One tender type in one currency, minor units.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct TenderTotal {
    currency: Currency,
    exponent: u32,
    tender: Box<str>,
    amount: i128,
}

/// Reads a list; an earlier version kept it in the order of arrival.
fn in_order<'de, D: Deserializer<'de>, T: Deserialize<'de> + Ord>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let mut list = Vec::deserialize(deserializer)?;
    list.sort_unstable();
    Ok(list)
}

impl ControlTotals {
    /// Adds a counted event.
    pub(super) fn add(&mut self, event: &Event<'_>) {
        *self.kinds.entry(event.kind).or_default() += 1;
        if money::sign(event.kind) == 0 {
            return;
        }
        let Some(currency) = event.currency else { return };
        match self.sums(currency) {
            Some(sums) => sums.add(money::effect(event)),
            None => self.truncated = true,
        }
        self.add_tenders(event, currency);
    }

    /// Adds the tenders by their types; rounding is none, but a sum of its own.
    fn add_tenders(&mut self, event: &Event<'_>, currency: Currency) {
        for tender in event.tenders.iter().filter(|tender| !money::is_rounding(tender)) {
            let index = self.tenders.binary_search_by(|known| {
                known.currency.cmp(&currency).then_with(|| (*known.tender).cmp(tender.tender_type))
            });
            match index {
                Ok(index) => self.tenders[index].amount += i128::from(tender.amount),
                Err(index) if self.tenders.len() < TENDERS => self.tenders.insert(
                    index,
                    TenderTotal {
                        currency,
                        exponent: currency.exponent(),
                        tender: tender.tender_type.into(),
                        amount: tender.amount.into(),
                    },
                ),
                Err(_) => self.truncated = true,
            }
        }
    }

    fn sums(&mut self, currency: Currency) -> Option<&mut CurrencyTotals> {
        let index = match self.sums.binary_search_by_key(&currency, |sums| sums.currency) {
            Ok(index) => index,
            Err(_) if self.sums.len() >= CURRENCIES => return None,
            Err(index) => {
                self.sums.insert(index, CurrencyTotals::of(currency));
                index
            }
        };
        self.sums.get_mut(index)
    }

    /// Tells whether nothing was counted.
    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Counts an event of a kind without amounts.
    #[cfg(test)]
    pub(super) fn count(&mut self, kind: Kind) {
        *self.kinds.entry(kind).or_default() += 1;
    }

    /// Returns how many kinds, currencies and tender types it has.
    #[cfg(test)]
    pub(super) fn lists(&self) -> (usize, usize, usize) {
        (self.kinds.len(), self.sums.len(), self.tenders.len())
    }

    /// Sets every sum and count to its longest value.
    #[cfg(test)]
    pub(super) fn overstate(&mut self) {
        self.kinds.values_mut().for_each(|count| *count = u64::MAX);
        for sums in &mut self.sums {
            let CurrencyTotals { currency, exponent, .. } = *sums;
            *sums = CurrencyTotals {
                currency,
                exponent,
                sales: i128::MIN,
                returns: i128::MIN,
                discounts: i128::MIN,
                taxes: i128::MIN,
                liabilities_issued: i128::MIN,
                liabilities_redeemed: i128::MIN,
                pass_through: i128::MIN,
                tips: i128::MIN,
                rounding: i128::MIN,
            };
        }
        self.tenders.iter_mut().for_each(|tender| tender.amount = i128::MIN);
    }

    /// Returns its most bytes in a record.
    pub(super) fn written_bytes(&self) -> usize {
        2_048 + 640 * self.sums.len() + 256 * self.tenders.len()
    }
}

/// One store-day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Day {
    pub(super) control: ControlTotals,
    pub(super) currencies: DayCurrencies,
    /// Unsettled parked events of this date without a number; not in its state, which has the events themselves.
    pub(super) parked: u64,
    /// Slots of the terminals that took part, in the order in which they came.
    terminals: Vec<u32>,
    /// Status last written.
    pub(super) status: DayStatus,
    /// Is in the list of days that the next flush writes.
    pub(super) changed: bool,
    /// Whether the next flush writes each further part of its terminals; it writes the first part with the day itself.
    changed_parts: Vec<bool>,
    /// What it adds to the sums of its partition.
    pub(super) completeness: DayCompleteness,
}

/// What all terminals of a day have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct DaySummary {
    pub(super) terminals: u64,
    pub(super) closed: u64,
    /// Numbers missing at all of them.
    pub(super) missing: u64,
    /// Numbers with refused events only.
    pub(super) refused: u64,
    /// Numbers with parked events, and parked events without a number.
    pub(super) parked: u64,
    /// Expected terminals that have not spoken; none without a register.
    pub(super) silent: u64,
    /// Terminals that spoke and that the day still waits for.
    pub(super) unclosed: u64,
}

impl Day {
    /// Makes a day of its state, without its terminals.
    pub(super) fn restored(
        control: ControlTotals,
        currencies: DayCurrencies,
        status: DayStatus,
    ) -> Self {
        Self { control, currencies, status, ..Self::default() }
    }

    /// Adds a terminal that takes part for the first time.
    pub(super) fn add_terminal(&mut self, terminal: u32) {
        self.terminals.push(terminal);
        let further = self.parts() - 1;
        self.changed_parts.resize(further, false);
    }

    /// Returns the index that the next terminal gets.
    pub(super) fn next_index(&self) -> u32 {
        u32::try_from(self.terminals.len()).unwrap_or(u32::MAX)
    }

    /// Slots of the terminals, in the order in which they came.
    pub(super) fn terminals(&self) -> &[u32] {
        &self.terminals
    }

    /// Slots of the terminals of a part.
    pub(super) fn part(&self, part: usize) -> &[u32] {
        self.terminals.chunks(PART_TERMINALS).nth(part).unwrap_or_default()
    }

    /// Number of parts; at least the first.
    pub(super) fn parts(&self) -> usize {
        self.terminals.len().div_ceil(PART_TERMINALS).max(1)
    }

    /// Marks a further part for the next flush; returns whether it was not marked before.
    pub(super) fn mark_part(&mut self, part: usize) -> bool {
        let changed = part.checked_sub(1).and_then(|further| self.changed_parts.get_mut(further));
        changed.is_some_and(|changed| !std::mem::replace(changed, true))
    }

    /// Tells whether a further part is marked, and clears the mark.
    pub(super) fn take_part(&mut self, part: usize) -> bool {
        let changed = part.checked_sub(1).and_then(|further| self.changed_parts.get_mut(further));
        changed.is_some_and(std::mem::take)
    }

    /// Replaces the slots of terminals that moved.
    pub(super) fn move_terminals(&mut self, moved: impl Fn(u32) -> u32) {
        self.terminals.iter_mut().for_each(|slot| *slot = moved(*slot));
    }

    /// Tells whether nobody spoke, so that only a register made it.
    pub(super) fn is_silent(&self) -> bool {
        self.terminals.is_empty() && self.parked == 0 && self.control.is_empty()
    }

    /// Tells whether its status has changed by time alone.
    pub(super) fn is_overdue(&self, date: Date, today: Date) -> bool {
        is_sealed(date, today) || (self.status == DayStatus::Open && is_over(date, today))
    }
}

impl DaySummary {
    /// Returns the status of a day with this summary.
    pub(super) fn status(self, date: Date, today: Date) -> DayStatus {
        if is_sealed(date, today) {
            return DayStatus::Sealed;
        }
        let lacking = self.missing.saturating_add(self.refused).saturating_add(self.parked);
        if lacking == 0 && self.silent == 0 && self.unclosed == 0 {
            return DayStatus::Complete;
        }
        if is_over(date, today) {
            return DayStatus::OpenEnded;
        }
        DayStatus::Open
    }
}

/// Returns the part that an index is in.
pub(super) fn part_of(index: u32) -> usize {
    index as usize / PART_TERMINALS
}

fn is_over(date: Date, today: Date) -> bool {
    today.0 >= date.0.saturating_add(OVER_AFTER_DAYS)
}

/// Tells whether a business date is past its 35 days.
pub(super) fn is_sealed(date: Date, today: Date) -> bool {
    today.0 >= date.0.saturating_add(SEALED_AFTER_DAYS)
}

#[cfg(test)]
mod tests;
