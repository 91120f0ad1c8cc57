//! One drawer session: what is expected in it, and what was declared, by tender and currency.
//!
//! All of it is the same for every order of arrival: movements are sums, and of several statements the one that stands is chosen by
//! its [`Rank`], never by when it came.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::text::Currency;
use crate::till_balance::{self, CASH, TillEffect};

/// Pairs of currency and tender type that a drawer adds up.
pub(in crate::aggregate) const MAX_TENDERS: usize = 16;

/// Which of two statements of a session is the later: the one with the higher number, without numbers the one made later.
/// The content hash decides the rest, so that there is never a tie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(u64, i64, u64)", into = "(u64, i64, u64)")]
pub(in crate::aggregate) struct Rank {
    /// 0 for events without a number, or with numbers that begin anew.
    pub(in crate::aggregate) number: u64,
    pub(in crate::aggregate) occurred_micros: i64,
    pub(in crate::aggregate) hash: u64,
}

/// In the state it is a list: most of a drawer's record would be names otherwise.
impl From<Rank> for (u64, i64, u64) {
    fn from(rank: Rank) -> Self {
        (rank.number, rank.occurred_micros, rank.hash)
    }
}

impl From<(u64, i64, u64)> for Rank {
    fn from((number, occurred_micros, hash): (u64, i64, u64)) -> Self {
        Self { number, occurred_micros, hash }
    }
}

/// An amount that an event states, minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::aggregate) struct Statement {
    pub(in crate::aggregate) rank: Rank,
    pub(in crate::aggregate) amount: i128,
}

/// One tender type in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::aggregate) struct DrawerTender {
    pub(in crate::aggregate) currency: Currency,
    pub(in crate::aggregate) tender: Box<str>,
    /// What went in, less what went out; minor units.
    pub(super) moved: i128,
    /// The opening float: that of the lowest rank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) opened: Option<Statement>,
    /// The amount of a close: that of the highest rank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) closed: Option<Statement>,
    /// What was declared: that of the highest rank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) declared: Option<Statement>,
}

/// Who made the declaration of the highest rank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Declarer {
    pub(super) rank: Rank,
    pub(super) operator: Box<str>,
}

/// One drawer session of a business date.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(in crate::aggregate) struct Drawer {
    /// By currency and type, rising.
    pub(super) tenders: Vec<DrawerTender>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) declarer: Option<Declarer>,
    /// There was no room for another tender type.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) truncated: bool,
}

impl DrawerTender {
    /// What should lie in the drawer.
    pub(in crate::aggregate) fn expected(&self) -> i128 {
        self.moved + self.opened.map_or(0, |opened| opened.amount)
    }

    /// What was counted: as declared, or else as the close says.
    pub(in crate::aggregate) fn declared(&self) -> Option<i128> {
        self.declared.or(self.closed).map(|statement| statement.amount)
    }

    /// What was counted less what should be there.
    pub(in crate::aggregate) fn over_short(&self) -> Option<i128> {
        self.declared().map(|declared| declared - self.expected())
    }
}

impl Drawer {
    /// The tenders, by currency and type.
    pub(in crate::aggregate) fn tenders(&self) -> &[DrawerTender] {
        &self.tenders
    }

    /// Tells whether anything of it was declared.
    pub(in crate::aggregate) fn is_declared(&self) -> bool {
        self.tenders.iter().any(|tender| tender.declared().is_some())
    }

    /// Tells whether it holds cash that nobody counted.
    pub(in crate::aggregate) fn is_undeclared(&self) -> bool {
        self.tenders.iter().any(|tender| tender.undeclared_cash() != 0)
    }

    /// Who declared it.
    pub(in crate::aggregate) fn operator(&self) -> Option<&str> {
        self.declarer.as_ref().map(|declarer| &*declarer.operator)
    }

    /// Adds the tenders of an event.
    #[inline]
    pub(super) fn add_tenders(&mut self, event: &Event<'_>, currency: Currency) {
        let placed = event.tenders.iter();
        for placed in placed.filter_map(|tender| till_balance::placed(currency, tender)) {
            if let Some(tender) = self.tender(placed.currency, placed.tender) {
                tender.moved += i128::from(placed.amount);
            }
        }
    }

    /// Adds what an event moves and states otherwise.
    pub(super) fn add(
        &mut self,
        event: &Event<'_>,
        effect: TillEffect,
        currency: Currency,
        rank: Rank,
    ) {
        let amount = event.amount.map(i128::from);
        match effect {
            TillEffect::Tenders => self.add_tenders(event, currency),
            TillEffect::Cash { drawer, .. } if drawer != 0 => {
                if let (Some(amount), Some(cash)) = (amount, self.tender(currency, CASH)) {
                    cash.moved += i128::from(drawer) * amount;
                }
            }
            TillEffect::Cash { .. } => {}
            TillEffect::OpeningCash => {
                if let (Some(amount), Some(cash)) = (amount, self.tender(currency, CASH)) {
                    let stated = Statement { rank, amount };
                    cash.opened = Some(cash.opened.map_or(stated, |known| known.min(stated)));
                }
            }
            TillEffect::ClosingCash => {
                if let (Some(amount), Some(cash)) = (amount, self.tender(currency, CASH)) {
                    cash.closed = cash.closed.max(Some(Statement { rank, amount }));
                }
                self.declare(event, currency, rank);
            }
            TillEffect::Declaration => self.declare(event, currency, rank),
        }
    }

    fn declare(&mut self, event: &Event<'_>, currency: Currency, rank: Rank) {
        for (tender, amount) in till_balance::declared(event) {
            if let Some(tender) = self.tender(currency, tender) {
                tender.declared = tender.declared.max(Some(Statement { rank, amount }));
            }
        }
        let declares = event.amount.is_some() || !event.declarations.is_empty();
        if let Some(operator) = event.operator_id.filter(|_| declares)
            && self.declarer.as_ref().is_none_or(|known| known.rank < rank)
        {
            self.declarer = Some(Declarer { rank, operator: operator.into() });
        }
    }

    /// Finds a tender or adds it; `None` where there is no room.
    #[inline]
    fn tender(&mut self, currency: Currency, tender: &str) -> Option<&mut DrawerTender> {
        let is_same = |known: &DrawerTender| known.currency == currency && &*known.tender == tender;
        // There are few, and most differ in what is quickly compared.
        match self.tenders.iter().position(is_same) {
            Some(index) => self.tenders.get_mut(index),
            None => self.add_tender(currency, tender),
        }
    }

    fn add_tender(&mut self, currency: Currency, tender: &str) -> Option<&mut DrawerTender> {
        if self.tenders.len() >= MAX_TENDERS {
            self.truncated = true;
            return None;
        }
        let is_before =
            |known: &DrawerTender| (known.currency, &*known.tender) < (currency, tender);
        let place = self.tenders.partition_point(is_before);
        let (tender, moved) = (tender.into(), 0);
        let [opened, closed, declared] = [None; 3];
        let added = DrawerTender { currency, tender, moved, opened, closed, declared };
        self.tenders.insert(place, added);
        self.tenders.get_mut(place)
    }
}

impl DrawerTender {
    /// Cash that should be there and was not counted.
    pub(super) fn undeclared_cash(&self) -> i128 {
        if &*self.tender == CASH && self.declared().is_none() { self.expected() } else { 0 }
    }
}
