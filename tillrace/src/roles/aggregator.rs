//! The aggregator's thread, and what becomes of it when its log goes away for a while.
//!
//! An error that may pass (brokers away, a transaction timed out) is waited out and the aggregator started again: it
//! restores itself from the log. Any other stops it for good, and the process with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use prometheus_client::registry::Registry;
use tillrace_core::aggregate::{self, AggregateError, AggregateMetrics, AggregateSettings};
use tillrace_core::log::Log;
use tillrace_core::topics::Topics;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a pause looks whether it should end.
const PAUSE_STEP: Duration = Duration::from_millis(100);

/// The aggregator at work.
pub(super) struct Aggregator {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), AggregateError>>>,
}

impl Aggregator {
    pub(super) fn start(
        log: Arc<dyn Log>,
        topics: Topics,
        settings: AggregateSettings,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let metrics = AggregateMetrics::register(registry);
        let told_to_stop = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("aggregate".to_owned())
            .spawn(move || persist(&log, &topics, &settings, &told_to_stop, &metrics))
            .context("start the aggregator's thread")?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Returns why it stopped, once, if it stopped by itself.
    pub(super) fn failure(&mut self) -> Option<anyhow::Error> {
        if !self.thread.as_ref()?.is_finished() {
            return None;
        }
        let outcome = join(self.thread.take()?);
        Some(outcome.err().unwrap_or_else(|| anyhow::anyhow!("the aggregator ended unasked")))
    }

    /// Flushes what was folded and ends.
    pub(super) async fn drain(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        tokio::task::spawn_blocking(move || join(thread))
            .await
            .context("wait for the aggregator")?
    }
}

fn join(thread: JoinHandle<Result<(), AggregateError>>) -> anyhow::Result<()> {
    match thread.join() {
        Ok(outcome) => outcome.context("the aggregator stopped"),
        Err(_panic) => anyhow::bail!("the aggregator panicked"),
    }
}

fn persist(
    log: &Arc<dyn Log>,
    topics: &Topics,
    settings: &AggregateSettings,
    stop: &AtomicBool,
    metrics: &AggregateMetrics,
) -> Result<(), AggregateError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match aggregate::run(Arc::clone(log), topics, settings, stop, metrics) {
            Err(error) if error.is_retryable() && !stop.load(Ordering::Acquire) => {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "aggregator starts again");
                rest(pause, stop);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn rest(pause: Duration, stop: &AtomicBool) {
    let mut left = pause;
    while !left.is_zero() && !stop.load(Ordering::Acquire) {
        let nap = left.min(PAUSE_STEP);
        thread::sleep(nap);
        left -= nap;
    }
}
