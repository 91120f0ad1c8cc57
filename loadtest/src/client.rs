//! Sends traffic over HTTP as a fleet would, and records the outcomes.
//!
//! A generator prepares batches ahead of time, a pacer hands each to its connection when it is due, and
//! the connection sends it. Latency counts from the time a batch was due, not from the time it could be
//! sent, so that a stall of the gateway counts for all events that had to wait. While the gateway is
//! unavailable, restarts or answers 429 or 503, each connection retries unsettled events: after the
//! requested wait, or with jittered exponential backoff. When the retry limit is exceeded, the run ends
//! with an error. TLS is not supported.

mod connection;
mod cpu;
mod generator;
mod pacer;
mod post;
mod reply;
mod request_batch;
mod shared;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::connection::{Connection, ConnectionTotals};
use self::generator::{BatchGenerator, GeneratorTotals};
use self::pacer::Pacer;
use self::post::EventPoster;
pub use self::shared::Progress;
use self::shared::RunState;
use crate::acks::{Acks, StockMovements};
use crate::schedule::Schedule;
use crate::source::{Directory, Gap, PlannedEvent, Source, StockEffect, TerminalIndex};
use crate::timeline::Timeline;
use crate::traffic::{Traffic, TrafficSettings, TransmissionKind};

/// Most events in a batch: a reply lists at most as many exceptions.
pub const MAX_BATCH_EVENTS: usize = 1_000;

/// Status of a request without an answer: its connection broke, or it took too long.
pub const NO_ANSWER: &str = "none";

/// Batches that wait for each connection.
const QUEUED_BATCHES: usize = 8;

/// How often progress is reported.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Where and how to send.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The gateway: `http://host:port`.
    pub target: String,
    /// The API key.
    pub key: String,
    /// Use HTTP/2 (all streams over one connection) instead of HTTP/1.1.
    pub http2: bool,
    /// Connections, or streams of HTTP/2; each has one request under way at most.
    pub connections: usize,
    /// Events in a request; one posts single events, more post NDJSON.
    pub batch: usize,
    /// How long a batch that is not full waits for more events.
    pub linger: Duration,
    /// How long a request may take.
    pub timeout: Duration,
    /// How long a batch is retried before the run ends.
    pub give_up_after: Duration,
    /// When to wind the source down; `None` until it ends by itself.
    pub duration: Option<Duration>,
    /// Duplicates and disorder.
    pub traffic: TrafficSettings,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            target: "http://127.0.0.1:8080".to_owned(),
            key: String::new(),
            http2: false,
            connections: 8,
            batch: 100,
            linger: Duration::from_millis(20),
            timeout: Duration::from_secs(30),
            give_up_after: Duration::from_mins(5),
            duration: None,
            traffic: TrafficSettings::default(),
        }
    }
}

/// Why a run could not begin or had to end early.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The target does not parse.
    #[error("target {target:?} is not an address")]
    Target {
        /// As given.
        target: String,
        /// What is wrong with it.
        source: http::uri::InvalidUri,
    },
    /// The target is not plain HTTP.
    #[error("target {target:?} must be http://host:port; TLS is not supported")]
    Scheme {
        /// As given.
        target: String,
    },
    /// The key cannot be sent.
    #[error("key is not valid in a header")]
    Key {
        /// What is wrong with it.
        source: http::header::InvalidHeaderValue,
    },
    /// The batch size is out of bounds.
    #[error("a batch holds 1 to {MAX_BATCH_EVENTS} events, not {batch}")]
    Batch {
        /// As given.
        batch: usize,
    },
    /// There must be a connection.
    #[error("at least one connection is needed")]
    Connections,
    /// The gateway refused a whole request for good.
    #[error("gateway refused a request for good: status {status}, {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The beginning of the reply.
        body: String,
    },
    /// The limit for retries has passed.
    #[error("batch was not settled within {after:?}")]
    GaveUp {
        /// The limit.
        after: Duration,
    },
    /// The task of a connection ended early.
    #[error("task of a connection ended unexpectedly")]
    ConnectionLost,
}

/// An event with another outcome than planned.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct UnexpectedOutcome {
    /// Store id.
    pub store: String,
    /// Terminal id.
    pub terminal: String,
    /// Number.
    pub sequence: u64,
    /// For which code it should have been parked or refused; `None` where it should have been accepted.
    pub expected: Option<String>,
    /// For which code it was parked or refused; `None` where it was accepted.
    pub code: Option<String>,
}

/// An event with an unknown outcome.
#[derive(Debug, Clone)]
pub struct UnsettledEvent {
    /// The event.
    pub planned: PlannedEvent,
    /// Whether it was a copy.
    pub kind: TransmissionKind,
    /// Fingerprint of its text.
    pub fingerprint: u32,
    /// Its stock effects, if it was counted after all.
    pub effects: Vec<StockEffect>,
}

/// An event that was answered `parked`, as planned.
#[derive(Debug, Clone)]
pub struct ParkedEvent {
    /// Its terminal.
    pub terminal: TerminalIndex,
    /// Its number.
    pub sequence: u64,
    /// Fingerprint of its text.
    pub fingerprint: u32,
    /// Fingerprint of the text with which it counts when it is readmitted; `None` where nothing mends it.
    pub mended: Option<u32>,
    /// Its stock effects when it counts.
    pub effects: Vec<StockEffect>,
}

/// The outcome of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Names behind the indices.
    pub directory: Arc<Directory>,
    /// Numbers left out on purpose.
    pub planted_gaps: Vec<Gap>,
    /// Events sent, copies left out.
    pub sent: u64,
    /// Events sent a second time.
    pub copies: u64,
    /// Events sent after later ones.
    pub late: u64,
    /// Acknowledged identities.
    pub acks: Acks,
    /// Their stock effects.
    pub moved: StockMovements,
    /// Events parked, by code.
    pub parked: BTreeMap<String, u64>,
    /// Each of those that were to be parked.
    pub parked_events: Vec<ParkedEvent>,
    /// Events refused for good, by code.
    pub refused: BTreeMap<String, u64>,
    /// Events that the gateway answered as duplicates.
    pub answered_duplicate: u64,
    /// The first hundred events with another outcome than planned.
    pub surprises: Vec<UnexpectedOutcome>,
    /// All events with another outcome than planned.
    pub surprise_count: u64,
    /// Events with an unknown outcome; none unless the run was aborted.
    pub unsettled: Vec<UnsettledEvent>,
    /// Requests sent.
    pub requests: u64,
    /// Requests sent again, in whole or in part.
    pub retries: u64,
    /// Retries by the status of the reply; [`NO_ANSWER`] if there was none.
    pub retries_by_status: BTreeMap<String, u64>,
    /// When events were due.
    pub schedule: Schedule,
    /// Rates and latencies over time.
    pub timeline: Timeline,
    /// From the first event to the last reply.
    pub elapsed: Duration,
    /// CPU time of this process for the run; `None` if the system does not tell.
    pub sender_cpu: Option<Duration>,
    /// Why the run ended early.
    pub aborted: Option<ClientError>,
}

impl Outcome {
    /// Returns why the run ended, if that was before the gateway settled a single event: there is then nothing to judge.
    pub fn failed_to_begin(&mut self) -> Option<ClientError> {
        let is_settled =
            !(self.acks.is_empty() && self.parked.is_empty() && self.refused.is_empty());
        self.aborted.take_if(|_| !is_settled)
    }
}

/// Sends all of a source's events; returns when each is settled or the run was aborted.
///
/// `stop` winds the source down from outside. `progress` is called several times a second.
///
/// # Errors
/// When a setting is invalid. Later failures are in [`Outcome::aborted`].
pub async fn run(
    source: Box<dyn Source>,
    settings: &ClientSettings,
    stop: Arc<AtomicBool>,
    mut progress: impl FnMut(&Progress),
) -> Result<Outcome, ClientError> {
    if !(1..=MAX_BATCH_EVENTS).contains(&settings.batch) {
        return Err(ClientError::Batch { batch: settings.batch });
    }
    if settings.connections == 0 {
        return Err(ClientError::Connections);
    }
    let post = EventPoster::new(settings)?;
    let schedule = source.schedule().clone();
    let shared = Arc::new(RunState::new(schedule.phases()));
    let begun = Instant::now();
    let cpu_before = cpu::of_this_process();
    let (connections, queues) =
        start_connections(settings, &post, &source.directory(), &shared, begun);
    let (ready, prepared) = mpsc::channel(generator::ahead(settings.batch));
    let generator = BatchGenerator {
        traffic: Traffic::new(source, settings.traffic),
        shared: Arc::clone(&shared),
        stop,
        begun,
        scheduled: schedule.is_scheduled(),
        duration: settings.duration,
        batch_events: settings.batch,
        linger: settings.linger,
        ready,
    };
    let pacer = Pacer { shared: Arc::clone(&shared), begun, connections: queues };
    let connection_count = settings.connections;
    let work = async {
        let making = tokio::task::spawn_blocking(move || generator.run(connection_count));
        let pacing = tokio::task::spawn_blocking(move || pacer.run(prepared));
        let generated = making.await;
        let all_handed_over = pacing.await;
        let mut totals = Vec::with_capacity(connections.len());
        for connection in connections {
            totals.push(connection.await);
        }
        all_handed_over.and(generated).map(|generated| (generated, totals))
    };
    let mut work = std::pin::pin!(work);
    let mut tick = tokio::time::interval(PROGRESS_EVERY);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = tick.tick() => progress(&shared.progress(begun.elapsed())),
        }
    };
    let last = shared.progress(begun.elapsed());
    progress(&last);
    let ((generated, mut traffic), totals) = done.map_err(|_ended| ClientError::ConnectionLost)?;
    let mut outcome = outcome(generated, &mut traffic, last, shared.timeline());
    for totals in totals {
        outcome.absorb(totals.map_err(|_ended| ClientError::ConnectionLost)?);
    }
    outcome.sender_cpu =
        cpu::of_this_process().zip(cpu_before).map(|(now, then)| now.saturating_sub(then));
    outcome.aborted = shared.take_reason();
    Ok(outcome)
}

type ConnectionTask = tokio::task::JoinHandle<ConnectionTotals>;

fn start_connections(
    settings: &ClientSettings,
    post: &EventPoster,
    directory: &Arc<Directory>,
    shared: &Arc<RunState>,
    run_begun: Instant,
) -> (Vec<ConnectionTask>, Vec<mpsc::Sender<request_batch::RequestBatch>>) {
    (0..settings.connections as u64)
        .map(|number| {
            let (queue, batches) = mpsc::channel(QUEUED_BATCHES);
            let connection = Connection {
                post: post.clone(),
                directory: Arc::clone(directory),
                shared: Arc::clone(shared),
                run_begun,
                give_up_after: settings.give_up_after,
                rng: Xoshiro256PlusPlus::seed_from_u64(settings.traffic.seed ^ number),
            };
            (tokio::spawn(connection.run(batches)), queue)
        })
        .unzip()
}

fn outcome(
    generated: GeneratorTotals,
    traffic: &mut Traffic,
    last: Progress,
    timeline: Timeline,
) -> Outcome {
    Outcome {
        directory: traffic.source().directory(),
        planted_gaps: traffic.source().planted_gaps(),
        sent: generated.sent,
        copies: generated.copies,
        late: generated.late,
        acks: Acks::default(),
        moved: StockMovements::default(),
        parked: BTreeMap::new(),
        parked_events: Vec::new(),
        refused: BTreeMap::new(),
        answered_duplicate: 0,
        surprises: Vec::new(),
        surprise_count: 0,
        unsettled: Vec::new(),
        requests: 0,
        retries: last.retries,
        retries_by_status: BTreeMap::new(),
        schedule: traffic.source().schedule().clone(),
        timeline,
        elapsed: last.elapsed,
        sender_cpu: None,
        aborted: None,
    }
}

impl Outcome {
    fn absorb(&mut self, totals: ConnectionTotals) {
        self.acks.merge(totals.acks);
        self.moved.merge(totals.moved);
        self.parked_events.extend(totals.parked_events);
        for (code, count) in totals.parked {
            *self.parked.entry(code).or_default() += count;
        }
        for (code, count) in totals.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.answered_duplicate += totals.answered_duplicate;
        self.surprises.extend(totals.surprises);
        self.surprises.truncate(connection::MAX_EXAMPLES);
        self.surprise_count += totals.surprise_count;
        self.unsettled.extend(totals.unsettled);
        self.requests += totals.requests;
        for (status, count) in totals.retries_by_status {
            *self.retries_by_status.entry(status).or_default() += count;
        }
    }
}
