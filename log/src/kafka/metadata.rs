//! Metadata of the cluster: topics, bounds, offsets of groups.
//!
//! Two clients ask, because librdkafka's watermarks stop at the last stable offset on a
//! `read_committed` client: one knows what is committed, the other what is written.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataPartition;
use rdkafka::{Offset as NativeOffset, TopicPartitionList};

use super::client::{Isolation, Shared, asking, asking_for, create, native_partition};
use super::diagnostics::Diagnostics;
use super::error::{KafkaFault, failure, failure_on, is_unknown_topic, passes};
use crate::{Bounds, Committed, LogError, Offset, Partition, Topic};

/// Groups whose clients are kept; their names come from the configuration, so there are few.
const GROUPS_KEPT: usize = 32;
/// Events of an asking client served after each question, so that its log lines do not pile up.
const EVENTS_SERVED: usize = 64;

/// Pause before a question is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for an answer on which a gateway's readiness hangs.
const READINESS_WAIT: Duration = Duration::from_secs(3);

/// The clients that ask the cluster.
pub(super) struct ClusterMetadata {
    pub(super) settings: Shared,
    committed: BaseConsumer<Diagnostics>,
    written: BaseConsumer<Diagnostics>,
    /// Topics seen to have the right number of partitions.
    known: Mutex<HashSet<Topic>>,
    groups: Mutex<HashMap<String, Arc<BaseConsumer<Diagnostics>>>>,
    /// `min.insync.replicas` of the topics whose settings were read.
    least_in_sync: Mutex<HashMap<Topic, usize>>,
}

impl ClusterMetadata {
    /// Makes the clients and waits for a first answer.
    pub(super) fn connect(settings: Shared) -> Result<Self, LogError> {
        let committed = create(&asking(&settings, Isolation::Committed), Diagnostics::default())?;
        let written = create(&asking(&settings, Isolation::Uncommitted), Diagnostics::default())?;
        let (known, groups, least_in_sync) = Default::default();
        let cluster = Self { settings, committed, written, known, groups, least_in_sync };
        let reached = cluster.brokers();
        serve(&cluster.committed);
        match (reached, cluster.committed.context().login_refusal()) {
            (Ok(_), _) => Ok(cluster),
            // The question only timed out; the answer would be no other later.
            (Err(_timed_out), Some(reason)) => {
                let reason = reason.to_owned();
                Err(KafkaFault::Login { reason }.refusing("reach the Kafka cluster"))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Ids of the brokers.
    pub(super) fn brokers(&self) -> Result<Vec<i32>, LogError> {
        let wait = self.settings.request_timeout;
        // Asked about one topic, the answer lists the brokers without every other topic.
        let metadata = self
            .committed
            .fetch_metadata(Some("__consumer_offsets"), wait)
            .map_err(|error| failure("reach the Kafka cluster", error))?;
        Ok(metadata.brokers().iter().map(rdkafka::metadata::MetadataBroker::id).collect())
    }

    /// Asks for the id of the cluster, which it keeps for life.
    pub(super) fn cluster_id(&self) -> Result<String, LogError> {
        let id = self.committed.client().fetch_cluster_id(self.settings.request_timeout);
        serve(&self.committed);
        id.ok_or(LogError::TimedOut { action: "ask for the cluster's id" })
    }

    /// Partitions of a topic and the least replicas any of them has, `None` if it does not exist.
    pub(super) fn layout(&self, topic: &Topic) -> Result<Option<TopicLayout>, LogError> {
        const ACTION: &str = "describe a topic";
        if !is_legal(topic) {
            return Ok(None);
        }
        let wait = self.settings.request_timeout;
        let asked = ask_on(wait, || self.committed.fetch_metadata(Some(topic.as_str()), wait));
        serve(&self.committed);
        let metadata = asked.map_err(|error| failure(ACTION, error))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic.as_str())
        else {
            return Ok(None);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                return Ok(None);
            }
            Some(code) => return Err(failure(ACTION, KafkaError::MetadataFetch(code))),
        }
        let replicas = found.partitions().iter().map(|partition| partition.replicas().len()).min();
        let partitions = Partition::try_from(found.partitions().len()).unwrap_or(Partition::MAX);
        Ok((partitions > 0).then_some(TopicLayout { partitions, replicas: replicas.unwrap_or(0) }))
    }

    /// Makes sure that a topic exists and has the configured number of partitions.
    pub(super) fn know(&self, topic: &Topic) -> Result<(), LogError> {
        if self.known.lock().contains(topic) {
            return Ok(());
        }
        let layout = self.layout(topic)?;
        let layout = layout.ok_or_else(|| LogError::UnknownTopic { topic: topic.clone() })?;
        self.accept(topic, layout)
    }

    /// Makes sure that a topic lies as configured. Asks nothing: the next broker may not know a topic yet that was just made.
    pub(super) fn accept(&self, topic: &Topic, layout: TopicLayout) -> Result<(), LogError> {
        let expected = self.settings.partitions;
        if layout.partitions != expected {
            let (topic, found) = (topic.clone(), layout.partitions);
            return Err(LogError::PartitionCount { topic, found, expected });
        }
        self.known.lock().insert(topic.clone());
        Ok(())
    }

    /// Takes note of how many replicas of a topic must be in sync for it to take rows.
    pub(super) fn note_least_in_sync(&self, topic: &Topic, replicas: usize) {
        self.least_in_sync.lock().insert(topic.clone(), replicas);
    }

    /// Says what a failure on a topic means to a role. A broker that was away may say of a topic that it does not know it;
    /// that is missing only what the whole cluster does not know.
    pub(super) fn failure_on(
        &self,
        topic: &Topic,
        action: &'static str,
        error: KafkaError,
    ) -> LogError {
        match failure_on(topic, action, error.clone()) {
            LogError::UnknownTopic { .. } if !matches!(self.layout(topic), Ok(None)) => {
                KafkaFault::from(error).passing(action)
            }
            meant => meant,
        }
    }

    /// Partitions that would take no row now: they have no leader, or too few replicas are in sync.
    pub(super) fn unwritable(&self, topic: &Topic) -> Result<Vec<Partition>, LogError> {
        const ACTION: &str = "ask which partitions take rows";
        let wait = self.settings.request_timeout.min(READINESS_WAIT);
        let asked = self.committed.fetch_metadata(Some(topic.as_str()), wait);
        serve(&self.committed);
        let metadata = asked.map_err(|error| failure(ACTION, error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic.as_str());
        let Some(found) = found.filter(|found| !found.partitions().is_empty()) else {
            return Err(LogError::UnknownTopic { topic: topic.clone() });
        };
        let least = self.least_in_sync.lock().get(topic).copied().unwrap_or(1);
        let takes = |one: &MetadataPartition| one.leader() >= 0 && one.isr().len() >= least;
        let number = |one: &MetadataPartition| Partition::try_from(one.id()).unwrap_or_default();
        Ok(found.partitions().iter().filter(|one| !takes(one)).map(number).collect())
    }

    /// What can be read of a partition.
    pub(super) fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError> {
        self.know(topic)?;
        // In this order: what is written never falls behind what was committed before.
        let (start, stable_end) = self.watermarks(&self.committed, topic, partition)?;
        let (_, end) = self.watermarks(&self.written, topic, partition)?;
        Ok(Bounds { start, stable_end, end: end.max(stable_end) })
    }

    /// What can be read of a partition, which must hold a position.
    pub(super) fn bounds_around(
        &self,
        topic: &Topic,
        partition: Partition,
        offset: Offset,
    ) -> Result<Bounds, LogError> {
        let bounds = self.bounds(topic, partition)?;
        if !(bounds.start..=bounds.end).contains(&offset) {
            let (topic, start, end) = (topic.clone(), bounds.start, bounds.stable_end);
            return Err(LogError::OutOfRange { topic, partition, offset, start, end });
        }
        Ok(bounds)
    }

    fn watermarks(
        &self,
        client: &BaseConsumer<Diagnostics>,
        topic: &Topic,
        partition: Partition,
    ) -> Result<(Offset, Offset), LogError> {
        let (wait, number) = (self.settings.request_timeout, native_partition(partition));
        // What a client that was cut off remembers of a topic may lack the partition until it asks anew.
        let asked = ask_on(wait, || match client.fetch_watermarks(topic.as_str(), number, wait) {
            Err(error) if error.rdkafka_error_code().is_some_and(is_unknown_topic) => {
                client.fetch_metadata(Some(topic.as_str()), wait)?;
                client.fetch_watermarks(topic.as_str(), number, wait)
            }
            asked => asked,
        });
        serve(client);
        let (low, high) =
            asked.map_err(|error| self.failure_on(topic, "ask for a partition's bounds", error))?;
        Ok((Offset::try_from(low).unwrap_or_default(), Offset::try_from(high).unwrap_or_default()))
    }

    /// Returns a group's committed offset, asked from outside the group.
    pub(super) fn committed(
        &self,
        group: &str,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        self.know(topic)?;
        let client = self.group_client(group)?;
        let committed_offset = stable_offset(&client, &self.settings, topic, partition);
        serve(&client);
        committed_offset
    }

    fn group_client(&self, group: &str) -> Result<Arc<BaseConsumer<Diagnostics>>, LogError> {
        let mut groups = self.groups.lock();
        if let Some(client) = groups.get(group) {
            return Ok(Arc::clone(client));
        }
        let client =
            create(&asking_for(&self.settings, group), Diagnostics::default()).map(Arc::new)?;
        if groups.len() >= GROUPS_KEPT {
            groups.clear();
        }
        groups.insert(group.to_owned(), Arc::clone(&client));
        Ok(client)
    }
}

/// The layout of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopicLayout {
    pub(super) partitions: Partition,
    pub(super) replicas: usize,
}

/// A topic's name as Kafka allows it. Others cannot exist.
fn is_legal(topic: &Topic) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let name = topic.as_str();
    (1..=249).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".."
}

/// Asks for a group's committed offset until no open transaction can change it any more.
///
/// The brokers do not tell a `read_committed` client while one is open; a dead owner's is aborted
/// after `transaction_timeout`.
pub(super) fn stable_offset<C: rdkafka::consumer::ConsumerContext>(
    client: &BaseConsumer<C>,
    settings: &super::settings::KafkaSettings,
    topic: &Topic,
    partition: Partition,
) -> Result<Option<Committed>, LogError> {
    const ACTION: &str = "ask for a group's committed offset";
    let until = Instant::now() + settings.transaction_timeout + settings.request_timeout;
    loop {
        match committed_offset(client, settings.request_timeout, topic, partition) {
            Ok(committed_offset) => return Ok(committed_offset),
            Err(error) if Instant::now() >= until => return Err(failure(ACTION, error)),
            Err(error) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::UnstableOffsetCommit) => std::thread::sleep(PAUSE),
                Some(RDKafkaErrorCode::GroupIdNotFound) => return Ok(None),
                _ if passes(&error) => std::thread::sleep(PAUSE),
                _ => return Err(failure_on(topic, ACTION, error)),
            },
        }
    }
}

fn committed_offset<C: rdkafka::consumer::ConsumerContext>(
    client: &BaseConsumer<C>,
    wait: Duration,
    topic: &Topic,
    partition: Partition,
) -> Result<Option<Committed>, KafkaError> {
    let mut asked = TopicPartitionList::with_capacity(1);
    asked.add_partition(topic.as_str(), native_partition(partition));
    let answered = client.committed_offsets(asked, wait)?;
    let Some(element) = answered.find_partition(topic.as_str(), native_partition(partition)) else {
        return Ok(None);
    };
    element.error()?;
    let NativeOffset::Offset(offset) = element.offset() else { return Ok(None) };
    let offset = Offset::try_from(offset).unwrap_or_default();
    Ok(Some(Committed { offset, metadata: element.metadata().to_owned() }))
}

/// Asks again while the cluster is busy with itself, such as electing a leader.
fn ask_on<T>(
    wait: Duration,
    mut ask: impl FnMut() -> Result<T, KafkaError>,
) -> Result<T, KafkaError> {
    let until = Instant::now() + wait;
    loop {
        match ask() {
            Err(error) if passes(&error) && Instant::now() < until => std::thread::sleep(PAUSE),
            asked => return asked,
        }
    }
}

/// Hands pending log lines and errors of a client that only asks to its context.
fn serve(client: &BaseConsumer<Diagnostics>) {
    for _ in 0..EVENTS_SERVED {
        // An error was reported by its context; the question has its own answer.
        client.poll(Duration::ZERO);
    }
}
