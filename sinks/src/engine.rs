//! The delivery engine: one topic, one consumer group, one backend.
//!
//! The modules, in the order a record meets them: `reader` polls it, `intake` filters it, `lanes`
//! keep it in order, `dispatch` calls when `pacer` and `breaker` let it, `call` is one call,
//! `outcome` judges what came of it with `trouble`, `journal` writes audit and dead letters,
//! `progress` says what to `commit`; `stalls` sees what waits for long, and `conditions` tell the process.
//!
//! One task owns all state of a sink; calls and writes run beside it and come back as messages, so
//! there is no lock. What it promises: order per lane, nothing settled without an audit record,
//! nothing committed above something unsettled, memory bounded by `in_hand`. What it leaves to
//! others: what a record means, and whether a second delivery has a second effect; that is why
//! every connector sends identities along.

mod breaker;
mod call;
mod commit;
mod conditions;
mod dispatch;
mod error;
mod intake;
mod journal;
mod lanes;
mod metrics;
mod outcome;
mod pacer;
mod partition;
mod progress;
mod reader;
mod stalls;
mod trouble;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rand::rngs::SmallRng;
use tillrace_core::topics::Topics;
use tillrace_log::{Log, LogError, Partition, Row, Topic};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

use self::breaker::Breaker;
use self::call::Called;
pub(crate) use self::call::wall_clock;
pub(crate) use self::conditions::Conditions;
pub use self::conditions::SINK_CONDITIONS;
use self::conditions::{DRAIN_CUT, STALLED_AFTER};
pub use self::error::SinkError;
pub(crate) use self::journal::Journal;
pub use self::journal::JournalError;
use self::lanes::{BatchLimits, Lanes};
pub(crate) use self::metrics::DeliveryMetrics;
use self::metrics::{Seen, SinkMetrics};
pub(crate) use self::pacer::Pacer;
use self::partition::{Assigned, Leaving, Stage};
use self::reader::{Epoch, Heard, Reader};
use self::stalls::Stalls;
use self::trouble::Patience;
use crate::connector::{Connector, Ordering};
use crate::delivery::Health;
use crate::filter::Filter;
use crate::record::Source;
use crate::settings::Flow;

/// What a sink is made of.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// The sink's name.
    pub name: String,
    /// The topic it reads.
    pub source: Source,
    /// What it leaves out.
    pub filter: Filter,
    /// How it flows.
    pub flow: Flow,
    /// Where it delivers.
    pub connector: Arc<dyn Connector>,
}

/// What comes back to the task that owns the state.
enum Done {
    Called(Box<Called>),
    Written { settles: Vec<Written>, outcome: Result<(), JournalError> },
}

/// Records that are settled once their audit is durable.
struct Written {
    partition: Partition,
    epoch: Epoch,
    leaving: Vec<Leaving>,
}

/// What waits for the write before it.
#[derive(Default)]
struct Unwritten {
    rows: Vec<Row>,
    settles: Vec<Written>,
}

/// A sink at work.
pub(crate) struct Engine {
    wiring: Wiring,
    topic: Topic,
    reader: Reader,
    journal: Journal,
    metrics: SinkMetrics,
    health: watch::Sender<Health>,
    conditions: Conditions,
    partitions: BTreeMap<Partition, Assigned>,
    /// The partition that was served last, so that the next one has its turn.
    turn: Partition,
    jobs: JoinSet<Done>,
    unwritten: Unwritten,
    /// Since when a write is under way.
    writing_since: Option<Instant>,
    calls: HashMap<Id, (Partition, AbortHandle)>,
    limits: BatchLimits,
    patience: Patience,
    breaker: Breaker,
    pacer: Pacer,
    /// When the backend last answered a call well.
    well_at: Option<Instant>,
    stalls: Stalls,
    random: SmallRng,
    commit_due: Instant,
    commit_ordered: bool,
}

impl Engine {
    /// Joins the group and gets everything ready.
    pub(crate) fn start(
        wiring: Wiring,
        log: &Arc<dyn Log>,
        topics: &Topics,
        metrics: SinkMetrics,
        health: watch::Sender<Health>,
        process: &tillrace_log::health::Health,
    ) -> Result<Self, LogError> {
        let topic = wiring.source.topic(topics).clone();
        let producer = log.producer()?;
        let dead = topics.dead(&wiring.name);
        let ordering = wiring.connector.ordering();
        let conditions = Conditions::new(&wiring.name, dead.clone(), ordering, process.clone());
        let journal =
            Journal::new(&wiring.name, topic.clone(), dead, topics.audit.clone(), producer);
        let reader = Reader::start(log, &group(topics, &wiring.name), topic.clone())?;
        let connector = &wiring.connector;
        let batch = wiring.flow.batch.unwrap_or_else(|| connector.batch());
        let limits = BatchLimits {
            records: connector.most_records().unwrap_or(usize::MAX).min(batch.max_records),
            bytes: usize::try_from(batch.max_bytes.as_u64()).unwrap_or(usize::MAX),
            linger: batch.linger,
        };
        let flow = &wiring.flow;
        let per_key = ordering == Ordering::Key;
        let patience =
            Patience { retry: flow.retry, park_after: per_key.then(|| flow.park_after()) };
        Ok(Self {
            breaker: Breaker::new(flow.breaker),
            pacer: Pacer::new(flow.rate),
            commit_due: Instant::now() + flow.commit_every,
            wiring,
            topic,
            reader,
            journal,
            metrics,
            health,
            conditions,
            partitions: BTreeMap::new(),
            turn: 0,
            jobs: JoinSet::new(),
            unwritten: Unwritten::default(),
            writing_since: None,
            calls: HashMap::new(),
            limits,
            patience,
            well_at: None,
            stalls: Stalls::default(),
            random: rand::make_rng(),
            commit_ordered: false,
        })
    }

    /// Delivers until told to stop, then finishes what is in hand and commits.
    ///
    /// # Errors
    /// When the log, the journal or a connector's code fails for good.
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
            self.reader.set_room(self.room());
            self.dispatch(now, false);
            self.commit(now);
            self.observe(now);
            let due = self.next_due(now);
            tokio::select! {
                heard = self.reader.heard.recv() => self.hear(heard)?,
                Some(done) = self.jobs.join_next_with_id() => self.done(done)?,
                () = tokio::time::sleep_until(due) => {}
                stopped = stop.wait_for(|&stop| stop) => {
                    // A sender that is gone means the same: nobody wants this sink any more.
                    drop(stopped);
                    return Ok(());
                }
            }
        }
    }

    /// Sends what is ready, waits for calls under way, and commits; what waits for a retry stays.
    async fn drain(&mut self) -> Result<(), SinkError> {
        let deadline = Instant::now() + self.wiring.flow.drain_within;
        self.reader.set_room(0);
        loop {
            let now = Instant::now();
            self.dispatch(now, true);
            if self.jobs.is_empty() && (self.breaker.is_open() || !self.has_ready()) {
                break;
            }
            let due = self.next_due(now).min(deadline);
            tokio::select! {
                heard = self.reader.heard.recv() => self.hear_last(heard)?,
                Some(done) = self.jobs.join_next_with_id() => self.done(done)?,
                () = tokio::time::sleep_until(due) => {}
            }
            if now >= deadline {
                let (code, sink) = (DRAIN_CUT.code, &self.wiring.name);
                tracing::warn!(code, sink, "stop before all in hand was delivered");
                break;
            }
        }
        self.commit_all(deadline).await
    }

    /// Hears what still matters at the end: nothing new is taken in.
    fn hear_last(&mut self, heard: Option<Heard>) -> Result<(), SinkError> {
        match heard {
            Some(Heard::Records(_) | Heard::Assigned(..)) => Ok(()),
            heard => self.hear(heard),
        }
    }

    fn hear(&mut self, heard: Option<Heard>) -> Result<(), SinkError> {
        match heard {
            Some(Heard::Assigned(partition, epoch, committed)) => {
                self.assign(partition, epoch, committed);
            }
            Some(Heard::Revoked(partitions)) => self.revoke(&partitions),
            Some(Heard::Records(entries)) => self.take_in(entries, Instant::now())?,
            Some(Heard::Committed(outcome)) => self.committed(outcome)?,
            Some(Heard::Failed(error)) => return Err(error.into()),
            None => return Err(SinkError::ReaderEnded),
        }
        Ok(())
    }

    fn done(&mut self, done: Result<(Id, Done), JoinError>) -> Result<(), SinkError> {
        match done {
            Ok((id, Done::Called(called))) => {
                self.calls.remove(&id);
                self.called(*called)
            }
            Ok((_, Done::Written { settles, outcome })) => {
                outcome?;
                for Written { partition, epoch, leaving } in settles {
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
            Err(error) if error.is_cancelled() => {
                self.calls.remove(&error.id());
                self.breaker.abandoned(Instant::now());
                Ok(())
            }
            Err(error) => Err(SinkError::Panicked(Arc::new(error))),
        }
    }

    /// Stops one partition for people to look at; the others go on.
    fn halt(&mut self, partition: Partition, stage: Stage, error: SinkError) {
        self.conditions.partition_halted(partition, &error);
        if let Some(assigned) = self.partitions.get_mut(&partition) {
            assigned.flow = assigned.flow.min(stage);
            if assigned.flow == Stage::Halted {
                assigned.lanes = Lanes::default();
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
        self.conditions.grow_old(now);
        self.tell_stalls(now);
        let oldest =
            self.partitions.values().filter_map(|assigned| assigned.progress.oldest_ms()).min();
        let halted = self.partitions.values().filter(|assigned| assigned.flow < Stage::Flowing);
        self.metrics.observe(Seen {
            held: self.held(),
            calls: self.calls.len(),
            breaker_open: self.breaker.is_open(),
            halted: halted.count(),
            oldest_ms: oldest,
        });
    }
}

/// Names the consumer group of a sink.
pub fn group(topics: &Topics, sink: &str) -> String {
    topics.group(&format!("deliver.{sink}"))
}

#[cfg(test)]
mod tests;
