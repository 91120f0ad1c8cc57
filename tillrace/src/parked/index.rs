//! The unsettled events on `pos.parked.v1`.
//!
//! The topic is compacted: the latest record of a key counts, and a tombstone says that the event is settled. A first pass over
//! a partition keeps the keys of the unsettled ones and where they stand, a second passes on their texts one by one.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::Context;
use tillrace_core::envelope::Envelope;
use tillrace_core::topics::Topics;
use tillrace_log::{ConsumerRecord, LogView, Offset, Partition};

use crate::cli::{ParkedFilter, Place};

const RECORDS_AT_ONCE: usize = 1_000;
const READ_WAIT: Duration = Duration::from_secs(10);

/// The unsettled events of a partition: by their offset on `pos.parked`, the offset on the journal.
pub(super) type Unsettled = BTreeMap<Offset, Offset>;

/// Which events are meant.
pub(super) struct Selection<'a> {
    pub(super) filter: &'a ParkedFilter,
    /// Places on the journal; none means all that the filter lets through.
    pub(super) places: &'a [Place],
}

impl Selection<'_> {
    fn contains(&self, partition: Partition, envelope: &Envelope<'_>, source: Offset) -> bool {
        let ParkedFilter { tenant, store, terminal, code } = self.filter;
        let is = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == value)
        };
        let place = Place { partition, offset: source };
        is(tenant, Some(&envelope.tenant))
            && is(store, Some(&envelope.store))
            && is(terminal, envelope.terminal.as_deref())
            && is(code, envelope.parked.as_ref().map(|parked| &*parked.code))
            && (self.places.is_empty() || self.places.contains(&place))
    }
}

/// Finds the unsettled events of a partition.
pub(super) fn unsettled(
    view: &dyn LogView,
    topics: &Topics,
    partition: Partition,
    selection: &Selection<'_>,
) -> anyhow::Result<Unsettled> {
    // A key that the log hands out keeps the block alive in which it stands, texts and all: only copies may be held.
    let mut latest: HashMap<Box<[u8]>, (Offset, Offset)> = HashMap::new();
    scan(view, topics, partition, |entry| {
        let named = envelope_of(&entry).and_then(|envelope| {
            let source = envelope.source_verdict?.offset;
            selection.contains(partition, &envelope, source).then_some(source)
        });
        match named {
            Some(source) => latest.insert(Box::from(&*entry.key), (entry.offset, source)),
            None => latest.remove(&*entry.key),
        };
        Ok(())
    })?;
    Ok(latest.into_values().collect())
}

/// Passes each of the unsettled events on, in the order in which they were parked.
pub(super) fn each(
    view: &dyn LogView,
    topics: &Topics,
    partition: Partition,
    unsettled: &Unsettled,
    mut take: impl FnMut(&Envelope<'_>, Offset) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if unsettled.is_empty() {
        return Ok(());
    }
    scan(view, topics, partition, |entry| {
        let Some(source) = unsettled.get(&entry.offset) else { return Ok(()) };
        let Some(envelope) = envelope_of(&entry) else { return Ok(()) };
        take(&envelope, *source)
    })
}

fn envelope_of(entry: &ConsumerRecord) -> Option<Envelope<'_>> {
    Envelope::parse(entry.value.as_deref()?).ok()
}

/// Reads a partition of `pos.parked` to its stable end.
fn scan(
    view: &dyn LogView,
    topics: &Topics,
    partition: Partition,
    mut each: impl FnMut(ConsumerRecord) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let topic = &topics.parked;
    let bounds = view.bounds(topic, partition).context("read the bounds of pos.parked")?;
    if bounds.start >= bounds.stable_end {
        return Ok(());
    }
    let mut reader = view.reader(topic, partition, bounds.start).context("open pos.parked")?;
    while reader.position() < bounds.stable_end {
        let entries = reader.read(RECORDS_AT_ONCE, READ_WAIT).context("read pos.parked")?;
        for entry in entries {
            if entry.offset < bounds.stable_end {
                each(entry)?;
            }
        }
    }
    Ok(())
}
