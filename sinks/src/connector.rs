//! The interface between the engine and a backend.
//!
//! A connector turns a batch of records into one call and returns the outcome of each record. It
//! keeps no queue, retries nothing and commits nothing: the engine does all that.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tillrace_log::explain::{Explained, Explanation};
use tillrace_log::{Offset, Partition};

use crate::failure::{ErrorChain, FailureCode};
use crate::flow::BatchSettings;
use crate::record::{Record, RecordError};

/// Longest wait that the engine accepts from a backend, whatever number it sends.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);

/// The future of a delivery call.
pub type DeliveryFuture<'a> =
    Pin<Box<dyn Future<Output = Result<DeliveryReply, CallError>> + Send + 'a>>;

/// One kind of backend.
pub trait Connector: fmt::Debug + Send + Sync {
    /// Returns what must stay in order.
    fn ordering(&self) -> Ordering;

    /// Returns the limits of one call where the settings give none.
    fn default_batch(&self) -> BatchSettings;

    /// Returns the most records that one call can carry, whatever the settings say.
    fn max_records(&self) -> Option<usize> {
        None
    }

    /// Tells whether a record is for this backend.
    ///
    /// # Errors
    /// When the record cannot be read.
    fn accepts(&self, record: &Record) -> Result<bool, RecordError>;

    /// Delivers a batch and returns the outcome of each record.
    ///
    /// Dropping the future abandons the call. Whether it had an effect is then unknown, and the
    /// batch comes again under the same identities.
    fn deliver<'a>(&'a self, batch: &'a DeliveryBatch) -> DeliveryFuture<'a>;
}

/// What must stay in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// Records of one key; keys are independent and share calls.
    Key,
    /// All records of a partition: it is written as one stream, one call at a time.
    Partition,
}

/// Records that go out in one call, all of one partition.
#[derive(Debug)]
pub struct DeliveryBatch {
    /// Their partition.
    pub partition: Partition,
    /// One past the highest offset of this partition that ever reached the backend, according to
    /// the group's commit; 0 if unknown.
    pub delivered_to: Offset,
    /// The records; those of one key are in order.
    pub records: Vec<Record>,
}

/// The reply to a call.
#[derive(Debug)]
pub struct DeliveryReply {
    /// Protocol status, for the audit.
    pub status: Option<u16>,
    /// One outcome a record, in the order of the batch.
    pub outcomes: Vec<RecordOutcome>,
}

/// The outcome of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordOutcome {
    /// The backend has the record, from this call or an earlier one.
    Delivered,
    /// The backend asks for the record again later.
    Retry {
        /// The backend's code for the reason.
        code: String,
        /// The wait that the backend asked for.
        after: Option<Duration>,
    },
    /// The backend rejects the record for good; it goes to the dead letters.
    Rejected {
        /// The backend's code for the reason.
        code: String,
        /// The backend's explanation.
        detail: String,
    },
    /// The record cannot be converted to the backend's format; it goes to the dead letters.
    Unreadable {
        /// What is wrong with the record.
        detail: String,
    },
    /// The backend does not have yet what this record refers to.
    DependencyMissing,
}

impl RecordOutcome {
    pub(crate) fn unreadable(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Unreadable { detail: ErrorChain(error).to_string() }
    }
}

const THROTTLED: Explanation = Explanation {
    code: "backend_throttles",
    meaning: "The backend asks for fewer calls (429). Calls wait as long as it says.",
    remedy: "Lower the sink's `flow.rate` to what the backend takes, or raise the backend's limit.",
};
const BUSY: Explanation = Explanation {
    code: "backend_busy",
    meaning: "The backend works and cannot take the content of a call now (409 or 423): what it changes is locked or being changed. \
              The record is tried again, and goes to the dead letters when its attempts are used up while others pass.",
    remedy: "See in the backend who holds the lock: a closed period, a user's session, a batch that hangs. Release it there.",
};
const REFUSED: Explanation = Explanation {
    code: "backend_refuses",
    meaning: "The backend refuses the content of a call; the text has its message.",
    remedy: "Look in the backend's log for what it refuses, correct that there, and use `tillrace redrive`.",
};

/// A call that failed as a whole. Nothing is known about its records.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The backend could not be reached, or failed, or took too long.
    #[error("{code}")]
    Unavailable {
        /// What kind of failure it is.
        code: FailureCode,
        /// Protocol status, if there was an answer.
        status: Option<u16>,
        /// The wait that the backend asked for.
        after: Option<Duration>,
        /// The underlying error.
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
    /// The backend works and asks for fewer calls.
    #[error("backend asks for fewer calls")]
    Throttled {
        /// The wait that the backend asked for.
        after: Option<Duration>,
    },
    /// The backend works and cannot take this content now: what it changes is locked, or being changed.
    #[error("backend cannot take the content now, with status {status}")]
    Busy {
        /// Protocol status.
        status: u16,
        /// The wait that the backend asked for.
        after: Option<Duration>,
    },
    /// The backend refuses the content. In a batch of several records the culprit is unknown.
    #[error("backend refuses the content with status {status}: {detail}")]
    Refused {
        /// Protocol status.
        status: u16,
        /// The backend's explanation, truncated.
        detail: String,
    },
    /// Going on would lose or double records; the partition halts until an operator acts.
    #[error("{code}")]
    Stop {
        /// What kind of failure it is.
        code: FailureCode,
        /// The underlying error.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl Explained for CallError {
    const EXPLANATIONS: &'static [Explanation] = &[THROTTLED, BUSY, REFUSED];

    fn explanation(&self) -> &'static Explanation {
        match self {
            Self::Unavailable { code, .. } | Self::Stop { code, .. } => code.explanation(),
            Self::Throttled { .. } => &THROTTLED,
            Self::Busy { .. } => &BUSY,
            Self::Refused { .. } => &REFUSED,
        }
    }
}
