//! Sends traffic over HTTP as a fleet would, and remembers what came of it.
//!
//! A maker writes batches ahead of their time, a pacer hands each to its lane when it is due, and a
//! lane sends it. Latency runs from the moment a batch was due, not from the moment it could be sent,
//! so that a gateway which stalls is charged for all who had to wait. While the gateway is away, restarts or
//! answers 429 or 503, each connection retries what is not settled: after the time it was asked to
//! wait, or with growing, jittered pauses. Where the stated limit is passed, the run ends and says
//! so. TLS is not spoken here.

mod cpu;
mod lane;
mod maker;
mod pacer;
mod post;
mod reply;
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

use self::lane::{Lane, Learnt};
use self::maker::{Made, Maker};
use self::pacer::Pacer;
use self::post::Post;
pub use self::shared::Progress;
use self::shared::Shared;
use crate::acks::{Acks, Moved};
use crate::course::Course;
use crate::schedule::Schedule;
use crate::source::{Effect, Gap, Planned, Roster, Source};
use crate::traffic::{Passage, Traffic, TrafficSettings};

/// Most events in a batch: a reply lists as many exceptions, so that each can be told apart.
pub const MAX_BATCH_EVENTS: usize = 1_000;

/// Stands for the status of a request that was not answered: its connection broke, or it took too long.
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
    /// Speak HTTP/2 (all lanes over one connection) instead of HTTP/1.1.
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
    #[error("target {target:?} is no address")]
    Target {
        /// As given.
        target: String,
        /// What is wrong with it.
        source: http::uri::InvalidUri,
    },
    /// The target is not plain HTTP.
    #[error("target {target:?} must be http://host:port; TLS is not spoken here")]
    Scheme {
        /// As given.
        target: String,
    },
    /// The key cannot be sent.
    #[error("the key cannot stand in a header")]
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
    /// A whole request was refused in a way that no retry mends.
    #[error("the gateway refused a request for good: status {status}, {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The beginning of the reply.
        body: String,
    },
    /// The limit for retries has passed.
    #[error("gave up a batch that was not settled within {after:?}")]
    GaveUp {
        /// The limit.
        after: Duration,
    },
    /// A lane ended before its work did.
    #[error("a connection's task ended unexpectedly")]
    LaneLost,
}

/// An event that was not treated as planned.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Surprise {
    /// Store id.
    pub store: String,
    /// Terminal id.
    pub terminal: String,
    /// Number.
    pub sequence: u64,
    /// The code it should have been refused with; `None` where it should have been accepted.
    pub expected: Option<&'static str>,
    /// The code it was refused with; `None` where it was accepted.
    pub code: Option<String>,
}

/// An event whose fate the sender does not know.
#[derive(Debug, Clone)]
pub struct Unsettled {
    /// The event.
    pub planned: Planned,
    /// Whether it was a copy.
    pub passage: Passage,
    /// Fingerprint of its text.
    pub fingerprint: u32,
    /// What it does to stock if it was counted after all.
    pub effects: Vec<Effect>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Names behind the indices.
    pub roster: Arc<Roster>,
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
    /// What they do to stock.
    pub moved: Moved,
    /// Events refused for good, by code.
    pub refused: BTreeMap<String, u64>,
    /// Events the gateway said it had before.
    pub answered_duplicate: u64,
    /// The first hundred events not treated as planned.
    pub surprises: Vec<Surprise>,
    /// All events not treated as planned.
    pub surprise_count: u64,
    /// Events whose fate is unknown; none unless the run was aborted.
    pub unsettled: Vec<Unsettled>,
    /// Requests sent.
    pub requests: u64,
    /// Requests sent again, in whole or in part.
    pub retries: u64,
    /// Those by the status that was answered; [`NO_ANSWER`] where there was none.
    pub retries_by_status: BTreeMap<String, u64>,
    /// When events were due.
    pub schedule: Schedule,
    /// Latencies, and what happened when.
    pub course: Course,
    /// From the first event to the last reply.
    pub elapsed: Duration,
    /// CPU time that this process took for the run; `None` where the system does not say.
    pub sender_cpu: Option<Duration>,
    /// Why the run ended early.
    pub aborted: Option<ClientError>,
}

/// Sends all of a source's events; returns when each is settled or the run was aborted.
///
/// `stop` winds the source down from outside. `progress` is called several times a second.
///
/// # Errors
/// The settings do not hold. What goes wrong later stands in [`Outcome::aborted`].
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
    let post = Post::new(settings)?;
    let schedule = source.schedule().clone();
    let shared = Arc::new(Shared::new(schedule.phases()));
    let begun = Instant::now();
    let cpu_before = cpu::of_this_process();
    let (lanes, queues) = start_lanes(settings, &post, &source.roster(), &shared, begun);
    let (ready, prepared) = mpsc::channel(maker::ahead(settings.batch));
    let maker = Maker {
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
    let pacer = Pacer { shared: Arc::clone(&shared), begun, lanes: queues };
    let lane_count = settings.connections;
    let work = async {
        let making = tokio::task::spawn_blocking(move || maker.run(lane_count));
        let pacing = tokio::task::spawn_blocking(move || pacer.run(prepared));
        let made = making.await;
        let all_handed_over = pacing.await;
        let mut learnt = Vec::with_capacity(lanes.len());
        for lane in lanes {
            learnt.push(lane.await);
        }
        all_handed_over.and(made).map(|made| (made, learnt))
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
    let ((made, mut traffic), learnt) = done.map_err(|_ended| ClientError::LaneLost)?;
    let mut outcome = outcome(made, &mut traffic, last, shared.course());
    for learnt in learnt {
        outcome.absorb(learnt.map_err(|_ended| ClientError::LaneLost)?);
    }
    outcome.sender_cpu =
        cpu::of_this_process().zip(cpu_before).map(|(now, then)| now.saturating_sub(then));
    outcome.aborted = shared.take_reason();
    Ok(outcome)
}

type LaneTask = tokio::task::JoinHandle<Learnt>;

fn start_lanes(
    settings: &ClientSettings,
    post: &Post,
    roster: &Arc<Roster>,
    shared: &Arc<Shared>,
    run_begun: Instant,
) -> (Vec<LaneTask>, Vec<mpsc::Sender<lane::Batch>>) {
    (0..settings.connections as u64)
        .map(|number| {
            let (queue, batches) = mpsc::channel(QUEUED_BATCHES);
            let lane = Lane {
                post: post.clone(),
                roster: Arc::clone(roster),
                shared: Arc::clone(shared),
                run_begun,
                give_up_after: settings.give_up_after,
                dice: Xoshiro256PlusPlus::seed_from_u64(settings.traffic.seed ^ number),
            };
            (tokio::spawn(lane.run(batches)), queue)
        })
        .unzip()
}

fn outcome(made: Made, traffic: &mut Traffic, last: Progress, course: Course) -> Outcome {
    Outcome {
        roster: traffic.source().roster(),
        planted_gaps: traffic.source().planted_gaps(),
        sent: made.sent,
        copies: made.copies,
        late: made.late,
        acks: Acks::default(),
        moved: Moved::default(),
        refused: BTreeMap::new(),
        answered_duplicate: 0,
        surprises: Vec::new(),
        surprise_count: 0,
        unsettled: Vec::new(),
        requests: 0,
        retries: last.retries,
        retries_by_status: BTreeMap::new(),
        schedule: traffic.source().schedule().clone(),
        course,
        elapsed: last.elapsed,
        sender_cpu: None,
        aborted: None,
    }
}

impl Outcome {
    fn absorb(&mut self, learnt: Learnt) {
        self.acks.merge(learnt.acks);
        self.moved.merge(learnt.moved);
        for (code, count) in learnt.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.answered_duplicate += learnt.answered_duplicate;
        self.surprises.extend(learnt.surprises);
        self.surprises.truncate(lane::KEPT_SURPRISES);
        self.surprise_count += learnt.surprise_count;
        self.unsettled.extend(learnt.unsettled);
        self.requests += learnt.requests;
        for (status, count) in learnt.retries_by_status {
            *self.retries_by_status.entry(status).or_default() += count;
        }
    }
}
