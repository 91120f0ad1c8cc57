//! The data store's thread, and what becomes of it when it fails.
//!
//! Nothing waits for it: the other roles go on while it stands still, and it reads later what it has not read. It starts again by
//! the restart policy; what no restart helps is told by the health.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tillrace_books::fold::read_topics;
use tillrace_books::metrics::BooksMetrics;
use tillrace_books::reader::ReaderPlan;
use tillrace_books::store::StoreError;
use tillrace_core::log_calls::LogCalls;
use tillrace_core::restart::{PANICKED, RestartPolicy, RoleExit};
use tillrace_log::explain::Explained as _;
use tillrace_log::health::{Health, Impact};
use tillrace_log::{Log, LogView};
use tracing::Span;

use super::error::RoleError;
use crate::config::Domain;

const COMPONENT: &str = "books";
/// How often a pause looks whether it should end.
const PAUSE_STEP: Duration = Duration::from_millis(100);

/// The data store's reader at work.
pub(super) struct Books {
    stop: Arc<AtomicBool>,
    policy: Arc<Mutex<RestartPolicy>>,
    calls: LogCalls,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

/// Says what a domain's data store reads, and where it is.
pub(crate) fn plan(
    domain: &Domain,
    log: Arc<dyn LogView>,
    metrics: BooksMetrics,
    health: Health,
) -> ReaderPlan {
    let sinks: Vec<String> = domain.sinks.iter().map(|sink| sink.name.clone()).collect();
    ReaderPlan {
        log,
        namespace: domain.namespace.clone(),
        topics: read_topics(&domain.topics(), &sinks),
        path: domain.books.clone(),
        metrics,
        health,
    }
}

impl Books {
    pub(super) fn start(
        domain: &Domain,
        log: Arc<dyn Log>,
        impact: Impact,
        registry: &mut Registry,
        health: &Health,
    ) -> anyhow::Result<Self> {
        let policy = RestartPolicy::new(COMPONENT, impact, health.clone(), Instant::now());
        let policy = Arc::new(Mutex::new(policy));
        let calls = LogCalls::new(COMPONENT, impact, health.clone());
        let plan = plan(domain, calls.watch(log), BooksMetrics::register(registry), health.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let (told_to_stop, judge, span) = (Arc::clone(&stop), Arc::clone(&policy), Span::current());
        let thread = thread::Builder::new()
            .name("books".to_owned())
            .spawn(move || span.in_scope(|| persist(&plan, &told_to_stop, &judge)))
            .context("start the data store's thread")?;
        Ok(Self { stop, policy, calls, thread: Some(thread) })
    }

    /// Tells whether it has stopped for good; to be asked now and then, as [`super::aggregator::Aggregator::has_stopped`].
    pub(super) fn has_stopped(&self) -> bool {
        let now = Instant::now();
        self.policy.lock().observe(now);
        self.calls.observe(now);
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Commits what was read and ends.
    ///
    /// # Errors
    /// Why it had stopped, or why the last commit failed.
    pub(super) async fn drain(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let joined = tokio::task::spawn_blocking(move || thread.join());
        match joined.await.context("wait for the data store")? {
            Ok(outcome) => outcome,
            Err(_panic) => Err(RoleError::BooksPanicked.into()),
        }
    }
}

/// Works until told to stop, or until no restart helps.
fn persist(
    plan: &ReaderPlan,
    stop: &AtomicBool,
    policy: &Mutex<RestartPolicy>,
) -> anyhow::Result<()> {
    loop {
        // What a panic may leave half done was not committed.
        let outcome = catch_unwind(AssertUnwindSafe(|| plan.run(stop)));
        let is_last = stop.load(Ordering::Acquire);
        let pause = match &outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => pause_after(policy, error),
            Err(_panic) => {
                let cause = "the data store's reader panicked";
                let exit = RoleExit { cause, explanation: &PANICKED, is_restartable: true };
                policy.lock().ended(exit, Instant::now(), rand::random())
            }
        };
        let ended = match outcome {
            Ok(outcome) => outcome.context("the data store stopped"),
            Err(_panic) => Err(RoleError::BooksPanicked.into()),
        };
        match pause {
            Some(pause) if !is_last => rest(pause, stop),
            _ => return ended,
        }
        if stop.load(Ordering::Acquire) {
            return Ok(());
        }
        policy.lock().started(Instant::now());
    }
}

fn pause_after(policy: &Mutex<RestartPolicy>, error: &StoreError) -> Option<Duration> {
    let cause = causes(error);
    let (explanation, is_restartable) = (error.explanation(), error.is_restartable());
    let exit = RoleExit { cause: &cause, explanation, is_restartable };
    policy.lock().ended(exit, Instant::now(), rand::random())
}

/// Names an error and what caused it.
fn causes(error: &StoreError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

fn rest(pause: Duration, stop: &AtomicBool) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !stop.load(Ordering::Acquire) {
        thread::sleep(PAUSE_STEP);
    }
}
