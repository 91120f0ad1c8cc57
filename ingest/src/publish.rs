//! Publishing: rows to the log, and the news of their fate back to requests.
//!
//! What must happen whatever becomes of the request happens in the log's callback, not in the
//! request's future, which is dropped when its client goes away: claims on recent events are
//! settled there, and when a callback is dropped without being called, they are settled as failed.

use std::sync::Arc;
use std::time::Duration;

use tillrace_core::log::{LogError, Offset, Producer, Row};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use crate::clock::Clock;
use crate::health::Health;
use crate::log_health::{LogHealth, Partitions};
use crate::recent::{Mark, Recent};

/// Pauses between offers to a full queue.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// How often a wait for outcomes looks whether the log has stalled, and how long rows may take that find out about a log that
/// had stalled before.
const STALL_LOOK: Duration = Duration::from_millis(250);
const STALLED_WAIT: Duration = Duration::from_secs(1);

/// The way into the log.
pub(crate) struct Publisher {
    pub(crate) producer: Box<dyn Producer>,
    pub(crate) health: Arc<Health>,
    pub(crate) log: Arc<LogHealth>,
    pub(crate) clock: Clock,
    pub(crate) queue_wait: Duration,
    pub(crate) publish_timeout: Duration,
}

/// Claims on recent events that travel with their rows.
#[derive(Debug)]
pub(crate) struct Flight {
    recent: Arc<Recent>,
    claims: Vec<(Mark, usize)>,
}

/// Where the outcomes of published rows will be told; `None` where there are none.
#[derive(Debug)]
pub(crate) struct Landing(Option<Expected>);

#[derive(Debug)]
struct Expected {
    outcomes: oneshot::Receiver<Vec<Result<Offset, LogError>>>,
    partitions: Partitions,
}

/// Why rows were not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotPublished {
    /// The log's queue had no room.
    QueueFull,
    /// The log failed, has stalled, or did not answer in time.
    Failed,
}

impl Flight {
    pub(crate) fn new(recent: Arc<Recent>) -> Self {
        Self { recent, claims: Vec::new() }
    }

    /// Takes a claim along: it is settled by the fate of the row at `row`.
    pub(crate) fn carry(&mut self, mark: Mark, row: usize) {
        self.claims.push((mark, row));
    }

    /// Gives up the claim on an event that is not published after all.
    pub(crate) fn let_go(&self, mark: Mark) {
        self.recent.settle(mark, false);
    }

    /// Puts rows in another order: the claim on row `n` becomes one on row `places[n]`.
    pub(crate) fn reorder(&mut self, places: &[usize]) {
        for (_, row) in &mut self.claims {
            *row = places.get(*row).copied().unwrap_or(usize::MAX);
        }
    }

    fn land(mut self, outcomes: &[Result<Offset, LogError>]) {
        self.settle(|row| outcomes.get(row).is_some_and(Result::is_ok));
    }

    fn settle(&mut self, durable: impl Fn(usize) -> bool) {
        let settled: Vec<_> =
            self.claims.drain(..).map(|(mark, row)| (mark, durable(row))).collect();
        self.recent.settle_all(&settled);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.settle(|_row| false);
    }
}

impl Publisher {
    /// Hands rows to the log, offering them again while its queue is full, if `patient`.
    ///
    /// # Errors
    /// [`NotPublished::QueueFull`] when there was no room, [`NotPublished::Failed`] when the log has stalled; nothing was
    /// published.
    pub(crate) async fn send(
        &self,
        rows: Vec<Row>,
        flight: Flight,
        patient: bool,
    ) -> Result<Landing, NotPublished> {
        if rows.is_empty() {
            return Ok(Landing(None));
        }
        let partitions = Partitions::of(&rows);
        let in_flight = self.log.begin(&partitions).ok_or(NotPublished::Failed)?;
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |outcomes: Vec<Result<Offset, LogError>>| {
            in_flight.settle(&outcomes);
            flight.land(&outcomes);
            // The request may have gone; its claims are settled all the same.
            drop(sender.send(outcomes));
        });
        let landing = Landing(Some(Expected { outcomes: receiver, partitions }));
        let Err(mut full) = self.producer.send(rows, done) else { return Ok(landing) };
        let deadline = Instant::now() + self.queue_wait;
        let mut pause = FIRST_PAUSE;
        loop {
            self.health.queue_was_full(self.clock.now());
            if !patient || Instant::now() >= deadline {
                return Err(NotPublished::QueueFull);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            match self.producer.send(full.rows, full.done) {
                Ok(()) => return Ok(landing),
                Err(again) => full = again,
            }
        }
    }

    /// Waits for the outcomes of rows, in the order of the rows.
    ///
    /// # Errors
    /// [`NotPublished::Failed`] when they are not known in time: rows may be durable or not.
    pub(crate) async fn outcomes(
        &self,
        landing: Landing,
    ) -> Result<Vec<Result<Offset, LogError>>, NotPublished> {
        let Some(Expected { outcomes, partitions }) = landing.0 else { return Ok(Vec::new()) };
        let deadline = Instant::now() + self.publish_timeout;
        let outcomes = self.wait(outcomes, &partitions, deadline).await;
        outcomes.and_then(Result::ok).ok_or(NotPublished::Failed)
    }

    /// Waits for something that follows the outcomes of rows of these partitions: `None` when it does not come in time, or
    /// when the log has stalled, so that their sender is told so while it still listens.
    pub(crate) async fn wait<F: Future + Unpin>(
        &self,
        mut news: F,
        partitions: &Partitions,
        deadline: Instant,
    ) -> Option<F::Output> {
        let patient_until = Instant::now() + STALLED_WAIT;
        loop {
            let look = (Instant::now() + STALL_LOOK).min(deadline);
            if let Ok(news) = timeout_at(look, &mut news).await {
                return Some(news);
            }
            let now = Instant::now();
            if now >= deadline || (now >= patient_until && self.log.is_any_stalled(partitions)) {
                return None;
            }
        }
    }
}
