//! One terminal's day: what it has open, what it sold last, what it can therefore do next.

use std::time::Duration;

use rand::RngExt as _;

use super::Dice;
use super::basket::Line;
use super::receipt::Kind;
use crate::calendar::Date;

/// A terminal's state between two of its events.
#[derive(Debug, Default)]
pub(super) struct Till {
    /// Index of its store.
    pub(super) store: u32,
    /// The last number used.
    pub(super) sequence: u64,
    /// The trading day that is open.
    pub(super) day: Option<Date>,
    /// The last sale that can still be returned or voided; its lines are in `sale_lines`.
    pub(super) last_sale: Option<Sale>,
    /// Lines of the last sale.
    pub(super) sale_lines: Vec<Line>,
    /// Number of a transaction that waits to be resumed.
    pub(super) suspended: Option<u64>,
    /// When its network is away, from the start of the run.
    pub(super) offline: Option<Spell>,
}

/// A sale that a later event may point to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sale {
    pub(super) sequence: u64,
    pub(super) business_date: Date,
}

/// A time without network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spell {
    pub(super) from: Duration,
    pub(super) until: Duration,
}

/// How often each kind occurs, of a thousand transactions of an open till.
const MIX: [(Kind, u32); 16] = [
    (Kind::Sale, 815),
    (Kind::Return, 42),
    (Kind::Exchange, 9),
    (Kind::Void, 22),
    (Kind::PostVoid, 8),
    (Kind::Suspend, 12),
    (Kind::NoSale, 28),
    (Kind::Training, 8),
    (Kind::PaidIn, 4),
    (Kind::PaidOut, 6),
    (Kind::Loan, 4),
    (Kind::Pickup, 10),
    (Kind::InventoryAdjustment, 14),
    (Kind::InventoryCount, 8),
    (Kind::TransferOut, 10),
    (Kind::TransferIn, 0),
];

impl Till {
    /// Says what the till does next on a trading day, whether or not a transfer is on its way to
    /// its store.
    pub(super) fn next_kind(&self, today: Date, incoming: bool, dice: &mut Dice) -> Kind {
        match self.day {
            None => return Kind::Open,
            Some(day) if day != today => return Kind::Close,
            Some(_) => {}
        }
        if self.suspended.is_some() && dice.random_bool(0.5) {
            return Kind::Resume;
        }
        if incoming && dice.random_bool(0.3) {
            return Kind::TransferIn;
        }
        match drawn(dice) {
            Kind::PostVoid if self.last_sale.is_none() => Kind::Sale,
            Kind::Suspend if self.suspended.is_some() => Kind::Sale,
            kind => kind,
        }
    }

    /// Says until when events must wait at this time of the run.
    pub(super) fn offline_until(&self, elapsed: Duration) -> Option<Duration> {
        self.offline
            .filter(|spell| (spell.from..spell.until).contains(&elapsed))
            .map(|spell| spell.until)
    }
}

fn drawn(dice: &mut Dice) -> Kind {
    let mut ticket = dice.random_range(0..MIX.iter().map(|(_, weight)| weight).sum::<u32>());
    for (kind, weight) in MIX {
        if ticket < weight {
            return kind;
        }
        ticket -= weight;
    }
    Kind::Sale
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn a_day_opens_before_it_trades_and_closes_before_the_next() {
        let mut dice = Dice::seed_from_u64(1);
        let mut till = Till::default();
        assert_eq!(till.next_kind(Date(5), true, &mut dice), Kind::Open);
        till.day = Some(Date(5));
        assert_ne!(till.next_kind(Date(5), false, &mut dice), Kind::Open);
        assert_eq!(till.next_kind(Date(6), true, &mut dice), Kind::Close);
    }

    #[test]
    fn nothing_is_voided_before_there_is_a_sale() {
        let mut dice = Dice::seed_from_u64(1);
        let mut till = Till { day: Some(Date(5)), ..Till::default() };
        let mut kinds = |till: &Till| -> Vec<Kind> {
            (0..20_000).map(|_| till.next_kind(Date(5), false, &mut dice)).collect()
        };
        assert!(!kinds(&till).contains(&Kind::PostVoid));
        till.last_sale = Some(Sale { sequence: 1, business_date: Date(5) });
        let seen = kinds(&till);
        for (kind, weight) in MIX {
            assert_eq!(seen.contains(&kind), weight > 0, "{kind:?}");
        }
    }

    #[test]
    fn a_spell_ends_when_it_ends() {
        let spell = Spell { from: Duration::from_secs(2), until: Duration::from_secs(5) };
        let till = Till { offline: Some(spell), ..Till::default() };
        assert_eq!(till.offline_until(Duration::from_secs(1)), None);
        assert_eq!(till.offline_until(Duration::from_secs(2)), Some(spell.until));
        assert_eq!(till.offline_until(Duration::from_secs(5)), None);
    }
}
