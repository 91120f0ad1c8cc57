//! Simulates a bad network: some events are duplicated, some are reordered.
//!
//! A copy or a late event is delayed by a random number of events, not by a random time, so that the
//! same seed gives the same traffic at any rate. Events that can never count are neither duplicated nor
//! reordered, so that their count stays as planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use crate::source::{PlannedEvent, Source, StockEffect};

/// Shares of duplicated and reordered events.
#[derive(Debug, Clone, Copy)]
pub struct TrafficSettings {
    /// Share of events sent a second time, 0 to 1.
    pub duplicates: f64,
    /// Share of events held back and sent after later ones, 0 to 1.
    pub disorder: f64,
    /// Most events by which a copy or a late event is delayed, at least one.
    pub reach_events: u64,
    /// The same seed duplicates and delays the same events.
    pub seed: u64,
}

impl Default for TrafficSettings {
    fn default() -> Self {
        Self { duplicates: 0.0, disorder: 0.0, reach_events: 2_000, seed: 1 }
    }
}

/// A source behind a bad network.
pub struct Traffic {
    source: Box<dyn Source>,
    settings: TrafficSettings,
    rng: Xoshiro256PlusPlus,
    position: u64,
    waiting: BinaryHeap<Reverse<DelayedEvent>>,
    last: Option<PlannedEvent>,
}

/// One event to send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmission {
    /// The event; a copy or late event is due when it is sent, not when it was planned.
    pub planned: PlannedEvent,
    /// Whether it is on time, late or a copy.
    pub kind: TransmissionKind,
}

/// How an event is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransmissionKind {
    /// On time.
    Prompt,
    /// After later ones.
    Late,
    /// A second time.
    Copy,
}

/// A delayed event; ordered by the position at which it is released, then by arrival.
#[derive(Debug)]
struct DelayedEvent {
    position: u64,
    came: u64,
    planned: PlannedEvent,
    kind: TransmissionKind,
    text: Vec<u8>,
    effects: Vec<StockEffect>,
}

impl Traffic {
    /// Puts a bad network before a source.
    pub fn new(source: Box<dyn Source>, settings: TrafficSettings) -> Self {
        let rng = Xoshiro256PlusPlus::seed_from_u64(settings.seed);
        Self { source, settings, rng, position: 0, waiting: BinaryHeap::new(), last: None }
    }

    /// Returns the source.
    pub fn source(&mut self) -> &mut dyn Source {
        self.source.as_mut()
    }

    /// Appends the next event to send; `None` when all are sent, late ones and copies included.
    pub fn next(
        &mut self,
        text: &mut Vec<u8>,
        effects: &mut Vec<StockEffect>,
    ) -> Option<Transmission> {
        loop {
            if self.waiting.peek().is_some_and(|Reverse(waiting)| waiting.position <= self.position)
            {
                return self.release(text, effects);
            }
            let (start, first_effect) = (text.len(), effects.len());
            let Some(planned) = self.source.next(text, effects) else {
                return self.release(text, effects);
            };
            self.position += 1;
            self.last = Some(planned);
            if planned.expected.can_count() {
                if self.rng.random_bool(self.settings.duplicates.clamp(0.0, 1.0)) {
                    self.hold(
                        planned,
                        TransmissionKind::Copy,
                        &text[start..],
                        &effects[first_effect..],
                    );
                }
                if self.rng.random_bool(self.settings.disorder.clamp(0.0, 1.0)) {
                    self.hold(
                        planned,
                        TransmissionKind::Late,
                        &text[start..],
                        &effects[first_effect..],
                    );
                    text.truncate(start);
                    effects.truncate(first_effect);
                    continue;
                }
            }
            return Some(Transmission { planned, kind: TransmissionKind::Prompt });
        }
    }

    fn hold(
        &mut self,
        planned: PlannedEvent,
        kind: TransmissionKind,
        text: &[u8],
        effects: &[StockEffect],
    ) {
        let after = self.rng.random_range(1..=self.settings.reach_events.max(1));
        self.waiting.push(Reverse(DelayedEvent {
            position: self.position + after,
            came: self.position,
            planned,
            kind,
            text: text.to_vec(),
            effects: effects.to_vec(),
        }));
    }

    fn release(
        &mut self,
        text: &mut Vec<u8>,
        effects: &mut Vec<StockEffect>,
    ) -> Option<Transmission> {
        let Reverse(waiting) = self.waiting.pop()?;
        text.extend_from_slice(&waiting.text);
        effects.extend_from_slice(&waiting.effects);
        let due = self.last.map_or(waiting.planned.due, |last| last.due.max(waiting.planned.due));
        let planned = PlannedEvent { due, ..waiting.planned };
        Some(Transmission { planned, kind: waiting.kind })
    }
}

impl std::fmt::Debug for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traffic")
            .field("settings", &self.settings)
            .field("place", &self.position)
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

impl DelayedEvent {
    fn rank(&self) -> (u64, u64) {
        (self.position, self.came)
    }
}

impl PartialEq for DelayedEvent {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for DelayedEvent {}

impl PartialOrd for DelayedEvent {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DelayedEvent {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fleet::{Fleet, FleetSettings};

    fn transmissions(settings: TrafficSettings) -> Vec<(Transmission, Vec<u8>, usize)> {
        let fleet = FleetSettings {
            stores: 10,
            skus: 100,
            events: Some(5_000),
            bad: 0.1,
            ..Default::default()
        };
        let mut traffic = Traffic::new(Box::new(Fleet::new(fleet)), settings);
        let mut all = Vec::new();
        loop {
            let (mut text, mut effects) = (Vec::new(), Vec::new());
            let Some(transmission) = traffic.next(&mut text, &mut effects) else { break };
            all.push((transmission, text, effects.len()));
        }
        all
    }

    #[test]
    fn a_good_network_changes_nothing() {
        let all = transmissions(TrafficSettings::default());
        assert_eq!(all.len(), 5_000);
        assert!(all.iter().all(|(transmission, ..)| transmission.kind == TransmissionKind::Prompt));
    }

    #[test]
    fn a_bad_network_repeats_and_delays_its_share_and_loses_nothing() {
        let settings = TrafficSettings { duplicates: 0.05, disorder: 0.1, ..Default::default() };
        let mut events: BTreeMap<&[u8], (u32, u32, usize)> = BTreeMap::new();
        let all = transmissions(settings);
        let mut due = std::time::Duration::ZERO;
        for (transmission, text, effects) in &all {
            let seen = events.entry(text).or_insert((0, 0, *effects));
            match transmission.kind {
                TransmissionKind::Copy => seen.1 += 1,
                TransmissionKind::Prompt | TransmissionKind::Late => seen.0 += 1,
            }
            assert_eq!(seen.2, *effects, "a copy has the effects of its original");
            assert!(transmission.planned.due >= due, "never due before what was sent before it");
            due = transmission.planned.due;
        }
        assert_eq!(events.len(), 5_000);
        assert!(events.values().all(|(originals, copies, _)| *originals == 1 && *copies <= 1));
        let copies: u32 = events.values().map(|seen| seen.1).sum();
        assert!((150..350).contains(&copies), "{copies} copies");
        let late = all
            .iter()
            .filter(|(transmission, ..)| transmission.kind == TransmissionKind::Late)
            .count();
        assert!((300..700).contains(&late), "{late} late");
    }
}
