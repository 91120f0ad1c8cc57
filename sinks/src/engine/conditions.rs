//! Health conditions of one sink: what makes no progress, each reported once, with cause and remedy.

use std::mem;
use std::time::Duration;

use tillrace_log::explain::{Explained as _, Explanation};
use tillrace_log::health::{Condition, Health, Impact};
use tillrace_log::{Partition, Topic};
use tokio::time::Instant;

use super::SinkError;
use crate::connector::Ordering;
use crate::dead_letter::DeadLetterCause;
use crate::failure::{ErrorChain, FailureCode};
use crate::record::Record;

/// Shortest time between log lines about dead letters; those in between are counted.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// How long the condition of dead letters stays after the last letter.
const DEAD_LETTERS_SHOWN_FOR: Duration = Duration::from_hours(1);
/// How long writing the audit, or reading the topic, may fail before it counts as stalled.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(30);
/// Longest code of a backend that is repeated in conditions and logs, in bytes.
const LONGEST_CODE: usize = 64;

const SINK_STOPPED: Explanation = Explanation {
    code: "sink_stopped",
    meaning: "A sink ended by itself. What it had not settled comes again after a restart.",
    remedy: "Do what the remedy of its cause says, then start the process again.",
};
const PARTITION_HALTED: Explanation = Explanation {
    code: "partition_halted",
    meaning: "A sink stopped delivering a partition; the others go on. Nothing is lost while its topic keeps the records.",
    remedy: "Do what the remedy of its cause says, then start the process again.",
};
const BREAKER_OPEN: Explanation = Explanation {
    code: "breaker_open",
    meaning: "Consecutive calls to a backend failed, so the circuit breaker stops all calls except a probe now and then. No record \
              is lost or goes to the dead letters meanwhile.",
    remedy: "Do what the remedy of its cause says; delivery goes on by itself.",
};
const DELIVERY_STALLED: Explanation = Explanation {
    code: "delivery_stalled",
    meaning: "A sink has made no progress for 15 s or longer, as a whole or with records of a partition: its backend asks it to wait, \
              does not answer, or answers that it can not take them now. Nothing is lost; the cause says since when, what the \
              backend said, and when it is tried again. The condition goes when the backend takes them.",
    remedy: "See with those who run the backend why it makes the sink wait: its quota, its load, a lock on an account or a period. \
             Delivery goes on by itself. To try at once what waits for long, start the process again.",
};
const DEAD_LETTERS: Explanation = Explanation {
    code: "dead_letters",
    meaning: "Records were put into a sink's dead letters. The condition goes an hour after the last one: it does not know what \
              was delivered since by `tillrace redrive`, whose `--dry-run` lists what is still due.",
    remedy: "Read them on `<sink>.dead.v1`, put right what made them dead, and run `tillrace redrive <sink>`.",
};
const AUDIT_NOT_WRITTEN: Explanation = Explanation {
    code: "audit_not_written",
    meaning: "Audit records and dead letters of a sink do not become durable; what they settle is not committed.",
    remedy: "See the condition of the log.",
};
pub(super) const DRAIN_CUT: Explanation = Explanation {
    code: "sink_drain_cut",
    meaning: "A sink was told to end and had records in flight after `flow.drain_within`. They are not committed, and are delivered \
              after the next start under the same idempotency keys.",
    remedy: "Nothing, if the backend was slow or away. To wait longer, raise the sink's `flow.drain_within`.",
};
pub(super) const BATCHES_SHRUNK: Explanation = Explanation {
    code: "batches_shrunk",
    meaning: "A backend answered that a batch is too large (413). The batch is cut in two and sent again, and later batches of the sink \
              are smaller until the process starts again. Nothing is lost.",
    remedy: "Set the sink's `flow.batch.bytes` to what the text says, so that no call is wasted after a start; or raise the backend's limit.",
};
const TOPIC_NOT_READ: Explanation = Explanation {
    code: "topic_not_read",
    meaning: "A sink's topic cannot be read for a while.",
    remedy: "See the condition of the log.",
};

/// Explanations of all conditions that a sink can raise.
pub const SINK_CONDITIONS: &[Explanation] = &[
    BATCHES_SHRUNK,
    SINK_STOPPED,
    PARTITION_HALTED,
    BREAKER_OPEN,
    DELIVERY_STALLED,
    DEAD_LETTERS,
    AUDIT_NOT_WRITTEN,
    TOPIC_NOT_READ,
    DRAIN_CUT,
];

/// One sink's part of the process's health.
#[derive(Debug)]
pub(crate) struct Conditions {
    sink: String,
    component: String,
    dead: Topic,
    ordering: Ordering,
    health: Health,
    letters: DeadLetterCounter,
    /// Whether audit and reading were last reported as stalled.
    audit_stalled: bool,
    reading_stalled: bool,
}

/// Dead letters written since the start.
#[derive(Debug)]
struct DeadLetterCounter {
    total: usize,
    /// When the last letter was written; the start of the engine if none was.
    last: Instant,
    /// Letters that no log line has counted yet.
    unlogged: usize,
    logged_at: Option<Instant>,
}

impl Conditions {
    pub(crate) fn new(sink: &str, dead: Topic, ordering: Ordering, health: Health) -> Self {
        let component = format!("sink/{sink}");
        Self {
            sink: sink.to_owned(),
            component,
            dead,
            ordering,
            health,
            letters: DeadLetterCounter {
                total: 0,
                last: Instant::now(),
                unlogged: 0,
                logged_at: None,
            },
            audit_stalled: false,
            reading_stalled: false,
        }
    }

    pub(crate) fn sink_stopped(&self, error: &SinkError) {
        let cause = ErrorChain(error).to_string();
        self.raise(SINK_STOPPED.code, String::new(), cause, error.explanation().remedy);
    }

    pub(super) fn partition_halted(&self, partition: Partition, error: &SinkError) {
        let cause = ErrorChain(error).to_string();
        self.raise(PARTITION_HALTED.code, of(partition), cause, error.explanation().remedy);
    }

    /// Clears what was reported of a partition: its new owner reports on it.
    pub(crate) fn partition_left(&self, partition: Partition) {
        self.health.clear(&self.component, PARTITION_HALTED.code, &of(partition));
        self.health.clear(&self.component, DELIVERY_STALLED.code, &of(partition));
    }

    /// Clears what an ended engine reported, except dead letters. The next engine reports anew.
    pub(crate) fn engine_ended(&self) {
        let its_own = [BREAKER_OPEN, DELIVERY_STALLED, AUDIT_NOT_WRITTEN, TOPIC_NOT_READ];
        for Condition { component, code, subject, .. } in
            self.health.active_conditions().into_iter().map(|standing| standing.condition)
        {
            if component == self.component && its_own.iter().any(|one| one.code == code) {
                self.health.clear(&component, code, &subject);
            }
        }
    }

    pub(super) fn breaker_opened(&self, code: FailureCode, cause: &str) {
        let Explanation { meaning, remedy, .. } = code.explanation();
        self.raise(BREAKER_OPEN.code, String::new(), format!("{cause}. {meaning}"), remedy);
    }

    pub(super) fn breaker_closed(&self) {
        self.health.clear(&self.component, BREAKER_OPEN.code, "");
    }

    /// Reports why a partition, or the whole sink, makes no progress, or clears the report.
    pub(super) fn stalled(&self, partition: Option<Partition>, cause: Option<String>) {
        let Explanation { code, remedy, .. } = DELIVERY_STALLED;
        let subject = partition.map(of).unwrap_or_default();
        match cause {
            Some(cause) => self.raise(code, subject, cause, remedy),
            None => self.health.clear(&self.component, code, &subject),
        }
    }

    /// Reports that the audit cannot be written, or clears the report.
    pub(super) fn audit(&mut self, stalled: bool) {
        let before = mem::replace(&mut self.audit_stalled, stalled);
        if before == stalled {
            return;
        }
        if stalled {
            let Explanation { code, meaning, remedy } = AUDIT_NOT_WRITTEN;
            self.raise(code, String::new(), meaning.to_owned(), remedy);
        } else {
            self.health.clear(&self.component, AUDIT_NOT_WRITTEN.code, "");
        }
    }

    /// Reports that the sink's topic cannot be read, or clears the report.
    pub(super) fn reading(&mut self, failure: Option<String>) {
        let Explanation { code, remedy, .. } = TOPIC_NOT_READ;
        let before = mem::replace(&mut self.reading_stalled, failure.is_some());
        match failure {
            Some(cause) => self.raise(code, String::new(), cause, remedy),
            None if before => self.health.clear(&self.component, code, ""),
            None => {}
        }
    }

    /// Clears the condition of dead letters when the last one is old. What `redrive` delivered since is unknown here.
    pub(super) fn expire_dead_letters(&self, now: Instant) {
        if now.saturating_duration_since(self.letters.last) >= DEAD_LETTERS_SHOWN_FOR {
            self.health.clear(&self.component, DEAD_LETTERS.code, "");
        }
    }

    /// Reports that records went to the dead letters.
    pub(super) fn dead_letters(
        &mut self,
        partition: Partition,
        dead: &[(Record, DeadLetterCause)],
        now: Instant,
    ) {
        let Some((record, DeadLetterCause { reason, error, .. })) = dead.last() else { return };
        let letters = &mut self.letters;
        letters.total += dead.len();
        letters.last = now;
        letters.unlogged += dead.len();
        let (reason, code, offset) = (reason.as_str(), plain_code(error), record.offset);
        if letters.logged_at.is_none_or(|at| now - at >= LOG_INTERVAL) {
            let (sink, records) = (&self.sink, letters.unlogged);
            tracing::warn!(sink, partition, records, reason, code, offset, "dead letters");
            letters.logged_at = Some(now);
            letters.unlogged = 0;
        }
        let cause = format!(
            "{} since the start, the last of partition {partition}, offset {offset}: {reason}, {code}",
            letters.total
        );
        let (dead, sink) = (&self.dead, &self.sink);
        let remedy = match self.ordering {
            Ordering::Key => format!(
                "read them on {dead}, put right what made them dead, then run `tillrace redrive {sink}`"
            ),
            Ordering::Partition => {
                format!(
                    "read them on {dead}: the files go on without them, and no row can hold them"
                )
            }
        };
        self.raise(DEAD_LETTERS.code, String::new(), cause, &remedy);
    }

    fn raise(&self, code: &'static str, subject: String, cause: String, remedy: &str) {
        // An outage of a backend must not make the gateway of the same process unready for its terminals.
        let impact = Impact::Degraded;
        let (component, remedy) = (self.component.clone(), remedy.to_owned());
        self.health.raise(Condition { component, code, subject, impact, cause, remedy });
    }
}

fn of(partition: Partition) -> String {
    format!("partition {partition}")
}

/// Returns the code at the start of an error if it looks like a code. Free text of a backend may repeat a payload.
pub(super) fn plain_code(error: &str) -> &str {
    let code = error.split(':').next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if code.len() <= LONGEST_CODE && code.bytes().all(plain) { code } else { "no plain code" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::DeadLetterReason;

    #[test]
    fn dead_letters_are_told_of_for_an_hour_after_the_last() {
        let (health, start) = (Health::default(), Instant::now());
        let dead = Topic::new("erp.dead.v1");
        let mut conditions = Conditions::new("erp", dead, Ordering::Key, health.clone());
        let record = Record::new(7, 0, b"demo/1".to_vec(), "{}");
        let cause = DeadLetterCause {
            reason: DeadLetterReason::Rejected,
            error: "closed: period".to_owned(),
            attempts: 1,
        };
        let letters = [(record, cause)];
        conditions.dead_letters(0, &letters, start);
        conditions.dead_letters(0, &letters, start + Duration::from_mins(30));
        conditions.expire_dead_letters(start + Duration::from_mins(89));
        let told = health.active_conditions().remove(0).condition;
        assert_eq!(told.code, "dead_letters");
        assert!(told.cause.starts_with("2 since the start"), "{}", told.cause);
        conditions.expire_dead_letters(start + Duration::from_mins(90));
        assert_eq!(health.active_conditions(), []);
    }

    #[test]
    fn what_an_engine_told_goes_with_it_and_dead_letters_stay() {
        let health = Health::default();
        let new =
            |sink| Conditions::new(sink, Topic::new("dead.v1"), Ordering::Key, health.clone());
        let (mut ended, other) = (new("erp"), new("crm"));
        for conditions in [&ended, &other] {
            conditions.breaker_opened(FailureCode::ServerError, "server_error");
        }
        ended.stalled(Some(3), Some("locked".to_owned()));
        ended.audit(true);
        let record = Record::new(7, 0, b"demo/1".to_vec(), "{}");
        let cause = DeadLetterCause {
            reason: DeadLetterReason::Rejected,
            error: "closed".to_owned(),
            attempts: 1,
        };
        ended.dead_letters(0, &[(record, cause)], Instant::now());
        new("erp").engine_ended();
        let standing: Vec<_> = health
            .active_conditions()
            .into_iter()
            .map(|one| (one.condition.component, one.condition.code))
            .collect();
        let expected = [("sink/crm", "breaker_open"), ("sink/erp", "dead_letters")];
        assert_eq!(standing, expected.map(|(component, code)| (component.to_owned(), code)));
    }

    #[test]
    fn a_code_that_is_free_text_is_not_repeated() {
        assert_eq!(plain_code("status_422: line 3"), "status_422");
        assert_eq!(plain_code("account of Jane Doe is locked"), "no plain code");
        assert_eq!(plain_code(&"7".repeat(65)), "no plain code");
    }
}
