//! What a bad network does to a source's events: some arrive twice, some arrive late.
//!
//! A copy or a late event comes a random number of events after its place, not a random time, so
//! that the same seed makes the same traffic at any rate. Events that must be refused are left
//! alone: their count stays what was planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use crate::source::{Effect, Expected, Planned, Source};

/// How much is repeated and how much comes late.
#[derive(Debug, Clone, Copy)]
pub struct TrafficSettings {
    /// Share of events sent a second time, 0 to 1.
    pub duplicates: f64,
    /// Share of events held back and sent after later ones, 0 to 1.
    pub disorder: f64,
    /// Events by which a copy or a late event may come after its place, at least one.
    pub reach_events: u64,
    /// The same seed repeats and holds back the same events.
    pub seed: u64,
}

impl Default for TrafficSettings {
    fn default() -> Self {
        Self { duplicates: 0.0, disorder: 0.0, reach_events: 2_000, seed: 1 }
    }
}

/// A source seen through a bad network.
pub struct Traffic {
    source: Box<dyn Source>,
    settings: TrafficSettings,
    dice: Xoshiro256PlusPlus,
    place: u64,
    waiting: BinaryHeap<Reverse<Waiting>>,
    last: Option<Planned>,
}

/// One event to send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipment {
    /// The event; a copy or late event is due when it is sent, not when it was planned.
    pub planned: Planned,
    /// How it comes.
    pub passage: Passage,
}

/// How an event comes to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// In its place.
    Prompt,
    /// After later ones.
    Late,
    /// A second time.
    Copy,
}

/// Ordered by the place at which it is let go, then by the order in which it came.
#[derive(Debug)]
struct Waiting {
    place: u64,
    came: u64,
    planned: Planned,
    passage: Passage,
    text: Vec<u8>,
    effects: Vec<Effect>,
}

impl Traffic {
    /// Puts a bad network before a source.
    pub fn new(source: Box<dyn Source>, settings: TrafficSettings) -> Self {
        let dice = Xoshiro256PlusPlus::seed_from_u64(settings.seed);
        Self { source, settings, dice, place: 0, waiting: BinaryHeap::new(), last: None }
    }

    /// Returns the source.
    pub fn source(&mut self) -> &mut dyn Source {
        self.source.as_mut()
    }

    /// Appends the next event to send; `None` when all are sent, late ones and copies included.
    pub fn next(&mut self, text: &mut Vec<u8>, effects: &mut Vec<Effect>) -> Option<Shipment> {
        loop {
            if self.waiting.peek().is_some_and(|Reverse(waiting)| waiting.place <= self.place) {
                return self.let_go(text, effects);
            }
            let (start, first_effect) = (text.len(), effects.len());
            let Some(planned) = self.source.next(text, effects) else {
                return self.let_go(text, effects);
            };
            self.place += 1;
            self.last = Some(planned);
            if planned.expected == Expected::Accepted {
                if self.dice.random_bool(self.settings.duplicates.clamp(0.0, 1.0)) {
                    self.hold(planned, Passage::Copy, &text[start..], &effects[first_effect..]);
                }
                if self.dice.random_bool(self.settings.disorder.clamp(0.0, 1.0)) {
                    self.hold(planned, Passage::Late, &text[start..], &effects[first_effect..]);
                    text.truncate(start);
                    effects.truncate(first_effect);
                    continue;
                }
            }
            return Some(Shipment { planned, passage: Passage::Prompt });
        }
    }

    fn hold(&mut self, planned: Planned, passage: Passage, text: &[u8], effects: &[Effect]) {
        let after = self.dice.random_range(1..=self.settings.reach_events.max(1));
        self.waiting.push(Reverse(Waiting {
            place: self.place + after,
            came: self.place,
            planned,
            passage,
            text: text.to_vec(),
            effects: effects.to_vec(),
        }));
    }

    fn let_go(&mut self, text: &mut Vec<u8>, effects: &mut Vec<Effect>) -> Option<Shipment> {
        let Reverse(waiting) = self.waiting.pop()?;
        text.extend_from_slice(&waiting.text);
        effects.extend_from_slice(&waiting.effects);
        let due = self.last.map_or(waiting.planned.due, |last| last.due.max(waiting.planned.due));
        let planned = Planned { due, ..waiting.planned };
        Some(Shipment { planned, passage: waiting.passage })
    }
}

impl std::fmt::Debug for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traffic")
            .field("settings", &self.settings)
            .field("place", &self.place)
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

impl Waiting {
    fn rank(&self) -> (u64, u64) {
        (self.place, self.came)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fleet::{Fleet, FleetSettings};

    fn shipments(settings: TrafficSettings) -> Vec<(Shipment, Vec<u8>, usize)> {
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
            let Some(shipment) = traffic.next(&mut text, &mut effects) else { break };
            all.push((shipment, text, effects.len()));
        }
        all
    }

    #[test]
    fn a_good_network_changes_nothing() {
        let all = shipments(TrafficSettings::default());
        assert_eq!(all.len(), 5_000);
        assert!(all.iter().all(|(shipment, ..)| shipment.passage == Passage::Prompt));
    }

    #[test]
    fn a_bad_network_repeats_and_delays_its_share_and_loses_nothing() {
        let settings = TrafficSettings { duplicates: 0.05, disorder: 0.1, ..Default::default() };
        let mut events: BTreeMap<&[u8], (u32, u32, usize)> = BTreeMap::new();
        let all = shipments(settings);
        let mut due = std::time::Duration::ZERO;
        for (shipment, text, effects) in &all {
            let seen = events.entry(text).or_insert((0, 0, *effects));
            match shipment.passage {
                Passage::Copy => seen.1 += 1,
                Passage::Prompt | Passage::Late => seen.0 += 1,
            }
            assert_eq!(seen.2, *effects, "a copy has the effects of its original");
            assert!(shipment.planned.due >= due, "never due before what was sent before it");
            due = shipment.planned.due;
        }
        assert_eq!(events.len(), 5_000);
        assert!(events.values().all(|(originals, copies, _)| *originals == 1 && *copies <= 1));
        let copies: u32 = events.values().map(|seen| seen.1).sum();
        assert!((150..350).contains(&copies), "{copies} copies");
        let late = all.iter().filter(|(shipment, ..)| shipment.passage == Passage::Late).count();
        assert!((300..700).contains(&late), "{late} late");
    }
}
