//! What the rules ask of an event, in whichever way it was read: from a tape or from the text itself.
//!
//! Both ways are read by the same rules, so that they cannot differ in what those say.

use super::Refusal;
use super::place::Place;
use super::unknown::Walk;

/// A member has another JSON type than the schema says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongType;

/// A value that should be an object: the event, an element of a list, a part.
pub(super) trait Element<'d>: Copy {
    type Members<const N: usize>: Members<'d, Element = Self>;

    /// Tells the object's members apart by the names that the schema knows.
    fn open<const N: usize>(
        self,
        names: &'static [&'static str; N],
        place: &Place<'_>,
    ) -> Result<Self::Members<N>, Refusal>;
}

/// The members of an object; a field is a place among the names it was opened with. `null` is absent.
pub(super) trait Members<'d> {
    type Element: Element<'d>;
    type List: ExactSizeIterator<Item = Self::Element>;

    fn has(&self, field: usize) -> bool;

    fn text(&self, field: usize) -> Result<Option<&'d str>, WrongType>;

    /// Reads a text whose bytes alone matter.
    #[inline]
    fn bytes(&self, field: usize) -> Result<Option<&'d [u8]>, WrongType> {
        self.text(field).map(|text| text.map(str::as_bytes))
    }

    /// Reads an integer. A number that is none, or has more than 63 bits, reads as −1, which no
    /// member may be.
    fn integer(&self, field: usize) -> Result<Option<i64>, WrongType>;

    fn flag(&self, field: usize) -> Result<Option<bool>, WrongType>;

    fn list(&self, field: usize) -> Result<Option<Self::List>, WrongType>;

    fn object(&self, field: usize) -> Result<Option<Self::Element>, WrongType>;

    /// Adds the members that the schema does not know to the fingerprint.
    fn add_unknown(&self, walk: &mut Walk<'_>, place: &Place<'_>) -> Result<(), Refusal>;
}
