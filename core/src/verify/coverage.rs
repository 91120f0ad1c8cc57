//! The coverage of a recount: its first and last offset of the journal, which [`super::flush_boundaries`] chooses.

use tillrace_log::Offset;

/// The covered offsets of one journal partition, `to` excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coverage {
    pub(super) from: Offset,
    pub(super) to: Offset,
}

impl Coverage {
    /// Tells whether the coverage begins with the first event.
    pub(super) fn is_complete(self) -> bool {
        self.from == 0
    }
}
