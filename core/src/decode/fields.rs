//! An object's members by the names of the schema, each read with its rule.
//!
//! Every method reads one member: it rejects a wrong value, hashes the decoded one and returns it. `null` counts as absent, as
//! the schema says of optional members. The tag of a field in the fingerprint is its index among the names, counted from 1.

#![expect(clippy::inline_always, reason = "a call for each member costs decoding a third")]

mod decimals;
mod texts;

use super::RejectCode;
use super::json_pointer::JsonPointer;
use super::members::{Element, Members, SHORT, TextValue, WrongType};
use super::unknown_members::DecodeContext;
use crate::card;
use crate::text::{Currency, Date, Timestamp};

/// Largest integer that every JSON reader keeps exactly (RFC 8259, section 6).
pub(super) const MAX_INTEGER: i64 = (1 << 53) - 1;

/// The members of one object.
pub(super) struct Fields<'r, 's, 'd, E: Element<'d>, const N: usize> {
    pub(super) context: &'r mut DecodeContext<'s>,
    pub(super) pointer: &'r JsonPointer<'r>,
    names: &'static [&'static str; N],
    members: E::Members<N>,
}

impl<'r, 's, 'd, E: Element<'d>, const N: usize> Fields<'r, 's, 'd, E, N> {
    /// Opens an object.
    #[inline]
    pub(super) fn open(
        context: &'r mut DecodeContext<'s>,
        element: E,
        names: &'static [&'static str; N],
        pointer: &'r JsonPointer<'r>,
    ) -> Result<Self, E::Error> {
        let members = element.open(names, pointer)?;
        Ok(Self { context, pointer, names, members })
    }

    /// Hashes the members that the schema does not know, and ends the object.
    #[inline(always)]
    pub(super) fn finish(&mut self) -> Result<(), E::Error> {
        self.members.add_unknown(self.context, self.pointer)?;
        if E::HASHED {
            self.context.scratch.fingerprint.end();
        }
        Ok(())
    }

    /// Tells whether a member is present and not null.
    #[inline(always)]
    pub(super) fn has(&self, field: usize) -> bool {
        self.members.has(field)
    }

    /// Tells whether this member or any behind it is present and not null.
    #[inline(always)]
    pub(super) fn has_from(&self, field: usize) -> bool {
        self.members.has_from(field)
    }

    /// Makes the error for a member.
    #[cold]
    pub(super) fn reject(&self, field: usize, code: RejectCode) -> E::Error {
        E::error(code, &self.pointer.member(self.name(field)))
    }

    /// Unwraps a required member.
    #[inline(always)]
    pub(super) fn required<T>(&self, field: usize, value: Option<T>) -> Result<T, E::Error> {
        value.ok_or_else(|| self.reject(field, RejectCode::MissingField))
    }

    pub(super) fn name(&self, field: usize) -> &'static str {
        self.names.get(field).copied().unwrap_or_default()
    }

    pub(super) fn date(&mut self, field: usize) -> Result<Option<Date>, E::Error> {
        let date =
            self.parsed(field, RejectCode::InvalidDate, |text| Date::parse(text.as_bytes()))?;
        if let Some(date) = date {
            self.hash_integer(field, date.0.into());
        }
        Ok(date)
    }

    /// Reads a time. Both instant and offset are content.
    pub(super) fn time(&mut self, field: usize) -> Result<Option<Timestamp>, E::Error> {
        let time =
            self.parsed(field, RejectCode::InvalidTime, |text| Timestamp::parse(text.as_bytes()))?;
        if let Some(time) = time {
            self.hash_integer(field, time.micros);
            self.hash_integer(field, time.offset_minutes.into());
        }
        Ok(time)
    }

    pub(super) fn currency(&mut self, field: usize) -> Result<Option<Currency>, E::Error> {
        self.known(field, RejectCode::InvalidCurrency, |text| Currency::parse(text.as_bytes()))
    }

    /// Reads an integer from 0 to 2^53 − 1; another number is rejected with `code`.
    #[inline(always)]
    pub(super) fn integer(
        &mut self,
        field: usize,
        code: RejectCode,
    ) -> Result<Option<i64>, E::Error> {
        let integer = self.unhashed_integer(field, code)?;
        if let Some(integer) = integer {
            self.hash_integer(field, integer);
        }
        Ok(integer)
    }

    /// Checks a time that is not hashed, because a retry changes it.
    pub(super) fn transport_time(&self, field: usize) -> Result<(), E::Error> {
        self.parsed(field, RejectCode::InvalidTime, |text| Timestamp::parse(text.as_bytes()))
            .map(drop)
    }

    /// Checks a number that is not hashed, because a retry changes it.
    pub(super) fn transport_integer(&self, field: usize) -> Result<(), E::Error> {
        self.unhashed_integer(field, RejectCode::NumberOutOfRange).map(drop)
    }

    #[inline(always)]
    fn unhashed_integer(&self, field: usize, code: RejectCode) -> Result<Option<i64>, E::Error> {
        match self.typed(field, self.members.integer(field))? {
            Some(integer) if !(0..=MAX_INTEGER).contains(&integer) => Err(self.reject(field, code)),
            Some(integer) if integer >= card::MIN_INTEGER && self.is_card(integer) => {
                Err(self.reject(field, RejectCode::CardData))
            }
            integer => Ok(integer),
        }
    }

    #[cold]
    fn is_card(&self, integer: i64) -> bool {
        self.context.cards.is_some_and(|cards| cards.is_card_integer(integer.into()))
    }

    pub(super) fn sequence(&mut self, field: usize) -> Result<Option<u64>, E::Error> {
        let sequence = self.integer(field, RejectCode::InvalidSequence)?;
        Ok(sequence.map(i64::cast_unsigned))
    }

    /// Reads a boolean; absent is false, and hashed like it.
    #[inline(always)]
    pub(super) fn flag(&mut self, field: usize) -> Result<bool, E::Error> {
        let flag = self.typed(field, self.members.flag(field))?.unwrap_or(false);
        if flag {
            self.hash_integer(field, 1);
        }
        Ok(flag)
    }

    /// Reads a list of at most `most` objects; absent and empty are the same.
    pub(super) fn list(
        &mut self,
        field: usize,
        most: usize,
        code: RejectCode,
    ) -> Result<Option<<E::Members<N> as Members<'d>>::List>, E::Error> {
        let Some(elements) = self.typed(field, self.members.list(field))? else { return Ok(None) };
        match elements.len() {
            0 => Ok(None),
            length if length > most => Err(self.reject(field, code)),
            length => {
                self.hash_list(field, length);
                Ok(Some(elements))
            }
        }
    }

    /// Reads a list of objects of any length, with their indices.
    pub(super) fn objects(
        &mut self,
        field: usize,
    ) -> Result<impl Iterator<Item = (usize, E)> + use<'d, E, N>, E::Error> {
        self.objects_within(field, usize::MAX)
    }

    /// Reads a list of at most `most` objects, with their indices.
    pub(super) fn objects_within(
        &mut self,
        field: usize,
        most: usize,
    ) -> Result<impl Iterator<Item = (usize, E)> + use<'d, E, N>, E::Error> {
        let elements = self.list(field, most, RejectCode::TooManyElements)?;
        Ok(elements.into_iter().flatten().enumerate())
    }

    /// Reads an object.
    pub(super) fn object(&mut self, field: usize) -> Result<Option<E>, E::Error> {
        let object = self.typed(field, self.members.object(field))?;
        if object.is_some() {
            self.hash_list(field, 1);
        }
        Ok(object)
    }

    /// Adds a decoded integer to the fingerprint.
    #[inline(always)]
    pub(super) fn hash_integer(&mut self, field: usize, value: i64) {
        if E::HASHED {
            self.context.scratch.fingerprint.integer(tag(field), value);
        }
    }

    /// Adds the head of a list to the fingerprint.
    #[inline(always)]
    fn hash_list(&mut self, field: usize, members: usize) {
        if E::HASHED {
            self.context.scratch.fingerprint.list(tag(field), members);
        }
    }

    /// Adds decoded text to the fingerprint.
    #[inline(always)]
    fn hash_text(&mut self, field: usize, text: TextValue<'_>) {
        if !E::HASHED {
            return;
        }
        let fingerprint = &mut self.context.scratch.fingerprint;
        if text.len() <= SHORT {
            fingerprint.short_text(tag(field), text.head(), text.len());
        } else {
            fingerprint.text(tag(field), text.as_str());
        }
    }

    #[inline(always)]
    fn parsed<T>(
        &self,
        field: usize,
        code: RejectCode,
        parse: impl FnOnce(TextValue<'d>) -> Option<T>,
    ) -> Result<Option<T>, E::Error> {
        let Some(text) = self.text_value(field)? else { return Ok(None) };
        match parse(text) {
            None => Err(self.reject_unreadable(field, code)),
            parsed => Ok(parsed),
        }
    }

    #[inline(always)]
    fn text_value(&self, field: usize) -> Result<Option<TextValue<'d>>, E::Error> {
        self.typed(field, self.members.text_value(field))
    }

    #[inline(always)]
    fn typed<T>(&self, field: usize, member: Result<T, WrongType>) -> Result<T, E::Error> {
        member.map_err(|_wrong_type| self.reject(field, RejectCode::WrongType))
    }
}

/// The tag of a field in the fingerprint.
fn tag(field: usize) -> u8 {
    // No object of the schema has as many members as this would matter for.
    u8::try_from(field + 1).unwrap_or(u8::MAX)
}
