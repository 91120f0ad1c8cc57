//! What the rules ask of an event, in whichever way it was read: from a tape or from the text itself.
//!
//! Both ways are read by the same rules, so that they cannot differ in what those say.

use super::Code;
use super::place::Place;
use super::unknown::Walk;
use crate::text::short;

/// A member has another JSON type than the schema says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongType;

/// A value that should be an object: the event, an element of a list, a part.
pub(super) trait Element<'d>: Copy {
    /// Whether the event's content hash is wanted.
    const HASHED: bool;
    type Members<const N: usize>: Members<'d, Element = Self>;
    /// What comes of an event that breaks a rule.
    type Fault;

    /// Tells the object's members apart by the names that the schema knows.
    fn open<const N: usize>(
        self,
        names: &'static [&'static str; N],
        place: &Place<'_>,
    ) -> Result<Self::Members<N>, Self::Fault>;

    /// Says that a rule is broken, and where.
    fn fault(code: Code, place: &Place<'_>) -> Self::Fault;
}

/// The members of an object; a field is a place among the names it was opened with. `null` is absent.
pub(super) trait Members<'d> {
    type Element: Element<'d>;
    type List: ExactSizeIterator<Item = Self::Element>;

    fn has(&self, field: usize) -> bool;

    /// Reads a text.
    fn word(&self, field: usize) -> Result<Option<Word<'d>>, WrongType>;

    /// Reads an integer. A number that is none, or has more than 63 bits, reads as −1, which no
    /// member may be.
    fn integer(&self, field: usize) -> Result<Option<i64>, WrongType>;

    fn flag(&self, field: usize) -> Result<Option<bool>, WrongType>;

    fn list(&self, field: usize) -> Result<Option<Self::List>, WrongType>;

    fn object(&self, field: usize) -> Result<Option<Self::Element>, WrongType>;

    /// Adds the members that the schema does not know to the fingerprint.
    fn add_unknown(
        &self,
        walk: &mut Walk<'_>,
        place: &Place<'_>,
    ) -> Result<(), <Self::Element as Element<'d>>::Fault>;
}

/// A text that is looked at as a number as long as it is short, and as bytes only where it is not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'d> {
    around: &'d str,
    from: usize,
    length: usize,
    head: u128,
}

/// Longest text that is looked at as a number, bytes.
pub(super) const SHORT: usize = 16;

impl<'d> Word<'d> {
    /// Makes a word of a stretch of text, and as many bytes from its beginning on as a head has.
    #[inline]
    pub(super) fn new(around: &'d str, from: usize, length: usize, head: [u8; SHORT]) -> Self {
        Self { around, from, length, head: u128::from_le_bytes(head) }
    }

    /// Makes a word of all of a text.
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
    pub(super) fn text(self) -> &'d str {
        self.around.get(self.from..self.from + self.length).unwrap_or_default()
    }

    #[inline]
    pub(super) fn bytes(self) -> &'d [u8] {
        self.around.as_bytes().get(self.from..self.from + self.length).unwrap_or_default()
    }

    /// Returns the first sixteen bytes as a little-endian number. What stands behind a shorter text is not its own.
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
