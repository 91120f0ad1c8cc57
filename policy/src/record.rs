//! Records of `policy.v1`: documents of an apply, commits, revocations.
//!
//! | key | value |
//! |---|---|
//! | `resource/APPLY/kind/tenant/name` | the same and `spec`, which is absent where the resource is removed |
//! | `commit/APPLY` | [`Commit`] |
//! | `abandoned/APPLY` | [`Abandoned`]: no commit of this apply counts any more |
//! | `revocation/HASH` | [`Revocation`], whose shape never changes |

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tillrace_core::topics;
use uuid::Uuid;

use crate::change::Change;
use crate::resource::{Resource, ResourceId};

/// Bytes of the largest document with its key.
pub const LARGEST_RECORD: usize = 256 << 10;

/// The format of records; one with a later number is of a later version.
const FORMAT: u32 = 1;

/// What ties the documents of an apply together, and makes them count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The format of the apply's records.
    pub format: u32,
    /// The apply.
    pub apply: Uuid,
    /// The apply that it is based on; `None` for the first, and for one of a whole set.
    pub base: Option<Uuid>,
    /// Its documents are the whole set: it counts whatever stood before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// The revision that it makes, from 1. Who reads counts for itself: two commits of whole sets may say the same.
    pub revision: u64,
    /// Documents that it changes.
    pub changes: u64,
    /// Resources of the set afterwards.
    pub count: u64,
    /// Digest of the set afterwards.
    pub digest: String,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
}

/// A key that is not taken any more, whatever a set says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// `sha256:` and the SHA-256 of the key.
    pub hash: String,
    /// When, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
}

/// Voids an apply that nobody will commit any more, so that its documents can go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Abandoned {
    pub(crate) format: u32,
    pub(crate) apply: Uuid,
    /// When, milliseconds since the Unix epoch.
    pub(crate) at_ms: i64,
}

/// A record, read.
#[derive(Debug, PartialEq)]
pub(crate) enum Read {
    Change(Uuid, Change),
    Commit(Commit),
    Abandoned(Uuid),
    Revocation(Revocation),
}

#[derive(Serialize, Deserialize)]
struct Document<'a> {
    format: u32,
    apply: Uuid,
    kind: Cow<'a, str>,
    tenant: Cow<'a, str>,
    name: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<Cow<'a, Value>>,
}

impl Commit {
    pub(crate) const FORMAT: u32 = FORMAT;

    pub(crate) fn encode(&self) -> (Bytes, Bytes) {
        (topics::key(&["commit", &self.apply.to_string()]).into(), text(self))
    }
}

impl Abandoned {
    pub(crate) fn encode(apply: Uuid, at_ms: i64) -> (Bytes, Bytes) {
        let key = topics::key(&["abandoned", &apply.to_string()]).into();
        (key, text(&Self { format: FORMAT, apply, at_ms }))
    }
}

impl Revocation {
    pub(crate) fn encode(&self) -> (Bytes, Bytes) {
        (topics::key(&["revocation", &self.hash]).into(), text(self))
    }
}

/// Writes a change of an apply.
pub(crate) fn encode(apply: Uuid, change: &Change) -> (Bytes, Bytes) {
    let ResourceId { kind, tenant, name } = change.id();
    let key = topics::key(&["resource", &apply.to_string(), kind, tenant, name]);
    let spec = match change {
        Change::Set(resource) => Some(Cow::Borrowed(&resource.spec)),
        Change::Remove(_) => None,
    };
    let [kind, tenant, name] = [kind, tenant, name].map(|id| Cow::Borrowed(id.as_str()));
    (key.into(), text(&Document { format: FORMAT, apply, kind, tenant, name, spec }))
}

fn text(value: &impl Serialize) -> Bytes {
    // Maps with text keys and numbers: there is nothing in them that JSON cannot hold.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// Reads a record; `None` if it is none that this version knows. A record that is read says itself what its key says.
pub(crate) fn read(key: &[u8], value: &[u8]) -> Option<Read> {
    let (kind, _) = std::str::from_utf8(key).ok()?.split_once('/')?;
    match kind {
        "resource" => {
            let document: Document<'_> = serde_json::from_slice(value).ok()?;
            if document.format > FORMAT {
                return None;
            }
            let id = ResourceId::new(&document.kind, &document.tenant, &document.name);
            let change = match document.spec {
                Some(spec) => Change::Set(Arc::new(Resource { id, spec: spec.into_owned() })),
                None => Change::Remove(id),
            };
            Some(Read::Change(document.apply, change))
        }
        "commit" => {
            let commit: Commit = serde_json::from_slice(value).ok()?;
            (commit.format <= FORMAT).then_some(Read::Commit(commit))
        }
        "abandoned" => {
            let abandoned: Abandoned = serde_json::from_slice(value).ok()?;
            (abandoned.format <= FORMAT).then_some(Read::Abandoned(abandoned.apply))
        }
        "revocation" => serde_json::from_slice(value).ok().map(Read::Revocation),
        _ => None,
    }
}
