//! The counters of a store's fiscal devices: which came, which are missing, which came twice.
//!
//! The law's device or service numbers what it records, rising by one. Every counted event with a counter is taken, whatever its
//! kind and date, by scheme and device. A counter that another event had already is repeated. A copy of an event is none: it is not
//! counted. This is shown, and is no part of `complete`: the device counts what never reaches a journal, too.
//!
//! A store has room for [`MAX_DEVICES`], each with a bounded set of numbers ([`super::sequence_set`]) and its lowest
//! [`MAX_REPEATED`] repeated counters. What has no room is said. Devices are written with each flush that changed them.

mod published;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(super) use self::tests::longest;
use super::sequence_set::{BitmapBlock, SequencePosition, SequenceSet};
use crate::topics;

/// Devices of a store, those of all schemes together.
const MAX_DEVICES: usize = 64;
/// Repeated counters that a device lists.
const MAX_REPEATED: usize = 32;
/// Most bytes of a device's two records, without names and intervals.
const DEVICE_BYTES: usize = 3_072;
/// Most bytes of a block of counters, without its key.
const BLOCK_BYTES: usize = 1_600;

/// The counters of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counters {
    numbers: SequenceSet,
    /// Events with a counter.
    events: u64,
    /// Of these, those too far below the others to be told apart.
    untracked: u64,
    /// The lowest counters that more than one event had.
    repeated: BTreeSet<u64>,
    /// The store had no room for another device.
    further_devices: bool,
}

/// One device of a store.
#[derive(Debug)]
pub(super) struct FiscalDevice {
    scheme: Box<str>,
    device: Box<str>,
    /// `scheme/device`, percent-encoded, which ends its keys.
    pub(super) key: Box<str>,
    pub(super) counters: Counters,
    changed: bool,
}

/// The devices of a store.
#[derive(Debug, Default)]
pub(super) struct FiscalDevices {
    list: Vec<FiscalDevice>,
    /// There was no room for another.
    is_full: bool,
    /// Devices that the next flush writes.
    changed: Vec<u32>,
}

/// How much longer the next flush became.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FiscalGrowth {
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// It wrote no device of the store before.
    pub(super) is_first: bool,
}

impl Counters {
    fn open_at(counter: u64) -> Self {
        let numbers = SequenceSet::open_at(counter);
        Self { numbers, events: 0, untracked: 0, repeated: BTreeSet::new(), further_devices: false }
    }

    fn add(&mut self, counter: u64) {
        self.events += 1;
        match self.numbers.position(counter) {
            SequencePosition::TooLow | SequencePosition::Untracked => self.untracked += 1,
            SequencePosition::Known => {
                self.repeated.insert(counter);
                if self.repeated.len() > MAX_REPEATED {
                    self.repeated.pop_last();
                }
            }
            _ => self.numbers.fill(counter),
        }
    }

    /// Events whose counter another one had.
    fn repeated_count(&self) -> u64 {
        self.events - self.untracked - self.numbers.firsts()
    }

    /// Blocks that the next flush writes, and most bytes that its records take for its numbers.
    fn pending(&self) -> (usize, usize) {
        (self.numbers.changed(), 2 * self.numbers.written_bytes())
    }
}

impl FiscalDevices {
    /// Counts a counter of a device; `store_bytes` is the length of the store's key.
    pub(super) fn add(
        &mut self,
        [scheme, device]: [&str; 2],
        counter: u64,
        store_bytes: usize,
    ) -> FiscalGrowth {
        let mut growth =
            FiscalGrowth { is_first: self.changed.is_empty(), ..FiscalGrowth::default() };
        let Some(slot) = self.slot(scheme, device, counter) else {
            if !std::mem::replace(&mut self.is_full, true) {
                for slot in 0..self.list.len() {
                    self.list[slot].counters.further_devices = true;
                    self.mark(slot, store_bytes, &mut growth);
                }
            }
            return growth;
        };
        let known = &mut self.list[slot];
        let (blocks, bytes) = known.counters.pending();
        known.counters.add(counter);
        let (after, longer) = known.counters.pending();
        let blocks = after.saturating_sub(blocks);
        growth.records += blocks;
        growth.bytes += longer.saturating_sub(bytes);
        growth.bytes += blocks * (BLOCK_BYTES + known.key.len() + store_bytes);
        self.mark(slot, store_bytes, &mut growth);
        growth
    }

    fn mark(&mut self, slot: usize, store_bytes: usize, growth: &mut FiscalGrowth) {
        let device = &mut self.list[slot];
        if !std::mem::replace(&mut device.changed, true) {
            let names = 4 * (device.key.len() + device.scheme.len() + device.device.len());
            let (_, numbers) = device.counters.pending();
            growth.records += 2;
            growth.bytes += DEVICE_BYTES + names + 4 * store_bytes + numbers;
            self.changed.push(u32::try_from(slot).unwrap_or(u32::MAX));
        }
    }

    /// Takes the devices that are marked.
    pub(super) fn take_changed(&mut self) -> Vec<u32> {
        let changed = std::mem::take(&mut self.changed);
        for &slot in &changed {
            if let Some(device) = self.get_mut(slot) {
                device.changed = false;
            }
        }
        changed
    }

    /// Returns a device.
    pub(super) fn get(&self, slot: u32) -> Option<&FiscalDevice> {
        self.list.get(slot as usize)
    }

    /// Returns a device.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut FiscalDevice> {
        self.list.get_mut(slot as usize)
    }

    /// Finds a device by its names.
    pub(super) fn find(&mut self, scheme: &str, device: &str) -> Option<&mut FiscalDevice> {
        self.list.iter_mut().find(|known| known.is(scheme, device))
    }

    /// Restores a device; returns false if there is no room.
    pub(super) fn restore(&mut self, scheme: &str, device: &str, counters: Counters) -> bool {
        let has_room = self.list.len() < MAX_DEVICES;
        if has_room {
            self.push(scheme, device, counters);
        }
        has_room
    }

    /// Finds a device or adds it; `None` where there is no room.
    fn slot(&mut self, scheme: &str, device: &str, counter: u64) -> Option<usize> {
        let found = self.list.iter().position(|known| known.is(scheme, device));
        if found.is_some() || self.list.len() >= MAX_DEVICES {
            return found;
        }
        self.push(scheme, device, Counters::open_at(counter));
        Some(self.list.len() - 1)
    }

    fn push(&mut self, scheme: &str, device: &str, counters: Counters) {
        self.is_full |= counters.further_devices;
        let key = topics::key(&[scheme, device]).into();
        let (scheme, device) = (scheme.into(), device.into());
        self.list.push(FiscalDevice { scheme, device, key, counters, changed: false });
    }
}

impl FiscalDevice {
    fn is(&self, scheme: &str, device: &str) -> bool {
        &*self.device == device && &*self.scheme == scheme
    }

    /// Passes on each changed block of its counters, `None` where it is gone, and marks it as unchanged.
    pub(super) fn take_changed(&mut self, each: impl FnMut(u64, Option<&BitmapBlock>)) {
        self.counters.numbers.take_changed(each);
    }

    /// Restores a block of its counters; `None` if the bytes are no block.
    pub(super) fn restore_block(&mut self, index: u64, bytes: &[u8]) -> Option<()> {
        self.counters.numbers.restore(index, bytes)
    }
}
