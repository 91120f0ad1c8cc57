//! The chain of commits: which of them count, and the set that they make. Every reader of the same records comes to the same.
//!
//! The chain is followed by the base of each commit alone. Count and digest decide only whether its newest set may be served: where
//! documents of an older revision are gone, as upkeep removes what was superseded long ago, the sets on the way are not whole, and the
//! newest is.

use std::collections::{HashMap, HashSet};

use tillrace_log::{ConsumerRecord, Offset};
use uuid::Uuid;

use crate::change::{Change, compare};
use crate::record::{Commit, Read, Revocation, read};
use crate::resource::ResourceId;
use crate::set::PolicySet;

/// The fold over the records of `policy.v1`.
#[derive(Debug)]
pub struct Chain {
    /// What the commits make by their documents.
    followed: PolicySet,
    /// The newest set that is whole.
    served: PolicySet,
    served_revision: u64,
    /// Changes of commits since the newest set that is whole; `None` after one of a whole set, which is compared instead.
    unserved: Option<Vec<Change>>,
    history: Vec<Commit>,
    /// Changes of applies that no commit was read of.
    pending: HashMap<Uuid, Vec<Change>>,
    voided: HashSet<Uuid>,
    revocations: Vec<Revocation>,
    revoked: HashSet<String>,
    /// A record that cannot be read, on which later commits may be based.
    unread: Option<Offset>,
    /// The newest commit that counts, where it does not make what it says.
    not_whole: Option<NotWhole>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NotWhole {
    offset: Offset,
    count: u64,
}

/// What a record did.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing yet: a part of an apply, or a tombstone.
    Nothing,
    /// A commit counts, and its set is whole: these are the changes since the newest one that was.
    Applied(Vec<Change>),
    /// A commit counts, and its set is not whole: what was served before stays.
    Followed(Uuid),
    /// A commit does not count: another came before it, or it was abandoned.
    Lost(Uuid),
    /// An apply is abandoned. Says whether a commit of it counted before, which stays.
    Abandoned(Uuid, bool),
    /// A key is revoked.
    Revoked,
    /// It cannot be read.
    NotFollowed,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            followed: PolicySet::default(),
            served: PolicySet::default(),
            served_revision: 0,
            unserved: Some(Vec::new()),
            history: Vec::new(),
            pending: HashMap::new(),
            voided: HashSet::new(),
            revocations: Vec::new(),
            revoked: HashSet::new(),
            unread: None,
            not_whole: None,
        }
    }
}

impl Chain {
    /// Returns the newest set that is whole.
    pub fn set(&self) -> &PolicySet {
        &self.served
    }

    /// Returns the newest commit that counts.
    pub fn head(&self) -> Option<&Commit> {
        self.history.last()
    }

    /// Returns the number of the revision, 0 before the first.
    pub fn revision(&self) -> u64 {
        self.head().map_or(0, |head| head.revision)
    }

    /// Returns the commits that count, the oldest first.
    pub fn history(&self) -> &[Commit] {
        &self.history
    }

    /// Returns all revocations.
    pub fn revocations(&self) -> &[Revocation] {
        &self.revocations
    }

    /// Tells whether a key is revoked, by its hash.
    pub fn is_revoked(&self, hash: &str) -> bool {
        self.revoked.contains(hash)
    }

    /// Tells whether the commits so far leave a resource out.
    pub(crate) fn is_without(&self, id: &ResourceId) -> bool {
        self.followed.get(id).is_none()
    }

    /// Returns the number of the revision whose set is served.
    pub fn served_revision(&self) -> u64 {
        self.served_revision
    }

    /// Tells whether documents of the newest set are missing. A reader that read on to the end begins again at the first record.
    pub fn is_not_whole(&self) -> bool {
        self.not_whole.is_some()
    }

    /// Says why this reader does not serve the newest set, if so.
    pub fn broken(&self) -> Option<String> {
        if let Some(offset) = self.unread {
            return Some(format!(
                "record {offset} of the policy set: it is of a later version of Tillrace, or damaged"
            ));
        }
        let NotWhole { offset, count } = self.not_whole.as_ref()?;
        let Commit { revision, count: said, .. } = self.head()?;
        Some(format!(
            "record {offset} of the policy set: revision {revision} should have {said} resources, and what can be read makes \
             {count}, or others"
        ))
    }

    /// Takes the next record.
    pub fn feed(&mut self, record: &ConsumerRecord) -> Seen {
        let Some(value) = &record.value else { return Seen::Nothing };
        match read(&record.key, value) {
            Some(Read::Change(apply, change)) => {
                self.pending.entry(apply).or_default().push(change);
                Seen::Nothing
            }
            Some(Read::Commit(commit)) => self.commit(record.offset, commit),
            Some(Read::Abandoned(apply)) => {
                self.pending.remove(&apply);
                self.voided.insert(apply);
                Seen::Abandoned(apply, self.history.iter().any(|commit| commit.apply == apply))
            }
            Some(Read::Revocation(revocation)) => {
                if self.revoked.insert(revocation.hash.clone()) {
                    self.revocations.push(revocation);
                }
                Seen::Revoked
            }
            None => {
                // It may be a commit of a later version, on which all that follow are based.
                self.unread.get_or_insert(record.offset);
                Seen::NotFollowed
            }
        }
    }

    fn commit(&mut self, offset: Offset, mut commit: Commit) -> Seen {
        let changes = self.pending.remove(&commit.apply).unwrap_or_default();
        let is_next = commit.whole || commit.base == self.head().map(|head| head.apply);
        if !is_next || self.voided.contains(&commit.apply) {
            return Seen::Lost(commit.apply);
        }
        if commit.whole {
            self.followed = PolicySet::default();
            self.unserved = None;
        }
        for change in &changes {
            self.followed.change(change);
        }
        if let Some(unserved) = &mut self.unserved {
            unserved.extend(changes);
        }
        commit.revision = self.revision() + 1;
        let (apply, count) = (commit.apply, self.followed.len());
        let is_whole = (count, self.followed.digest()) == (commit.count, commit.digest.clone());
        self.history.push(commit);
        self.unread = None;
        if !is_whole {
            self.not_whole = Some(NotWhole { offset, count });
            return Seen::Followed(apply);
        }
        self.not_whole = None;
        let changes = self.unserved.replace(Vec::new());
        let changes = changes.unwrap_or_else(|| compare(&self.served, &self.followed, |_| true));
        self.served = self.followed.clone();
        self.served_revision = self.revision();
        Seen::Applied(changes)
    }
}

#[cfg(test)]
mod tests;
