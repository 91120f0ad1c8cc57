//! The delivery engine: one topic, one consumer group, one backend.
//!
//! The modules, in the order a record meets them: `reader` polls it, `intake` filters it, `key_queues`
//! keep it in order, `dispatch` starts calls when `rate_limiter`, `breaker` and `concurrency` allow it, `call`
//! runs one call, `outcome` settles its records or has `retry_policy` decide, `audit_writer` writes audit records
//! and dead letters, `progress` tells what to `commit`. `stalls` detects what makes no progress, and
//! `conditions` reports it.
//!
//! One task owns all state of a sink; calls and writes run beside it and come back as messages, so
//! there is no lock. The engine guarantees order per key, an audit record for every settled record, no
//! commit above an unsettled record, and memory bounded by `in_flight`. Connectors interpret records;
//! backends make repeated deliveries harmless, by the identities that every connector sends.

mod adapt;
mod audit_writer;
mod breaker;
mod call;
mod commit;
mod concurrency;
mod conditions;
mod dispatch;
mod error;
mod health;
mod intake;
mod key_queues;
mod lag;
mod metrics;
mod outcome;
mod partition;
mod progress;
mod rate_limiter;
mod reader;
mod retry_policy;
mod stalls;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rand::rngs::SmallRng;
use tillrace_core::topics::Topics;
use tillrace_log::{Log, LogError, Offset, Partition, ProducerRecord, Topic};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

pub(crate) use self::audit_writer::AuditWriter;
pub use self::audit_writer::AuditWriterError;
use self::breaker::Breaker;
use self::call::CompletedCall;
pub(crate) use self::call::wall_clock;
use self::concurrency::ConcurrencyLimit;
pub(crate) use self::conditions::Conditions;
pub use self::conditions::SINK_CONDITIONS;
use self::conditions::{DRAIN_CUT, STALLED_AFTER};
pub use self::error::SinkError;
pub use self::health::SinkHealth;
use self::key_queues::{BatchLimits, KeyQueues};
use self::lag::LagObserver;
pub(crate) use self::metrics::DeliveryMetrics;
use self::metrics::{GaugeValues, SinkMetrics};
use self::partition::{AssignedPartition, PartitionStage, SettledRecord};
pub(crate) use self::rate_limiter::RateLimiter;
use self::reader::{Epoch, Reader, ReaderEvent};
use self::retry_policy::RetryPolicy;
use self::stalls::Stalls;
use crate::connector::{Connector, Ordering};
use crate::filter::Filter;
use crate::flow::FlowSettings;
use crate::record::SourceTopic;

/// The specification of a sink.
#[derive(Debug, Clone)]
pub struct SinkSpec {
    /// The sink's name.
    pub name: String,
    /// The topic it reads.
    pub source: SourceTopic,
    /// Which records it delivers.
    pub filter: Filter,
    /// Batches, limits, retries.
    pub flow: FlowSettings,
    /// Where it delivers.
    pub connector: Arc<dyn Connector>,
}

/// The output of a job, for the task that owns the state.
enum JobOutput {
    Call(Box<CompletedCall>),
    Write {
        settlements: Vec<PendingSettlement>,
        outcome: Result<(), AuditWriterError>,
    },
    /// The audit says where a partition begins.
    Begun {
        partition: Partition,
        epoch: Epoch,
        offset: Offset,
        outcome: Result<(), AuditWriterError>,
    },
}

/// Records that are settled once their audit is durable.
struct PendingSettlement {
    partition: Partition,
    epoch: Epoch,
    leaving: Vec<SettledRecord>,
}

/// Rows that wait for the write before them, and what they settle.
#[derive(Default)]
struct WriteBuffer {
    rows: Vec<ProducerRecord>,
    settlements: Vec<PendingSettlement>,
}

/// A sink at work.
pub(crate) struct Engine {
    spec: SinkSpec,
    topic: Topic,
    reader: Reader,
    audit_writer: AuditWriter,
    metrics: SinkMetrics,
    health: watch::Sender<SinkHealth>,
    conditions: Conditions,
    partitions: BTreeMap<Partition, AssignedPartition>,
    /// The partition that was served last, for round robin.
    turn: Partition,
    jobs: JoinSet<JobOutput>,
    write_buffer: WriteBuffer,
    /// Since when a write is under way.
    writing_since: Option<Instant>,
    calls: HashMap<Id, (Partition, AbortHandle)>,
    limits: BatchLimits,
    retry_policy: RetryPolicy,
    breaker: Breaker,
    rate_limiter: RateLimiter,
    concurrency: ConcurrencyLimit,
    lag: LagObserver,
    /// When the backend last answered a call well.
    served_at: Option<Instant>,
    stalls: Stalls,
    random: SmallRng,
    commit_due: Instant,
    commit_ordered: bool,
    /// Partitions that may begin, to be told to the reader.
    to_begin: Vec<(Partition, Epoch, Offset)>,
}

impl Engine {
    /// Joins the group and gets everything ready.
    pub(crate) fn start(
        spec: SinkSpec,
        log: &Arc<dyn Log>,
        topics: &Topics,
        metrics: SinkMetrics,
        health: watch::Sender<SinkHealth>,
        process: &tillrace_log::health::Health,
    ) -> Result<Self, LogError> {
        let topic = spec.source.topic(topics).clone();
        let producer = log.producer()?;
        let dead = topics.dead(&spec.name);
        let ordering = spec.connector.ordering();
        let conditions = Conditions::new(&spec.name, dead.clone(), ordering, process.clone());
        let audit_writer =
            AuditWriter::new(&spec.name, topic.clone(), dead, topics.audit.clone(), producer);
        let reader =
            Reader::start(log, &topics.sink_group(&spec.name), topic.clone(), spec.flow.start)?;
        let connector = &spec.connector;
        let batch = spec.flow.batch.unwrap_or_else(|| connector.default_batch());
        let limits = BatchLimits {
            records: connector.max_records().unwrap_or(usize::MAX).min(batch.max_records),
            bytes: usize::try_from(batch.max_bytes.as_u64()).unwrap_or(usize::MAX),
            linger: batch.linger,
        };
        let flow = &spec.flow;
        let per_key = ordering == Ordering::Key;
        let retry_policy =
            RetryPolicy { retry: flow.retry, park_after: per_key.then(|| flow.park_after()) };
        Ok(Self {
            breaker: Breaker::new(flow.breaker),
            rate_limiter: RateLimiter::new(flow.rate),
            // A file takes as long as its rows, whatever the others do.
            concurrency: ConcurrencyLimit::new(flow.concurrency, per_key),
            lag: LagObserver::new(log, &topic),
            commit_due: Instant::now() + flow.commit_every,
            spec,
            topic,
            reader,
            audit_writer,
            metrics,
            health,
            conditions,
            partitions: BTreeMap::new(),
            turn: 0,
            jobs: JoinSet::new(),
            write_buffer: WriteBuffer::default(),
            writing_since: None,
            calls: HashMap::new(),
            limits,
            retry_policy,
            served_at: None,
            stalls: Stalls::default(),
            random: rand::make_rng(),
            commit_ordered: false,
            to_begin: Vec::new(),
        })
    }

    /// Delivers until stopped, then finishes the records in flight and commits.
    ///
    /// # Errors
    /// When the log, the audit writer or a connector fails for good.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), SinkError> {
        let outcome = match self.deliver(&mut stop).await {
            Ok(()) => self.drain().await,
            Err(error) => Err(error),
        };
        self.jobs.abort_all();
        self.reader.stop().await;
        outcome
    }

    async fn deliver(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), SinkError> {
        loop {
            let now = Instant::now();
            self.reader.set_budget(self.room());
            self.dispatch(now, false);
            self.commit(now);
            self.send_begun();
            self.observe(now);
            let due = self.next_due(now);
            tokio::select! {
                event = self.reader.events.recv() => self.handle_event(event)?,
                Some(done) = self.jobs.join_next_with_id() => self.done(done)?,
                () = tokio::time::sleep_until(due) => {}
                stopped = stop.wait_for(|&stop| stop) => {
                    // A dropped sender means the same.
                    drop(stopped);
                    return Ok(());
                }
            }
        }
    }

    /// Sends what is ready, waits for calls under way, and commits; what waits for a retry stays.
    async fn drain(&mut self) -> Result<(), SinkError> {
        let deadline = Instant::now() + self.spec.flow.drain_within;
        self.reader.set_budget(0);
        loop {
            let now = Instant::now();
            self.dispatch(now, true);
            if self.jobs.is_empty() && (self.breaker.is_open() || !self.has_ready()) {
                break;
            }
            let due = self.next_due(now).min(deadline);
            tokio::select! {
                event = self.reader.events.recv() => self.handle_last_event(event)?,
                Some(done) = self.jobs.join_next_with_id() => self.done(done)?,
                () = tokio::time::sleep_until(due) => {}
            }
            if now >= deadline {
                let (code, sink) = (DRAIN_CUT.code, &self.spec.name);
                tracing::warn!(code, sink, "stopping before all records in flight were delivered");
                break;
            }
        }
        self.commit_all(deadline).await
    }

    /// Handles an event while draining: new records are ignored.
    fn handle_last_event(&mut self, event: Option<ReaderEvent>) -> Result<(), SinkError> {
        match event {
            Some(
                ReaderEvent::Records(_) | ReaderEvent::Assigned(..) | ReaderEvent::Beginning(..),
            ) => Ok(()),
            event => self.handle_event(event),
        }
    }

    fn handle_event(&mut self, event: Option<ReaderEvent>) -> Result<(), SinkError> {
        match event {
            Some(ReaderEvent::Assigned(partition, epoch, committed)) => {
                self.assign(partition, epoch, committed);
            }
            Some(ReaderEvent::Beginning(partition, epoch, offset)) => {
                self.begin(partition, epoch, offset)?;
            }
            Some(ReaderEvent::Revoked(partitions)) => self.revoke(&partitions),
            Some(ReaderEvent::Records(entries)) => self.receive_records(entries, Instant::now())?,
            Some(ReaderEvent::Committed(outcome)) => self.committed(outcome)?,
            Some(ReaderEvent::Failed(error)) => return Err(error.into()),
            None => return Err(SinkError::ReaderEnded),
        }
        Ok(())
    }

    fn done(&mut self, done: Result<(Id, JobOutput), JoinError>) -> Result<(), SinkError> {
        match done {
            Ok((id, JobOutput::Call(called))) => {
                self.calls.remove(&id);
                self.called(*called)
            }
            Ok((_, JobOutput::Write { settlements, outcome })) => {
                outcome?;
                for PendingSettlement { partition, epoch, leaving } in settlements {
                    if let Some(assigned) = self.partitions.get_mut(&partition)
                        && assigned.epoch == epoch
                    {
                        assigned.settle(&leaving);
                    }
                }
                self.writing_since = None;
                self.write_next();
                Ok(())
            }
            Ok((_, JobOutput::Begun { partition, epoch, offset, outcome })) => {
                outcome?;
                self.to_begin.push((partition, epoch, offset));
                Ok(())
            }
            Err(error) if error.is_cancelled() => {
                self.calls.remove(&error.id());
                self.breaker.abandoned(Instant::now());
                Ok(())
            }
            Err(error) => Err(SinkError::Panicked(Arc::new(error))),
        }
    }

    /// Halts one partition until an operator acts; the others go on.
    fn halt(&mut self, partition: Partition, stage: PartitionStage, error: SinkError) {
        self.conditions.partition_halted(partition, &error);
        if let Some(assigned) = self.partitions.get_mut(&partition) {
            assigned.stage = assigned.stage.min(stage);
            if assigned.stage == PartitionStage::Halted {
                assigned.key_queues = KeyQueues::default();
            }
        }
        self.health.send_modify(|health| {
            health.halted.insert(partition, Arc::new(error));
        });
    }

    fn observe(&mut self, now: Instant) {
        let long_ago = |since: Instant| now.duration_since(since) >= STALLED_AFTER;
        self.conditions.audit(self.writing_since.is_some_and(long_ago));
        self.conditions.reading(self.reader.failing(STALLED_AFTER));
        self.conditions.expire_dead_letters(now);
        self.report_stalls(now);
        self.lag.look(now, self.partitions.keys().copied());
        let oldest =
            self.partitions.values().filter_map(|assigned| assigned.progress.oldest_ms()).min();
        let halted =
            self.partitions.values().filter(|assigned| assigned.stage < PartitionStage::Flowing);
        self.metrics.observe(GaugeValues {
            held: self.in_flight(),
            calls: self.calls.len(),
            breaker: self.breaker.gauge(),
            halted: halted.count(),
            oldest_ms: oldest,
            concurrency: self.concurrency.calls(),
            lag: self.lag.records(
                self.partitions
                    .iter()
                    .map(|(&partition, assigned)| (partition, assigned.progress.next())),
            ),
        });
    }
}

#[cfg(test)]
mod tests;
