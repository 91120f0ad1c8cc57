//! Follows a policy set on the log.

use std::time::Duration;

use tillrace_log::{LogError, LogView, Partition, Reader, Topic};

use crate::chain::{Chain, Seen};

/// The partition that the set stands in: one order for all of it.
pub const PARTITION: Partition = 0;
const RECORDS_A_READ: usize = 1_000;
/// Longest wait for records that are there.
const READ_WAIT: Duration = Duration::from_millis(200);

/// A reader of the set, from the first record on.
pub struct Follower {
    topic: Topic,
    reader: Box<dyn Reader>,
    chain: Chain,
}

impl Follower {
    /// Begins at the first record that there is.
    ///
    /// # Errors
    /// When the log cannot be read, or has no such topic.
    pub fn open(view: &dyn LogView, topic: &Topic) -> Result<Self, LogError> {
        let start = view.bounds(topic, PARTITION)?.start;
        let reader = view.reader(topic, PARTITION, start)?;
        Ok(Self { topic: topic.clone(), reader, chain: Chain::default() })
    }

    /// Returns what was read so far.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Waits for records, at most `wait` for the first, and tells what each did.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn poll(
        &mut self,
        wait: Duration,
        mut seen: impl FnMut(&Chain, Seen),
    ) -> Result<(), LogError> {
        for record in self.reader.read(RECORDS_A_READ, wait)? {
            let did = self.chain.feed(&record);
            seen(&self.chain, did);
        }
        Ok(())
    }

    /// Reads on to the end of what is there now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn catch_up(
        &mut self,
        view: &dyn LogView,
        mut seen: impl FnMut(&Chain, Seen),
    ) -> Result<(), LogError> {
        let end = view.bounds(&self.topic, PARTITION)?.stable_end;
        while self.reader.position() < end {
            self.poll(READ_WAIT, &mut seen)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Follower")
            .field("topic", &self.topic)
            .field("revision", &self.chain.revision())
            .finish_non_exhaustive()
    }
}
