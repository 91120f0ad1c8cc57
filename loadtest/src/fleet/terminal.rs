//! The state of one terminal: its open day and last sale, which determine its next event.

use std::time::Duration;

use rand::RngExt as _;

use super::FleetRng;
use super::basket::Line;
use super::receipt::Kind;
use crate::calendar::Date;

/// The state of a terminal between two events.
#[derive(Debug, Default)]
pub(super) struct TerminalState {
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
    pub(super) offline: Option<OfflineSpan>,
}

/// A sale that a later event may point to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sale {
    pub(super) sequence: u64,
    pub(super) business_date: Date,
}

/// An interval without network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OfflineSpan {
    pub(super) from: Duration,
    pub(super) until: Duration,
}

/// Frequency of each kind, in a thousand transactions of an open terminal.
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

impl TerminalState {
    /// Draws the next kind of event on a trading day; `incoming` tells whether a transfer to the store is
    /// on its way.
    pub(super) fn next_kind(&self, today: Date, incoming: bool, rng: &mut FleetRng) -> Kind {
        match self.day {
            None => return Kind::Open,
            Some(day) if day != today => return Kind::Close,
            Some(_) => {}
        }
        if self.suspended.is_some() && rng.random_bool(0.5) {
            return Kind::Resume;
        }
        if incoming && rng.random_bool(0.3) {
            return Kind::TransferIn;
        }
        match drawn(rng) {
            Kind::PostVoid if self.last_sale.is_none() => Kind::Sale,
            Kind::Suspend if self.suspended.is_some() => Kind::Sale,
            kind => kind,
        }
    }

    /// Returns the end of the offline interval at a time of the run, if it is offline then.
    pub(super) fn offline_until(&self, elapsed: Duration) -> Option<Duration> {
        self.offline
            .filter(|offline_span| (offline_span.from..offline_span.until).contains(&elapsed))
            .map(|offline_span| offline_span.until)
    }
}

fn drawn(rng: &mut FleetRng) -> Kind {
    let mut ticket = rng.random_range(0..MIX.iter().map(|(_, weight)| weight).sum::<u32>());
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
        let mut rng = FleetRng::seed_from_u64(1);
        let mut state = TerminalState::default();
        assert_eq!(state.next_kind(Date(5), true, &mut rng), Kind::Open);
        state.day = Some(Date(5));
        assert_ne!(state.next_kind(Date(5), false, &mut rng), Kind::Open);
        assert_eq!(state.next_kind(Date(6), true, &mut rng), Kind::Close);
    }

    #[test]
    fn nothing_is_voided_before_there_is_a_sale() {
        let mut rng = FleetRng::seed_from_u64(1);
        let mut state = TerminalState { day: Some(Date(5)), ..TerminalState::default() };
        let mut kinds = |state: &TerminalState| -> Vec<Kind> {
            (0..20_000).map(|_| state.next_kind(Date(5), false, &mut rng)).collect()
        };
        assert!(!kinds(&state).contains(&Kind::PostVoid));
        state.last_sale = Some(Sale { sequence: 1, business_date: Date(5) });
        let seen = kinds(&state);
        for (kind, weight) in MIX {
            assert_eq!(seen.contains(&kind), weight > 0, "{kind:?}");
        }
    }

    #[test]
    fn a_spell_ends_when_it_ends() {
        let offline_span =
            OfflineSpan { from: Duration::from_secs(2), until: Duration::from_secs(5) };
        let state = TerminalState { offline: Some(offline_span), ..TerminalState::default() };
        assert_eq!(state.offline_until(Duration::from_secs(1)), None);
        assert_eq!(state.offline_until(Duration::from_secs(2)), Some(offline_span.until));
        assert_eq!(state.offline_until(Duration::from_secs(5)), None);
    }
}
