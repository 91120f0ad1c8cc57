//! Writes to a policy set: documents, then one commit; and learns from the log whether it counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tillrace_log::{LogError, Offset, Producer, ProducerRecord, Topic, WritableLog, publish};
use uuid::Uuid;

use crate::chain::{Chain, Seen};
use crate::change::Change;
use crate::follower::{Follower, PARTITION};
use crate::record::{self, Commit, LARGEST_RECORD, Revocation};
use crate::resource::Resource;
use crate::set::PolicySet;

/// Tries until another writer does not come first.
const TRIES: u32 = 10;
/// How long the own commit, which is durable, may take to be read.
const OWN_COMMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Who changes a set, when and why.
#[derive(Debug, Clone)]
pub struct Author {
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// What an apply came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The revision in force, which is the one before where nothing was changed.
    pub revision: u64,
    /// How many resources it changed.
    pub changes: usize,
}

/// Why an apply did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError<E> {
    /// What was to be changed cannot be.
    #[error(transparent)]
    Plan(E),
    /// The log did not take it, or could not be read.
    #[error("failed to use the policy set on the log")]
    Log(#[from] LogError),
    /// This program cannot follow the set, so it may not write to it.
    #[error("the policy set cannot be followed: {0}")]
    NotFollowed(String),
    /// A document is too large for the log.
    #[error("{id} has {bytes} bytes, a document may have {LARGEST_RECORD}")]
    TooLarge {
        /// `kind/tenant/name`.
        id: String,
        /// Bytes with its key.
        bytes: usize,
    },
    /// Others came first again and again.
    #[error("others changed the policy set at the same time, {TRIES} times one after the other")]
    Contended,
}

/// Changes a set: `plan` says what, seeing the newest set; where another writer comes first, it is asked again.
///
/// # Errors
/// What `plan` says, and else [`ApplyError`]; nothing is changed then, except where the log failed after the commit was handed to it:
/// then the history says whether it counts.
pub fn apply<E>(
    log: &dyn WritableLog,
    topic: &Topic,
    author: &Author,
    mut plan: impl FnMut(&Chain) -> Result<Vec<Change>, E>,
) -> Result<Applied, ApplyError<E>> {
    let mut follower = Follower::open(log, topic)?;
    let producer = log.producer()?;
    for _ in 0..TRIES {
        follower.catch_up(log, |_, _| {})?;
        let chain = follower.chain();
        if let Some(cause) = chain.broken() {
            return Err(ApplyError::NotFollowed(cause));
        }
        let changes = plan(chain).map_err(ApplyError::Plan)?;
        if changes.is_empty() {
            return Ok(Applied { revision: chain.revision(), changes: 0 });
        }
        let commit = commit_of(chain, author, &changes);
        write(&*producer, topic, &commit, &changes)?;
        if counts(&mut follower, &commit)? {
            return Ok(Applied { revision: follower.chain().revision(), changes: changes.len() });
        }
    }
    Err(ApplyError::Contended)
}

/// Puts a whole set in the place of whatever there is, even of one that cannot be followed. What was revoked stays so.
///
/// # Errors
/// [`ApplyError::TooLarge`], and [`ApplyError::Log`]; where the log failed after the commit was handed to it, the history says
/// whether it counts.
pub fn restore<E>(
    log: &dyn WritableLog,
    topic: &Topic,
    author: &Author,
    resources: impl IntoIterator<Item = Arc<Resource>>,
) -> Result<Applied, ApplyError<E>> {
    let mut follower = Follower::open(log, topic)?;
    follower.catch_up(log, |_, _| {})?;
    let changes: Vec<Change> = resources.into_iter().map(Change::Set).collect();
    let set = changed(PolicySet::default(), &changes);
    let next = commit_of(follower.chain(), author, &[]);
    let commit = Commit {
        base: None,
        whole: true,
        changes: changes.len() as u64,
        count: set.len(),
        digest: set.digest(),
        ..next
    };
    write(&*log.producer()?, topic, &commit, &changes)?;
    if counts(&mut follower, &commit)? {
        return Ok(Applied { revision: follower.chain().revision(), changes: changes.len() });
    }
    Err(ApplyError::Contended)
}

/// Writes the documents of an apply, and when they are durable its commit: it never stands before what it ties together.
fn write<E>(
    producer: &dyn Producer,
    topic: &Topic,
    commit: &Commit,
    changes: &[Change],
) -> Result<(), ApplyError<E>> {
    let mut rows = Vec::with_capacity(changes.len());
    for change in changes {
        let (key, value) = record::encode(commit.apply, change);
        let bytes = key.len() + value.len();
        if bytes > LARGEST_RECORD {
            return Err(ApplyError::TooLarge { id: change.id().to_string(), bytes });
        }
        rows.push(row(topic, key, value));
    }
    publish(producer, rows)?;
    let (key, value) = commit.encode();
    publish(producer, vec![row(topic, key, value)])?;
    Ok(())
}

fn changed(mut set: PolicySet, changes: &[Change]) -> PolicySet {
    for change in changes {
        set.change(change);
    }
    set
}

/// Revokes keys by their hashes, at once and for good.
///
/// # Errors
/// When the log does not take it.
pub fn revoke(
    log: &dyn WritableLog,
    topic: &Topic,
    author: &Author,
    hashes: &[String],
) -> Result<Vec<Offset>, LogError> {
    let rows = hashes.iter().map(|hash| {
        let Author { operator, reason, at_ms } = author.clone();
        let (key, value) = Revocation { hash: hash.clone(), at_ms, operator, reason }.encode();
        row(topic, key, value)
    });
    publish(&*log.producer()?, rows.collect())
}

pub(crate) fn row(topic: &Topic, key: Bytes, value: Bytes) -> ProducerRecord {
    ProducerRecord { topic: topic.clone(), partition: PARTITION, key, value: Some(value) }
}

fn commit_of(chain: &Chain, author: &Author, changes: &[Change]) -> Commit {
    let set = changed(chain.set().clone(), changes);
    Commit {
        format: Commit::FORMAT,
        apply: Uuid::new_v4(),
        base: chain.head().map(|head| head.apply),
        whole: false,
        revision: chain.revision() + 1,
        changes: changes.len() as u64,
        count: set.len(),
        digest: set.digest(),
        at_ms: author.at_ms,
        operator: author.operator.clone(),
        reason: author.reason.clone(),
    }
}

/// Reads on to the own commit, and tells whether it counts.
fn counts<E>(follower: &mut Follower, commit: &Commit) -> Result<bool, ApplyError<E>> {
    let (apply, whole) = (commit.apply, commit.whole);
    let until = Instant::now() + OWN_COMMIT;
    let mut outcome = None;
    while outcome.is_none() {
        if Instant::now() >= until {
            return Err(
                LogError::TimedOut { action: "read the own commit of the policy set" }.into()
            );
        }
        follower.poll(POLL, |chain, seen| match seen {
            Seen::Applied(_) if chain.head().is_some_and(|head| head.apply == apply) => {
                outcome = Some(true);
            }
            Seen::Lost(lost) if lost == apply => outcome = Some(false),
            _ => {}
        })?;
        if outcome.is_none()
            && !whole
            && let Some(cause) = follower.chain().broken()
        {
            return Err(ApplyError::NotFollowed(cause));
        }
    }
    Ok(outcome == Some(true))
}
