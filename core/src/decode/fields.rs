//! An object's members by the names of the schema, each read with its rule.
//!
//! Every method reads one member: it refuses a wrong value, adds the decoded one to the fingerprint
//! and returns it. `null` counts as absent, as the schema says of optional members. The tag of a field
//! in the fingerprint is its place in the list of names, counted from 1.

use super::members::{Element, Members, WrongType};
use super::place::Place;
use super::unknown::Walk;
use super::{Code, Refusal};
use crate::card::{self, TextClass};
use crate::text::{
    Currency, Date, Decimal, Timestamp, check_id, is_gtin, is_id_long, parse_scaled,
};

/// Largest amount, minor units.
const MAX_MINOR: i64 = 1_000_000_000_000_000;
/// Largest quantity, millionths.
const MAX_QUANTITY: i64 = 1_000_000 * Decimal::ONE.0;
/// Largest unit price, ten-thousandths of a minor unit: what 64 bits hold.
const MAX_PRICE: i64 = i64::MAX;
/// Decimals that a unit price may have beyond its currency's.
const PRICE_DECIMALS: u32 = 4;
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
    ) -> Result<Self, Refusal> {
        let members = element.open(names, place)?;
        Ok(Self { walk, place, names, members })
    }

    /// Adds the members that the schema does not know, and ends the object.
    pub(super) fn finish(&mut self) -> Result<(), Refusal> {
        self.members.add_unknown(self.walk, self.place)?;
        self.walk.scratch.fingerprint.end();
        Ok(())
    }

    /// Tells whether a member is there and not null.
    #[inline]
    pub(super) fn has(&self, field: usize) -> bool {
        self.members.has(field)
    }

    /// Refuses a member.
    #[cold]
    pub(super) fn refuse(&self, field: usize, code: Code) -> Refusal {
        Refusal::at(code, &self.place.member(self.name(field)))
    }

    /// Unwraps what must be there.
    pub(super) fn required<T>(&self, field: usize, value: Option<T>) -> Result<T, Refusal> {
        value.ok_or_else(|| self.refuse(field, Code::MissingField))
    }

    pub(super) fn name(&self, field: usize) -> &'static str {
        self.names.get(field).copied().unwrap_or_default()
    }

    /// Reads a member as text of any content.
    pub(super) fn text(&mut self, field: usize) -> Result<Option<&'d str>, Refusal> {
        let Some(text) = self.string(field)? else { return Ok(None) };
        self.clear(field, text)?;
        self.keep_text(field, text);
        Ok(Some(text))
    }

    #[inline]
    pub(super) fn id(&mut self, field: usize) -> Result<Option<&'d str>, Refusal> {
        let Some(id) = self.string(field)? else { return Ok(None) };
        self.clear(field, id)?;
        let is_id = if self.walk.is_plain { is_id_long(id) } else { check_id(id).is_ok() };
        if !is_id {
            return Err(self.refuse(field, Code::InvalidId));
        }
        self.keep_text(field, id);
        Ok(Some(id))
    }

    pub(super) fn required_id(&mut self, field: usize) -> Result<&'d str, Refusal> {
        let id = self.id(field)?;
        self.required(field, id)
    }

    pub(super) fn token(&mut self, field: usize) -> Result<Option<&'d str>, Refusal> {
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
    #[inline]
    pub(super) fn word<T>(
        &mut self,
        field: usize,
        code: Code,
        parse: impl FnOnce(&'d str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.string(field)? else { return Ok(None) };
        match parse(text) {
            Some(word) => {
                self.keep_text(field, text);
                Ok(Some(word))
            }
            None => Err(self.unread(field, text, code)),
        }
    }

    /// Reads a word that has a default; absent and the default are the same.
    pub(super) fn default_word(
        &mut self,
        field: usize,
        code: Code,
        default: &'static str,
        is_known: impl FnOnce(&str) -> bool,
    ) -> Result<&'d str, Refusal> {
        let Some(text) = self.string(field)? else {
            self.keep_text(field, default);
            return Ok(default);
        };
        if !is_known(text) {
            return Err(self.unread(field, text, code));
        }
        self.keep_text(field, text);
        Ok(text)
    }

    /// Reads a GTIN. One with a wrong check digit is called that, even if it could be a card number.
    #[inline]
    pub(super) fn gtin(&mut self, field: usize) -> Result<Option<&'d str>, Refusal> {
        const LONGEST: usize = 14;
        let Some(text) = self.string(field)? else { return Ok(None) };
        if is_gtin(text.as_bytes()) {
            self.keep_text(field, text);
            return Ok(Some(text));
        }
        let is_misread = text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_digit());
        Err(if is_misread {
            self.refuse(field, Code::InvalidGtin)
        } else {
            self.unread(field, text, Code::InvalidGtin)
        })
    }

    pub(super) fn date(&mut self, field: usize) -> Result<Option<Date>, Refusal> {
        let date = self.parsed(field, Code::InvalidDate, Date::parse)?;
        if let Some(date) = date {
            self.keep(field, date.0.into());
        }
        Ok(date)
    }

    /// Reads a time. Both instant and offset are content.
    pub(super) fn time(&mut self, field: usize) -> Result<Option<Timestamp>, Refusal> {
        let time = self.parsed(field, Code::InvalidTime, Timestamp::parse)?;
        if let Some(time) = time {
            self.keep(field, time.micros);
            self.keep(field, time.offset_minutes.into());
        }
        Ok(time)
    }

    pub(super) fn currency(&mut self, field: usize) -> Result<Option<Currency>, Refusal> {
        self.word(field, Code::InvalidCurrency, |text| Currency::parse(text.as_bytes()))
    }

    /// Reads an amount in minor units.
    #[inline]
    pub(super) fn money(
        &mut self,
        field: usize,
        currency: Option<Currency>,
    ) -> Result<Option<i64>, Refusal> {
        self.scaled(field, currency, 0, MAX_MINOR)
    }

    /// Reads a unit price in ten-thousandths of a minor unit.
    #[inline]
    pub(super) fn price(
        &mut self,
        field: usize,
        currency: Option<Currency>,
    ) -> Result<Option<i64>, Refusal> {
        self.scaled(field, currency, PRICE_DECIMALS, MAX_PRICE)
    }

    #[inline]
    fn scaled(
        &mut self,
        field: usize,
        currency: Option<Currency>,
        more_decimals: u32,
        most: i64,
    ) -> Result<Option<i64>, Refusal> {
        if !self.members.has(field) {
            return Ok(None);
        }
        let currency = currency
            .ok_or_else(|| Refusal::at(Code::MissingField, &Place::ROOT.member("currency")))?;
        let scale = currency.exponent() + more_decimals;
        let amount = self.parsed(field, Code::InvalidMoney, |text| {
            parse_scaled(text, scale).filter(|amount| (-most..=most).contains(amount))
        })?;
        if let Some(amount) = amount {
            self.keep(field, amount);
        }
        Ok(amount)
    }

    #[inline]
    pub(super) fn quantity(&mut self, field: usize) -> Result<Option<Decimal>, Refusal> {
        let quantity = self.parsed(field, Code::InvalidQuantity, |text| {
            Decimal::parse(text)
                .filter(|quantity| (-MAX_QUANTITY..=MAX_QUANTITY).contains(&quantity.0))
        })?;
        if let Some(quantity) = quantity {
            self.keep(field, quantity.0);
        }
        Ok(quantity)
    }

    pub(super) fn rate(&mut self, field: usize) -> Result<Option<Decimal>, Refusal> {
        let rate = self.parsed(field, Code::InvalidRate, Decimal::parse)?;
        if let Some(rate) = rate {
            self.keep(field, rate.0);
        }
        Ok(rate)
    }

    /// Reads an integer from 0 to 2^53 − 1; another number is refused with `code`.
    #[inline]
    pub(super) fn integer(&mut self, field: usize, code: Code) -> Result<Option<i64>, Refusal> {
        let integer = self.unkept_integer(field, code)?;
        if let Some(integer) = integer {
            self.keep(field, integer);
        }
        Ok(integer)
    }

    /// Checks a time that is no content of the event: a retry changes it.
    pub(super) fn transport_time(&self, field: usize) -> Result<(), Refusal> {
        self.parsed(field, Code::InvalidTime, Timestamp::parse).map(drop)
    }

    /// Checks a number that is no content of the event: a retry changes it.
    pub(super) fn transport_integer(&self, field: usize) -> Result<(), Refusal> {
        self.unkept_integer(field, Code::NumberOutOfRange).map(drop)
    }

    #[inline]
    fn unkept_integer(&self, field: usize, code: Code) -> Result<Option<i64>, Refusal> {
        match self.typed(field, self.members.integer(field))? {
            Some(integer) if !(0..=MAX_INTEGER).contains(&integer) => Err(self.refuse(field, code)),
            integer => Ok(integer),
        }
    }

    pub(super) fn sequence(&mut self, field: usize) -> Result<Option<u64>, Refusal> {
        let sequence = self.integer(field, Code::InvalidSequence)?;
        Ok(sequence.map(i64::cast_unsigned))
    }

    /// Reads a boolean; absent is false, and hashed like it.
    pub(super) fn flag(&mut self, field: usize) -> Result<bool, Refusal> {
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
    ) -> Result<Option<<E::Members<N> as Members<'d>>::List>, Refusal> {
        let Some(elements) = self.typed(field, self.members.list(field))? else { return Ok(None) };
        match elements.len() {
            0 => Ok(None),
            length if length > most => Err(self.refuse(field, code)),
            length => {
                self.walk.scratch.fingerprint.list(tag(field), length);
                Ok(Some(elements))
            }
        }
    }

    /// Reads a list of objects as long as the event has room for, with their places.
    pub(super) fn objects(
        &mut self,
        field: usize,
    ) -> Result<impl Iterator<Item = (usize, E)> + use<'d, E, N>, Refusal> {
        let elements = self.list(field, usize::MAX, Code::WrongType)?;
        Ok(elements.into_iter().flatten().enumerate())
    }

    /// Reads an object.
    pub(super) fn object(&mut self, field: usize) -> Result<Option<E>, Refusal> {
        let object = self.typed(field, self.members.object(field))?;
        if object.is_some() {
            self.walk.scratch.fingerprint.list(tag(field), 1);
        }
        Ok(object)
    }

    /// Adds a decoded integer to the fingerprint.
    #[inline]
    pub(super) fn keep(&mut self, field: usize, value: i64) {
        self.walk.scratch.fingerprint.integer(tag(field), value);
    }

    /// Adds decoded text to the fingerprint.
    #[inline]
    pub(super) fn keep_text(&mut self, field: usize, text: &str) {
        self.walk.scratch.fingerprint.text(tag(field), text);
    }

    #[inline]
    fn parsed<T>(
        &self,
        field: usize,
        code: Code,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.typed(field, self.members.bytes(field))? else { return Ok(None) };
        match parse(text) {
            None => Err(self.unread(field, str::from_utf8(text).unwrap_or_default(), code)),
            parsed => Ok(parsed),
        }
    }

    /// Refuses a text that a rule cannot read, for the card number in it if there is one.
    #[cold]
    fn unread(&self, field: usize, text: &str, code: Code) -> Refusal {
        match self.clear(field, text) {
            Err(refusal) => refusal,
            Ok(()) => self.refuse(field, code),
        }
    }

    /// Refuses a text with card data in it.
    #[inline]
    fn clear(&self, field: usize, text: &str) -> Result<(), Refusal> {
        if self.walk.cards.is_none() || !card::may_hold_card(text) {
            return Ok(());
        }
        self.look_closer(field, text)
    }

    #[inline(never)]
    fn look_closer(&self, field: usize, text: &str) -> Result<(), Refusal> {
        let name = self.name(field);
        self.walk.clear(text, TextClass::of(name), &self.place.member(name))
    }

    #[inline]
    fn string(&self, field: usize) -> Result<Option<&'d str>, Refusal> {
        self.typed(field, self.members.text(field))
    }

    #[inline]
    fn typed<T>(&self, field: usize, member: Result<T, WrongType>) -> Result<T, Refusal> {
        member.map_err(|_wrong_type| self.refuse(field, Code::WrongType))
    }
}

/// The tag of a field in the fingerprint.
fn tag(field: usize) -> u8 {
    // No object of the schema has as many members as this would matter for.
    u8::try_from(field + 1).unwrap_or(u8::MAX)
}
