//! Which registers of a tenant are in force already, so that nothing need be written of them.
//!
//! One is in force when `store.registers.v1` has all its parts, and no record that the aggregator has still to come to is about its
//! store: what waits there may put another in its place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context;
use tillrace_core::envelope::{Envelope, TYPE_REGISTER};
use tillrace_core::register::Register;
use tillrace_core::register::part::RegisterPart;
use tillrace_core::register::read::RegisterFile;
use tillrace_core::text::Date;
use tillrace_core::topics::{self, Topics};
use tillrace_log::{ConsumerRecord, LogView, Offset, Partition, Topic};

use super::published::part;

const RECORDS_AT_ONCE: usize = 500;
const READ_WAIT: Duration = Duration::from_secs(1);
/// Records behind the aggregator that are looked through; beyond them nothing is taken to be in force.
const MOST_BEHIND: u64 = 1_000_000;

/// Revision, and how many of its parts are published.
type Published = (String, BTreeSet<u32>);

/// Stores, each with the date from which a register of it holds.
pub(super) type StoreDates = BTreeSet<(String, Date)>;

/// Returns the registers of a file that are in force as they stand there.
pub(super) fn in_force(
    view: &dyn LogView,
    topics: &Topics,
    file: &RegisterFile,
) -> anyhow::Result<StoreDates> {
    type ByKey<'a> = HashMap<String, Vec<&'a (String, Register)>>;
    let mut by_partition: BTreeMap<Partition, ByKey<'_>> = BTreeMap::new();
    for named in &file.stores {
        let partition = topics::partition_of(&file.tenant, &named.0, view.partitions());
        let key = topics::key(&[&file.tenant, &named.0]);
        by_partition.entry(partition).or_default().entry(key).or_default().push(named);
    }
    let mut in_force = BTreeSet::new();
    for (partition, mut stores) in by_partition {
        // First what is still to come, then what is published: what comes between the two was to come.
        if !drop_pending(view, topics, partition, &mut stores)? || stores.is_empty() {
            continue;
        }
        let published = published(view, topics, partition, &stores)?;
        let all =
            stores.iter().flat_map(|(key, named)| named.iter().map(move |named| (key, named)));
        for (key, (store, register)) in all {
            let wanted = register.revision();
            let parts = RegisterPart::of(register, "").len();
            let known = published.get(&format!("{key}/{}", register.valid_from));
            if known.is_some_and(|(revision, known)| *revision == wanted && known.len() == parts) {
                in_force.insert((store.clone(), register.valid_from));
            }
        }
    }
    Ok(in_force)
}

/// Takes out the stores of which a register is on the journal that the aggregator has not come to; false if there is too much to
/// look through, or nobody has ever aggregated.
fn drop_pending<T>(
    view: &dyn LogView,
    topics: &Topics,
    partition: Partition,
    stores: &mut HashMap<String, T>,
) -> anyhow::Result<bool> {
    let bounds = view.bounds(&topics.events, partition).context("read the bounds of pos.events")?;
    let group = topics.group("aggregate");
    let committed = view.committed(&group, &topics.events, partition)?;
    let Some(from) = committed.map(|place| place.offset) else { return Ok(false) };
    if from < bounds.start || bounds.stable_end.saturating_sub(from) > MOST_BEHIND {
        return Ok(false);
    }
    scan(view, &topics.events, partition, (from, bounds.stable_end), |entry| {
        let envelope = entry.value.as_deref().and_then(|value| Envelope::parse(value).ok());
        if envelope.is_some_and(|envelope| envelope.event_type == TYPE_REGISTER) {
            stores.remove(&*String::from_utf8_lossy(&entry.key));
        }
        Ok(())
    })?;
    Ok(true)
}

/// Reads the published registers of some stores, by the store's key and the date from which they hold.
fn published<T>(
    view: &dyn LogView,
    topics: &Topics,
    partition: Partition,
    stores: &HashMap<String, T>,
) -> anyhow::Result<HashMap<String, Published>> {
    let topic = &topics.registers;
    let bounds = view.bounds(topic, partition).context("read the bounds of store.registers")?;
    let mut parts: HashMap<String, (String, String, u32)> = HashMap::new();
    scan(view, topic, partition, (bounds.start, bounds.stable_end), |entry| {
        let key = String::from_utf8_lossy(&entry.key).into_owned();
        // The key is tenant/store/valid_from/part.
        let Some(from) = key.rsplit_once('/').map(|(from, _)| from.to_owned()) else {
            return Ok(());
        };
        if !from.rsplit_once('/').is_some_and(|(store, _)| stores.contains_key(store)) {
            return Ok(());
        }
        match entry.value.as_deref() {
            Some(value) => {
                let part = part(value)?;
                parts.insert(key, (from, part.revision, part.part));
            }
            None => drop(parts.remove(&key)),
        }
        Ok(())
    })?;
    let mut whole: HashMap<String, Published> = HashMap::new();
    for (from, revision, part) in parts.into_values() {
        let known = whole.entry(from).or_insert_with(|| (revision.clone(), BTreeSet::new()));
        if known.0 == revision {
            known.1.insert(part);
        }
    }
    Ok(whole)
}

fn scan(
    view: &dyn LogView,
    topic: &Topic,
    partition: Partition,
    (from, to): (Offset, Offset),
    mut each: impl FnMut(ConsumerRecord) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if from >= to {
        return Ok(());
    }
    let mut reader = view.reader(topic, partition, from).context("open a topic")?;
    while reader.position() < to {
        let entries = reader.read(RECORDS_AT_ONCE, READ_WAIT).context("read a topic")?;
        for entry in entries.into_iter().filter(|entry| entry.offset < to) {
            each(entry)?;
        }
    }
    Ok(())
}
