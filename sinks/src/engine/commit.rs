//! Commits: one at a time, ordered from the thread that owns the membership.

use tillrace_log::explain::code_of;
use tillrace_log::{LogError, Position};
use tokio::time::Instant;

use super::partition::AssignedPartition;
use super::reader::ReaderCommand;
use super::{Engine, SinkError};

impl Engine {
    /// Orders a commit when it is time, there is news, and none is under way.
    pub(super) fn commit(&mut self, now: Instant) {
        if now < self.commit_due {
            return;
        }
        self.commit_due = now + self.spec.flow.commit_every;
        if self.commit_ordered {
            return;
        }
        let positions: Vec<_> = self
            .partitions
            .iter_mut()
            .filter_map(|(&partition, assigned)| {
                Some((assigned.epoch, Position { partition, committed: assigned.news()? }))
            })
            .collect();
        if positions.is_empty() {
            return;
        }
        self.commit_ordered = self.reader.send(ReaderCommand::Commit(positions));
        if !self.commit_ordered {
            self.forget_commits();
        }
    }

    pub(super) fn committed(&mut self, outcome: Result<(), LogError>) -> Result<(), SinkError> {
        self.commit_ordered = false;
        let Err(error) = outcome else { return Ok(()) };
        self.forget_commits();
        // Fenced: another member owns a partition, and its revocation is on its way to us.
        if error.is_retryable() || matches!(error, LogError::Fenced { .. }) {
            let (code, sink) = (code_of(&error), &self.spec.name);
            tracing::warn!(code, sink, %error, "commit failed, trying again");
            return Ok(());
        }
        Err(error.into())
    }

    fn forget_commits(&mut self) {
        self.partitions.values_mut().for_each(AssignedPartition::forget_commit);
    }

    /// Waits for a commit that is under way, then commits what there is to commit.
    pub(super) async fn commit_all(&mut self, deadline: Instant) -> Result<(), SinkError> {
        for last in [false, true] {
            if last {
                self.commit_due = Instant::now();
                self.commit(self.commit_due);
            }
            while self.commit_ordered {
                match tokio::time::timeout_at(deadline, self.reader.events.recv()).await {
                    Ok(event) => self.handle_last_event(event)?,
                    Err(_elapsed) => return Ok(()),
                }
            }
        }
        Ok(())
    }
}
