//! The policy set: what the business decides, as small documents on the log, with all that they ever were.
//!
//! What a process is stays in its configuration; who may send, and what, is policy: it changes while tills sell, by commands that leave
//! who, when and why. A [`Resource`] is a document with a kind, a tenant and a name. All of a set stands in partition 0 of `policy.v1`
//! and is never overwritten: an apply writes its documents under keys of its own and then one commit, which names the commit it is
//! based on. **The order of the log decides**: a commit counts if it is based on the newest one that counts ([`Chain`]), so of two
//! writers at once one wins, the other sees it and tries again ([`apply`]). No transaction is needed, and a writer that dies half way
//! has changed nothing.
//!
//! Revocations of keys are apart from commits: each is obeyed by itself and at once, and nothing revives what was revoked.
//!
//! This crate knows neither what a document says (the crates above have a type for each kind) nor HTTP, nor any runtime.

mod chain;
mod change;
mod documents;
mod follower;
mod kind;
mod record;
mod resource;
mod set;
mod upkeep;
mod values;
mod writer;

pub use chain::{Chain, Seen};
pub use change::{Change, compare};
pub use documents::{DocumentFault, DocumentFaults, read_folder, write_document, write_folder};
pub use follower::{Follower, PARTITION};
pub use kind::{Kind, revoked_keys, without_revoked_keys};
pub use record::{Commit, LARGEST_RECORD, Revocation};
pub use resource::{Resource, ResourceId};
pub use set::PolicySet;
pub use upkeep::{Horizon, Upkeep, tidy};
pub use values::{Values, ValuesError};
pub use writer::{Applied, ApplyError, Author, apply, restore, revoke};
