//! Calls to the log that are not answered, told from beside the thread that waits for them.
//!
//! A call blocks for as long as a link to the brokers swallows everything, or a disk does not come back from a sync, and the
//! thread that made it can say nothing meanwhile. So a role works on a log that notes when each call begins and when it is
//! answered, and whoever watches over the role asks now and then. A call that fails again and again, never once answered in
//! between, is told as well.
//!
//! Deliberately absent: time limits. How long a call may take is for the log to decide.

mod watched;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tillrace_log::explain::Explanation;
use tillrace_log::health::{Condition, Health, Impact};
use tillrace_log::{Log, LogError};

use self::watched::WatchedLog;

/// How long a call may go unanswered before it is told.
const TOLD_AFTER: Duration = Duration::from_secs(15);
/// How long a failure counts when the call is not made again.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(1);

/// A log that does not answer a role.
pub const LOG_NOT_ANSWERING: Explanation = Explanation {
    code: "log_not_answering",
    meaning: "A role has waited for 15 s or longer for the log: a call, such as the commit of a flush, has not returned, or fails each \
              time. The role stands still, and what it would have done waits in the log; nothing is lost or counted twice. The \
              condition goes when the log answers.",
    remedy: "On Kafka, see whether this host reaches every broker (a route or a firewall that drops packets looks like this), and \
             whether the brokers have their in-sync replicas. On a local log look at the disk: a sync does not return. The role \
             goes on by itself.",
};

/// The calls of one role to its log.
#[derive(Debug)]
pub struct LogCalls {
    component: String,
    impact: Impact,
    health: Health,
    calls: Arc<Calls>,
}

impl LogCalls {
    /// Makes the watch of a role, which names its condition by `component`; `impact` is what it means for the process.
    pub fn new(component: impl Into<String>, impact: Impact, health: Health) -> Self {
        Self { component: component.into(), impact, health, calls: Arc::default() }
    }

    /// Returns a log that is `log` in everything and notes the calls that may block.
    pub fn watch(&self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        Arc::new(WatchedLog::new(log, Arc::clone(&self.calls)))
    }

    /// Looks whether the log answers, and tells the health; to be called now and then.
    pub fn observe(&self, now: Instant) {
        match self.calls.unanswered(now) {
            Some(cause) => self.health.raise(Condition {
                component: self.component.clone(),
                code: LOG_NOT_ANSWERING.code,
                subject: String::new(),
                impact: self.impact,
                cause,
                remedy: LOG_NOT_ANSWERING.remedy_and_page(),
            }),
            None => self.health.clear(&self.component, LOG_NOT_ANSWERING.code, ""),
        }
    }
}

/// A role that is gone waits for nothing.
impl Drop for LogCalls {
    fn drop(&mut self) {
        self.health.clear(&self.component, LOG_NOT_ANSWERING.code, "");
    }
}

/// What is known of the calls of one role.
#[derive(Debug, Default)]
struct Calls {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    under_way: BTreeMap<u64, UnderWay>,
    /// By action: failures of which none was followed by an answer.
    failing: BTreeMap<&'static str, Failing>,
}

#[derive(Debug)]
struct UnderWay {
    action: &'static str,
    /// When it should be answered: at once, or after the wait that the caller asked for.
    due: Instant,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    last: Instant,
    error: LogError,
}

impl Calls {
    /// Makes a call that may last for `wait` by intention. A value that `is_answer` denies says nothing of the log.
    fn run<T>(
        self: &Arc<Self>,
        action: &'static str,
        wait: Duration,
        call: impl FnOnce() -> Result<T, LogError>,
        is_answer: impl FnOnce(&T) -> bool,
    ) -> Result<T, LogError> {
        let under_way = self.begin(action, wait);
        let outcome = call();
        match &outcome {
            Ok(value) if !is_answer(value) => drop(under_way),
            Ok(_) => under_way.end(None),
            Err(error) => under_way.end(Some(error)),
        }
        outcome
    }

    fn begin(self: &Arc<Self>, action: &'static str, wait: Duration) -> CallUnderWay {
        let began = Instant::now();
        let mut state = self.state.lock();
        state.last_id += 1;
        let id = state.last_id;
        state.under_way.insert(id, UnderWay { action, due: began + wait });
        CallUnderWay { calls: Arc::clone(self), id, action, began }
    }

    /// Says which call is not answered, the one that has waited longest first.
    fn unanswered(&self, now: Instant) -> Option<String> {
        let mut state = self.state.lock();
        state
            .failing
            .retain(|_, failing| now.saturating_duration_since(failing.last) < FORGOTTEN_AFTER);
        let long_ago = |since: &Instant| now.saturating_duration_since(*since) >= TOLD_AFTER;
        let waiting = state.under_way.values().min_by_key(|call| call.due);
        if let Some(UnderWay { action, due }) = waiting.filter(|call| long_ago(&call.due)) {
            let seconds = now.saturating_duration_since(*due).as_secs();
            return Some(format!("the log has not answered for {seconds} s: {action}"));
        }
        let failing = state.failing.iter().min_by_key(|(_, failing)| failing.since);
        let (action, failing) = failing.filter(|(_, failing)| long_ago(&failing.since))?;
        let seconds = now.saturating_duration_since(failing.since).as_secs();
        Some(format!("the log has failed for {seconds} s: {action}: {}", failing.error))
    }
}

/// A call under way; one that panics, or is given up, is not under way any more either.
struct CallUnderWay {
    calls: Arc<Calls>,
    id: u64,
    action: &'static str,
    began: Instant,
}

impl CallUnderWay {
    /// Takes the log's answer: none or a final error is one, a passing failure is not.
    fn end(self, error: Option<&LogError>) {
        let mut state = self.calls.state.lock();
        match error.filter(|error| error.is_retryable()) {
            None => drop(state.failing.remove(self.action)),
            Some(error) => {
                let last = Instant::now();
                let failing = state.failing.entry(self.action);
                failing.and_modify(|failing| failing.last = last).or_insert_with(|| Failing {
                    since: self.began,
                    last,
                    error: error.clone(),
                });
            }
        }
    }
}

impl Drop for CallUnderWay {
    fn drop(&mut self) {
        self.calls.state.lock().under_way.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "commit places";

    fn told(calls: &LogCalls, health: &Health, after: Duration) -> Vec<String> {
        calls.observe(Instant::now() + after);
        health.active_conditions().into_iter().map(|active| active.condition.cause).collect()
    }

    fn call(calls: &LogCalls, outcome: Result<u8, LogError>) {
        let is_ok = outcome.is_ok();
        let returned = calls.calls.run(COMMIT, Duration::ZERO, || outcome, |&value| value > 0);
        assert_eq!(returned.is_ok(), is_ok);
    }

    fn timed_out() -> LogError {
        LogError::TimedOut { action: COMMIT }
    }

    #[test]
    fn a_call_is_told_as_long_as_it_has_not_returned_though_it_should_have() {
        let health = Health::default();
        let calls = LogCalls::new("aggregator", Impact::NotReady, health.clone());
        let wait = Duration::from_mins(1);
        let outcome = calls.calls.run(
            COMMIT,
            wait,
            || {
                assert_eq!(told(&calls, &health, wait + TOLD_AFTER / 2), [""; 0]);
                let causes = told(&calls, &health, wait + TOLD_AFTER);
                assert!(causes[0].ends_with("s: commit places"), "{causes:?}");
                assert!(!health.is_ready());
                Ok(1)
            },
            |_| true,
        );
        assert!(outcome.is_ok());
        assert_eq!(told(&calls, &health, wait + TOLD_AFTER), [""; 0]);
    }

    #[test]
    fn a_call_that_panics_is_under_way_no_more() {
        let health = Health::default();
        let calls = LogCalls::new("aggregator", Impact::NotReady, health.clone());
        let panics = || calls.calls.run(COMMIT, Duration::ZERO, || panic!("a defect"), |&()| true);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert_eq!(told(&calls, &health, TOLD_AFTER), [""; 0]);
    }

    #[test]
    fn failures_are_told_until_one_call_is_answered() {
        let health = Health::default();
        let calls = LogCalls::new("sink/erp", Impact::Degraded, health.clone());
        call(&calls, Err(timed_out()));
        assert_eq!(told(&calls, &health, TOLD_AFTER / 2), [""; 0]);
        call(&calls, Ok(0));
        let causes = told(&calls, &health, TOLD_AFTER);
        assert!(causes[0].contains("commit places: timed out"), "{causes:?}");
        call(&calls, Ok(1));
        assert_eq!(told(&calls, &health, TOLD_AFTER), [""; 0]);
        call(&calls, Err(timed_out()));
        call(&calls, Err(LogError::TooLarge { bytes: 2, limit: 1 }));
        assert_eq!(told(&calls, &health, TOLD_AFTER), [""; 0], "the log answered");
    }

    #[test]
    fn a_failure_of_what_is_not_called_again_is_forgotten() {
        let health = Health::default();
        let calls = LogCalls::new("sink/erp", Impact::Degraded, health.clone());
        call(&calls, Err(timed_out()));
        assert_eq!(told(&calls, &health, TOLD_AFTER).len(), 1);
        assert_eq!(told(&calls, &health, FORGOTTEN_AFTER + TOLD_AFTER), [""; 0]);
    }

    #[test]
    fn a_role_that_is_gone_tells_nothing() {
        let health = Health::default();
        let calls = LogCalls::new("sink/erp", Impact::Degraded, health.clone());
        call(&calls, Err(timed_out()));
        assert_eq!(told(&calls, &health, TOLD_AFTER).len(), 1);
        drop(calls);
        assert_eq!(health.active_conditions(), []);
    }
}
