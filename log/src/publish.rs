//! Publishes records one chunk after the other, and waits until all are durable.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::{LogError, Offset, OnDurable, Producer, ProducerRecord, chunks};

/// Pause before a full queue is offered records again.
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// Publishes records in their order, and returns their offsets when all are durable. Blocks.
///
/// # Errors
/// The first record that was not written; those before it are durable, those behind it may be.
pub fn publish(
    producer: &dyn Producer,
    records: Vec<ProducerRecord>,
) -> Result<Vec<Offset>, LogError> {
    let mut offsets = Vec::with_capacity(records.len());
    for mut part in chunks(records) {
        let (tell, told) = sync_channel(1);
        let mut done: OnDurable = Box::new(move |outcomes: Vec<Result<Offset, LogError>>| {
            // Nobody listens any more only if this process is ending.
            drop(tell.send(outcomes));
        });
        while let Err(full) = producer.send(part, done) {
            (part, done) = (full.rows, full.done);
            std::thread::sleep(FULL_PAUSE);
        }
        let ended = |_| LogError::TimedOut { action: "hear from the log" };
        for outcome in told.recv().map_err(ended)? {
            offsets.push(outcome?);
        }
    }
    Ok(offsets)
}
