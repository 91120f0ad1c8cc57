//! The unsettled parked events of a store, and the texts of those settled lately.
//!
//! An unsettled event takes some two hundred bytes here and one record on the state, whatever its text; the text is on
//! `pos.parked`. A name is that of the event's record there without tenant and store: `terminal/epoch/identity/hash`, where
//! the identity is the number or `id:` and the event id, and the hash is that of the text. Settled texts are remembered for
//! the conflict horizon, so that a terminal that sends one again is told a duplicate.
//!
//! What parks and settles events is in [`super::parking`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tillrace_log::Offset;
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::hashes::ShortHash;
use super::ids::EventIds;
use crate::text::Date;

/// One unsettled parked event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParkedEvent {
    /// `terminal/epoch/identity/hash`, percent-encoded.
    pub(super) name: Box<str>,
    /// The number that it holds in its terminal's ledger, laps included.
    pub(super) number: Option<u64>,
    /// The day on which it counts by itself, because it has no number.
    pub(super) date: Option<Date>,
}

/// The parked events of one store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ParkedEvents {
    events: BTreeMap<Offset, ParkedEvent>,
    by_name: HashMap<u128, Offset>,
    by_identity: BTreeSet<(u128, Offset)>,
    /// Hashes of the names that were settled within the conflict horizon.
    pub(super) settled: EventIds,
}

impl ParkedEvent {
    /// The part of a name before the last `/`: everything but the hash of the text.
    fn identity(&self) -> u128 {
        let (identity, _text_hash) = self.name.rsplit_once('/').unwrap_or_default();
        match self.number {
            // Under a wrapping scope a number recurs; the ledger's does not.
            Some(number) => {
                let (terminal, _sequence) = identity.rsplit_once('/').unwrap_or_default();
                number_identity(terminal, number)
            }
            None => xxh3_128(identity.as_bytes()),
        }
    }
}

/// Identity of an event by the number that its ledger gives it; `terminal` is `terminal/epoch`, percent-encoded.
pub(super) fn number_identity(terminal: &str, number: u64) -> u128 {
    xxh3_128_with_seed(terminal.as_bytes(), number)
}

/// Identity of an event that has no number; `name` is `terminal/epoch/id:id`, percent-encoded.
pub(super) fn id_identity(name: &str) -> u128 {
    xxh3_128(name.as_bytes())
}

impl ParkedEvents {
    /// Number of unsettled events.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns the offset of the unsettled event with this name.
    pub(super) fn find(&self, name: &str) -> Option<Offset> {
        self.by_name.get(&xxh3_128(name.as_bytes())).copied()
    }

    /// Tells whether there is an unsettled event at an offset.
    pub(super) fn contains(&self, offset: Offset) -> bool {
        self.events.contains_key(&offset)
    }

    /// Adds an event that is not in it.
    pub(super) fn add(&mut self, offset: Offset, event: ParkedEvent) {
        self.by_name.insert(xxh3_128(event.name.as_bytes()), offset);
        self.by_identity.insert((event.identity(), offset));
        self.events.insert(offset, event);
    }

    /// Removes an event; returns it, and whether it was the last of its identity.
    pub(super) fn remove(&mut self, offset: Offset) -> Option<(ParkedEvent, bool)> {
        let event = self.events.remove(&offset)?;
        let identity = event.identity();
        self.by_name.remove(&xxh3_128(event.name.as_bytes()));
        self.by_identity.remove(&(identity, offset));
        let is_last = self.of(identity).next().is_none();
        Some((event, is_last))
    }

    /// Returns the offsets of the unsettled events of an identity.
    pub(super) fn of(&self, identity: u128) -> impl Iterator<Item = Offset> + '_ {
        let all = self.by_identity.range((identity, 0)..=(identity, Offset::MAX));
        all.map(|&(_, offset)| offset)
    }

    /// Tells whether an event of this name was settled within the horizon.
    pub(super) fn was_settled(&mut self, name: &str, now_ms: i64, keep_ms: i64) -> bool {
        self.settled.expire(now_ms, keep_ms);
        self.settled.get(xxh3_128(name.as_bytes())).is_some()
    }

    /// Remembers the name of a settled event; past `most` it is forgotten, and a copy that comes late is told a conflict.
    pub(super) fn remember(&mut self, name: &str, now_ms: i64, keep_ms: i64, most: usize) {
        let name = xxh3_128(name.as_bytes());
        self.settled.decide(name, ShortHash::of(name), now_ms, keep_ms, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(name: &str, number: Option<u64>) -> ParkedEvent {
        ParkedEvent { name: name.into(), number, date: None }
    }

    #[test]
    fn events_are_found_by_name_and_by_identity() {
        let mut events = ParkedEvents::default();
        events.add(3, parked("a//7/01", Some(107)));
        events.add(9, parked("a//7/02", Some(107)));
        events.add(12, parked("a//7/03", Some(207)));
        events.add(20, parked("a//id:x/01", None));
        assert_eq!((events.find("a//7/02"), events.find("a//7/04")), (Some(9), None));
        let of = |events: &ParkedEvents, identity| events.of(identity).collect::<Vec<_>>();
        assert_eq!(of(&events, number_identity("a/", 107)), [3, 9]);
        assert_eq!(of(&events, number_identity("a/", 207)), [12]);
        assert_eq!(of(&events, id_identity("a//id:x")), [20]);
        let is_last = |removed: Option<(ParkedEvent, bool)>| removed.map(|(_, is_last)| is_last);
        assert_eq!(is_last(events.remove(3)), Some(false));
        assert_eq!(is_last(events.remove(9)), Some(true));
        assert_eq!((is_last(events.remove(9)), events.len()), (None, 2));
    }

    #[test]
    fn settled_names_are_remembered_for_the_horizon() {
        let mut events = ParkedEvents::default();
        events.remember("a//7/01", 0, 1_000, 1);
        events.remember("a//8/01", 0, 1_000, 1);
        assert!(events.was_settled("a//7/01", 1_000, 1_000));
        assert!(!events.was_settled("a//8/01", 1_000, 1_000), "there was no room");
        assert!(!events.was_settled("a//7/01", 1_001, 1_000));
    }
}
