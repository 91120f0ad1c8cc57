//! What of one sink stands still, told to the process's health: each once, with cause and remedy.

use std::mem;
use std::time::Duration;

use tillrace_core::health::{Condition, Health, Impact};
use tillrace_core::log::{Partition, Topic};
use tokio::time::Instant;

use super::SinkError;
use crate::connector::Ordering;
use crate::dead::Cause;
use crate::failure::{ErrorChain, FailureCode};
use crate::record::Record;

/// How often dead letters are logged at most; those in between are counted.
const LOG_LETTERS_EVERY: Duration = Duration::from_secs(10);
/// How long the audit, or reading, may fail before it counts as standing still.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(30);
/// Longest code of a backend that is repeated, in bytes.
const LONGEST_CODE: usize = 64;

/// One sink's part of the process's health.
#[derive(Debug)]
pub(crate) struct Conditions {
    sink: String,
    component: String,
    dead: Topic,
    ordering: Ordering,
    health: Health,
    letters: Letters,
    /// Whether the audit, and reading, were last said to stand still.
    audit_stalled: bool,
    reading_stalled: bool,
}

/// Dead letters written since the start.
#[derive(Debug, Default)]
struct Letters {
    total: usize,
    /// Those of them that no log line has counted yet.
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
            letters: Letters::default(),
            audit_stalled: false,
            reading_stalled: false,
        }
    }

    pub(crate) fn sink_stopped(&self, error: &SinkError) {
        self.raise("sink_stopped", String::new(), ErrorChain(error).to_string(), error.remedy());
    }

    pub(super) fn partition_halted(&self, partition: Partition, error: &SinkError) {
        let cause = ErrorChain(error).to_string();
        self.raise("partition_halted", of(partition), cause, error.remedy());
    }

    /// The partition is another member's, which says of it what it finds.
    pub(super) fn partition_left(&self, partition: Partition) {
        self.health.clear(&self.component, "partition_halted", &of(partition));
    }

    pub(super) fn breaker_opened(&self, code: FailureCode, cause: &str) {
        self.raise("breaker_open", String::new(), format!("{code}: {cause}"), code.remedy());
    }

    pub(super) fn breaker_closed(&self) {
        self.health.clear(&self.component, "breaker_open", "");
    }

    /// Says that the audit cannot be written, or can again.
    pub(super) fn audit(&mut self, stalled: bool) {
        const CODE: &str = "audit_not_written";
        let before = mem::replace(&mut self.audit_stalled, stalled);
        if before == stalled {
            return;
        }
        if stalled {
            let cause = "audit records and dead letters do not become durable; \
                         what they settle is not committed";
            self.raise(CODE, String::new(), cause.to_owned(), "see the log's own condition");
        } else {
            self.health.clear(&self.component, CODE, "");
        }
    }

    /// Says that the sink's topic cannot be read, or can again.
    pub(super) fn reading(&mut self, failure: Option<String>) {
        const CODE: &str = "topic_not_read";
        let before = mem::replace(&mut self.reading_stalled, failure.is_some());
        match failure {
            Some(cause) => self.raise(CODE, String::new(), cause, "see the log's own condition"),
            None if before => self.health.clear(&self.component, CODE, ""),
            None => {}
        }
    }

    /// Says that records went to the dead letters. The condition stands until the process ends:
    /// it does not read what `redrive` did since.
    pub(super) fn dead_letters(
        &mut self,
        partition: Partition,
        dead: &[(Record, Cause)],
        now: Instant,
    ) {
        let Some((record, Cause { reason, error, .. })) = dead.last() else { return };
        let letters = &mut self.letters;
        letters.total += dead.len();
        letters.unlogged += dead.len();
        let (reason, code, offset) = (reason.as_str(), plain_code(error), record.offset);
        if letters.logged_at.is_none_or(|at| now - at >= LOG_LETTERS_EVERY) {
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
        self.raise("dead_letters", String::new(), cause, &remedy);
    }

    fn raise(&self, code: &'static str, subject: String, cause: String, remedy: &str) {
        // A backend that is down is no reason to take the gateway of the same process from its tills.
        let impact = Impact::Degraded;
        let (component, remedy) = (self.component.clone(), remedy.to_owned());
        self.health.raise(Condition { component, code, subject, impact, cause, remedy });
    }
}

fn of(partition: Partition) -> String {
    format!("partition {partition}")
}

/// Returns the code of an error if it reads like one: what a backend says may repeat what it was sent.
fn plain_code(error: &str) -> &str {
    let code = error.split(':').next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if code.len() <= LONGEST_CODE && code.bytes().all(plain) { code } else { "no plain code" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_is_free_text_is_not_repeated() {
        assert_eq!(plain_code("status_422: line 3"), "status_422");
        assert_eq!(plain_code("account of Jane Doe is locked"), "no plain code");
        assert_eq!(plain_code(&"7".repeat(65)), "no plain code");
    }
}
