//! Acknowledgements: which identities were acknowledged, and their stock effects.
//!
//! Takes four bytes an event: a fingerprint of the bytes sent, zero if not acknowledged. With it, a
//! record on a topic is checked to be the sender's, to be there once, and to be unchanged. This is
//! check (a) of the conservation law, which only a sender can make.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::source::{Directory, Movement, StockEffect, TerminalIndex};

/// Acknowledged events by terminal and number.
#[derive(Debug, Default)]
pub struct Acks {
    terminals: HashMap<TerminalIndex, Vec<u32>>,
    count: u64,
}

/// Computes the fingerprint of an event's bytes; never zero.
pub fn fingerprint(text: &[u8]) -> u32 {
    let hash = xxh3_64(text);
    u32::try_from(hash >> 32).unwrap_or(1).max(1)
}

impl Acks {
    /// Records an acknowledgement; returns whether it is the first for this number.
    pub fn acknowledge(&mut self, terminal: TerminalIndex, sequence: u64, print: u32) -> bool {
        let Ok(index) = usize::try_from(sequence) else { return false };
        let prints = self.terminals.entry(terminal).or_default();
        if prints.len() <= index {
            prints.resize(index + 1, 0);
        }
        let first = prints[index] == 0;
        if first {
            prints[index] = print;
            self.count += 1;
        }
        first
    }

    /// Returns the fingerprint that was acknowledged for a number.
    pub fn get(&self, terminal: TerminalIndex, sequence: u64) -> Option<u32> {
        let index = usize::try_from(sequence).ok()?;
        self.terminals.get(&terminal)?.get(index).copied().filter(|&print| print != 0)
    }

    /// Counts the acknowledged events.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Tells whether nothing was acknowledged.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Lists every acknowledged terminal and number.
    pub fn iter(&self) -> impl Iterator<Item = (TerminalIndex, u64)> {
        self.terminals.iter().flat_map(|(&terminal, prints)| {
            (0_u64..).zip(prints).filter(|(_, print)| **print != 0).map(move |(n, _)| (terminal, n))
        })
    }

    /// Merges the acknowledgements of another sender with other terminals.
    pub fn merge(&mut self, other: Self) {
        for (terminal, prints) in other.terminals {
            for (sequence, print) in (0_u64..).zip(prints).filter(|(_, print)| *print != 0) {
                self.acknowledge(terminal, sequence, print);
            }
        }
    }
}

/// Stock effects of the acknowledged events, summed by store, SKU, unit, reason and stock location.
#[derive(Debug, Default)]
pub struct StockMovements {
    sums: HashMap<(u32, StockEffect), Movement>,
}

/// What a sum of movements is about; reason and location are empty where lines have none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[expect(missing_docs, reason = "the fields are those of a delta")]
pub struct StockKey {
    pub store: String,
    pub sku: String,
    pub unit: String,
    pub reason: String,
    pub location: String,
}

/// Sums of movements by names.
pub type NamedMovements = BTreeMap<StockKey, Movement>;

impl StockKey {
    /// Names the key of an effect in a store.
    pub fn of(directory: &Directory, store: u32, effect: &StockEffect) -> Self {
        Self {
            store: directory.stores[store as usize].clone(),
            sku: directory.skus[effect.sku as usize].clone(),
            unit: effect.unit.to_owned(),
            reason: effect.reason.to_owned(),
            location: effect.location.to_owned(),
        }
    }
}

impl StockMovements {
    /// Adds the effects of one event of a store.
    pub fn add(&mut self, store: u32, effects: &[StockEffect]) {
        for effect in effects {
            let key = StockEffect { movement: Movement::default(), ..*effect };
            self.sums.entry((store, key)).or_default().add(effect.movement);
        }
    }

    /// Adds another sender's sums.
    pub fn merge(&mut self, other: Self) {
        for (key, movement) in other.sums {
            self.sums.entry(key).or_default().add(movement);
        }
    }

    /// Returns the sums under their names, those of nothing left out.
    pub fn named(&self, directory: &Directory) -> NamedMovements {
        self.sums
            .iter()
            .filter(|(_, movement)| !movement.is_zero())
            .map(|((store, effect), movement)| (StockKey::of(directory, *store, effect), *movement))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_acknowledged_once() {
        let mut acks = Acks::default();
        assert!(acks.acknowledge(3, 7, 99));
        assert!(!acks.acknowledge(3, 7, 99));
        assert!(acks.acknowledge(3, 2, 98));
        assert_eq!((acks.get(3, 7), acks.get(3, 3), acks.get(4, 7)), (Some(99), None, None));
        assert_eq!(acks.len(), 2);
        assert_eq!(acks.iter().collect::<Vec<_>>(), [(3, 2), (3, 7)]);
    }

    #[test]
    fn merging_keeps_both() {
        let mut one = Acks::default();
        one.acknowledge(0, 1, 5);
        let mut other = Acks::default();
        other.acknowledge(1, 1, 6);
        one.merge(other);
        assert_eq!((one.len(), one.get(0, 1), one.get(1, 1)), (2, Some(5), Some(6)));
    }

    #[test]
    fn sums_of_nothing_are_left_out() {
        let directory = Directory {
            stores: vec!["s".into()],
            skus: vec!["a".into(), "b".into()],
            ..Default::default()
        };
        let effect = |sku, net| StockEffect {
            sku,
            unit: "C62",
            movement: Movement { net, sold: -net, ..Default::default() },
            ..StockEffect::default()
        };
        let mut moved = StockMovements::default();
        moved.add(0, &[effect(0, -2), effect(1, 4)]);
        moved.add(0, &[effect(0, 2)]);
        let named = moved.named(&directory);
        assert_eq!(named.len(), 1);
        let key = StockKey::of(&directory, 0, &effect(1, 0));
        assert_eq!((key.sku.as_str(), named[&key].net), ("b", 4));
    }

    #[test]
    fn a_move_nets_to_nothing_in_the_store_and_shows_by_location() {
        let directory =
            Directory { stores: vec!["s".into()], skus: vec!["a".into()], ..Default::default() };
        let effect = |location, net| StockEffect {
            unit: "C62",
            location,
            movement: Movement { net, adjusted: net, ..Default::default() },
            ..StockEffect::default()
        };
        let mut moved = StockMovements::default();
        moved.add(0, &[effect("back", -6), effect("floor", 6)]);
        let nets: Vec<i64> = moved.named(&directory).values().map(|sum| sum.net).collect();
        assert_eq!(nets, [-6, 6]);
    }

    #[test]
    fn fingerprints_differ_where_bytes_do() {
        assert_ne!(fingerprint(b"a"), fingerprint(b"b"));
        assert_ne!(fingerprint(b""), 0);
    }
}
