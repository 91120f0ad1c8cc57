//! An object's members by the names of the schema, each read with its rule.
//!
//! Every method reads one member: it refuses a wrong value, adds the decoded one to the fingerprint
//! and returns it. `null` counts as absent, as the schema says of optional members. The tag of a field
//! in the fingerprint is its place in the list of names, counted from 1.

#![expect(clippy::inline_always, reason = "a call for each member costs decoding a third")]

mod decimals;

use super::Code;
use super::members::{Element, Members, SHORT, Word, WrongType};
use super::place::Place;
use super::unknown::Walk;
use crate::card::{self, TextClass};
use crate::text::{Currency, Date, Timestamp, check_id, is_id_long, is_short_gtin};

/// Longest token of a payment provider, bytes.
const MAX_TOKEN_BYTES: usize = 128;
/// Largest integer that every JSON reader keeps exactly (RFC 8259, section 6).
pub(super) const MAX_INTEGER: i64 = (1 << 53) - 1;

/// The members of one object.
pub(super) struct Fields<'r, 's, 'd, E: Element<'d>, const N: usize> {
    pub(super) walk: &'r mut Walk<'s>,
    pub(super) place: &'r Place<'r>,
    names: &'static [&'static str; N],
    members: E::Members<N>,
}

impl<'r, 's, 'd, E: Element<'d>, const N: usize> Fields<'r, 's, 'd, E, N> {
    /// Opens an object.
    #[inline]
    pub(super) fn open(
        walk: &'r mut Walk<'s>,
        element: E,
        names: &'static [&'static str; N],
        place: &'r Place<'r>,
    ) -> Result<Self, E::Fault> {
        let members = element.open(names, place)?;
        Ok(Self { walk, place, names, members })
    }

    /// Adds the members that the schema does not know, and ends the object.
    #[inline(always)]
    pub(super) fn finish(&mut self) -> Result<(), E::Fault> {
        self.members.add_unknown(self.walk, self.place)?;
        if E::HASHED {
            self.walk.scratch.fingerprint.end();
        }
        Ok(())
    }

    /// Tells whether a member is there and not null.
    #[inline(always)]
    pub(super) fn has(&self, field: usize) -> bool {
        self.members.has(field)
    }

    /// Refuses a member.
    #[cold]
    pub(super) fn refuse(&self, field: usize, code: Code) -> E::Fault {
        E::fault(code, &self.place.member(self.name(field)))
    }

    /// Unwraps what must be there.
    #[inline(always)]
    pub(super) fn required<T>(&self, field: usize, value: Option<T>) -> Result<T, E::Fault> {
        value.ok_or_else(|| self.refuse(field, Code::MissingField))
    }

    pub(super) fn name(&self, field: usize) -> &'static str {
        self.names.get(field).copied().unwrap_or_default()
    }

    /// Reads a member as text of any content.
    #[inline(always)]
    pub(super) fn text(&mut self, field: usize) -> Result<Option<&'d str>, E::Fault> {
        let Some(word) = self.word(field)? else { return Ok(None) };
        self.keep_clear(field, word)?;
        Ok(Some(word.text()))
    }

    #[inline(always)]
    pub(super) fn id(&mut self, field: usize) -> Result<Option<&'d str>, E::Fault> {
        let Some(word) = self.word(field)? else { return Ok(None) };
        let id = word.text();
        self.keep_clear(field, word)?;
        let is_id = if self.walk.is_plain { is_id_long(id) } else { check_id(id).is_ok() };
        if !is_id {
            return Err(self.refuse(field, Code::InvalidId));
        }
        Ok(Some(id))
    }

    #[inline(always)]
    pub(super) fn required_id(&mut self, field: usize) -> Result<&'d str, E::Fault> {
        let id = self.id(field)?;
        self.required(field, id)
    }

    pub(super) fn token(&mut self, field: usize) -> Result<Option<&'d str>, E::Fault> {
        let token = self.text(field)?;
        match token {
            Some(token)
                if !(1..=MAX_TOKEN_BYTES).contains(&token.len())
                    || (!self.walk.is_plain && token.chars().any(char::is_control)) =>
            {
                Err(self.refuse(field, Code::InvalidId))
            }
            token => Ok(token),
        }
    }

    /// Reads a member as text that a parser must know, which therefore can be no card number.
    #[inline(always)]
    pub(super) fn known<T>(
        &mut self,
        field: usize,
        code: Code,
        parse: impl FnOnce(Word<'d>) -> Option<T>,
    ) -> Result<Option<T>, E::Fault> {
        let Some(word) = self.word(field)? else { return Ok(None) };
        match parse(word) {
            Some(known) => {
                self.keep_word(field, word);
                Ok(Some(known))
            }
            None => Err(self.unread(field, code)),
        }
    }

    /// Reads a word that has a default; absent and the default are the same.
    #[inline(always)]
    pub(super) fn default_word(
        &mut self,
        field: usize,
        code: Code,
        default: &'static str,
        is_known: impl FnOnce(&str) -> bool,
    ) -> Result<&'d str, E::Fault> {
        let Some(word) = self.word(field)? else {
            self.keep_word(field, Word::whole(default));
            return Ok(default);
        };
        let text = word.text();
        if !is_known(text) {
            return Err(self.unread(field, code));
        }
        self.keep_word(field, word);
        Ok(text)
    }

    /// Reads a GTIN. One with a wrong check digit is called that, even if it could be a card number.
    #[inline(always)]
    pub(super) fn gtin(&mut self, field: usize) -> Result<Option<&'d str>, E::Fault> {
        const LONGEST: usize = 14;
        let Some(word) = self.word(field)? else { return Ok(None) };
        if word.short().is_some_and(|digits| is_short_gtin(digits, word.len())) {
            self.keep_word(field, word);
            return Ok(Some(word.text()));
        }
        let is_misread = word.len() <= LONGEST && word.bytes().iter().all(u8::is_ascii_digit);
        Err(if is_misread {
            self.refuse(field, Code::InvalidGtin)
        } else {
            self.unread(field, Code::InvalidGtin)
        })
    }

    pub(super) fn date(&mut self, field: usize) -> Result<Option<Date>, E::Fault> {
        let date = self.parsed(field, Code::InvalidDate, |word| Date::parse(word.bytes()))?;
        if let Some(date) = date {
            self.keep(field, date.0.into());
        }
        Ok(date)
    }

    /// Reads a time. Both instant and offset are content.
    pub(super) fn time(&mut self, field: usize) -> Result<Option<Timestamp>, E::Fault> {
        let time = self.parsed(field, Code::InvalidTime, |word| Timestamp::parse(word.bytes()))?;
        if let Some(time) = time {
            self.keep(field, time.micros);
            self.keep(field, time.offset_minutes.into());
        }
        Ok(time)
    }

    pub(super) fn currency(&mut self, field: usize) -> Result<Option<Currency>, E::Fault> {
        self.known(field, Code::InvalidCurrency, |word| Currency::parse(word.bytes()))
    }

    /// Reads an integer from 0 to 2^53 − 1; another number is refused with `code`.
    #[inline(always)]
    pub(super) fn integer(&mut self, field: usize, code: Code) -> Result<Option<i64>, E::Fault> {
        let integer = self.unkept_integer(field, code)?;
        if let Some(integer) = integer {
            self.keep(field, integer);
        }
        Ok(integer)
    }

    /// Checks a time that is no content of the event: a retry changes it.
    pub(super) fn transport_time(&self, field: usize) -> Result<(), E::Fault> {
        self.parsed(field, Code::InvalidTime, |word| Timestamp::parse(word.bytes())).map(drop)
    }

    /// Checks a number that is no content of the event: a retry changes it.
    pub(super) fn transport_integer(&self, field: usize) -> Result<(), E::Fault> {
        self.unkept_integer(field, Code::NumberOutOfRange).map(drop)
    }

    #[inline(always)]
    fn unkept_integer(&self, field: usize, code: Code) -> Result<Option<i64>, E::Fault> {
        match self.typed(field, self.members.integer(field))? {
            Some(integer) if !(0..=MAX_INTEGER).contains(&integer) => Err(self.refuse(field, code)),
            Some(integer) if integer >= card::MIN_INTEGER && self.is_card(integer) => {
                Err(self.refuse(field, Code::CardData))
            }
            integer => Ok(integer),
        }
    }

    #[cold]
    fn is_card(&self, integer: i64) -> bool {
        self.walk.cards.is_some_and(|cards| cards.is_card_integer(integer.into()))
    }

    pub(super) fn sequence(&mut self, field: usize) -> Result<Option<u64>, E::Fault> {
        let sequence = self.integer(field, Code::InvalidSequence)?;
        Ok(sequence.map(i64::cast_unsigned))
    }

    /// Reads a boolean; absent is false, and hashed like it.
    #[inline(always)]
    pub(super) fn flag(&mut self, field: usize) -> Result<bool, E::Fault> {
        let flag = self.typed(field, self.members.flag(field))?.unwrap_or(false);
        if flag {
            self.keep(field, 1);
        }
        Ok(flag)
    }

    /// Reads a list of at most `most` objects; absent and empty are the same.
    pub(super) fn list(
        &mut self,
        field: usize,
        most: usize,
        code: Code,
    ) -> Result<Option<<E::Members<N> as Members<'d>>::List>, E::Fault> {
        let Some(elements) = self.typed(field, self.members.list(field))? else { return Ok(None) };
        match elements.len() {
            0 => Ok(None),
            length if length > most => Err(self.refuse(field, code)),
            length => {
                self.keep_list(field, length);
                Ok(Some(elements))
            }
        }
    }

    /// Reads a list of objects as long as the event has room for, with their places.
    pub(super) fn objects(
        &mut self,
        field: usize,
    ) -> Result<impl Iterator<Item = (usize, E)> + use<'d, E, N>, E::Fault> {
        let elements = self.list(field, usize::MAX, Code::WrongType)?;
        Ok(elements.into_iter().flatten().enumerate())
    }

    /// Reads an object.
    pub(super) fn object(&mut self, field: usize) -> Result<Option<E>, E::Fault> {
        let object = self.typed(field, self.members.object(field))?;
        if object.is_some() {
            self.keep_list(field, 1);
        }
        Ok(object)
    }

    /// Adds a decoded integer to the fingerprint.
    #[inline(always)]
    pub(super) fn keep(&mut self, field: usize, value: i64) {
        if E::HASHED {
            self.walk.scratch.fingerprint.integer(tag(field), value);
        }
    }

    /// Adds the head of a list to the fingerprint.
    #[inline(always)]
    fn keep_list(&mut self, field: usize, members: usize) {
        if E::HASHED {
            self.walk.scratch.fingerprint.list(tag(field), members);
        }
    }

    /// Adds decoded text to the fingerprint.
    #[inline(always)]
    fn keep_word(&mut self, field: usize, word: Word<'_>) {
        if !E::HASHED {
            return;
        }
        let fingerprint = &mut self.walk.scratch.fingerprint;
        if word.len() <= SHORT {
            fingerprint.short_text(tag(field), word.head(), word.len());
        } else {
            fingerprint.text(tag(field), word.text());
        }
    }

    #[inline(always)]
    fn parsed<T>(
        &self,
        field: usize,
        code: Code,
        parse: impl FnOnce(Word<'d>) -> Option<T>,
    ) -> Result<Option<T>, E::Fault> {
        let Some(word) = self.word(field)? else { return Ok(None) };
        match parse(word) {
            None => Err(self.unread(field, code)),
            parsed => Ok(parsed),
        }
    }

    /// Refuses a text that a rule cannot read, for the card number in it if there is one.
    #[cold]
    fn unread(&self, field: usize, code: Code) -> E::Fault {
        let text = self.members.word(field).ok().flatten().map(Word::text);
        match self.clear(field, text.unwrap_or_default()) {
            Err(fault) => fault,
            Ok(()) => self.refuse(field, code),
        }
    }

    /// Adds text to the fingerprint, unless there is card data in it: then it is refused.
    #[inline(always)]
    fn keep_clear(&mut self, field: usize, word: Word<'d>) -> Result<(), E::Fault> {
        let text = word.text();
        if (E::HASHED || self.walk.cards.is_some()) && card::may_hold_card(text) {
            self.look_closer(field, text)?;
            self.keep_blind(field, text);
        } else {
            self.keep_word(field, word);
        }
        Ok(())
    }

    /// Adds text to the fingerprint without telling digits apart that some issuer's card could have. What says which event
    /// it is, is never masked, and counts as it is.
    #[inline(never)]
    fn keep_blind(&mut self, field: usize, text: &str) {
        if !E::HASHED {
            return;
        }
        let name = self.name(field);
        let fingerprint = &mut self.walk.scratch.fingerprint;
        if self.place.is_root() && card::is_identity_name(name) {
            fingerprint.text(tag(field), text);
        } else {
            fingerprint.blind_text(tag(field), text, TextClass::of(name));
        }
    }

    /// Refuses a text with card data in it.
    #[inline(always)]
    fn clear(&self, field: usize, text: &str) -> Result<(), E::Fault> {
        if self.walk.cards.is_none() || !card::may_hold_card(text) {
            return Ok(());
        }
        self.look_closer(field, text)
    }

    #[inline(never)]
    fn look_closer(&self, field: usize, text: &str) -> Result<(), E::Fault> {
        match self.walk.finding(text, TextClass::of(self.name(field))) {
            Some(code) => Err(self.refuse(field, code)),
            None => Ok(()),
        }
    }

    #[inline(always)]
    fn word(&self, field: usize) -> Result<Option<Word<'d>>, E::Fault> {
        self.typed(field, self.members.word(field))
    }

    #[inline(always)]
    fn typed<T>(&self, field: usize, member: Result<T, WrongType>) -> Result<T, E::Fault> {
        member.map_err(|_wrong_type| self.refuse(field, Code::WrongType))
    }
}

/// The tag of a field in the fingerprint.
fn tag(field: usize) -> u8 {
    // No object of the schema has as many members as this would matter for.
    u8::try_from(field + 1).unwrap_or(u8::MAX)
}
