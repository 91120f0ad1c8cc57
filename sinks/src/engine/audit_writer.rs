//! Writes audit records and dead letters to the log.
//!
//! Offsets are settled only when these are durable, so a commit never covers a record that is in
//! neither the backend nor the dead letters nor the audit. A failed write is repeated with the same
//! bytes: a record that appears twice carries the same number and hash.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tillrace_log::explain;
use tillrace_log::explain::code_of;
use tillrace_log::{LogError, Offset, Partition, Producer, ProducerRecord, Topic};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::call::wall_clock;
use crate::audit::{AuditEntry, HashChain};
use crate::dead_letter::{self, DeadLetterCause};
use crate::record::Record;

const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Writes the audit records and dead letters of one sink.
pub(crate) struct AuditWriter {
    sink: String,
    source: Topic,
    dead: Topic,
    audit: Topic,
    producer: Arc<dyn Producer>,
}

/// Why audit records and dead letters cannot be written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditWriterError {
    /// The log refused for good.
    #[error("failed to write an audit record or a dead letter")]
    Log(#[from] LogError),
    /// A record could not be put into JSON.
    #[error("failed to encode an audit record or a dead letter")]
    Encode(#[from] Arc<serde_json::Error>),
    /// The log dropped rows without an answer.
    #[error("log gave no answer to an audit record or a dead letter")]
    Unanswered,
}

explain!(AuditWriterError {
    => Log;
    Encode: "audit_not_encoded",
        "An audit record or a dead letter could not be put into JSON: a defect.",
        "Report it with the text.";
    Unanswered: "audit_unanswered",
        "The log took an audit record and ended without an answer.",
        "Start the process again; what was not settled is delivered again.";
});

impl AuditWriter {
    pub(crate) fn new(
        sink: &str,
        source: Topic,
        dead: Topic,
        audit: Topic,
        producer: Box<dyn Producer>,
    ) -> Self {
        Self { sink: sink.to_owned(), source, dead, audit, producer: producer.into() }
    }

    /// Starts the hash chain of one assignment. A chain stays within a partition, and its records are
    /// sent in order, so a crash cuts off its end and leaves no hole.
    pub(crate) fn chain(&self) -> HashChain {
        HashChain::new(&self.sink, self.source.as_str(), Uuid::new_v4())
    }

    /// Encodes the rows of a settled call: its dead letters, then its audit records.
    pub(crate) fn rows(
        &self,
        chain: &mut HashChain,
        partition: Partition,
        dead: &[(Record, DeadLetterCause)],
        entries: &[AuditEntry],
    ) -> Result<Vec<ProducerRecord>, AuditWriterError> {
        let mut rows = Vec::with_capacity(dead.len() + entries.len());
        for (record, cause) in dead {
            let topic = self.source.as_str();
            let value =
                dead_letter::encode(&self.sink, topic, partition, record, cause, wall_clock())
                    .map_err(Arc::new)?;
            rows.push(row(
                &self.dead,
                partition,
                Bytes::copy_from_slice(dead_letter::key(record)),
                value,
            ));
        }
        let key = Bytes::from(format!("{}/{partition}", self.sink));
        for entry in entries {
            for value in chain.append(partition, entry).map_err(Arc::new)? {
                rows.push(row(&self.audit, partition, key.clone(), value));
            }
        }
        Ok(rows)
    }

    /// Encodes the record of where a partition begins: all offsets below were left out by the sink's `start`.
    pub(crate) fn begun(
        &self,
        partition: Partition,
        offset: Offset,
    ) -> Result<ProducerRecord, AuditWriterError> {
        let value = self.chain().begun(partition, offset, wall_clock()).map_err(Arc::new)?;
        Ok(row(&self.audit, partition, format!("{}/{partition}", self.sink).into(), value))
    }

    /// Publishes rows in order; the future completes when all of them are durable.
    pub(crate) fn publish(
        &self,
        rows: Vec<ProducerRecord>,
    ) -> impl Future<Output = Result<(), AuditWriterError>> + Send + 'static {
        let producer = Arc::clone(&self.producer);
        async move {
            for part in tillrace_log::chunks(rows) {
                publish(&*producer, part).await?;
            }
            Ok(())
        }
    }
}

fn row(topic: &Topic, partition: Partition, key: Bytes, value: Vec<u8>) -> ProducerRecord {
    ProducerRecord { topic: topic.clone(), partition, key, value: Some(value.into()) }
}

async fn publish(
    producer: &dyn Producer,
    mut rows: Vec<ProducerRecord>,
) -> Result<(), AuditWriterError> {
    let mut wait = FIRST_WAIT;
    loop {
        let (answer, answered) = oneshot::channel();
        let copy = rows.clone();
        let done = Box::new(move |outcomes| {
            // Nobody listens any more when the sink was stopped meanwhile.
            let _unheard: Result<(), _> = answer.send(outcomes);
        });
        match producer.send(copy, done) {
            Ok(()) => {
                let outcomes: Vec<Result<_, LogError>> =
                    answered.await.map_err(|_dropped| AuditWriterError::Unanswered)?;
                let Some(error) = keep_failed(&mut rows, outcomes)? else { return Ok(()) };
                let (code, rows) = (code_of(&error), rows.len());
                tracing::warn!(code, %error, rows, "audit not durable yet, writing it again");
            }
            Err(full) => drop(full),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Keeps the rows that must be written again, and returns why.
fn keep_failed<T>(
    rows: &mut Vec<ProducerRecord>,
    outcomes: Vec<Result<T, LogError>>,
) -> Result<Option<LogError>, LogError> {
    let mut failed = None;
    let mut again = Vec::new();
    for (row, outcome) in rows.drain(..).zip(outcomes) {
        match outcome {
            Ok(_offset) => {}
            Err(error) if error.is_retryable() => {
                failed = Some(error);
                again.push(row);
            }
            Err(error) => return Err(error),
        }
    }
    *rows = again;
    Ok(failed)
}

impl std::fmt::Debug for AuditWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AuditWriter").field("sink", &self.sink).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tillrace_log::{Full, OnDurable};

    use super::*;

    /// Answers each send with the next script: a failure for each row it names.
    struct Scripted {
        failing: Mutex<Vec<Vec<usize>>>,
        sent: Arc<Mutex<Vec<Vec<Bytes>>>>,
    }

    impl Producer for Scripted {
        fn send(&self, rows: Vec<ProducerRecord>, done: OnDurable) -> Result<(), Full> {
            let Some(failing) = self.failing.lock().pop() else {
                return Err(Full { rows, done });
            };
            self.sent.lock().push(rows.iter().map(|row| row.key.clone()).collect());
            done(
                (0..rows.len())
                    .map(|row| {
                        let action = "append";
                        if failing.contains(&row) {
                            Err(LogError::TimedOut { action })
                        } else {
                            Ok(0)
                        }
                    })
                    .collect(),
            );
            Ok(())
        }

        fn flush(&self, _: Duration) -> Result<(), LogError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn only_what_failed_is_written_again() {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let failing = Mutex::new(vec![vec![], vec![0], vec![1, 2]]);
        let producer = Scripted { failing, sent: Arc::clone(&sent) };
        let rows = ["a", "b", "c"].map(|key| row(&Topic::new("t"), 0, key.into(), Vec::new()));
        publish(&producer, rows.into()).await.unwrap();
        assert_eq!(*sent.lock(), [vec!["a", "b", "c"], vec!["b", "c"], vec!["b"]]);
    }
}
