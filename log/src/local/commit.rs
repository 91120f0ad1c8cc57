//! A commit that its caller waits for.

use crossbeam::channel::bounded;

use super::catalog::Control;
use super::frame::FRAME_OVERHEAD;
use super::queue::{Done, Submission};
use super::state::Shared;
use crate::{LogError, ProducerRecord};

/// Writes rows and controls in one frame and waits until it is durable.
pub(super) fn commit_whole(
    shared: &Shared,
    rows: Vec<ProducerRecord>,
    controls: Vec<Control>,
) -> Result<(), LogError> {
    let (done, outcome) = bounded(1);
    let submission = Submission { rows, controls, done: Done::Whole(done) };
    let (bytes, limit) = (submission.cost(), shared.tuning.frame_limit());
    if bytes > limit.saturating_sub(FRAME_OVERHEAD) {
        return Err(LogError::TooLarge { bytes, limit });
    }
    if shared.queue.push(submission).is_err() {
        return Err(shared.ended("commit"));
    }
    outcome.recv().unwrap_or_else(|_| Err(shared.ended("commit")))
}
