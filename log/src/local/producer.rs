//! The producer: a bounded queue in front of the writer.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, bounded};

use super::open_log::OpenLog;
use super::queue::{Done, Submission};
use crate::{Full, LogError, OnDurable, Producer, ProducerRecord};

/// Writes rows outside any transaction.
pub(super) struct LocalProducer {
    pub(super) open_log: Arc<OpenLog>,
}

impl Producer for LocalProducer {
    fn send(&self, rows: Vec<ProducerRecord>, done: OnDurable) -> Result<(), Full> {
        let shared = &self.open_log.shared;
        // `Full` would ask the caller to offer again what no thread may be left to write.
        if let Some(fault) = shared.poison.get() {
            let refused = fault.clone().refusing("write");
            done(rows.iter().map(|_| Err(refused.clone())).collect());
            return Ok(());
        }
        let submission = Submission { rows, controls: Vec::new(), done: Done::Rows(done) };
        match shared.queue.offer(submission, shared.tuning.queue_limit()) {
            Ok(()) => Ok(()),
            Err(Submission { rows, done: Done::Rows(done), .. }) => Err(Full { rows, done }),
            // What comes back is what was offered.
            Err(Submission { rows, .. }) => Err(Full { rows, done: Box::new(drop) }),
        }
    }

    fn flush(&self, wait: Duration) -> Result<(), LogError> {
        // The queue keeps order, so an empty submission is answered after everything before it.
        let (answered, heard) = bounded(1);
        let done = Done::Whole(answered);
        let mark = Submission { rows: Vec::new(), controls: Vec::new(), done };
        let shared = &self.open_log.shared;
        if shared.queue.push(mark).is_err() {
            return Err(shared.ended("flush"));
        }
        match heard.recv_timeout(wait) {
            // The rows' own callbacks have heard of their failures.
            Ok(_) => Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                Err(LogError::TimedOut { action: "flush the local log" })
            }
            Err(RecvTimeoutError::Disconnected) => Err(shared.ended("flush")),
        }
    }
}
