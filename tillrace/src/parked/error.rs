//! Why nothing was done about parked or refused events.

use std::path::PathBuf;

use tillrace_core::mapping::MappingError;
use tillrace_log::explain;

use crate::cli::Place;

/// Why a command about parked or refused events cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParkedError {
    #[error("name places such as 3/17, --all, or --tenant, --store, --terminal or --code")]
    NothingNamed,
    #[error("no parked event at {place}; `tillrace parked list` shows their places")]
    NotParked { place: Place },
    #[error("read the mapping {}: {problem}", path.display())]
    MappingUnreadable { path: PathBuf, problem: String },
    #[error("use the mapping {}: {source}", path.display())]
    MappingUnusable { path: PathBuf, source: MappingError },
    #[error("the mapping {} holds what may be a card number", path.display())]
    MappingHoldsCard { path: PathBuf },
    #[error("{text} is no range of numbers")]
    NoRange { text: String },
}

explain!(ParkedError {
    NothingNamed: "parked_nothing_named",
        "The command does not guess which parked events are meant.",
        "Name their places, or a filter, or --all.";
    NotParked: "parked_not_found",
        "pos.parked.v1 has no unsettled event that stands at this place of the journal.",
        "Look with `tillrace parked list`: it may have been readmitted, dismissed, or taken by a good event meanwhile.";
    MappingUnreadable: "parked_mapping_unreadable",
        "The mapping file cannot be read as a list of steps.",
        "Write a list of `rename`, `set`, `replace` and `remove`, as docs/PARKED.md shows.";
    MappingUnusable: "parked_mapping_unusable",
        "A step of the mapping cannot be done.",
        "Change the step that the text names; docs/PARKED.md says what a mapping may do.";
    MappingHoldsCard: "parked_mapping_card",
        "The mapping would write what looks like a card number into events.",
        "Take it out: card data is never stored.";
    NoRange: "refused_no_range",
        "The numbers of refused events are written as one number, or as two joined by a dash.",
        "Write 17 or 17-20; at most 10,000 numbers at once.";
});
