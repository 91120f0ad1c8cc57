//! The chain of commits: which of them count, and the set that they make. Every reader of the same records comes to the same.

use std::collections::{HashMap, HashSet};

use tillrace_log::{ConsumerRecord, Offset};
use uuid::Uuid;

use crate::change::Change;
use crate::record::{Commit, Read, Revocation, read};
use crate::set::PolicySet;

/// The fold over the records of `policy.v1`.
#[derive(Debug, Default)]
pub struct Chain {
    set: PolicySet,
    history: Vec<Commit>,
    /// Changes of applies that no commit was read of.
    pending: HashMap<Uuid, Vec<Change>>,
    revocations: Vec<Revocation>,
    revoked: HashSet<String>,
    /// A commit that should count and does not make what it says: this reader stays where it is.
    broken: Option<Broken>,
}

/// Why a chain goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Broken {
    offset: Offset,
    cause: String,
}

/// What a record did.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing yet: a part of an apply, or a tombstone.
    Nothing,
    /// A commit counts: these are its changes.
    Applied(Vec<Change>),
    /// A commit does not count: another came before it.
    Lost(Uuid),
    /// A key is revoked.
    Revoked,
    /// It cannot be read, or belongs to a commit that cannot be followed.
    NotFollowed,
}

impl Chain {
    /// Returns the set of the newest commit that counts.
    pub fn set(&self) -> &PolicySet {
        &self.set
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

    /// Says why this reader can go no further, if so.
    pub fn broken(&self) -> Option<String> {
        let Broken { offset, cause } = self.broken.as_ref()?;
        Some(format!("record {offset} of the policy set: {cause}"))
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
            Some(Read::Revocation(revocation)) => {
                if self.revoked.insert(revocation.hash.clone()) {
                    self.revocations.push(revocation);
                }
                Seen::Revoked
            }
            None => {
                // It may be a commit of a later version, on which all that follow are based.
                self.stop(
                    record.offset,
                    "it is of a later version of Tillrace, or damaged".to_owned(),
                );
                Seen::NotFollowed
            }
        }
    }

    fn commit(&mut self, offset: Offset, commit: Commit) -> Seen {
        let changes = self.pending.remove(&commit.apply).unwrap_or_default();
        if commit.base != self.head().map(|head| head.apply) {
            return Seen::Lost(commit.apply);
        }
        let mut set = self.set.clone();
        for change in &changes {
            set.change(change);
        }
        let made = (changes.len() as u64, set.len(), set.digest());
        if made != (commit.changes, commit.count, commit.digest.clone()) {
            let Commit { revision, changes, count, .. } = &commit;
            let cause = format!(
                "revision {revision} should change {changes} resources to {count} in all, and makes {} of them to {}",
                made.0, made.1
            );
            self.stop(offset, cause);
            return Seen::NotFollowed;
        }
        self.set = set;
        self.history.push(commit);
        self.broken = None;
        Seen::Applied(changes)
    }

    /// Notes why it stays where it is; the first cause is the one that matters.
    fn stop(&mut self, offset: Offset, cause: String) {
        self.broken.get_or_insert(Broken { offset, cause });
    }
}

#[cfg(test)]
mod tests;
