//! The aggregator's thread, and what becomes of it when it fails.
//!
//! It starts again by the restart policy and restores itself from the log. What no restart helps stops it for good; the
//! other roles of the process go on. A call to the log that does not return is told from here, as its thread can not.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tillrace_core::aggregate::{self, AggregateError, AggregateMetrics, AggregateSettings};
use tillrace_core::log_calls::LogCalls;
use tillrace_core::restart::{PANICKED, RestartPolicy, RoleExit};
use tillrace_core::topics::Topics;
use tillrace_log::Log;
use tillrace_log::explain::Explained as _;
use tillrace_log::health::{Health, Impact};
use tokio::sync::oneshot;
use tracing::Span;

use super::error::RoleError;

/// How often a pause looks whether it should end.
const PAUSE_STEP: Duration = Duration::from_millis(100);
const COMPONENT: &str = "aggregator";

/// The aggregator at work.
pub(super) struct Aggregator {
    stop: Arc<AtomicBool>,
    policy: Arc<Mutex<RestartPolicy>>,
    calls: LogCalls,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
    drain_within: Duration,
}

impl Aggregator {
    pub(super) fn start(
        log: Arc<dyn Log>,
        topics: Topics,
        settings: AggregateSettings,
        impact: Impact,
        registry: &mut Registry,
        health: Health,
    ) -> anyhow::Result<Self> {
        let metrics = AggregateMetrics::register(registry);
        let policy = RestartPolicy::new(COMPONENT, impact, health.clone(), Instant::now());
        let calls = LogCalls::new(COMPONENT, impact, health.clone());
        let log = calls.watch(log);
        let drain_within = settings.drain_within;
        let work = move |stop: &AtomicBool| {
            aggregate::run(Arc::clone(&log), &topics, &settings, stop, &metrics, &health)
        };
        Self::start_work(work, policy, calls, drain_within)
    }

    fn start_work(
        work: impl Fn(&AtomicBool) -> Result<(), AggregateError> + Send + 'static,
        policy: RestartPolicy,
        calls: LogCalls,
        drain_within: Duration,
    ) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let policy = Arc::new(Mutex::new(policy));
        let (told_to_stop, judge) = (Arc::clone(&stop), Arc::clone(&policy));
        let span = Span::current();
        let thread = thread::Builder::new()
            .name("aggregate".to_owned())
            .spawn(move || span.in_scope(|| persist(&work, &told_to_stop, &judge)))
            .context("start the aggregator's thread")?;
        Ok(Self { stop, policy, calls, thread: Some(thread), drain_within })
    }

    /// Tells whether it has stopped for good; to be asked now and then, as it also sees that a restarted one is well, and that
    /// the log does not answer.
    pub(super) fn has_stopped(&self) -> bool {
        let now = Instant::now();
        self.policy.lock().observe(now);
        self.calls.observe(now);
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Flushes what was folded and ends. A call to the log that does not return in time is left behind with its thread, which
    /// ends with the process: what it writes is there as a whole or not at all.
    ///
    /// # Errors
    /// Why it had stopped, or why the last flush failed or that it hangs.
    pub(super) async fn drain(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let (sender, ended) = oneshot::channel();
        // A thread of its own, or the runtime would wait for it.
        thread::Builder::new()
            .name("aggregate-end".to_owned())
            .spawn(move || sender.send(thread.join()))
            .context("start the thread that waits for the aggregator's end")?;
        let Ok(joined) = tokio::time::timeout(self.drain_within, ended).await else {
            let error = RoleError::AggregatorHangs { within: self.drain_within };
            let code = error.explanation().code;
            tracing::error!(code, %error, "left the last flush behind");
            return Err(error.into());
        };
        match joined.context("wait for the aggregator")? {
            Ok(outcome) => outcome,
            Err(_panic) => Err(RoleError::AggregatorPanicked.into()),
        }
    }
}

/// Works until told to stop, or until no restart helps.
fn persist(
    work: &dyn Fn(&AtomicBool) -> Result<(), AggregateError>,
    stop: &AtomicBool,
    policy: &Mutex<RestartPolicy>,
) -> anyhow::Result<()> {
    loop {
        // What a panic may leave half done is dropped with the engine; the log has all that was committed.
        let outcome = catch_unwind(AssertUnwindSafe(|| work(stop)));
        // Only a failure of what it did when it was told to stop is that of the drain.
        let is_last = stop.load(Ordering::Acquire);
        let pause = match &outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => pause_after(policy, error),
            Err(panic) => pause_after_panic(policy, panic.as_ref()),
        };
        let ended = match outcome {
            Ok(outcome) => outcome.context("the aggregator stopped"),
            Err(_panic) => Err(RoleError::AggregatorPanicked.into()),
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

fn pause_after(policy: &Mutex<RestartPolicy>, error: &AggregateError) -> Option<Duration> {
    let is_restartable = match error {
        AggregateError::Log(error) => error.is_restartable(),
        error => error.is_retryable(),
    };
    let (cause, explanation) = (error.to_string(), error.explanation());
    let exit = RoleExit { cause: &cause, explanation, is_restartable };
    policy.lock().ended(exit, Instant::now(), rand::random())
}

fn pause_after_panic(policy: &Mutex<RestartPolicy>, panic: &(dyn Any + Send)) -> Option<Duration> {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let cause = format!("the aggregator panicked: {}", said.unwrap_or("without a word"));
    let exit = RoleExit { cause: &cause, explanation: &PANICKED, is_restartable: true };
    policy.lock().ended(exit, Instant::now(), rand::random())
}

fn rest(pause: Duration, stop: &AtomicBool) {
    let mut left = pause;
    while !left.is_zero() && !stop.load(Ordering::Acquire) {
        let nap = left.min(PAUSE_STEP);
        thread::sleep(nap);
        left -= nap;
    }
}

#[cfg(test)]
mod tests {
    use tillrace_core::restart::{RESTARTING_ROLE, STOPPED_ROLE};
    use tillrace_log::{LogError, Topic};

    use super::*;

    /// Starts a role that fails as it is told, once for each, and then works until it is stopped.
    fn start(failures: Vec<fn() -> AggregateError>) -> (Aggregator, Health) {
        let health = Health::default();
        let policy =
            RestartPolicy::new(COMPONENT, Impact::Degraded, health.clone(), Instant::now());
        let calls = LogCalls::new(COMPONENT, Impact::Degraded, health.clone());
        let failures = Mutex::new(failures.into_iter());
        let work = move |stop: &AtomicBool| {
            if let Some(failure) = failures.lock().next() {
                return Err(failure());
            }
            while !stop.load(Ordering::Acquire) {
                thread::yield_now();
            }
            Ok(())
        };
        (Aggregator::start_work(work, policy, calls, Duration::from_mins(1)).unwrap(), health)
    }

    fn codes(health: &Health) -> Vec<&'static str> {
        health.active_conditions().iter().map(|standing| standing.condition.code).collect()
    }

    fn cut_off() -> AggregateError {
        LogError::TimedOut { action: "commit a transaction" }.into()
    }

    #[tokio::test]
    async fn it_starts_again_after_what_passes_and_after_a_panic() {
        let panics = || -> AggregateError { panic!("a defect") };
        let (aggregator, health) = start(vec![cut_off, panics]);
        while codes(&health).is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(codes(&health), [RESTARTING_ROLE.code]);
        let panicked = || health.active_conditions()[0].condition.cause.contains("a defect");
        while !panicked() {
            tokio::task::yield_now().await;
        }
        assert!(!aggregator.has_stopped());
        assert!(aggregator.drain().await.is_ok(), "it works, or would");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_that_hangs_is_left_behind_when_it_is_told_to_end() {
        let health = Health::default();
        let policy =
            RestartPolicy::new(COMPONENT, Impact::Degraded, health.clone(), Instant::now());
        let calls = LogCalls::new(COMPONENT, Impact::Degraded, health);
        let (free, held) = std::sync::mpsc::sync_channel::<()>(0);
        let held = Mutex::new(held);
        let work = move |_stop: &AtomicBool| {
            // As a commit to brokers that are away.
            held.lock().recv().ok();
            Ok(())
        };
        let within = Duration::from_secs(10);
        let aggregator = Aggregator::start_work(work, policy, calls, within).unwrap();
        let error = aggregator.drain().await.unwrap_err();
        let hangs = error.downcast_ref::<RoleError>().unwrap();
        assert_eq!(hangs.explanation().code, "aggregator_hangs");
        assert!(error.to_string().contains("did not end within 10s"), "{error}");
        drop(free);
    }

    #[tokio::test]
    async fn it_stops_for_good_after_what_no_restart_helps() {
        let lost = || -> AggregateError {
            let topic = Topic::new("pos.events.v1");
            LogError::OutOfRange { topic, partition: 3, offset: 2, start: 4, end: 10 }.into()
        };
        let (aggregator, health) = start(vec![lost]);
        while !aggregator.has_stopped() {
            tokio::task::yield_now().await;
        }
        assert_eq!(codes(&health), [STOPPED_ROLE.code]);
        assert!(health.active_conditions()[0].condition.remedy.contains("position_lost"));
        let error = aggregator.drain().await.unwrap_err();
        assert!(format!("{error:#}").contains("offset 2 is outside 4..=10"), "{error:#}");
    }
}
