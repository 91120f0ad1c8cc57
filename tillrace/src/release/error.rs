//! Why a record is not released.

use tillrace_log::Topic;
use tillrace_log::explain;

use crate::cli::Place;

/// Why a record is not released. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReleaseError {
    #[error("{topic} holds no record at {place}; `tillrace tap` shows its places")]
    NotKept { topic: Topic, place: Place },
    #[error("read {topic} at {place}")]
    Unreadable { topic: Topic, place: Place, source: serde_json::Error },
    #[error(
        "{place}: {reason} ({detail}) cannot be released: it would count at no time or not at all; \
         have it sent again as it should be, under a number of its own"
    )]
    NeverCounts { place: Place, reason: String, detail: String },
    #[error(
        "{place}: the journal no longer holds the event, and the aggregator takes it from there; \
         send it again from its `data` under a number of its own"
    )]
    NoLongerHeld { place: Place },
}

explain!(ReleaseError {
    NotKept: "release_not_kept",
        "pos.conflicts.v1 has no record at the place that was named.",
        "Name partition and offset as `tillrace tap pos.conflicts.v1` prints them: 3/17.";
    Unreadable: "release_unreadable",
        "The record at the place was not written by this program: another one wrote it, or a newer version of Tillrace.",
        "Use the newest version that was ever used here. If it is, see with `tillrace tap` what stands at the place.";
    NeverCounts: "release_never_counts",
        "The record is no event, or happened at a time that cannot be trade: released, it would count nowhere.",
        "Have its sender send it again as it should be, under a number of its own.";
    NoLongerHeld: "release_no_longer_held",
        "The journal has let the event go by retention, and the aggregator would take it from there.",
        "Send the event again from the record's `data`, under a number of its own.";
});
