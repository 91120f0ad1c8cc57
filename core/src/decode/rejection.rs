//! Why and where an event is rejected, and whose it was: a stable code, a JSON pointer, and the identity of the event.
//!
//! Nothing here holds a value of the event. A pointer may name a member that the sender made up, so
//! digits that could be a card number are masked in it.

use super::json_pointer::JsonPointer;
use crate::card;
use crate::reject_code::RejectCode;
use crate::text::Date;

/// An event that is rejected for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} at \"{pointer}\"")]
pub struct Rejection {
    /// Why.
    pub code: RejectCode,
    /// Where: a JSON pointer (RFC 6901); empty where the whole text is meant.
    pub pointer: String,
    /// Whose event it was, as far as that could be read.
    pub identity: Option<Box<PartialIdentity>>,
}

impl Rejection {
    /// Rejects the text as a whole.
    pub fn whole(code: RejectCode) -> Self {
        Self { code, pointer: String::new(), identity: None }
    }

    /// Rejects a member of the event itself, such as `tenant`.
    pub fn member(code: RejectCode, name: &str) -> Self {
        Self::at(code, &JsonPointer::ROOT.member(name))
    }

    /// Rejects a member of the totals.
    pub(crate) fn in_totals(code: RejectCode, name: &str) -> Self {
        Self::at(code, &JsonPointer::ROOT.member("totals").member(name))
    }

    #[cold]
    pub(super) fn at(code: RejectCode, pointer: &JsonPointer<'_>) -> Self {
        let pointer = card::redact(pointer.render().as_bytes());
        Self { code, pointer, identity: None }
    }

    /// Adds the identity of the event.
    #[must_use]
    pub fn with_identity(mut self, identity: PartialIdentity) -> Self {
        self.identity = Some(Box::new(identity));
        self
    }
}

/// What could be read of a rejected event's identity, without ids that contain a card number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields are those of the event")]
pub struct PartialIdentity {
    pub store: Option<String>,
    pub terminal: Option<String>,
    pub epoch: Option<String>,
    /// An epoch was given and can not be read or kept: whose ledger it means is not known.
    pub is_epoch_lost: bool,
    /// An id or a number of the identity was given and can not be read or kept: nothing else stands in for it.
    pub is_unclear: bool,
    pub sequence: Option<u64>,
    pub event_id: Option<String>,
    pub business_date: Option<Date>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_snake_case_and_unique() {
        let mut names: Vec<_> = RejectCode::ALL.iter().map(|code| code.as_str()).collect();
        assert!(
            names
                .iter()
                .all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'8'))
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RejectCode::ALL.len());
        assert!(RejectCode::ALL.iter().all(|code| code.detail().ends_with('.')));
    }

    #[test]
    fn a_pointer_gives_no_card_number_away() {
        let rejection = Rejection::member(RejectCode::DuplicateMember, "4111 1111 1111 1111");
        assert_eq!(rejection.pointer, "/**** **** **** ****");
    }
}
