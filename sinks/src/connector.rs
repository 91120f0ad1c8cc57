//! The seam between the engine and what it delivers to.
//!
//! A connector turns a batch of records into one call and says of each record what became of it.
//! It keeps no queue, retries nothing, commits nothing: all that is the engine's.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tillrace_log::explain::{Explained, Explanation};
use tillrace_log::{Offset, Partition};

use crate::failure::{ErrorChain, FailureCode};
use crate::record::{Record, Unreadable};
use crate::settings;

/// Longest that the wait a backend asks for is followed, whatever number it sends.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(10);

/// What a call is waiting for.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send + 'a>>;

/// One kind of backend.
pub trait Connector: fmt::Debug + Send + Sync {
    /// Tells what must stay in order.
    fn ordering(&self) -> Ordering;

    /// Returns the bounds of one call where the settings give none.
    fn batch(&self) -> settings::Batch;

    /// Returns the most records that one call can ever carry, whatever the settings say.
    fn most_records(&self) -> Option<usize> {
        None
    }

    /// Tells whether a record is for this backend at all.
    ///
    /// # Errors
    /// When the record cannot be read.
    fn concerns(&self, record: &Record) -> Result<bool, Unreadable>;

    /// Delivers a batch and answers for each of its records.
    ///
    /// Dropping the future abandons the call; whether it had an effect is then unknown, and the
    /// batch will come again under the same identities.
    fn deliver<'a>(&'a self, batch: &'a Batch) -> Answering<'a>;
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
pub struct Batch {
    /// Their partition.
    pub partition: Partition,
    /// One past the highest offset of this partition that ever reached the backend, as far as
    /// the group's commit tells; 0 if nothing is known.
    pub delivered_to: Offset,
    /// The records; those of one key are in order.
    pub records: Vec<Record>,
}

/// A call that took place.
#[derive(Debug)]
pub struct Answer {
    /// Protocol status, for the audit.
    pub status: Option<u16>,
    /// One verdict a record, in the order of the batch.
    pub verdicts: Vec<Verdict>,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The backend has it, from this call or from one before.
    Delivered,
    /// Not now.
    Retry {
        /// The backend's word for it.
        code: String,
        /// How long it asked us to wait.
        after: Option<Duration>,
    },
    /// Never: it goes to the dead letters.
    Rejected {
        /// The backend's word for it.
        code: String,
        /// What it said.
        detail: String,
    },
    /// Never: it cannot be put into the form of this backend, and goes to the dead letters.
    Unreadable {
        /// What is wrong with it.
        detail: String,
    },
    /// The backend lacks what this record refers to; it may come yet.
    DependencyMissing,
}

impl Verdict {
    pub(crate) fn unreadable(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Unreadable { detail: ErrorChain(error).to_string() }
    }
}

const THROTTLED: Explanation = Explanation {
    code: "backend_throttles",
    meaning: "The backend asks for fewer calls (429). Calls wait as long as it says.",
    remedy: "Lower the sink's `flow.rate` to what the backend takes, or raise the backend's limit.",
};
const REFUSED: Explanation = Explanation {
    code: "backend_refuses",
    meaning: "The backend refuses the content of a call; its words are in the text.",
    remedy: "See in the backend's log what it refuses, correct that there, and use `tillrace redrive`.",
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
        /// How long it asked us to wait.
        after: Option<Duration>,
        /// What went wrong below.
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
    /// The backend is well and asks for fewer calls.
    #[error("backend asks for fewer calls")]
    Throttled {
        /// How long it asked us to wait.
        after: Option<Duration>,
    },
    /// The backend refuses the content. Of several records it is not known which is meant.
    #[error("backend refuses the content with status {status}: {detail}")]
    Refused {
        /// Protocol status.
        status: u16,
        /// What it said, cut short.
        detail: String,
    },
    /// Going on would lose or double records; the partition stops here for people to look.
    #[error("{code}")]
    Stop {
        /// What kind of failure it is.
        code: FailureCode,
        /// Where, and what exactly.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl Explained for CallError {
    const EXPLANATIONS: &'static [Explanation] = &[THROTTLED, REFUSED];

    fn explanation(&self) -> &'static Explanation {
        match self {
            Self::Unavailable { code, .. } | Self::Stop { code, .. } => code.explanation(),
            Self::Throttled { .. } => &THROTTLED,
            Self::Refused { .. } => &REFUSED,
        }
    }
}
