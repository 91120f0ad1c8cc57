//! Ticks: records that an aggregator writes to the journal of a partition in which nobody speaks, so that time passes there.
//!
//! Days are over, and sealed, by append times of the journal alone. Where no store says anything, nothing is appended, and a
//! store that is silent would never be seen. The wall clock only decides *when* a tick is written; the fold sees its append
//! time, as of any record. It is written inside the flush's transaction, so that of two owners of a partition only one writes.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::arena::RecordArena;
use super::partition::Partition;
use crate::envelope::{Admission, Envelope, Scope, TYPE_TICK};
use crate::text::Timestamp;
use crate::topics::Topics;

/// How long nothing must have been read before a partition counts as read to its end.
const QUIET: Duration = Duration::from_secs(30);

/// When a partition may get its next tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct TickSchedule {
    not_before: Instant,
}

impl TickSchedule {
    /// A partition was read from, or restored.
    pub(super) fn heard(now: Instant, interval: Duration) -> Self {
        Self { not_before: now + QUIET.min(interval) }
    }

    /// Writes a tick for the next flush if one is due: nothing was read for a while, and the newest record is older than the
    /// interval by the wall clock.
    pub(super) fn tick(
        &mut self,
        partition: &mut Partition,
        (now, wall_ms): (Instant, i64),
        interval: Duration,
        topics: &Topics,
        arena: &mut RecordArena,
    ) -> bool {
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        let age_ms = wall_ms.saturating_sub(partition.checkpoint.clock_ms);
        if now < self.not_before || age_ms < interval_ms {
            return false;
        }
        let Some((key, value)) = tick_record(partition, wall_ms) else { return false };
        let value = arena.write(&[&value]);
        partition.buffer.push_row(&topics.events, key, Some(value));
        self.not_before = now + interval;
        true
    }
}

/// A tick stands under a store of its partition, because an older aggregator takes a record of nobody's for garbage. `None` if the
/// partition has no store, and so no day.
fn tick_record(partition: &Partition, wall_ms: i64) -> Option<(Bytes, Vec<u8>)> {
    let store = partition.stores.first()?;
    let now = Timestamp::from_millis(wall_ms).to_string();
    let mut value = Vec::new();
    Envelope {
        id: format!("tick:{}/{}", partition.number, partition.checkpoint.flush + 1).into(),
        source: format!("/{}", String::from_utf8_lossy(&store.key)).into(),
        event_type: TYPE_TICK.into(),
        time: Some(now.as_str().into()),
        tenant: (&*store.tenant).into(),
        store: (&*store.name).into(),
        received_time: now.as_str().into(),
        scope: Scope::Terminal,
        policy_revision: "0".into(),
        admission: Admission::Live,
        gateway: "tillrace-aggregate".into(),
        data: b"{}",
        ..Envelope::default()
    }
    .write(&mut value);
    Some((store.key.clone(), value))
}
