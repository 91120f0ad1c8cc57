//! Why a number has no good event, and where a number is in relation to the others.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Why a number is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::aggregate) enum OpenReason {
    /// Nothing with this number came.
    Missing,
    /// As missing, and part of a jump of more than [`super::MAX_STEP`]: reported apart.
    Jumped,
    /// Only refused events with this number came.
    Refused,
    /// An event with it is kept aside, and none was counted.
    Parked,
    /// An operator said that the refused or parked events with it were no trade. One that is good still takes it.
    Dismissed,
}

/// How many numbers lack a good event, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::aggregate) struct Lacking {
    pub(in crate::aggregate) missing: u64,
    pub(in crate::aggregate) refused: u64,
    pub(in crate::aggregate) parked: u64,
}

impl AddAssign for Lacking {
    fn add_assign(&mut self, more: Self) {
        self.missing += more.missing;
        self.refused += more.refused;
        self.parked += more.parked;
    }
}

/// The position of a number relative to the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aggregate) enum SequencePosition {
    /// A good event with it was counted.
    Known,
    /// Open: it can be filled.
    Open(OpenReason),
    /// Above the mark, by a jump or by less.
    Above {
        /// More than [`super::MAX_STEP`] above.
        jump: bool,
    },
    /// Below the baseline, near enough to lower it.
    Below,
    /// Further below the opening number than a baseline is lowered.
    TooLow,
    /// Below the floor under which open numbers were given up.
    Untracked,
}
