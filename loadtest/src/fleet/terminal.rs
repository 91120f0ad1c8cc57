//! The state of one terminal: its open day and last sale, which determine its next event.

use std::time::Duration;

use rand::RngExt as _;

use super::FleetRng;
use super::basket::Line;
use super::kind::Kind;
use super::mix::{self, draw};
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
    /// Which part of the store's work it does.
    pub(super) duty: Duty,
    /// Whether the drawer was declared, so that only the close is left.
    pub(super) is_declared: bool,
    /// Whether the float of the morning is still to come.
    pub(super) is_float_due: bool,
    pub(super) drawer: Drawer,
    /// The last number that its fiscal device gave.
    pub(super) fiscal_counter: u64,
}

/// Which part of a store's work a terminal does.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// All that the basic mix has.
    #[default]
    Any,
    /// The customers' side of the full mix, with a drawer that is declared.
    Till,
    /// The back office of the full mix: stock, bank, corrections.
    Office,
    /// Both, in a store with one terminal.
    Alone,
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

/// What is in a till's drawer by its own reckoning, in minor units.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drawer {
    pub(super) cash: i64,
    pub(super) card: i64,
    /// Units of the foreign currency that its country's tills take.
    pub(super) notes: i64,
}

/// What waits in a store for one of its terminals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    /// A transfer is on its way to it.
    pub(super) transfer: bool,
    /// The next step of its oldest order or layaway.
    pub(super) order_step: Option<Kind>,
    /// A till has sold something that the office can correct.
    pub(super) sale: bool,
}

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
        match draw(&mix::BASIC, rng) {
            Kind::PostVoid if self.last_sale.is_none() => Kind::Sale,
            Kind::Suspend if self.suspended.is_some() => Kind::Sale,
            kind => kind,
        }
    }

    /// Draws the next kind of event of the full mix on a trading day.
    pub(super) fn next_full_kind(&self, today: Date, waiting: Waiting, rng: &mut FleetRng) -> Kind {
        match self.day {
            None => return Kind::Open,
            Some(day) if day != today => return self.ending_kind(),
            Some(_) if self.is_float_due => return Kind::Loan,
            Some(_) => {}
        }
        let is_office = match self.duty {
            Duty::Office => true,
            Duty::Alone => rng.random_bool(mix::OFFICE_SHARE),
            Duty::Any | Duty::Till => false,
        };
        if is_office {
            return next_office_kind(waiting, rng);
        }
        if self.suspended.is_some() && rng.random_bool(0.5) {
            return Kind::Resume;
        }
        if let Some(step) = waiting.order_step.filter(|_| rng.random_bool(mix::ORDER_STEP)) {
            return step;
        }
        match draw(&mix::TILL, rng) {
            Kind::PostVoid | Kind::TipAdjustment if self.last_sale.is_none() => Kind::Sale,
            Kind::Suspend if self.suspended.is_some() => Kind::Sale,
            kind => kind,
        }
    }

    /// Returns the kind that ends an open day, or brings it nearer to its end: a declaration of the drawer, one of its foreign
    /// notes if it has any, the close.
    pub(super) fn ending_kind(&self) -> Kind {
        if self.declarations() > 0 { Kind::TillDeclaration } else { Kind::Close }
    }

    /// Counts the declarations that are still to come: an event declares in its own currency, so that notes take another one.
    fn declarations(&self) -> u64 {
        u64::from(self.declares() && !self.is_declared)
            + u64::from(self.declares() && self.drawer.notes > 0)
    }

    /// Tells whether what is declared next are the foreign notes.
    pub(super) fn declares_notes(&self) -> bool {
        self.is_declared && self.drawer.notes > 0
    }

    /// Counts the events that it still owes to its open day.
    pub(super) fn owed(&self) -> u64 {
        self.day.map_or(0, |_| 1 + self.declarations())
    }

    /// Tells whether it has a drawer of the full mix, which is declared before the close.
    pub(super) fn declares(&self) -> bool {
        matches!(self.duty, Duty::Till | Duty::Alone)
    }

    /// Returns the end of the offline interval at a time of the run, if it is offline then.
    pub(super) fn offline_until(&self, elapsed: Duration) -> Option<Duration> {
        self.offline
            .filter(|offline_span| (offline_span.from..offline_span.until).contains(&elapsed))
            .map(|offline_span| offline_span.until)
    }
}

fn next_office_kind(waiting: Waiting, rng: &mut FleetRng) -> Kind {
    if waiting.transfer && rng.random_bool(0.3) {
        return Kind::TransferIn;
    }
    match draw(&mix::OFFICE, rng) {
        Kind::Correction if !waiting.sale => Kind::InventoryCount,
        kind => kind,
    }
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
        for (kind, weight) in mix::BASIC {
            assert_eq!(seen.contains(&kind), weight > 0, "{kind:?}");
        }
    }

    #[test]
    fn a_till_takes_its_float_first_and_declares_its_drawer_before_it_closes() {
        let mut rng = FleetRng::seed_from_u64(1);
        let nothing = Waiting { transfer: false, order_step: None, sale: false };
        let mut till = TerminalState { duty: Duty::Till, ..TerminalState::default() };
        assert_eq!((till.next_full_kind(Date(5), nothing, &mut rng), till.owed()), (Kind::Open, 0));
        (till.day, till.is_float_due) = (Some(Date(5)), true);
        assert_eq!((till.next_full_kind(Date(5), nothing, &mut rng), till.owed()), (Kind::Loan, 2));
        assert_eq!(till.next_full_kind(Date(6), nothing, &mut rng), Kind::TillDeclaration);
        till.drawer.notes = 12;
        assert_eq!((till.owed(), till.declares_notes()), (3, false));
        till.is_declared = true;
        assert_eq!(
            (till.next_full_kind(Date(6), nothing, &mut rng), till.owed(), till.declares_notes()),
            (Kind::TillDeclaration, 2, true)
        );
        till.drawer.notes = 0;
        assert_eq!(
            (till.next_full_kind(Date(6), nothing, &mut rng), till.owed()),
            (Kind::Close, 1)
        );
    }

    #[test]
    fn the_office_alone_moves_stock_and_corrects_only_what_was_sold() {
        let mut rng = FleetRng::seed_from_u64(1);
        let mut kinds = |duty, sale| -> Vec<Kind> {
            let state = TerminalState { duty, day: Some(Date(5)), ..TerminalState::default() };
            let waiting = Waiting { transfer: true, order_step: Some(Kind::OrderPaid), sale };
            (0..5_000).map(|_| state.next_full_kind(Date(5), waiting, &mut rng)).collect()
        };
        let office = kinds(Duty::Office, true);
        assert!(office.contains(&Kind::Correction) && office.contains(&Kind::TransferIn));
        assert!(!office.contains(&Kind::Sale) && !office.contains(&Kind::OrderPaid));
        assert!(!kinds(Duty::Office, false).contains(&Kind::Correction));
        let till = kinds(Duty::Till, true);
        assert!(till.contains(&Kind::Sale) && till.contains(&Kind::OrderPaid));
        assert!(!till.contains(&Kind::GoodsReceipt));
        let alone = kinds(Duty::Alone, true);
        assert!(alone.contains(&Kind::Sale) && alone.contains(&Kind::GoodsReceipt));
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
