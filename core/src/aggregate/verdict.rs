//! The verdicts on records of `pos.events`, and their totals.
//!
//! Every record gets exactly one verdict, so the totals, `released` left out, sum to the number of
//! records consumed.

use serde::{Deserialize, Serialize};

use super::hashes::ShortHash;

/// The verdict on one event that carries a number or an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Counted, and written to `pos.transactions`.
    First,
    /// Known, with the same content.
    Duplicate,
    /// Known, but too long ago to compare contents.
    DuplicateUnverified,
    /// Known, with other content; this is the hash of the known content.
    Conflict(ShortHash),
    /// Written to `pos.conflicts`; changes nothing.
    Quarantined(QuarantineReason),
}

/// Why an event is quarantined. The wire name is the snake case of the variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuarantineReason {
    /// Business date or time lies more than two days after the append.
    DateAhead,
    /// Under scope `business_date`: so old that the date's numbers are no longer kept.
    DateTooOld,
    /// Without a number, and older than event ids are kept.
    IdTooOld,
    /// No room for another event id of this store.
    TooManyIds,
    /// More than a quarter of the modulus from the mark.
    WrappedFar,
    /// Not below the modulus.
    BeyondModulus,
    /// Further below the opening number than a baseline is lowered.
    BelowBaseline,
    /// In the part of a terminal's numbers whose gaps were given up.
    GapGivenUp,
    /// So many conflicts came in a row that the terminal's sequence seems to have been reset.
    ResetSuspected,
    /// The ledger was opened under another sequence scope.
    ScopeChanged,
    /// No room for another terminal of this store.
    TooManyTerminals,
    /// No room for another parked event of this store.
    TooManyParked,
    /// Its time or business date can not be one of trade, as of a clock that was never set. It can not be released.
    TimeImplausible,
}

impl QuarantineReason {
    /// Returns the short code for `pos.conflicts`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::DateAhead => "date_ahead",
            Self::DateTooOld => "date_too_old",
            Self::IdTooOld => "id_too_old",
            Self::TooManyIds => "too_many_ids",
            Self::WrappedFar => "wrapped_far",
            Self::BeyondModulus => "beyond_modulus",
            Self::BelowBaseline => "below_baseline",
            Self::GapGivenUp => "gap_given_up",
            Self::ResetSuspected => "reset_suspected",
            Self::ScopeChanged => "scope_changed",
            Self::TooManyTerminals => "too_many_terminals",
            Self::TooManyParked => "too_many_parked",
            Self::TimeImplausible => "time_implausible",
        }
    }
}

/// How often each verdict was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictTotals {
    /// Counted events.
    pub first: u64,
    /// Repeats with the same content.
    pub duplicate: u64,
    /// Repeats from beyond the conflict horizon.
    pub duplicate_unverified: u64,
    /// Known numbers with other content.
    pub conflict: u64,
    /// Quarantined events.
    pub quarantined: u64,
    /// Markers of refused events.
    pub refused: u64,
    /// Events that are kept aside because their text breaks a rule.
    pub parked: u64,
    /// Readmissions that took no number: it had its first, the parked event was settled before, or the ledger has forgotten
    /// the number, so that the event was counted as a release is.
    pub settled: u64,
    /// Operators' records.
    pub control: u64,
    /// Records that can not be read.
    pub unreadable: u64,
    /// Events counted outside of a ledger, by an operator's order or readmission; not a verdict on a record, so not part of the sum.
    pub released: u64,
}

impl VerdictTotals {
    pub(super) fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::First => self.first += 1,
            Verdict::Duplicate => self.duplicate += 1,
            Verdict::DuplicateUnverified => self.duplicate_unverified += 1,
            Verdict::Conflict(_) => self.conflict += 1,
            Verdict::Quarantined(_) => self.quarantined += 1,
        }
    }

    /// Records with a verdict.
    pub fn records(&self) -> u64 {
        self.first
            + self.duplicate
            + self.duplicate_unverified
            + self.conflict
            + self.quarantined
            + self.refused
            + self.parked
            + self.settled
            + self.control
            + self.unreadable
    }
}
