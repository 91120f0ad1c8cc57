//! Store-days: control totals of one business date in one store.
//!
//! A day is *complete* when every terminal that took part has closed and no number below its close
//! is missing; a number missing below an earlier close of the same terminal counts against that
//! earlier day. A day that is over and not complete is *open ended*. 35 days after the business date,
//! by append time, it is sealed: what comes later is an amendment of its own and changes no total.
//! How many currencies and tender types a day adds up is bounded; past that it says so.

#[cfg(test)]
mod published;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::event::{Event, Kind, LineType};
use crate::text::{Currency, Date};

#[cfg(test)]
pub(super) use published::Published;

/// Days after a business date, by append time, at which it is sealed.
pub(super) const SEALED_AFTER_DAYS: i32 = 35;
/// Days after which a day that is not complete is called open ended.
const OVER_AFTER_DAYS: i32 = 2;
/// Currencies, and tender types over all currencies, that a day adds up.
const CURRENCIES: usize = 16;
const TENDERS: usize = 64;

/// How far a store-day has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// Not over, and not complete.
    #[default]
    Open,
    /// Every terminal closed and nothing missing.
    Complete,
    /// Over, and not complete.
    OpenEnded,
    /// Past its 35 days.
    Sealed,
}

/// Sums over the counted events of one store and business date. Its texts are written in [`text`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
pub(super) struct Control {
    kinds: BTreeMap<Kind, u64>,
    /// By currency, rising.
    #[serde(deserialize_with = "in_order")]
    sums: Vec<Sums>,
    /// By currency and type, rising.
    #[serde(deserialize_with = "in_order")]
    tenders: Vec<Tendered>,
    /// Amounts were left out because there was no room for another currency or tender type.
    pub(super) truncated: bool,
}

/// Sums in one currency, minor units.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct Sums {
    currency: Currency,
    exponent: u32,
    sales: i128,
    returns: i128,
    discounts: i128,
    taxes: i128,
}

/// One tender type in one currency, minor units.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct Tendered {
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

impl Control {
    /// Adds a counted event.
    pub(super) fn add(&mut self, event: &Event<'_>) {
        *self.kinds.entry(event.kind).or_default() += 1;
        let sign = match event.kind {
            Kind::Sale | Kind::Return | Kind::Exchange => 1,
            Kind::PostVoid => -1,
            _ => return,
        };
        let Some(currency) = event.currency else { return };
        self.add_lines(event, currency, sign);
        self.add_tenders(event, currency);
    }

    fn add_lines(&mut self, event: &Event<'_>, currency: Currency, sign: i128) {
        let Some(sums) = self.sums(currency) else {
            self.truncated = true;
            return;
        };
        for line in event.lines.iter().filter(|line| !line.void) {
            let amount = sign * i128::from(line.amount.unwrap_or(0));
            let returned = line.line_type == LineType::Return;
            let side = if returned { &mut sums.returns } else { &mut sums.sales };
            *side += amount;
            let direction = if returned { -sign } else { sign };
            sums.discounts += direction * i128::from(line.discount);
            let taxes = i128::from(line.tax_exclusive) + i128::from(line.tax_inclusive);
            sums.taxes += direction * taxes;
        }
    }

    fn add_tenders(&mut self, event: &Event<'_>, currency: Currency) {
        for tender in &event.tenders {
            let place = self.tenders.binary_search_by(|known| {
                known.currency.cmp(&currency).then_with(|| (*known.tender).cmp(tender.tender_type))
            });
            match place {
                Ok(place) => self.tenders[place].amount += i128::from(tender.amount),
                Err(place) if self.tenders.len() < TENDERS => self.tenders.insert(
                    place,
                    Tendered {
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

    fn sums(&mut self, currency: Currency) -> Option<&mut Sums> {
        let place = match self.sums.binary_search_by_key(&currency, |sums| sums.currency) {
            Ok(place) => place,
            Err(_) if self.sums.len() >= CURRENCIES => return None,
            Err(place) => {
                let exponent = currency.exponent();
                let none =
                    Sums { currency, exponent, sales: 0, returns: 0, discounts: 0, taxes: 0 };
                self.sums.insert(place, none);
                place
            }
        };
        self.sums.get_mut(place)
    }

    /// Bytes that it will take when published, at most.
    pub(super) fn published_bytes(&self) -> usize {
        512 + 160 * self.sums.len() + 200 * self.tenders.len()
    }
}

/// One store-day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Day {
    pub(super) control: Control,
    pub(super) terminals: Vec<Attendance>,
    /// Status last written.
    pub(super) status: Status,
    /// Waits in the list of what the next flush writes.
    pub(super) changed: bool,
}

/// What one terminal and epoch did on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attendance {
    /// Slot among the store's terminals.
    pub(super) terminal: u32,
    pub(super) opened: bool,
    pub(super) closed: bool,
    /// Number of the highest close.
    pub(super) close: Option<u64>,
    /// Highest number of the day.
    pub(super) last: Option<u64>,
}

impl Day {
    /// Notes that a terminal's event was counted on this day.
    pub(super) fn attend(&mut self, terminal: u32, kind: Kind, number: Option<u64>) {
        let place = self.terminals.iter().position(|seen| seen.terminal == terminal);
        let place = place.unwrap_or_else(|| {
            self.terminals.push(Attendance {
                terminal,
                opened: false,
                closed: false,
                close: None,
                last: None,
            });
            self.terminals.len() - 1
        });
        let Some(seen) = self.terminals.get_mut(place) else { return };
        seen.last = seen.last.max(number);
        seen.opened |= kind == Kind::Open;
        if kind == Kind::Close {
            seen.closed = true;
            seen.close = seen.close.max(number);
        }
    }

    /// The number up to which a terminal's numbers belong to this day or an earlier one.
    pub(super) fn upto(&self, terminal: u32) -> Option<u64> {
        self.terminals.iter().find(|seen| seen.terminal == terminal)?.upto()
    }

    /// The number of a terminal's close on this day.
    pub(super) fn close(&self, terminal: u32) -> Option<u64> {
        self.terminals.iter().find(|seen| seen.terminal == terminal)?.close
    }

    /// Tells whether time alone has changed what is to be said of it.
    pub(super) fn is_overdue(&self, date: Date, today: Date) -> bool {
        is_sealed(date, today) || (self.status == Status::Open && is_over(date, today))
    }

    /// Judges the day, given how many numbers are missing at all its terminals together.
    pub(super) fn judged(&self, missing: u64, date: Date, today: Date) -> Status {
        if is_sealed(date, today) {
            return Status::Sealed;
        }
        if missing == 0 && self.terminals.iter().all(|seen| seen.closed) {
            return Status::Complete;
        }
        if is_over(date, today) {
            return Status::OpenEnded;
        }
        Status::Open
    }
}

impl Attendance {
    /// The close, or the highest number while there is none.
    pub(super) fn upto(&self) -> Option<u64> {
        self.close.or(self.last)
    }
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
