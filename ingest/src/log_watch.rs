//! Watches the log's health: asks the log when there is no traffic, decides whether it is down, and reports to the process.
//!
//! Delivery reports decide as long as there are any. Without them (no traffic, or no answers) the log is asked which partitions
//! are writable, without writing a row. Readiness follows with hysteresis: down only when all partitions are stalled, up only
//! when some have worked for a while. A partition that fails again right after the log called it writable is trusted later
//! each time.

use std::sync::Arc;
use std::time::Duration;

use tillrace_log::explain::{Explained as _, Explanation};
use tillrace_log::health::{Condition, Health, Impact};
use tillrace_log::{Log, LogError, Partition, Topic};
use tokio::task::JoinHandle;
use tracing::Span;

use crate::log_health::LogHealth;

/// How often the state is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// How often the log is asked while something is stalled, and while nothing was acknowledged for so long.
const ASK_EVERY_MS: i64 = 1_000;
const ASK_IDLE_EVERY_MS: i64 = 5_000;
/// Answers in a row without which a log that was idle is not down, and a partition that failed is not well.
const FAILED_ANSWERS: u32 = 2;
const GOOD_ANSWERS: u32 = 3;
/// Time that the log must be up, or something be stalled, before it is said.
const SETTLED_AFTER_MS: i64 = 2_000;
/// Wait before a partition is trusted once more that failed after it had been trusted; doubled each time.
const TRUST_AGAIN_MS: i64 = 10_000;
const LONGEST_DISTRUST_MS: i64 = 300_000;

/// No partition accepts events.
pub const LOG_DOWN: Explanation = Explanation {
    code: "log_down",
    meaning: "No partition of the journal takes events. Tills are answered 503 with Retry-After at once and keep their events; \
              nothing that was acknowledged is concerned.",
    remedy: "Look at the brokers, or at the disk of a local log, and at the network between; the cause has the log's words. \
             The gateway tries by itself and takes events again within seconds.",
};

/// Some partitions accept no events.
pub const LOG_STALLED: Explanation = Explanation {
    code: "log_stalled",
    meaning: "Some partitions of the journal take no events, mostly those of one broker. The stores on them are answered 503 with \
              Retry-After; the others go on.",
    remedy: "Look at the brokers that lead these partitions (kafka-topics --describe) and at the network to them.",
};

/// The trust in a partition's answers.
#[derive(Debug, Clone, Copy, Default)]
struct TrustState {
    /// Answers in a row since it failed that call it well.
    good_answers: u32,
    /// Times it was trusted since its last acknowledgement, and when it was last.
    given: u32,
    given_ms: i64,
}

/// The watch on the log; one a gateway.
#[derive(Debug)]
pub(crate) struct LogWatch {
    log: Arc<LogHealth>,
    process: Health,
    trust: Vec<TrustState>,
    failed_answers: u32,
    asked_ms: i64,
    is_down: bool,
    /// Since when the opposite of what was last said has held.
    up_since_ms: Option<i64>,
    stalled_since_ms: Option<i64>,
    /// Why the log could not be asked, if it could not.
    silence: Option<LogError>,
}

impl LogWatch {
    pub(crate) fn new(log: Arc<LogHealth>, process: Health) -> Self {
        Self {
            trust: vec![TrustState::default(); log.partitions()],
            asked_ms: log.now_ms(),
            log,
            process,
            failed_answers: 0,
            is_down: false,
            up_since_ms: None,
            stalled_since_ms: None,
            silence: None,
        }
    }

    /// Watches until it is dropped.
    pub(crate) async fn run(mut self, log: Arc<dyn Log>, topic: Topic) {
        let mut asking: Option<JoinHandle<Result<Vec<Partition>, LogError>>> = None;
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            if let Some(answer) = asking.take_if(|asked| asked.is_finished()) {
                let panicked = Err(LogError::TimedOut { action: "ask which partitions take rows" });
                self.record_answer(answer.await.unwrap_or(panicked));
            }
            self.update();
            if asking.is_none() && self.is_due() {
                self.asked_ms = self.log.now_ms();
                let (log, topic, span) = (Arc::clone(&log), topic.clone(), Span::current());
                let ask = move || span.in_scope(|| log.unwritable(&topic));
                asking = Some(tokio::task::spawn_blocking(ask));
            }
        }
    }

    /// Tells whether the log must be asked now.
    fn is_due(&self) -> bool {
        let now_ms = self.log.now_ms();
        let is_stalled = self.is_down || self.stalled_since_ms.is_some();
        let acknowledged_ms = self.all().map(|partition| self.log.acknowledged_ms(partition)).max();
        let is_idle = acknowledged_ms.is_none_or(|at| now_ms - at >= ASK_IDLE_EVERY_MS);
        let is_suspect = is_stalled || self.failed_answers > 0;
        let every = if is_suspect { ASK_EVERY_MS } else { ASK_IDLE_EVERY_MS };
        (is_suspect || is_idle) && now_ms - self.asked_ms >= every
    }

    /// Records an answer to the question of `asked_ms`. Later acknowledgements take precedence.
    fn record_answer(&mut self, answer: Result<Vec<Partition>, LogError>) {
        let now_ms = self.log.now_ms();
        let unwritable = match answer {
            Ok(unwritable) => {
                (self.failed_answers, self.silence) = (0, None);
                unwritable
            }
            Err(error) => {
                self.failed_answers += 1;
                self.silence = Some(error);
                let known =
                    self.failed_answers >= FAILED_ANSWERS || self.stalled_since_ms.is_some();
                if known { self.all().collect() } else { Vec::new() }
            }
        };
        for (partition, trust) in (0..).zip(&mut self.trust) {
            let acknowledged_ms = self.log.acknowledged_ms(partition);
            if acknowledged_ms > trust.given_ms {
                trust.given = 0;
            }
            if self.failed_answers > 0 || unwritable.contains(&partition) {
                trust.good_answers = 0;
                if unwritable.contains(&partition) && acknowledged_ms <= self.asked_ms {
                    self.log.fail(partition);
                }
                continue;
            }
            if !self.log.has_failed(partition) {
                trust.good_answers = 0;
                continue;
            }
            trust.good_answers = trust.good_answers.saturating_add(1);
            let distrust_ms = match trust.given {
                0 => 0,
                given => {
                    let doubled = TRUST_AGAIN_MS.saturating_mul(1 << (given - 1).min(10));
                    doubled.min(LONGEST_DISTRUST_MS)
                }
            };
            let may = trust.good_answers >= GOOD_ANSWERS && now_ms - trust.given_ms >= distrust_ms;
            if may && self.log.trust(partition) {
                (trust.given, trust.given_ms) = (trust.given.saturating_add(1), now_ms);
            }
        }
    }

    /// Decides whether the log is down, and reports settled changes to the process.
    fn update(&mut self) {
        let (now_ms, stalled) = (self.log.now_ms(), self.log.stalled());
        let has_settled = |since_ms: &mut Option<i64>, holds: bool| {
            *since_ms = holds.then(|| since_ms.unwrap_or(now_ms));
            since_ms.is_some_and(|since| now_ms - since >= SETTLED_AFTER_MS)
        };
        let all_stalled = stalled.len() == self.log.partitions();
        let is_up = has_settled(&mut self.up_since_ms, !all_stalled);
        if all_stalled && !self.is_down {
            self.set_down(true);
        } else if self.is_down && is_up {
            self.set_down(false);
        }
        let some_stalled = !stalled.is_empty();
        let has_stalled = has_settled(&mut self.stalled_since_ms, some_stalled);
        if self.is_down || !some_stalled {
            self.process.clear(COMPONENT, LOG_STALLED.code, "");
        } else if has_stalled {
            self.process.raise(self.condition(&LOG_STALLED, Impact::Degraded, &stalled));
        }
        if self.is_down {
            self.process.raise(self.condition(&LOG_DOWN, Impact::NotReady, &stalled));
        }
    }

    fn set_down(&mut self, is_down: bool) {
        self.is_down = is_down;
        self.log.set_down(is_down);
        if !is_down {
            self.process.clear(COMPONENT, LOG_DOWN.code, "");
        }
    }

    fn condition(
        &self,
        known: &'static Explanation,
        impact: Impact,
        stalled: &[Partition],
    ) -> Condition {
        let error = self.silence.clone().or_else(|| self.log.last_error());
        let said = error.as_ref().map_or_else(
            || "nothing was acknowledged for seconds".to_owned(),
            |error| format!("{error} ({})", error.explanation().code),
        );
        Condition {
            component: COMPONENT.to_owned(),
            code: known.code,
            subject: String::new(),
            impact,
            cause: format!("{} of {} partitions: {said}", stalled.len(), self.log.partitions()),
            remedy: known.remedy.to_owned(),
        }
    }

    fn all(&self) -> impl Iterator<Item = Partition> + use<> {
        0..Partition::try_from(self.log.partitions()).unwrap_or(Partition::MAX)
    }
}

const COMPONENT: &str = "gateway";

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use crate::clock::{Clock, MANUAL_ORIGIN_MS};
    use crate::log_health::RowPartitions;

    use super::*;

    struct Bench {
        watch: LogWatch,
        health: Arc<LogHealth>,
        process: Health,
        clock: Arc<AtomicI64>,
    }

    fn bench() -> Bench {
        let clock = Arc::new(AtomicI64::new(MANUAL_ORIGIN_MS));
        let health = Arc::new(LogHealth::new(2, Clock::Manual(Arc::clone(&clock))));
        let process = Health::default();
        let watch = LogWatch::new(Arc::clone(&health), process.clone());
        Bench { watch, health, process, clock }
    }

    impl Bench {
        fn publish(&self, partition: Partition, works: bool) {
            let failure = LogError::TimedOut { action: "write" };
            let outcome = if works { Ok(1) } else { Err(failure) };
            self.health.begin(&RowPartitions::One(partition)).unwrap().settle(&[outcome]);
        }

        /// Lets time pass in looks, and asks whenever it is due.
        fn pass(&mut self, ms: i64, answer: &Result<Vec<Partition>, LogError>) {
            for _ in 0..ms / 250 {
                self.clock.fetch_add(250, Ordering::Relaxed);
                self.watch.update();
                if self.watch.is_due() {
                    self.watch.asked_ms = self.health.now_ms();
                    self.watch.record_answer(answer.clone());
                    self.watch.update();
                }
            }
        }

        fn codes(&self) -> Vec<&'static str> {
            self.process
                .active_conditions()
                .iter()
                .map(|standing| standing.condition.code)
                .collect()
        }
    }

    fn silent() -> Result<Vec<Partition>, LogError> {
        Err(LogError::TimedOut { action: "reach the Kafka cluster" })
    }

    #[test]
    fn without_traffic_two_answers_that_do_not_come_are_a_log_that_is_down() {
        let mut bench = bench();
        bench.pass(5_750, &silent());
        assert!(bench.process.is_ready(), "one may be chance");
        bench.pass(250, &silent());
        assert_eq!(bench.codes(), ["log_down"]);
        assert!(!bench.process.is_ready());
        let cause = &bench.process.active_conditions()[0].condition.cause;
        assert_eq!(
            cause,
            "2 of 2 partitions: timed out while waiting to reach the Kafka cluster (log_timed_out)"
        );
        bench.pass(600_000, &silent());
        assert!(!bench.process.is_ready(), "it does not flap");
        bench.pass(6_000, &Ok(vec![]));
        assert_eq!(bench.codes(), <[&str; 0]>::default());
        assert!(bench.process.is_ready());
    }

    #[test]
    fn failing_reports_on_all_partitions_are_a_log_that_is_down_and_acknowledgements_end_it() {
        let mut bench = bench();
        bench.publish(0, false);
        bench.publish(1, false);
        bench.pass(250, &Ok(vec![]));
        assert_eq!(bench.codes(), ["log_down"]);
        assert!(bench.health.admits_request() && !bench.health.admits_request());
        bench.publish(0, true);
        bench.pass(1_750, &Ok(vec![1]));
        assert_eq!(bench.codes(), ["log_down"], "not at the first sign");
        bench.publish(0, true);
        bench.pass(500, &Ok(vec![1]));
        assert_eq!(bench.codes(), ["log_stalled"], "the other partition is stalled still");
        assert!(bench.process.is_ready() && bench.health.admits_request());
        bench.publish(1, true);
        bench.pass(250, &Ok(vec![]));
        assert_eq!(bench.codes(), <[&str; 0]>::default());
    }

    #[test]
    fn a_log_that_says_it_is_well_and_fails_is_trusted_later_each_time() {
        let mut bench = bench();
        let mut downs = Vec::new();
        for _ in 0..4 {
            bench.publish(0, false);
            bench.publish(1, false);
            let before = bench.health.now_ms();
            bench.pass(250, &Ok(vec![]));
            while !bench.process.is_ready() {
                bench.pass(250, &Ok(vec![]));
            }
            downs.push((bench.health.now_ms() - before) / 1_000);
        }
        assert_eq!(downs, [5, 10, 20, 40]);
        bench.publish(0, true);
        bench.publish(1, true);
        bench.publish(0, false);
        bench.publish(1, false);
        let before = bench.health.now_ms();
        bench.pass(250, &Ok(vec![]));
        while !bench.process.is_ready() {
            bench.pass(250, &Ok(vec![]));
        }
        assert!(bench.health.now_ms() - before < 10_000, "an acknowledgement counts");
    }

    #[test]
    fn a_partition_without_a_leader_is_told_and_takes_nothing_from_the_others() {
        let mut bench = bench();
        bench.pass(20_000, &Ok(vec![1]));
        assert_eq!(bench.codes(), ["log_stalled"]);
        assert!(bench.process.is_ready());
        assert!(bench.health.begin(&RowPartitions::One(0)).is_some());
    }
}
