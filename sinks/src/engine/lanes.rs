//! What one partition has in hand, in lanes: order within a lane, many lanes at once.
//!
//! A lane is a record key, or the whole partition for connectors that write it as one stream. A
//! lane is in at most one call at a time, always with its oldest records, and gets back in their
//! order those that must be tried again. Lanes without trouble share a batch; a lane in trouble is
//! called alone, so that one poisonous record cannot hold up its neighbours, and what waits in it is
//! copied: a record as it was read keeps a whole block of the log in memory. Time is passed in.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::trouble::Trouble;
use crate::record::Record;

/// How large a batch may grow and how long it may wait for company.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
    pub(crate) linger: Duration,
}

/// The lanes of one partition.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    by_key: HashMap<Bytes, Lane>,
    /// Lanes free to be called, oldest first.
    ready: VecDeque<Bytes>,
    /// Lanes in trouble whose wait is over.
    again: VecDeque<Bytes>,
    /// Lanes in trouble and when their wait is over.
    waiting: BTreeSet<(Instant, Bytes)>,
    ready_records: usize,
    ready_bytes: usize,
}

#[derive(Debug)]
struct Lane {
    queue: VecDeque<Queued>,
    trouble: Option<Trouble>,
    called: bool,
}

#[derive(Debug)]
struct Queued {
    record: Record,
    arrived: Instant,
}

/// One lane's share of a batch: its oldest records, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) lane: Bytes,
    pub(crate) records: usize,
}

/// What a call takes along.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) shares: Vec<Share>,
    pub(crate) records: Vec<Record>,
}

impl Lanes {
    /// Puts a record at the end of its lane.
    pub(crate) fn push(&mut self, lane: &Bytes, mut record: Record, now: Instant) {
        let bytes = record.bytes();
        let entry = self.by_key.entry(lane.clone()).or_insert_with(|| {
            self.ready.push_back(lane.clone());
            Lane { queue: VecDeque::new(), trouble: None, called: false }
        });
        if entry.is_ready() {
            self.ready_records += 1;
            self.ready_bytes += bytes;
        }
        if entry.trouble.is_some() {
            record.detach();
        }
        entry.queue.push_back(Queued { record, arrived: now });
    }

    /// Takes the next batch, if there is one worth a call; with `now_or_never`, whatever is ready.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        limits: BatchLimits,
        now_or_never: bool,
    ) -> Option<Load> {
        self.wake(now);
        if let Some(lane) = self.again.pop_front() {
            return self.take_alone(lane, limits);
        }
        let full = self.ready_records >= limits.records || self.ready_bytes >= limits.bytes;
        let due = self.oldest_ready().is_some_and(|arrived| arrived + limits.linger <= now);
        if self.ready_records == 0 || !(full || due || now_or_never) {
            return None;
        }
        let mut load = Load::default();
        let mut bytes = 0;
        while load.records.len() < limits.records
            && bytes < limits.bytes
            && let Some(lane) = self.ready.pop_front()
        {
            self.take_share(lane, limits, &mut load, &mut bytes);
        }
        Some(load)
    }

    /// Gives a lane back after its call: what must be tried again, and its trouble if any.
    pub(crate) fn give_back(
        &mut self,
        lane: &Bytes,
        again: Vec<Record>,
        trouble: Option<Trouble>,
        now: Instant,
    ) {
        let Some(mut entry) = self.by_key.remove(lane) else { return };
        entry.called = false;
        for record in again.into_iter().rev() {
            entry.queue.push_front(Queued { record, arrived: now });
        }
        if entry.queue.is_empty() {
            return;
        }
        let mut lane = lane.clone();
        if trouble.is_some() && entry.trouble.is_none() {
            lane = Bytes::copy_from_slice(&lane);
            entry.queue.iter_mut().for_each(|queued| queued.record.detach());
        }
        if let Some(trouble) = &trouble {
            self.waiting.insert((trouble.until, lane.clone()));
        } else {
            self.ready_records += entry.queue.len();
            self.ready_bytes +=
                entry.queue.iter().map(|queued| queued.record.bytes()).sum::<usize>();
            self.ready.push_back(lane.clone());
        }
        entry.trouble = trouble;
        self.by_key.insert(lane, entry);
    }

    /// Takes everything a called lane has in hand beside what is in the call: it is parked.
    pub(crate) fn empty(&mut self, lane: &Bytes) -> Vec<Record> {
        let queue = self.by_key.get_mut(lane).map(|entry| std::mem::take(&mut entry.queue));
        queue.into_iter().flatten().map(|queued| queued.record).collect()
    }

    /// Returns the trouble a lane is in.
    pub(crate) fn trouble(&self, lane: &Bytes) -> Option<&Trouble> {
        self.by_key.get(lane)?.trouble.as_ref()
    }

    /// Tells whether any lane is in trouble.
    pub(crate) fn has_trouble(&self) -> bool {
        self.by_key.values().any(|lane| lane.trouble.is_some())
    }

    /// Returns how many lanes have been in trouble since that time or longer, and the one that has been longest.
    pub(crate) fn stuck_since(&self, at: Instant) -> Option<(usize, &Bytes, &Trouble)> {
        let stuck = self.by_key.iter().filter_map(|(key, lane)| {
            lane.trouble.as_ref().filter(|trouble| trouble.since <= at).map(|it| (key, it))
        });
        let (count, longest) = stuck.fold((0, None), |(count, longest), one: (_, &Trouble)| {
            let longest = longest.filter(|before: &(_, &Trouble)| before.1.since <= one.1.since);
            (count + 1, longest.or(Some(one)))
        });
        longest.map(|(key, trouble)| (count, key, trouble))
    }

    /// Returns when [`Lanes::take`] may next find something by the passing of time alone.
    pub(crate) fn next_due(&self, limits: BatchLimits) -> Option<Instant> {
        let lingering = self.oldest_ready().map(|arrived| arrived + limits.linger);
        let waiting = self.waiting.first().map(|&(until, _)| until);
        lingering.into_iter().chain(waiting).min()
    }

    /// Returns the bytes of records that could be called at once.
    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    fn wake(&mut self, now: Instant) {
        while let Some((until, _)) = self.waiting.first()
            && *until <= now
            && let Some((_, lane)) = self.waiting.pop_first()
        {
            self.again.push_back(lane);
        }
    }

    fn oldest_ready(&self) -> Option<Instant> {
        let lane = self.by_key.get(self.ready.front()?)?;
        lane.queue.front().map(|queued| queued.arrived)
    }

    fn take_alone(&mut self, lane: Bytes, limits: BatchLimits) -> Option<Load> {
        let entry = self.by_key.get_mut(&lane)?;
        let single = entry.trouble.as_ref().is_some_and(|trouble| trouble.single);
        let limit = if single { 1 } else { limits.records };
        let mut load = Load::default();
        let mut bytes = 0;
        entry.drain(limit, limits.bytes, &mut load.records, &mut bytes);
        load.shares.push(Share { lane, records: load.records.len() });
        Some(load)
    }

    fn take_share(&mut self, lane: Bytes, limits: BatchLimits, load: &mut Load, bytes: &mut usize) {
        let Some(entry) = self.by_key.get_mut(&lane) else { return };
        let held: usize = entry.queue.iter().map(|queued| queued.record.bytes()).sum();
        self.ready_records -= entry.queue.len();
        self.ready_bytes -= held;
        let before = load.records.len();
        entry.drain(limits.records - before, limits.bytes, &mut load.records, bytes);
        load.shares.push(Share { lane, records: load.records.len() - before });
    }
}

impl Lane {
    fn is_ready(&self) -> bool {
        !self.called && self.trouble.is_none()
    }

    /// Moves the oldest records into a batch, one at least.
    fn drain(&mut self, records: usize, bytes: usize, into: &mut Vec<Record>, taken: &mut usize) {
        self.called = true;
        for count in 0..records {
            if count > 0 && *taken >= bytes {
                break;
            }
            let Some(queued) = self.queue.pop_front() else { break };
            *taken += queued.record.bytes();
            into.push(queued.record);
        }
    }
}

#[cfg(test)]
mod tests;
