//! Why a policy set is not changed.

use std::path::PathBuf;

use tillrace_log::explain;
use tillrace_policy::{DocumentFaults, ValuesError};

/// Why a command on the policy set did nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyError {
    #[error("the documents cannot be used:\n{0}")]
    Documents(DocumentFaults),
    #[error("the values cannot be used")]
    Values(#[from] ValuesError),
    #[error("somebody else changed {ids} at the same time")]
    Changed { ids: String },
    #[error("others changed the policy set again and again at the same time")]
    Contended,
    #[error("{id} sets the key {hash}, which was revoked")]
    Revoked { id: String, hash: String },
    #[error("the policy set cannot be followed: {cause}")]
    NotFollowed { cause: String },
    #[error("{document}")]
    TooLarge { document: String },
    #[error("revision {revision} of the policy set cannot be had; the newest is {newest}")]
    NoRevision { revision: u64, newest: u64 },
    #[error("the policy set has no {id} at revision {revision}")]
    NoResource { id: String, revision: u64 },
    #[error("there is no kind {kind}; there are {known}")]
    NoKind { kind: String, known: String },
    #[error("the folder {} is there and not empty", folder.display())]
    NotEmpty { folder: PathBuf },
}

explain!(PolicyError {
    Documents: "policy_documents",
        "Documents of the folder cannot be read or used. Nothing was changed. The text names each by file, document and path.",
        "Change what the text names; `tillrace policy check` reads the folder again, and `tillrace policy schema` prints what is allowed.";
    Values: "policy_values",
        "A file of named values cannot be used. Nothing was changed.",
        "Write one mapping of names to texts, numbers or truth values, as docs/POLICY.md shows.";
    Changed: "policy_changed",
        "Another command changed the same resources between the look at the set and the commit. Nothing of this one counts.",
        "Look at `tillrace policy diff` again, and apply if it still is what you want.";
    Contended: "policy_contended",
        "Other commands came first ten times one after the other. Nothing of this one counts.",
        "Run it again; if it repeats, find out from `tillrace policy history` who changes the set all the time.";
    Revoked: "policy_key_revoked",
        "A document sets a key that was revoked, and what was revoked is never taken again. Nothing was changed.",
        "Remove the key's hash from the document, and make another key.";
    NotFollowed: "policy_not_followed",
        "The set on the log is of a later version, or damaged. What was in force stays so; revocations are obeyed all the same.",
        "Upgrade this program. If no later version wrote it, put a whole set in its place: `tillrace policy restore`.";
    TooLarge: "policy_document_too_large",
        "A document is larger than a record of the policy set may be. Nothing was changed.",
        "Write it shorter, or as several resources.";
    NoRevision: "policy_no_revision",
        "There was no revision of this number, or its documents are gone: they are kept for two years after they were superseded.",
        "`tillrace policy history` lists the revisions.";
    NoResource: "policy_no_resource",
        "The set has no such resource at this revision.",
        "Write KIND/TENANT/NAME, as `tillrace policy show` prints them; each part is percent-encoded.";
    NoKind: "policy_no_kind",
        "This version knows no such kind of resource.",
        "Use a kind that the text lists.";
    NotEmpty: "policy_folder_not_empty",
        "The set is written to a folder of its own, so that nothing in it is of another set. Nothing was written.",
        "Name a folder that does not exist, or an empty one.";
});
