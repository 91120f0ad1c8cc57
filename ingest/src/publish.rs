//! Publishing: rows to the log, and the news of their fate back to requests.
//!
//! What must happen whatever becomes of the request happens in the log's callback, not in the
//! request's future, which is dropped when its client goes away: claims on recent events are
//! settled there, and when a callback is dropped without being called, they are settled as failed.

use std::sync::Arc;
use std::time::Duration;

use tillrace_core::log::{LogError, Offset, Producer, Row};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::clock::Clock;
use crate::health::Health;
use crate::recent::{Mark, Recent};

/// Pauses between offers to a full queue.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The way into the log.
pub(crate) struct Publisher {
    pub(crate) producer: Box<dyn Producer>,
    pub(crate) health: Arc<Health>,
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

/// Where the outcomes of published rows will be told.
#[derive(Debug)]
pub(crate) struct Landing(Option<oneshot::Receiver<Vec<Result<Offset, LogError>>>>);

/// Why rows were not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotPublished {
    /// The log's queue had no room.
    QueueFull,
    /// The log failed, or did not answer in time.
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
    /// [`NotPublished::QueueFull`] when there was no room; nothing was published.
    pub(crate) async fn send(
        &self,
        rows: Vec<Row>,
        flight: Flight,
        patient: bool,
    ) -> Result<Landing, NotPublished> {
        if rows.is_empty() {
            return Ok(Landing(None));
        }
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |outcomes: Vec<Result<Offset, LogError>>| {
            flight.land(&outcomes);
            // The request may have gone; its claims are settled all the same.
            drop(sender.send(outcomes));
        });
        let Err(mut full) = self.producer.send(rows, done) else {
            return Ok(Landing(Some(receiver)));
        };
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
                Ok(()) => return Ok(Landing(Some(receiver))),
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
        let Some(receiver) = landing.0 else { return Ok(Vec::new()) };
        let outcomes = timeout(self.publish_timeout, receiver).await;
        let outcomes = outcomes.ok().and_then(Result::ok);
        let failure = match &outcomes {
            Some(outcomes) => outcomes.iter().find_map(|outcome| outcome.as_ref().err()),
            None => Some(&LogError::TimedOut { action: "publish events" }),
        };
        match failure {
            None => self.health.works(),
            Some(error) => self.health.fails(self.clock.now(), error),
        }
        outcomes.ok_or(NotPublished::Failed)
    }
}
