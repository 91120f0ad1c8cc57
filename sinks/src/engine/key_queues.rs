//! The queues of one partition, one for each key: order within a key, many keys at once.
//!
//! A key is the record's key, or the whole partition for connectors that write it as one stream. A
//! key is in at most one call at a time, always with its oldest records; those that must be retried
//! return to the front of its queue in order. Keys without failures share a batch. A failing key is
//! called alone, so that one poison record does not delay other keys. Its records are copied while
//! they wait, because a record keeps the whole block that it was read from in memory. Time is passed in.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::retry_policy::RetryState;
use crate::record::Record;

/// How large a batch may grow and how long it may linger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
    pub(crate) linger: Duration,
}

/// The key queues of one partition.
#[derive(Debug, Default)]
pub(crate) struct KeyQueues {
    by_key: HashMap<Bytes, KeyQueue>,
    /// Keys free to be called, oldest first.
    ready: VecDeque<Bytes>,
    /// Failing keys whose wait is over.
    retry_ready: VecDeque<Bytes>,
    /// Failing keys, and when their wait is over.
    waiting: BTreeSet<(Instant, Bytes)>,
    /// Halves of refused batches, each to be sent by itself. Their records are at the front of their queues.
    halves: VecDeque<Half>,
    ready_records: usize,
    ready_bytes: usize,
}

/// A half of a refused batch.
#[derive(Debug)]
struct Half {
    shares: Vec<BatchShare>,
    since: Instant,
}

#[derive(Debug)]
struct KeyQueue {
    queue: VecDeque<QueuedRecord>,
    retry_state: Option<RetryState>,
    called: bool,
}

#[derive(Debug)]
struct QueuedRecord {
    record: Record,
    arrived: Instant,
}

/// One key's share of a batch: its oldest records, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BatchShare {
    pub(crate) key: Bytes,
    pub(crate) records: usize,
}

/// The records of the next call.
#[derive(Debug, Default)]
pub(crate) struct BatchDraft {
    pub(crate) shares: Vec<BatchShare>,
    pub(crate) records: Vec<Record>,
}

impl KeyQueues {
    /// Appends a record to the queue of its key.
    pub(crate) fn push(&mut self, key: &Bytes, mut record: Record, now: Instant) {
        let bytes = record.bytes();
        let entry = self.by_key.entry(key.clone()).or_insert_with(|| {
            self.ready.push_back(key.clone());
            KeyQueue { queue: VecDeque::new(), retry_state: None, called: false }
        });
        if entry.is_ready() {
            self.ready_records += 1;
            self.ready_bytes += bytes;
        }
        if entry.retry_state.is_some() {
            record.detach();
        }
        entry.queue.push_back(QueuedRecord { record, arrived: now });
    }

    /// Takes the next batch if it is full or has lingered; with `flush`, whatever is ready.
    pub(crate) fn next_batch(
        &mut self,
        now: Instant,
        limits: BatchLimits,
        flush: bool,
    ) -> Option<BatchDraft> {
        self.wake(now);
        if let Some(half) = self.halves.pop_front() {
            return Some(self.take_half(half.shares));
        }
        if let Some(key) = self.retry_ready.pop_front() {
            return self.take_alone(key, limits);
        }
        let full = self.ready_records >= limits.records || self.ready_bytes >= limits.bytes;
        let due = self.oldest_ready().is_some_and(|arrived| arrived + limits.linger <= now);
        if self.ready_records == 0 || !(full || due || flush) {
            return None;
        }
        let mut draft = BatchDraft::default();
        let mut bytes = 0;
        while draft.records.len() < limits.records
            && bytes < limits.bytes
            && let Some(key) = self.ready.pop_front()
        {
            self.take_share(key, limits, &mut draft, &mut bytes);
        }
        Some(draft)
    }

    /// Returns a key after its call, with the records to retry and its retry state, if any.
    pub(crate) fn return_key(
        &mut self,
        key: &Bytes,
        again: Vec<Record>,
        retry_state: Option<RetryState>,
        now: Instant,
    ) {
        let Some(mut entry) = self.by_key.remove(key) else { return };
        entry.called = false;
        for record in again.into_iter().rev() {
            entry.queue.push_front(QueuedRecord { record, arrived: now });
        }
        if entry.queue.is_empty() {
            return;
        }
        let mut key = key.clone();
        if retry_state.is_some() && entry.retry_state.is_none() {
            key = Bytes::copy_from_slice(&key);
            entry.queue.iter_mut().for_each(|queued| queued.record.detach());
        }
        if let Some(retry_state) = &retry_state {
            self.waiting.insert((retry_state.until, key.clone()));
        } else {
            self.ready_records += entry.queue.len();
            self.ready_bytes +=
                entry.queue.iter().map(|queued| queued.record.bytes()).sum::<usize>();
            self.ready.push_back(key.clone());
        }
        entry.retry_state = retry_state;
        self.by_key.insert(key, entry);
    }

    /// Takes back a refused batch of several records: each half goes out by itself, before anything else. Where one key has
    /// all records, the second half waits in its queue for the first.
    pub(crate) fn split(&mut self, shares: Vec<BatchShare>, records: Vec<Record>, now: Instant) {
        let total = records.len();
        let mut records = records.into_iter();
        for share in &shares {
            let own: Vec<Record> = records.by_ref().take(share.records).collect();
            let Some(entry) = self.by_key.get_mut(&share.key) else { continue };
            for record in own.into_iter().rev() {
                entry.queue.push_front(QueuedRecord { record, arrived: now });
            }
        }
        let (first, second) = halve(shares, total);
        for shares in [first, second].into_iter().filter(|shares| !shares.is_empty()) {
            self.halves.push_back(Half { shares, since: now });
        }
    }

    /// Takes all records of a key, beside those in its call: the key is parked.
    pub(crate) fn drain_key(&mut self, key: &Bytes) -> Vec<Record> {
        let queue = self.by_key.get_mut(key).map(|entry| std::mem::take(&mut entry.queue));
        queue.into_iter().flatten().map(|queued| queued.record).collect()
    }

    /// Returns the retry state of a failing key.
    pub(crate) fn retry_state(&self, key: &Bytes) -> Option<&RetryState> {
        self.by_key.get(key)?.retry_state.as_ref()
    }

    /// Tells whether any key is failing.
    pub(crate) fn has_failing(&self) -> bool {
        self.by_key.values().any(|queue| queue.retry_state.is_some())
    }

    /// Returns how many keys have been failing since `at` or longer, and the one that has failed longest.
    pub(crate) fn stuck_since(&self, at: Instant) -> Option<(usize, &Bytes, &RetryState)> {
        let stuck = self.by_key.iter().filter_map(|(key, queue)| {
            queue
                .retry_state
                .as_ref()
                .filter(|retry_state| retry_state.since <= at)
                .map(|it| (key, it))
        });
        let (count, longest) = stuck.fold((0, None), |(count, longest), one: (_, &RetryState)| {
            let longest = longest.filter(|before: &(_, &RetryState)| before.1.since <= one.1.since);
            (count + 1, longest.or(Some(one)))
        });
        longest.map(|(key, retry_state)| (count, key, retry_state))
    }

    /// Returns when [`KeyQueues::next_batch`] may next return a batch without any event.
    pub(crate) fn next_due(&self, limits: BatchLimits) -> Option<Instant> {
        let lingering = self.oldest_ready().map(|arrived| arrived + limits.linger);
        let waiting = self.waiting.first().map(|&(until, _)| until);
        let half = self.halves.front().map(|half| half.since);
        lingering.into_iter().chain(waiting).chain(half).min()
    }

    /// Returns the bytes of records that could be called at once.
    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Tells whether records could be called at once.
    pub(crate) fn has_ready(&self) -> bool {
        self.ready_bytes > 0 || !self.halves.is_empty()
    }

    fn take_half(&mut self, shares: Vec<BatchShare>) -> BatchDraft {
        let mut draft = BatchDraft::default();
        for BatchShare { key, records } in shares {
            let Some(entry) = self.by_key.get_mut(&key) else { continue };
            let before = draft.records.len();
            entry.drain(records, usize::MAX, &mut draft.records, &mut 0);
            draft.shares.push(BatchShare { key, records: draft.records.len() - before });
        }
        draft
    }

    fn wake(&mut self, now: Instant) {
        while let Some((until, _)) = self.waiting.first()
            && *until <= now
            && let Some((_, key)) = self.waiting.pop_first()
        {
            self.retry_ready.push_back(key);
        }
    }

    fn oldest_ready(&self) -> Option<Instant> {
        let queue = self.by_key.get(self.ready.front()?)?;
        queue.queue.front().map(|queued| queued.arrived)
    }

    fn take_alone(&mut self, key: Bytes, limits: BatchLimits) -> Option<BatchDraft> {
        let entry = self.by_key.get_mut(&key)?;
        let single = entry.retry_state.as_ref().is_some_and(|retry_state| retry_state.single);
        let limit = if single { 1 } else { limits.records };
        let mut draft = BatchDraft::default();
        let mut bytes = 0;
        entry.drain(limit, limits.bytes, &mut draft.records, &mut bytes);
        draft.shares.push(BatchShare { key, records: draft.records.len() });
        Some(draft)
    }

    fn take_share(
        &mut self,
        key: Bytes,
        limits: BatchLimits,
        draft: &mut BatchDraft,
        bytes: &mut usize,
    ) {
        let Some(entry) = self.by_key.get_mut(&key) else { return };
        let held: usize = entry.queue.iter().map(|queued| queued.record.bytes()).sum();
        self.ready_records -= entry.queue.len();
        self.ready_bytes -= held;
        let before = draft.records.len();
        entry.drain(limits.records - before, limits.bytes, &mut draft.records, bytes);
        draft.shares.push(BatchShare { key, records: draft.records.len() - before });
    }
}

/// Divides shares into two of about equally many records, between keys where there are several.
fn halve(shares: Vec<BatchShare>, total: usize) -> (Vec<BatchShare>, Vec<BatchShare>) {
    if let [BatchShare { key, records }] = shares.as_slice() {
        return (vec![BatchShare { key: key.clone(), records: records.div_ceil(2) }], Vec::new());
    }
    let (mut first, mut second, mut taken) = (Vec::new(), Vec::new(), 0);
    for share in shares {
        let fits = first.is_empty() || taken + share.records <= total.div_ceil(2);
        if fits && second.is_empty() {
            taken += share.records;
            first.push(share);
        } else {
            second.push(share);
        }
    }
    (first, second)
}

impl KeyQueue {
    fn is_ready(&self) -> bool {
        !self.called && self.retry_state.is_none()
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
