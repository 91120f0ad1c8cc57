//! What the log knows besides records: topics, ends of partitions, groups and their places.
//!
//! It changes only by [`Control`]s, which travel in frames like records do, and each segment
//! begins with all of it as a snapshot. So the newest segment alone tells everything, and no older
//! one needs to be kept for its controls. Of two commits of one place the one with the higher log
//! sequence number stands.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::frame::Lane;
use super::signal::Signal;
use super::wire::{Fields, put_bytes, put_varint};
use crate::{Cleanup, Committed, Offset, Partition, Topic};

/// A change of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Control {
    /// Makes a topic, or gives it another cleanup.
    Topic { id: u32, partitions: Partition, cleanup: Cleanup, name: Topic },
    /// Registers a group on a topic: what it has not committed stays.
    Join { group: String, topic: u32 },
    /// Forgets a group.
    Remove { group: String },
    /// A group's place.
    Commit { group: String, lane: Lane, lsn: u64, committed: Committed },
    /// Next offset of a partition; stands in snapshots.
    End { lane: Lane, next: Offset },
    /// Number of the oldest segment: those below are gone, or on their way.
    Beginning { segment: u64 },
}

impl Control {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Topic { id, partitions, cleanup, name } => {
                out.push(1);
                put_varint(out, u64::from(*id));
                put_varint(out, u64::from(*partitions));
                match cleanup {
                    Cleanup::Compact => out.push(0),
                    Cleanup::Delete { retention_ms } => {
                        out.push(1);
                        put_varint(out, *retention_ms);
                    }
                }
                put_bytes(out, name.as_str().as_bytes());
            }
            Self::Join { group, topic } => {
                out.push(2);
                put_varint(out, u64::from(*topic));
                put_bytes(out, group.as_bytes());
            }
            Self::Remove { group } => {
                out.push(3);
                put_bytes(out, group.as_bytes());
            }
            Self::Commit { group, lane, lsn, committed } => {
                out.push(4);
                put_lane(out, *lane);
                put_varint(out, *lsn);
                put_varint(out, committed.offset);
                put_bytes(out, group.as_bytes());
                put_bytes(out, committed.metadata.as_bytes());
            }
            Self::End { lane, next } => {
                out.push(5);
                put_lane(out, *lane);
                put_varint(out, *next);
            }
            Self::Beginning { segment } => {
                out.push(6);
                put_varint(out, *segment);
            }
        }
    }

    pub(super) fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        Some(match fields.u8()? {
            1 => Self::Topic {
                id: fields.varint_u32()?,
                partitions: fields.varint_u32()?,
                cleanup: match fields.u8()? {
                    0 => Cleanup::Compact,
                    1 => Cleanup::Delete { retention_ms: fields.varint()? },
                    _ => return None,
                },
                name: Topic::new(fields.text()?),
            },
            2 => {
                let topic = fields.varint_u32()?;
                Self::Join { group: fields.text()?.to_owned(), topic }
            }
            3 => Self::Remove { group: fields.text()?.to_owned() },
            4 => {
                let lane = lane(fields)?;
                let lsn = fields.varint()?;
                let offset = fields.varint()?;
                let group = fields.text()?.to_owned();
                let metadata = fields.text()?.to_owned();
                Self::Commit { group, lane, lsn, committed: Committed { offset, metadata } }
            }
            5 => Self::End { lane: lane(fields)?, next: fields.varint()? },
            6 => Self::Beginning { segment: fields.varint()? },
            _ => return None,
        })
    }

    /// Bytes it takes at most.
    pub(super) fn cost(&self) -> usize {
        const NUMBERS: usize = 40;
        NUMBERS
            + match self {
                Self::Topic { name, .. } => name.as_str().len(),
                Self::Join { group, .. } | Self::Remove { group } => group.len(),
                Self::Commit { group, committed, .. } => group.len() + committed.metadata.len(),
                Self::End { .. } | Self::Beginning { .. } => 0,
            }
    }
}

fn put_lane(out: &mut Vec<u8>, lane: Lane) {
    put_varint(out, u64::from(lane.topic));
    put_varint(out, u64::from(lane.partition));
}

fn lane(fields: &mut Fields<'_>) -> Option<Lane> {
    Some(Lane { topic: fields.varint_u32()?, partition: fields.varint_u32()? })
}

/// A topic, with the ends of its partitions.
#[derive(Debug)]
pub(super) struct TopicState {
    pub(super) name: Topic,
    pub(super) cleanup: Cleanup,
    /// Next offset of each partition, durable.
    pub(super) ends: Vec<Offset>,
    /// Rung when records become readable.
    pub(super) signal: Arc<Signal>,
}

/// A registered group on one topic: its places by partition.
pub(super) type GroupPlaces = BTreeMap<Partition, Place>;

/// A committed place and the number of its commit.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) lsn: u64,
    pub(super) committed: Committed,
}

/// Everything but the records.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub(super) topics: Vec<TopicState>,
    pub(super) by_name: HashMap<Topic, u32>,
    /// Groups by name and topic.
    pub(super) groups: BTreeMap<String, BTreeMap<u32, GroupPlaces>>,
    /// Number of the oldest segment.
    pub(super) beginning: u64,
}

impl Catalog {
    pub(super) fn topic_id(&self, topic: &Topic) -> Option<u32> {
        self.by_name.get(topic).copied()
    }

    pub(super) fn topic(&self, id: u32) -> Option<&TopicState> {
        self.topics.get(id as usize)
    }

    /// Next offset of a partition.
    pub(super) fn end(&self, lane: Lane) -> Option<Offset> {
        self.topic(lane.topic)?.ends.get(lane.partition as usize).copied()
    }

    pub(super) fn set_end(&mut self, lane: Lane, next: Offset) -> Option<()> {
        let topic = self.topics.get_mut(lane.topic as usize)?;
        *topic.ends.get_mut(lane.partition as usize)? = next;
        Some(())
    }

    pub(super) fn committed(&self, group: &str, lane: Lane) -> Option<&Place> {
        self.groups.get(group)?.get(&lane.topic)?.get(&lane.partition)
    }

    /// Takes a change; `None` when it names what does not exist.
    pub(super) fn apply(&mut self, control: &Control) -> Option<()> {
        match control {
            Control::Topic { id, partitions, cleanup, name } => {
                if let Some(topic) = self.topics.get_mut(*id as usize) {
                    topic.cleanup = *cleanup;
                    return (topic.name == *name).then_some(());
                }
                if *id as usize != self.topics.len() {
                    return None;
                }
                let ends = vec![0; *partitions as usize];
                let signal = Arc::new(Signal::default());
                self.topics.push(TopicState {
                    name: name.clone(),
                    cleanup: *cleanup,
                    ends,
                    signal,
                });
                self.by_name.insert(name.clone(), *id);
            }
            Control::Join { group, topic } => {
                self.topic(*topic)?;
                self.groups.entry(group.clone()).or_default().entry(*topic).or_default();
            }
            Control::Remove { group } => {
                self.groups.remove(group);
            }
            Control::Commit { group, lane, lsn, committed } => {
                self.end(*lane)?;
                let places = self.groups.entry(group.clone()).or_default();
                let places = places.entry(lane.topic).or_default();
                let known = places.get(&lane.partition).map_or(0, |place| place.lsn);
                if *lsn >= known {
                    let place = Place { lsn: *lsn, committed: committed.clone() };
                    places.insert(lane.partition, place);
                }
            }
            Control::End { lane, next } => self.set_end(*lane, *next)?,
            Control::Beginning { segment } => self.beginning = *segment,
        }
        Some(())
    }

    /// All of it as changes to an empty catalog.
    pub(super) fn snapshot(&self) -> Vec<Control> {
        let mut controls = vec![Control::Beginning { segment: self.beginning }];
        for (id, topic) in (0..).zip(&self.topics) {
            controls.push(Control::Topic {
                id,
                partitions: u32::try_from(topic.ends.len()).unwrap_or(u32::MAX),
                cleanup: topic.cleanup,
                name: topic.name.clone(),
            });
            for (partition, next) in (0..).zip(&topic.ends) {
                let lane = Lane { topic: id, partition };
                controls.push(Control::End { lane, next: *next });
            }
        }
        for (group, topics) in &self.groups {
            for (topic, places) in topics {
                controls.push(Control::Join { group: group.clone(), topic: *topic });
                controls.extend(places.iter().map(|(partition, place)| Control::Commit {
                    group: group.clone(),
                    lane: Lane { topic: *topic, partition: *partition },
                    lsn: place.lsn,
                    committed: place.committed.clone(),
                }));
            }
        }
        controls
    }
}
