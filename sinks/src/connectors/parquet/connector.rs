//! Publishes the files of a sink, one after the other.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{self, AtomicBool};
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;
use std::time::Duration;

use bytesize::ByteSize;
use parking_lot::Mutex;
use tillrace_core::topics::Topics;
use tillrace_log::explain::code_of;
use tillrace_log::{LogError, LogView, Offset, Partition, Topic};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::body::{self, BodyError, EncodedFile, Origin};
use super::columns::SkippedRecord;
use super::file_sequence::{FileSequence, FileSequenceError};
use super::file_store::{FileStore, FileStoreError};
use super::generation;
use super::owner::{self, Owner, OwnerError};
use super::settings::ParquetSettings;
use crate::blocking;
use crate::connector::{
    CallError, Connector, DeliveryBatch, DeliveryFuture, DeliveryReply, Ordering, RecordOutcome,
};
use crate::failure::{ErrorChain, FailureCode};
use crate::flow::BatchSettings;
use crate::record::{Record, RecordError, SourceTopic};

/// How long a start waits for the owner of the location.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(5);
/// Most names of files that one call may lose to other writers.
const MAX_NAME_CONFLICTS: u32 = 16;

/// Files of this process that may be encoded at once: each keeps a processor busy and takes some tens of MiB.
static ENCODERS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, NonZero::get)));

/// Writes records into Parquet files.
#[derive(Debug)]
pub struct ParquetFiles {
    files: Arc<Files>,
}

struct Files {
    source: SourceTopic,
    store: FileStore,
    log: Arc<dyn LogView>,
    sink: String,
    group: String,
    /// Whether this sink is known to own the location.
    is_owner: AtomicBool,
    topic: Topic,
    state: Topic,
    /// Last known end of each partition's sequence. Only a hint: the names of files decide.
    tails: Mutex<HashMap<Partition, SequenceTail>>,
}

#[derive(Debug, Clone)]
struct SequenceTail {
    sequence: FileSequence,
    end: Offset,
}

/// Why a sink must publish nothing more of a partition.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(
        "files are missing: the sequence of partition {partition} ends at {end}, but offsets up to \
         {delivered_to} were delivered; restore the files of {end}..{delivered_to}"
    )]
    Missing { partition: Partition, end: Offset, delivered_to: Offset },
    #[error(
        "partition {partition}: refusing to publish from offset {first} on, the group has \
         committed {committed}"
    )]
    BelowCommitted { partition: Partition, first: Offset, committed: Offset },
}

impl ParquetFiles {
    /// Opens the file store of a sink.
    ///
    /// # Errors
    /// When the folder cannot be made or the bucket's settings are wrong.
    pub fn open(
        settings: &ParquetSettings,
        log: Arc<dyn LogView>,
        topics: &Topics,
        sink: &str,
    ) -> Result<Self, FileStoreError> {
        let topic = settings.source.topic(topics).clone();
        let files = Files {
            source: settings.source,
            store: FileStore::open(settings, topic.as_str())?,
            log,
            sink: sink.to_owned(),
            group: topics.sink_group(sink),
            is_owner: AtomicBool::new(false),
            topic,
            state: topics.state.clone(),
            tails: Mutex::default(),
        };
        Ok(Self { files: Arc::new(files) })
    }

    /// Claims the location for this sink and its log, unless it has an owner. A check that fails because store or
    /// log do not answer is repeated before the first file.
    ///
    /// # Errors
    /// When the location belongs to another sink or log.
    pub async fn claim(&self) -> Result<(), OwnerError> {
        match timeout(CLAIM_TIMEOUT, self.files.claim()).await {
            Ok(Err(error)) if !error.is_retryable() => Err(error),
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let (code, sink, error) = (code_of(&error), &self.files.sink, ErrorChain(&error));
                tracing::warn!(code, sink, %error, "owner of the location is not known yet");
                Ok(())
            }
            Err(_elapsed) => Ok(()),
        }
    }
}

impl Connector for ParquetFiles {
    fn ordering(&self) -> Ordering {
        Ordering::Partition
    }

    fn default_batch(&self) -> BatchSettings {
        BatchSettings {
            max_records: 50_000,
            max_bytes: ByteSize::mib(64),
            linger: Duration::from_mins(1),
        }
    }

    fn accepts(&self, _: &Record) -> Result<bool, RecordError> {
        Ok(true)
    }

    fn deliver<'a>(&'a self, batch: &'a DeliveryBatch) -> DeliveryFuture<'a> {
        Box::pin(async move {
            let outcomes = self.files.write(batch).await?;
            Ok(DeliveryReply { status: None, outcomes })
        })
    }
}

impl Files {
    /// Appends a batch to the sequence: one file, or none if the sequence has all of it. Records without rows
    /// are skipped, whether they come for the first time or again.
    async fn write(
        self: &Arc<Self>,
        batch: &DeliveryBatch,
    ) -> Result<Vec<RecordOutcome>, CallError> {
        let partition = batch.partition;
        let mut tail = self.tail(partition).await?;
        let delivered_to = batch.delivered_to;
        if tail.end < delivered_to {
            // Another member may have had the partition since this one last wrote.
            tail.end = tail.sequence.end(&self.store).await.map_err(sequence_failed)?;
        }
        if tail.end < delivered_to {
            self.tails.lock().remove(&partition);
            return Err(stop(PublishError::Missing { partition, end: tail.end, delivered_to }));
        }
        for _ in 0..MAX_NAME_CONFLICTS {
            let fresh = batch.records.partition_point(|record| record.offset < tail.end);
            let (again, records) = batch.records.split_at(fresh);
            let mut outcomes = self.outcomes_of_published(partition, again).await?;
            let (Some(first), Some(last)) = (records.first(), records.last()) else {
                self.tails.lock().insert(partition, tail);
                return Ok(outcomes);
            };
            self.check_committed(partition, first.offset).await?;
            let next = last.offset + 1;
            let EncodedFile { content, skipped } = self.encode(&tail, records, next).await?;
            outcomes.extend(outcomes_of(records, skipped));
            let Some(content) = content else { return Ok(outcomes) };
            let name = tail.sequence.name(tail.end);
            if self.store.put_if_absent(&name, content.into()).await.map_err(store_failed)? {
                tracing::info!(topic = %self.topic, partition, file = name, records = records.len(), "published");
                tail.end = next;
                self.tails.lock().insert(partition, tail);
                return Ok(outcomes);
            }
            // Another writer published this name, or our own put succeeded and its answer was lost.
            let end = tail.sequence.end(&self.store).await.map_err(sequence_failed)?;
            if end <= tail.end {
                return Err(unavailable(FailureCode::FileUnlisted, None));
            }
            tail.end = end;
        }
        Err(unavailable(FailureCode::FileNameContended, None))
    }

    async fn claim(self: &Arc<Self>) -> Result<(), OwnerError> {
        if self.is_owner.load(atomic::Ordering::Relaxed) {
            return Ok(());
        }
        let owner =
            Owner { sink: self.sink.clone(), log: self.ask(|files| files.log.identity()).await? };
        loop {
            if let Some(content) = owner::read(&self.store).await? {
                owner.compare(&self.store, &content)?;
                break;
            }
            let generations = self.ask(Self::generations).await?;
            if owner.claim(&self.store, &generations).await? {
                break;
            }
        }
        self.is_owner.store(true, atomic::Ordering::Relaxed);
        Ok(())
    }

    /// Finds the generations of all partitions that have one.
    fn generations(&self) -> Result<Vec<String>, LogError> {
        let mut generations = Vec::new();
        for partition in 0..self.log.partitions() {
            generations.extend(generation::find(&*self.log, &self.state, partition)?);
        }
        Ok(generations)
    }

    /// Asks the log on a thread for work that blocks.
    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Self) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, OwnerError> {
        let files = Arc::clone(self);
        let cancelled = |_cancelled| OwnerError::Store(FileStoreError::Thread);
        Ok(blocking::run(move || question(&files)).await.map_err(cancelled)??)
    }

    async fn tail(self: &Arc<Self>, partition: Partition) -> Result<SequenceTail, CallError> {
        self.claim().await.map_err(owner_failed)?;
        if let Some(tail) = self.tails.lock().get(&partition) {
            return Ok(tail.clone());
        }
        let files = Arc::clone(self);
        let found =
            self.ask_log(move || generation::find(&*files.log, &files.state, partition)).await?;
        // Transactions and deltas are written together with a checkpoint, so there is one.
        let generation = found.ok_or_else(|| unavailable(FailureCode::NoCheckpoint, None))?;
        let sequence = FileSequence { generation, topic: self.topic.to_string(), partition };
        let end = sequence.end(&self.store).await.map_err(sequence_failed)?;
        Ok(SequenceTail { sequence, end })
    }

    async fn check_committed(
        self: &Arc<Self>,
        partition: Partition,
        first: Offset,
    ) -> Result<(), CallError> {
        let files = Arc::clone(self);
        let committed = self
            .ask_log(move || files.log.committed(&files.group, &files.topic, partition))
            .await?;
        match committed.map(|committed| committed.offset) {
            Some(committed) if first < committed => {
                Err(stop(PublishError::BelowCommitted { partition, first, committed }))
            }
            _ => Ok(()),
        }
    }

    async fn ask_log<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, CallError> {
        match blocking::run(question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(unavailable(FailureCode::LogUnavailable, Some(Arc::new(error)))),
            Err(cancelled) => Err(unavailable(FailureCode::Cancelled, Some(Arc::new(cancelled)))),
        }
    }

    async fn encode(
        &self,
        tail: &SequenceTail,
        records: &[Record],
        next: Offset,
    ) -> Result<EncodedFile, CallError> {
        let footer = tail.sequence.footer(tail.end, next);
        self.run_encoder(tail.sequence.partition, records, |origin, records| {
            body::write(origin, records, footer)
        })
        .await
    }

    /// Repeats the outcomes of records below the end of the sequence, as they were when these were written.
    async fn outcomes_of_published(
        &self,
        partition: Partition,
        records: &[Record],
    ) -> Result<Vec<RecordOutcome>, CallError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let skipped = self.run_encoder(partition, records, body::skipped).await?;
        Ok(outcomes_of(records, skipped))
    }

    /// Encodes records on a blocking thread, once one of the encoders is free.
    async fn run_encoder<T: Send + 'static>(
        &self,
        partition: Partition,
        records: &[Record],
        work: impl FnOnce(Origin<'_>, &[Record]) -> Result<T, BodyError> + Send + 'static,
    ) -> Result<T, CallError> {
        let (source, topic) = (self.source, self.topic.as_str());
        // Cheap: keys and values are counted references.
        let records = records.to_vec();
        // Fails only when the semaphore is closed, which never happens.
        let permit = ENCODERS.acquire().await;
        let encoded =
            blocking::run(move || work(Origin { source, topic, partition }, &records)).await;
        drop(permit);
        match encoded {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                let (code, source) = (FailureCode::EncodeFailed, Arc::new(error));
                Err(CallError::Stop { code, source })
            }
            Err(cancelled) => Err(unavailable(FailureCode::Cancelled, Some(Arc::new(cancelled)))),
        }
    }
}

impl PublishError {
    const fn code(&self) -> FailureCode {
        match self {
            Self::Missing { .. } => FailureCode::FilesMissing,
            Self::BelowCommitted { .. } => FailureCode::BelowCommitted,
        }
    }
}

/// Returns delivered for every record that a file holds, and unreadable for those that it skips.
fn outcomes_of(records: &[Record], skipped: Vec<SkippedRecord>) -> Vec<RecordOutcome> {
    let mut outcomes = vec![RecordOutcome::Delivered; records.len()];
    for (index, error) in skipped {
        if let Some(outcome) = outcomes.get_mut(index) {
            *outcome = RecordOutcome::unreadable(&error);
        }
    }
    outcomes
}

fn stop(reason: PublishError) -> CallError {
    CallError::Stop { code: reason.code(), source: Arc::new(reason) }
}

fn store_failed(error: FileStoreError) -> CallError {
    unavailable(error.code(), Some(Arc::new(error)))
}

fn owner_failed(error: OwnerError) -> CallError {
    match error {
        OwnerError::Store(error) => store_failed(error),
        OwnerError::Log(error) => unavailable(FailureCode::LogUnavailable, Some(Arc::new(error))),
        other => CallError::Stop { code: FailureCode::LocationTaken, source: Arc::new(other) },
    }
}

fn sequence_failed(error: FileSequenceError) -> CallError {
    match error {
        FileSequenceError::Store(error) => store_failed(error),
        broken => CallError::Stop { code: FailureCode::ForeignFile, source: Arc::new(broken) },
    }
}

fn unavailable(
    code: FailureCode,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
) -> CallError {
    CallError::Unavailable { code, status: None, after: None, source }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Files")
            .field("topic", &self.topic)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
