//! Follows a policy set on the log.

use std::time::Duration;

use tillrace_log::{ConsumerRecord, LogError, LogView, Partition, Reader, Topic};

use crate::chain::{Chain, Seen};
use crate::change::{Change, compare};
use crate::set::PolicySet;

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

    #[cfg(test)]
    pub(crate) fn feed(&mut self, record: &ConsumerRecord) -> Seen {
        self.chain.feed(record)
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

    /// Returns the set of an earlier revision; `None` where there was none of this number, or where its documents are gone.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn set_at(
        view: &dyn LogView,
        topic: &Topic,
        revision: u64,
    ) -> Result<Option<PolicySet>, LogError> {
        let (mut reading, mut chain) = (Self::open(view, topic)?, Chain::default());
        let mut found = (revision == 0).then(PolicySet::default);
        reading.records_to_end(view, |record| {
            let seen = chain.feed(record);
            if matches!(seen, Seen::Applied(_)) && chain.revision() == revision {
                found = Some(chain.set().clone());
            }
        })?;
        Ok(found)
    }

    /// Begins again at the first record, where the newest set is not whole: documents that upkeep removed in the meantime may be
    /// missed by who reads on, and by nobody who begins anew. What is served stays unless the set is whole then.
    ///
    /// Returns what changed.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn reread(&mut self, view: &dyn LogView) -> Result<Vec<Change>, LogError> {
        let mut anew = Self::open(view, &self.topic)?;
        anew.catch_up(view, |_, _| {})?;
        if anew.chain.broken().is_some() {
            return Ok(Vec::new());
        }
        let changes = compare(self.chain.set(), anew.chain.set(), |_| true);
        *self = anew;
        Ok(changes)
    }

    /// Hands out the records up to the end of what is there now, and takes none itself.
    pub(crate) fn records_to_end(
        &mut self,
        view: &dyn LogView,
        mut take: impl FnMut(&ConsumerRecord),
    ) -> Result<(), LogError> {
        let end = view.bounds(&self.topic, PARTITION)?.stable_end;
        while self.reader.position() < end {
            self.reader.read(RECORDS_A_READ, READ_WAIT)?.iter().for_each(&mut take);
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
