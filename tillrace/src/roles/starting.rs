//! What a start on Kafka waits out, and what it does not wait for.
//!
//! Brokers come up together with the processes that need them, and one process makes the topics that all of them use. What
//! passes by itself therefore ends no start: it is tried again, by growing waits, and told meanwhile. What a person must
//! correct ends the process with its remedy.

use std::time::Duration;

use anyhow::Context;
use tillrace_core::restart::Backoff;
use tillrace_ingest::WEAK_SETTINGS;
use tillrace_log::explain::{Explained as _, Explanation};
use tillrace_log::health::{Condition, Health, Impact};
use tillrace_log::{LogError, Weaknesses};
use tracing::Span;

const COMPONENT: &str = "kafka";

/// A step of the start that is tried again.
pub(crate) const STARTING: Explanation = Explanation {
    code: "start_waiting",
    meaning: "The process cannot start yet: brokers do not answer, or a topic is not known to them. It tries again after a quarter \
              of a second to half a minute, for as long as it takes; `/readyz` says `starting` meanwhile. Nothing is lost: no role \
              works yet.",
    remedy: "If it stays so, look at the brokers, at `log.kafka.brokers` and at the network between. The process goes on by itself.",
};

/// Settings that could not be read at the start.
pub(crate) const SETTINGS_UNKNOWN: Explanation = Explanation {
    code: "settings_unknown",
    meaning: "A broker did not say how long it keeps the places of groups, so it is unknown whether that is as long as promised. The \
              process works, and asks again by itself.",
    remedy: "If it stays so, look at the broker that the cause names.",
};

/// Tries a step of the start until it succeeds.
///
/// # Errors
/// What does not pass by itself.
pub(super) async fn persist<T: Send + 'static>(
    health: &Health,
    step: &'static str,
    attempt: impl Fn() -> Result<T, LogError> + Clone + Send + 'static,
) -> anyhow::Result<T> {
    let mut backoff = Backoff::default();
    loop {
        let error = match on_a_thread(attempt.clone()).await? {
            Ok(done) => {
                health.clear(COMPONENT, STARTING.code, step);
                return Ok(done);
            }
            Err(error) => error,
        };
        if !error.may_pass() {
            return Err(anyhow::Error::new(error).context(step));
        }
        health.raise(Condition {
            component: COMPONENT.to_owned(),
            code: STARTING.code,
            subject: step.to_owned(),
            impact: Impact::NotReady,
            cause: error.to_string(),
            remedy: format!(
                "{} See docs/errors.md, {}.",
                STARTING.remedy,
                error.explanation().code
            ),
        });
        tokio::time::sleep(next_wait(&mut backoff)).await;
    }
}

/// Finds out what was unknown at the start, while the roles work.
pub(super) struct Comparing<N> {
    known: Vec<String>,
    health: Health,
    note: N,
}

impl<N: Fn(Vec<String>)> Comparing<N> {
    /// Tells `health` what is unknown; `note` will be given everything that is found weaker then.
    pub(super) fn new(weaknesses: Weaknesses, health: Health, note: N) -> Self {
        let comparing = Self { known: weaknesses.found, health, note };
        comparing.tell(&weaknesses.unknown);
        comparing
    }

    /// Asks until nothing is unknown.
    pub(super) async fn run(
        mut self,
        ask: impl Fn() -> Result<Weaknesses, LogError> + Clone + Send + 'static,
    ) {
        let mut backoff = Backoff::default();
        loop {
            tokio::time::sleep(next_wait(&mut backoff)).await;
            let Weaknesses { found, unknown } = match on_a_thread(ask.clone()).await {
                Ok(Ok(weaknesses)) => weaknesses,
                Ok(Err(error)) => {
                    self.tell(&[error.to_string()]);
                    continue;
                }
                Err(error) => {
                    self.tell(&[format!("{error:#}")]);
                    continue;
                }
            };
            for weakness in found.iter().filter(|one| !self.known.contains(one)) {
                let code = WEAK_SETTINGS.code;
                tracing::warn!(code, weakness, "the log is weaker than promised");
            }
            self.known.clone_from(&found);
            (self.note)(found);
            if unknown.is_empty() {
                self.health.clear(COMPONENT, SETTINGS_UNKNOWN.code, "");
                return;
            }
            self.tell(&unknown);
        }
    }

    fn tell(&self, unknown: &[String]) {
        self.health.raise(Condition {
            component: COMPONENT.to_owned(),
            code: SETTINGS_UNKNOWN.code,
            subject: String::new(),
            impact: Impact::Degraded,
            cause: unknown.join("; "),
            remedy: SETTINGS_UNKNOWN.remedy.to_owned(),
        });
    }
}

fn next_wait(backoff: &mut Backoff) -> Duration {
    backoff.next_wait(rand::random())
}

pub(super) async fn on_a_thread<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> anyhow::Result<Result<T, LogError>> {
    let span = Span::current();
    let asking = tokio::task::spawn_blocking(move || span.in_scope(ask));
    asking.await.context("ask the log on a thread of its own")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tillrace_log::Topic;

    use super::*;

    /// Gives each answer once, in order.
    fn answers<T: Send + 'static>(
        answers: Vec<Result<T, LogError>>,
    ) -> impl Fn() -> Result<T, LogError> + Clone + Send + 'static {
        let left = Arc::new(Mutex::new(answers.into_iter()));
        move || left.lock().next().unwrap()
    }

    fn timed_out() -> LogError {
        LogError::TimedOut { action: "reach the Kafka cluster" }
    }

    fn missing() -> LogError {
        LogError::UnknownTopic { topic: Topic::new("pos.events.v1") }
    }

    fn told(health: &Health) -> Vec<(&'static str, String)> {
        let standing = health.active_conditions().into_iter().map(|standing| standing.condition);
        standing.map(|condition| (condition.code, condition.cause)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_by_itself_is_waited_out_and_told() {
        let health = Health::default();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (looks, at) = (Arc::clone(&seen), health.clone());
        let answer = answers(vec![Err(timed_out()), Err(missing()), Ok("topics")]);
        let attempt = move || {
            looks.lock().push(told(&at));
            answer()
        };
        assert_eq!(persist(&health, "make the topics", attempt).await.unwrap(), "topics");
        let code = STARTING.code;
        let expected = [
            vec![],
            vec![(code, "timed out while waiting to reach the Kafka cluster".to_owned())],
            vec![(code, "topic pos.events.v1 does not exist".to_owned())],
        ];
        assert_eq!(*seen.lock(), expected);
        assert_eq!(told(&health), []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_person_must_correct_ends_the_start() {
        let topic = Topic::new("pos.events.v1");
        let wider = LogError::PartitionCount { topic, found: 4, expected: 5 };
        let cause = Arc::new(std::io::Error::other("no right"));
        let refused = LogError::Refused { action: "make topics", cause };
        for last in [wider, refused] {
            let attempt = answers::<()>(vec![Err(timed_out()), Err(last.clone())]);
            let error = persist(&Health::default(), "make the topics", attempt).await.unwrap_err();
            assert_eq!(format!("{error:#}"), format!("make the topics: {last}"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_unknown_is_asked_until_it_is_known() {
        let (health, noted) = (Health::default(), Arc::new(Mutex::new(Vec::new())));
        let notebook = Arc::clone(&noted);
        let weaknesses = |found: &[&str], unknown: &[&str]| Weaknesses {
            found: found.iter().map(|&one| one.to_owned()).collect(),
            unknown: unknown.iter().map(|&one| one.to_owned()).collect(),
        };
        let silent = weaknesses(&[], &["broker 3 did not say"]);
        let comparing = Comparing::new(silent.clone(), health.clone(), move |found| {
            notebook.lock().push(found);
        });
        assert_eq!(told(&health), [(SETTINGS_UNKNOWN.code, "broker 3 did not say".to_owned())]);
        assert!(health.is_ready(), "two of three brokers take every event");
        let weak = weaknesses(&["broker 3 forgets"], &[]);
        comparing.run(answers(vec![Ok(silent), Err(timed_out()), Ok(weak)])).await;
        assert_eq!(*noted.lock(), [vec![], vec!["broker 3 forgets".to_owned()]]);
        assert_eq!(told(&health), []);
    }
}
