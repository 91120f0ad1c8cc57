//! Which generation of the log a partition's offsets belong to.
//!
//! Offsets start anew when topics are made anew, so an offset names a record only together
//! with the generation. The aggregator keeps it in the checkpoints of its state; the latest one counts.

use std::time::Duration;

use serde::Deserialize;
use tillrace_log::{LogError, LogView, Partition, Topic};

const CHECKPOINT: &[u8] = b"checkpoint/";
const READ_RECORDS: usize = 5_000;
const READ_WAIT: Duration = Duration::from_millis(200);

#[derive(Deserialize)]
struct Checkpoint {
    generation: String,
}

/// Finds the generation of a partition; `None` before the aggregator's first checkpoint.
pub(super) fn find(
    view: &dyn LogView,
    state: &Topic,
    partition: Partition,
) -> Result<Option<String>, LogError> {
    let bounds = view.bounds(state, partition)?;
    let mut reader = view.reader(state, partition, bounds.start)?;
    let mut generation = None;
    while reader.position() < bounds.stable_end {
        let before = reader.position();
        for entry in reader.read(READ_RECORDS, READ_WAIT)? {
            let value = entry.value.as_deref().filter(|_| entry.key.starts_with(CHECKPOINT));
            let checkpoint = value.map(serde_json::from_slice::<Checkpoint>);
            // Other versions may keep other things under that prefix.
            if let Some(Ok(checkpoint)) = checkpoint {
                generation = Some(checkpoint.generation);
            }
        }
        if reader.position() == before {
            return Err(LogError::TimedOut { action: "read the aggregator's state" });
        }
    }
    Ok(generation)
}
