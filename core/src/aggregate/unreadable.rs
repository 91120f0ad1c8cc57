//! Records of the journal that can not be read: garbage, another schema, another store's key.
//!
//! Whoever can write to the journal's topic can write anything, and a gateway of a later version may write what this one does
//! not know. Such a record does not stop its partition: it gets a verdict, and goes to `pos.conflicts` with the
//! reason and the beginning of its bytes. Nothing of it is counted, and it can not be released: whoever wrote it sends it again.

use tillrace_log::Offset;

use crate::decode::Rejection;
use crate::envelope::{Envelope, EnvelopeError, TYPE_PREFIX};
use crate::event::Kind;
use crate::record_size::EVENT_RECORD_BYTES;

/// Longest kind that an envelope may name.
const MAX_KIND_BYTES: usize = 64;
/// Longest name of a terminal, and longest epoch, that an envelope may have.
const TERMINAL_BYTES: usize = 64;
const EPOCH_BYTES: usize = 128;

/// Why a record can not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableReason {
    /// A tombstone, which no gateway writes.
    #[error("the record has no value")]
    Empty,
    /// Longer than the largest event and its envelope, or with longer names than there can be.
    #[error("the record, or a name in it, is longer than any that a gateway writes")]
    TooLong,
    /// No envelope, or one of a later schema.
    #[error("the envelope can not be read: {0}")]
    Envelope(#[from] EnvelopeError),
    /// The record has the key of another store.
    #[error("the record's key is not that of its tenant and store")]
    Key,
    /// No event, or of an unknown kind.
    #[error("the event can not be read: {} at {}", .0.code.as_str(), .0.pointer)]
    Event(Rejection),
    /// A release that names nothing.
    #[error("the release names no partition and offset")]
    Release,
    /// A parked event without a rule that it breaks, or without an identity.
    #[error("the parked event names no rule or no identity")]
    Parked,
    /// A dismissal that names nothing.
    #[error("the dismissal names neither partition and offset nor terminal and sequence")]
    Dismissal,
    /// A part of a register that is beyond its bounds, or names a zone that this version does not know.
    #[error("the part of a register can not be read, or is beyond its bounds")]
    Register,
}

impl UnreadableReason {
    /// Returns the short code for `pos.conflicts`.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Empty => "no_value",
            Self::TooLong => "too_long",
            Self::Envelope(EnvelopeError::UnknownSchema) => "unknown_schema",
            Self::Envelope(EnvelopeError::Attribute { .. }) => "no_envelope",
            Self::Key => "other_key",
            Self::Event(_) => "no_event",
            Self::Release => "no_release",
            Self::Parked => "no_parked",
            Self::Dismissal => "no_dismissal",
            Self::Register => "no_register",
        }
    }
}

/// The latest unreadable record of a partition, for operators.
#[derive(Debug)]
pub(super) struct LastUnreadable {
    pub(super) offset: Offset,
    pub(super) cause: UnreadableReason,
}

/// Reads the envelope of a record, if both could be a gateway's.
pub(super) fn read(value: &[u8]) -> Result<Envelope<'_>, UnreadableReason> {
    if value.len() > EVENT_RECORD_BYTES {
        return Err(UnreadableReason::TooLong);
    }
    let envelope = Envelope::parse(value)?;
    let length = |name: Option<&str>| name.map_or(0, str::len);
    let fits = length(envelope.terminal.as_deref()) <= TERMINAL_BYTES
        && length(envelope.epoch.as_deref()) <= EPOCH_BYTES;
    if fits { Ok(envelope) } else { Err(UnreadableReason::TooLong) }
}

/// Returns the type of a record that names a kind, or a control record, which this version does not know. Only a word of the
/// schema's grammar can be one; anything else is garbage.
pub(super) fn newer_type(event_type: &str) -> Option<&str> {
    let kind = event_type.strip_prefix(TYPE_PREFIX)?;
    let is_word = (1..=MAX_KIND_BYTES).contains(&kind.len())
        && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (is_word && Kind::parse(kind).is_none()).then_some(event_type)
}
