//! Writing files, one after the other.

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
use tillrace_log::{Log, LogError, Offset, Partition, Topic};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::body::{self, BodyError, LeftOut, Origin, Written};
use super::chain::{Chain, ChainError};
use super::generation;
use super::owner::{self, Owner, OwnerError};
use super::place::{Place, PlaceError};
use super::settings::ParquetSettings;
use crate::blocking;
use crate::connector::{Answer, Answering, Batch, CallError, Connector, Ordering, Verdict};
use crate::engine::group;
use crate::failure::{ErrorChain, FailureCode};
use crate::record::{Record, Source, Unreadable};
use crate::settings;

/// How long a start waits to hear whose the place is.
const CLAIM_WITHIN: Duration = Duration::from_secs(5);
/// How often the name of a file may be lost to another writer within one call.
const MOST_LOSSES: u32 = 16;

/// Files of this process that may be encoded at once: each keeps a processor busy and takes some tens of MiB.
static ENCODERS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, NonZero::get)));

/// Writes records into Parquet files.
#[derive(Debug)]
pub struct ParquetFiles {
    files: Arc<Files>,
}

struct Files {
    source: Source,
    place: Place,
    log: Arc<dyn Log>,
    sink: String,
    group: String,
    /// Whether the place is known to be this sink's.
    is_owner: AtomicBool,
    topic: Topic,
    state: Topic,
    /// What is known of each partition's chain; only ever a hint, the names decide.
    known: Mutex<HashMap<Partition, Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    chain: Chain,
    end: Offset,
}

/// Why a partition must not be written any further.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(
        "files are missing: the chain of partition {partition} ends at {end}, but offsets up to \
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
    /// Opens the place for the files of a sink.
    ///
    /// # Errors
    /// When the folder cannot be made or the bucket's settings are wrong.
    pub fn open(
        settings: &ParquetSettings,
        log: Arc<dyn Log>,
        topics: &Topics,
        sink: &str,
    ) -> Result<Self, PlaceError> {
        let topic = settings.source.topic(topics).clone();
        let files = Files {
            source: settings.source,
            place: Place::open(settings, topic.as_str())?,
            log,
            sink: sink.to_owned(),
            group: group(topics, sink),
            is_owner: AtomicBool::new(false),
            topic,
            state: topics.state.clone(),
            known: Mutex::default(),
        };
        Ok(Self { files: Arc::new(files) })
    }

    /// Makes sure that the place is this sink's and this log's, and takes it if it has no owner. What cannot be told
    /// yet, because place or log do not answer, is asked again before the first file.
    ///
    /// # Errors
    /// When the place belongs to another.
    pub async fn claim(&self) -> Result<(), OwnerError> {
        match timeout(CLAIM_WITHIN, self.files.claim()).await {
            Ok(Err(error)) if !error.is_passing() => Err(error),
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let (code, sink, error) = (code_of(&error), &self.files.sink, ErrorChain(&error));
                tracing::warn!(code, sink, %error, "whose the place is cannot be told yet");
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

    fn batch(&self) -> settings::Batch {
        settings::Batch {
            max_records: 50_000,
            max_bytes: ByteSize::mib(64),
            linger: Duration::from_mins(1),
        }
    }

    fn concerns(&self, _: &Record) -> Result<bool, Unreadable> {
        Ok(true)
    }

    fn deliver<'a>(&'a self, batch: &'a Batch) -> Answering<'a> {
        Box::pin(async move {
            let verdicts = self.files.write(batch).await?;
            Ok(Answer { status: None, verdicts })
        })
    }
}

impl Files {
    /// Brings a batch into the chain: one file, or none if all of it is there already. What has no
    /// row is left out, whether it comes for the first time or again.
    async fn write(self: &Arc<Self>, batch: &Batch) -> Result<Vec<Verdict>, CallError> {
        let partition = batch.partition;
        let mut known = self.known(partition).await?;
        let delivered_to = batch.delivered_to;
        if known.end < delivered_to {
            // Another member may have had the partition since this one last wrote.
            known.end = known.chain.end(&self.place).await.map_err(chain)?;
        }
        if known.end < delivered_to {
            self.known.lock().remove(&partition);
            return Err(stop(Stopped::Missing { partition, end: known.end, delivered_to }));
        }
        for _ in 0..MOST_LOSSES {
            let fresh = batch.records.partition_point(|record| record.offset < known.end);
            let (again, records) = batch.records.split_at(fresh);
            let mut verdicts = self.judge_again(partition, again).await?;
            let (Some(first), Some(last)) = (records.first(), records.last()) else {
                self.known.lock().insert(partition, known);
                return Ok(verdicts);
            };
            self.check_committed(partition, first.offset).await?;
            let next = last.offset + 1;
            let Written { content, left_out } = self.encode(&known, records, next).await?;
            verdicts.extend(verdicts_of(records, left_out));
            let Some(content) = content else { return Ok(verdicts) };
            let name = known.chain.name(known.end);
            if self.place.put_new(&name, content.into()).await.map_err(place)? {
                tracing::info!(topic = %self.topic, partition, file = name, records = records.len(), "published");
                known.end = next;
                self.known.lock().insert(partition, known);
                return Ok(verdicts);
            }
            // Somebody else went on from here, or our own put did whose answer was lost.
            let end = known.chain.end(&self.place).await.map_err(chain)?;
            if end <= known.end {
                return Err(unavailable(FailureCode::ChainUnseen, None));
            }
            known.end = end;
        }
        Err(unavailable(FailureCode::ChainContended, None))
    }

    async fn claim(self: &Arc<Self>) -> Result<(), OwnerError> {
        if self.is_owner.load(atomic::Ordering::Relaxed) {
            return Ok(());
        }
        let owner =
            Owner { sink: self.sink.clone(), log: self.ask(|files| files.log.identity()).await? };
        loop {
            if let Some(content) = owner::read(&self.place).await? {
                owner.compare(&self.place, &content)?;
                break;
            }
            let generations = self.ask(Self::generations).await?;
            if owner.take(&self.place, &generations).await? {
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
        let cancelled = |_cancelled| OwnerError::Place(PlaceError::Thread);
        Ok(blocking::run(move || question(&files)).await.map_err(cancelled)??)
    }

    async fn known(self: &Arc<Self>, partition: Partition) -> Result<Known, CallError> {
        self.claim().await.map_err(owner)?;
        if let Some(known) = self.known.lock().get(&partition) {
            return Ok(known.clone());
        }
        let files = Arc::clone(self);
        let found =
            self.ask_log(move || generation::find(&*files.log, &files.state, partition)).await?;
        // Transactions and deltas are written together with a checkpoint, so there is one.
        let generation = found.ok_or_else(|| unavailable(FailureCode::NoCheckpoint, None))?;
        let chain = Chain { generation, topic: self.topic.to_string(), partition };
        let end = chain.end(&self.place).await.map_err(self::chain)?;
        Ok(Known { chain, end })
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
                Err(stop(Stopped::BelowCommitted { partition, first, committed }))
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
        known: &Known,
        records: &[Record],
        next: Offset,
    ) -> Result<Written, CallError> {
        let footer = known.chain.footer(known.end, next);
        self.arrange(known.chain.partition, records, |origin, records| {
            body::write(origin, records, footer)
        })
        .await
    }

    /// Says of records that are below the chain's end what was said of them when they were written.
    async fn judge_again(
        &self,
        partition: Partition,
        records: &[Record],
    ) -> Result<Vec<Verdict>, CallError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let left_out = self.arrange(partition, records, body::left_out).await?;
        Ok(verdicts_of(records, left_out))
    }

    /// Runs what arranges records in columns on a thread for such work, when it is its turn.
    async fn arrange<T: Send + 'static>(
        &self,
        partition: Partition,
        records: &[Record],
        work: impl FnOnce(Origin<'_>, &[Record]) -> Result<T, BodyError> + Send + 'static,
    ) -> Result<T, CallError> {
        let (source, topic) = (self.source, self.topic.as_str());
        // Cheap: keys and values are counted references.
        let records = records.to_vec();
        // Fails only once it is closed, which it never is.
        let turn = ENCODERS.acquire().await;
        let arranged =
            blocking::run(move || work(Origin { source, topic, partition }, &records)).await;
        drop(turn);
        match arranged {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                let (code, source) = (FailureCode::EncodeFailed, Arc::new(error));
                Err(CallError::Stop { code, source })
            }
            Err(cancelled) => Err(unavailable(FailureCode::Cancelled, Some(Arc::new(cancelled)))),
        }
    }
}

impl Stopped {
    const fn code(&self) -> FailureCode {
        match self {
            Self::Missing { .. } => FailureCode::FilesMissing,
            Self::BelowCommitted { .. } => FailureCode::BelowCommitted,
        }
    }
}

/// Says of every record that a file holds it, but for those that it leaves out.
fn verdicts_of(records: &[Record], left_out: Vec<LeftOut>) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::Delivered; records.len()];
    for (place, error) in left_out {
        if let Some(verdict) = verdicts.get_mut(place) {
            *verdict = Verdict::unreadable(&error);
        }
    }
    verdicts
}

fn stop(reason: Stopped) -> CallError {
    CallError::Stop { code: reason.code(), source: Arc::new(reason) }
}

fn place(error: PlaceError) -> CallError {
    unavailable(error.code(), Some(Arc::new(error)))
}

fn owner(error: OwnerError) -> CallError {
    match error {
        OwnerError::Place(error) => place(error),
        OwnerError::Log(error) => unavailable(FailureCode::LogUnavailable, Some(Arc::new(error))),
        taken => CallError::Stop { code: FailureCode::PlaceTaken, source: Arc::new(taken) },
    }
}

fn chain(error: ChainError) -> CallError {
    match error {
        ChainError::Place(error) => place(error),
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
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
