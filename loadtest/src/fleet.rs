//! A simulated fleet: stores with terminals that trade as real ones do, reproducible by a seed.
//!
//! Each till opens its day, sells, takes goods back, takes orders and hands them over, voids, suspends and resumes, declares its
//! drawer and closes; the back office receives, moves and counts stock, and corrects. Sequence numbers rise by one. On request some terminals lose
//! their network for a while, or an outage cuts off some stores, and their held events come in a burst
//! when they are back; some numbers are left out; some events are bad on purpose, and some are parked and can be mended. Other modules
//! send, duplicate and reorder events.

mod bad;
mod basket;
mod catalogue;
mod country;
mod kind;
mod line_class;
mod mix;
mod office;
mod order;
mod parked;
mod payment;
mod receipt;
mod script;
mod terminal;
mod trade;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};

use self::basket::Line;
use self::catalogue::Catalogue;
pub use self::mix::Mix;
use self::order::Order;
pub use self::parked::MAPPING;
use self::terminal::{Duty, OfflineSpan, TerminalState};
use crate::schedule::{Outage, Profile, Schedule};
use crate::source::{Directory, Gap, PlannedEvent, Source, StockEffect, Terminal, TerminalIndex};

/// The random number generator: a fixed algorithm, so that a seed gives the same fleet in every release.
type FleetRng = rand::rngs::Xoshiro256PlusPlus;

/// Nanoseconds between two events of a fleet without a schedule.
const UNSCHEDULED_EVENT_NS: u64 = 100_000;

/// Without a known end one number is left out for every so many events, until all gaps are planted.
const GAP_EVERY_EVENTS: u64 = 2_000;

/// Settings of a fleet.
#[derive(Debug, Clone)]
pub struct FleetSettings {
    /// Stores, at least one.
    pub stores: u32,
    /// Terminals of each store, at least one.
    pub terminals: u32,
    /// Items in the catalogue.
    pub skus: u32,
    /// The same seed gives the same events.
    pub seed: u64,
    /// Epoch that every event carries: another run's events then are other events.
    pub epoch: Option<String>,
    /// Events a second; zero for no schedule.
    pub rate: f64,
    /// How the rate changes, and when stores are cut off.
    pub profile: Profile,
    /// Events in all; `None` until [`Source::wind_down`].
    pub events: Option<u64>,
    /// When trade begins, milliseconds since 1970 in UTC.
    pub starts_at_ms: i64,
    /// Seconds of trade that pass in a second of the run.
    pub speed: f64,
    /// Which kinds of event it sends.
    pub mix: Mix,
    /// Share of sales that are bad, 0 to 1.
    pub bad: f64,
    /// Share of sales that a new release of the tills writes in a way that no version knows, 0 to 1: they are parked, and
    /// [`MAPPING`] mends them.
    pub parked: f64,
    /// Gaps to plant: runs of one to nine numbers that no event carries.
    pub gaps: u32,
    /// Share of terminals that lose their network once, 0 to 1.
    pub offline: f64,
    /// How long they lose it; it begins at a random moment of the run's first such span.
    pub offline_for: Duration,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            stores: 200,
            terminals: 4,
            skus: 20_000,
            seed: 1,
            epoch: None,
            rate: 1_000.0,
            profile: Profile::Constant,
            events: None,
            starts_at_ms: 1_795_766_400_000,
            speed: 1.0,
            mix: Mix::Full,
            bad: 0.0,
            parked: 0.0,
            gaps: 0,
            offline: 0.0,
            offline_for: Duration::from_secs(10),
        }
    }
}

/// The fleet.
#[derive(Debug)]
pub struct Fleet {
    settings: FleetSettings,
    schedule: Schedule,
    directory: Arc<Directory>,
    catalogue: Catalogue,
    rng: FleetRng,
    states: Vec<TerminalState>,
    /// Terminals whose day is open, each of which must close.
    open: BTreeSet<TerminalIndex>,
    /// Events that they still owe to their open days.
    owed: u64,
    /// Transfers on their way, by the store they go to.
    transfers: Vec<VecDeque<Transfer>>,
    transfers_sent: u64,
    /// Orders and layaways that are open, by store.
    orders: Vec<VecDeque<Order>>,
    orders_placed: u64,
    /// Events of offline terminals, by the time their network is back and by number.
    held: BTreeMap<(Duration, u64), HeldEvent>,
    made: u64,
    closing: bool,
    planted: Vec<Gap>,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Transfer {
    id: String,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct HeldEvent {
    planned: PlannedEvent,
    text: Vec<u8>,
    effects: Vec<StockEffect>,
}

impl Fleet {
    /// Draws a fleet.
    pub fn new(settings: FleetSettings) -> Self {
        let mut rng = FleetRng::seed_from_u64(settings.seed);
        let catalogue = Catalogue::draw(settings.skus, &mut rng);
        let stores = settings.stores.max(1);
        let terminals = settings.terminals.max(1);
        let mut states: Vec<TerminalState> = (0..stores * terminals)
            .map(|index| TerminalState {
                store: index / terminals,
                offline: offline_span(&settings, &mut rng),
                duty: duty(&settings, index % terminals),
                ..TerminalState::default()
            })
            .collect();
        if let Some(outage) = settings.profile.outage() {
            for store in states.chunks_mut(terminals as usize) {
                cut_off(store, outage, &mut rng);
            }
        }
        Self {
            directory: Arc::new(directory(&settings, &catalogue)),
            schedule: Schedule::new(settings.rate, settings.profile),
            catalogue,
            rng,
            states,
            open: BTreeSet::new(),
            owed: 0,
            transfers: (0..stores).map(|_| VecDeque::new()).collect(),
            transfers_sent: 0,
            orders: (0..stores).map(|_| VecDeque::new()).collect(),
            orders_placed: 0,
            held: BTreeMap::new(),
            made: 0,
            closing: false,
            planted: Vec::new(),
            lines: Vec::new(),
            settings,
        }
    }

    /// Returns how much of the run has passed when the next event happens.
    fn elapsed(&self) -> Duration {
        if self.schedule.is_scheduled() {
            self.schedule.due(self.made)
        } else {
            Duration::from_nanos(self.made.saturating_mul(UNSCHEDULED_EVENT_NS))
        }
    }

    /// Returns when to send what can be sent at a time of the run.
    fn due(&self, elapsed: Duration) -> Duration {
        if self.schedule.is_scheduled() { elapsed } else { Duration::ZERO }
    }

    /// Returns the time of the trade, milliseconds since 1970.
    #[expect(clippy::cast_possible_truncation, reason = "a run is shorter than an age")]
    fn now_ms(&self) -> i64 {
        let passed_ms = self.elapsed().as_secs_f64() * self.settings.speed * 1_000.0;
        self.settings.starts_at_ms + passed_ms as i64
    }

    /// Releases the oldest event of a terminal whose network is back.
    fn release(
        &mut self,
        text: &mut Vec<u8>,
        effects: &mut Vec<StockEffect>,
    ) -> Option<PlannedEvent> {
        let held = self.held.pop_first()?.1;
        text.extend_from_slice(&held.text);
        effects.extend_from_slice(&held.effects);
        Some(held.planned)
    }

    fn is_network_back(&self) -> bool {
        self.held.first_key_value().is_some_and(|((until, _), _)| *until <= self.elapsed())
    }

    /// Picks the next terminal to trade, busy stores more often; at the end of the day the next one to
    /// close, and `None` when all are closed.
    ///
    /// What open terminals owe to their days is reserved. When less is left than a further day costs, no other terminal may open.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below a u32")]
    fn next_terminal(&mut self) -> Option<TerminalIndex> {
        let left = self.settings.events.map(|events| events.saturating_sub(self.made));
        // A day costs its opening event, and what ends it.
        let day = match self.settings.mix {
            Mix::Basic => 2,
            Mix::Full => 3,
        };
        self.closing |= left.is_some_and(|left| left <= self.owed);
        if self.closing
            || (left.is_some_and(|left| left < self.owed + day) && !self.open.is_empty())
        {
            return self.open.last().copied();
        }
        let stores = self.transfers.len() as u32;
        let share: f64 = self.rng.random();
        let store = ((share.powf(1.6) * f64::from(stores)) as u32).min(stores - 1);
        let terminals = self.states.len() as u32 / stores;
        let first = store * terminals;
        if self.settings.mix == Mix::Basic || terminals == 1 {
            return Some(first + self.rng.random_range(0..terminals));
        }
        let tills = terminals - 1;
        let is_office = self.rng.random_bool(mix::OFFICE_SHARE);
        Some(first + if is_office { tills } else { self.rng.random_range(0..tills) })
    }

    /// Leaves out numbers of a terminal in the middle of its day, when a gap is due.
    fn plant_gap(&mut self, terminal: TerminalIndex) {
        let planted = self.planted.len() as u64;
        let gaps = u64::from(self.settings.gaps);
        let every = self.settings.events.map_or(GAP_EVERY_EVENTS, |events| events / (gaps + 1));
        let state = &mut self.states[terminal as usize];
        if planted < gaps && self.made >= every * (planted + 1) && state.sequence > 0 {
            let from = state.sequence + 1;
            state.sequence += self.rng.random_range(1..=9);
            self.planted.push(Gap { terminal, from, to: state.sequence });
        }
    }
}

impl Source for Fleet {
    fn next(&mut self, text: &mut Vec<u8>, effects: &mut Vec<StockEffect>) -> Option<PlannedEvent> {
        loop {
            if self.is_network_back() {
                return self.release(text, effects);
            }
            let Some(terminal) = self.next_terminal() else {
                return self.release(text, effects);
            };
            self.plant_gap(terminal);
            let (elapsed, start, first_effect) = (self.elapsed(), text.len(), effects.len());
            let due = self.due(elapsed);
            let (sequence, expected) = self.compose(terminal, text, effects);
            self.made += 1;
            let planned = PlannedEvent { due, terminal, sequence, expected, held: false };
            let Some(until) = self.states[terminal as usize].offline_until(elapsed) else {
                return Some(planned);
            };
            let held = HeldEvent {
                planned: PlannedEvent { due: self.due(until), held: true, ..planned },
                text: text.split_off(start),
                effects: effects.split_off(first_effect),
            };
            self.held.insert((until, self.made), held);
        }
    }

    fn wind_down(&mut self) {
        self.closing = true;
    }

    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }

    fn planted_gaps(&self) -> Vec<Gap> {
        self.planted.clone()
    }
}

fn directory(settings: &FleetSettings, catalogue: &Catalogue) -> Directory {
    let (stores, terminals) = (settings.stores.max(1), settings.terminals.max(1));
    Directory {
        stores: (0..stores).map(|store| format!("s{:04}", store + 1)).collect(),
        terminals: (0..stores * terminals)
            .map(|index| Terminal {
                store: index / terminals,
                name: match duty(settings, index % terminals) {
                    Duty::Office => "office".to_owned(),
                    Duty::Any | Duty::Till | Duty::Alone => {
                        format!("t{:02}", index % terminals + 1)
                    }
                },
            })
            .collect(),
        skus: catalogue.sku_names(),
        epoch: settings.epoch.clone(),
    }
}

/// Says what the terminal of a place in its store does: in the full mix the last one is the back office.
fn duty(settings: &FleetSettings, place: u32) -> Duty {
    let terminals = settings.terminals.max(1);
    match settings.mix {
        Mix::Basic => Duty::Any,
        Mix::Full if terminals == 1 => Duty::Alone,
        Mix::Full if place + 1 == terminals => Duty::Office,
        Mix::Full => Duty::Till,
    }
}

fn offline_span(settings: &FleetSettings, rng: &mut FleetRng) -> Option<OfflineSpan> {
    let span = settings.offline_for;
    if span.is_zero() || !rng.random_bool(settings.offline.clamp(0.0, 1.0)) {
        return None;
    }
    let from = span.mul_f64(rng.random());
    Some(OfflineSpan { from, until: from + span })
}

/// Decides whether an outage cuts off one store; the store is back at a random time of the recovery.
fn cut_off(store: &mut [TerminalState], outage: Outage, rng: &mut FleetRng) {
    let back = outage.until + outage.back_by.saturating_sub(outage.until).mul_f64(rng.random());
    if rng.random_bool(outage.share.clamp(0.0, 1.0)) {
        for state in store {
            state.offline = Some(OfflineSpan { from: outage.from, until: back });
        }
    }
}
