//! The interface between the rules and the two paths of decoding: an object's members, from a tape or from the text itself.
//!
//! The same rules read both, so that the two paths cannot differ in what they accept.

use super::RejectCode;
use super::json_pointer::JsonPointer;
use super::unknown_members::DecodeContext;
use crate::text::short;

/// A member has another JSON type than the schema says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongType;

/// A value that should be an object: the event, an element of a list, a part.
pub(super) trait Element<'d>: Copy {
    /// Whether the event's content hash is wanted.
    const HASHED: bool;
    type Members<const N: usize>: Members<'d, Element = Self>;
    /// What an event that breaks a rule gives.
    type Error;

    /// Opens the object by the names that the schema knows.
    fn open<const N: usize>(
        self,
        names: &'static [&'static str; N],
        pointer: &JsonPointer<'_>,
    ) -> Result<Self::Members<N>, Self::Error>;

    /// Makes the error for a broken rule at a pointer.
    fn error(code: RejectCode, pointer: &JsonPointer<'_>) -> Self::Error;
}

/// The members of an object; a field is an index into the names it was opened with. `null` is absent.
pub(super) trait Members<'d> {
    type Element: Element<'d>;
    type List: ExactSizeIterator<Item = Self::Element>;

    fn has(&self, field: usize) -> bool;

    /// Tells whether this field or any behind it is present.
    fn has_from(&self, field: usize) -> bool;

    /// Reads a text.
    fn text_value(&self, field: usize) -> Result<Option<TextValue<'d>>, WrongType>;

    /// Reads an integer. A number that is none, or has more than 63 bits, reads as −1, which no
    /// member may be.
    fn integer(&self, field: usize) -> Result<Option<i64>, WrongType>;

    fn flag(&self, field: usize) -> Result<Option<bool>, WrongType>;

    fn list(&self, field: usize) -> Result<Option<Self::List>, WrongType>;

    fn object(&self, field: usize) -> Result<Option<Self::Element>, WrongType>;

    /// Checks an object of any members, none of which is content.
    fn check_open_object(
        &self,
        field: usize,
        context: &mut DecodeContext<'_>,
        pointer: &JsonPointer<'_>,
    ) -> Result<(), <Self::Element as Element<'d>>::Error>;

    /// Adds the members that the schema does not know to the fingerprint.
    fn add_unknown(
        &self,
        context: &mut DecodeContext<'_>,
        pointer: &JsonPointer<'_>,
    ) -> Result<(), <Self::Element as Element<'d>>::Error>;
}

/// A text whose first sixteen bytes are at hand as a number, so that the rules read short texts without memory accesses.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextValue<'d> {
    around: &'d str,
    from: usize,
    length: usize,
    head: u128,
}

/// Longest text that is read as a number, bytes.
pub(super) const SHORT: usize = 16;

impl<'d> TextValue<'d> {
    /// Makes the value of a part of a text; `head` are the sixteen bytes from its beginning on.
    #[inline]
    pub(super) fn new(around: &'d str, from: usize, length: usize, head: [u8; SHORT]) -> Self {
        Self { around, from, length, head: u128::from_le_bytes(head) }
    }

    /// Makes the value of a whole text.
    #[inline]
    pub(super) fn whole(text: &'d str) -> Self {
        let head = match text.as_bytes().first_chunk() {
            Some(head) => u128::from_le_bytes(*head),
            None => short(text.as_bytes()),
        };
        Self { around: text, from: 0, length: text.len(), head }
    }

    #[inline]
    pub(super) fn len(self) -> usize {
        self.length
    }

    #[inline]
    pub(super) fn as_str(self) -> &'d str {
        self.around.get(self.from..self.from + self.length).unwrap_or_default()
    }

    #[inline]
    pub(super) fn as_bytes(self) -> &'d [u8] {
        self.around.as_bytes().get(self.from..self.from + self.length).unwrap_or_default()
    }

    /// Returns the first sixteen bytes as a little-endian number. Those behind a shorter text are not its own.
    #[inline]
    pub(super) fn head(self) -> u128 {
        self.head
    }

    /// Returns a text of at most eight bytes as a little-endian number, zeros behind its end.
    #[inline]
    pub(super) fn shorter(self) -> Option<u64> {
        const OWN: [u64; 9] = {
            let (mut own, mut bytes) = ([0; 9], 1);
            while bytes < own.len() {
                own[bytes] = u64::MAX >> (8 * (8 - bytes));
                bytes += 1;
            }
            own
        };
        #[expect(clippy::cast_possible_truncation, reason = "the first half is meant")]
        let first = self.head as u64;
        OWN.get(self.length).map(|own| first & own)
    }

    /// Returns a text of at most sixteen bytes as a little-endian number, zeros behind its end.
    #[inline]
    pub(super) fn short(self) -> Option<u128> {
        const OWN: [u128; SHORT + 1] = {
            let (mut own, mut bytes) = ([0; SHORT + 1], 1);
            while bytes < own.len() {
                own[bytes] = u128::MAX >> (8 * (SHORT - bytes));
                bytes += 1;
            }
            own
        };
        OWN.get(self.length).map(|own| self.head & own)
    }
}
