//! Members that hold text: ids, tokens, words of the schema. Each is searched for card data before it is hashed.

use super::{Fields, tag};
use crate::card::{self, TextClass};
use crate::decode::RejectCode;
use crate::decode::members::{Element, Members, TextValue};
use crate::text::{check_id, is_id_long, is_short_gtin};

/// Longest token of a payment provider, bytes.
const MAX_TOKEN_BYTES: usize = 128;

impl<'d, E: Element<'d>, const N: usize> Fields<'_, '_, 'd, E, N> {
    /// Reads a member as text of any content.
    #[inline(always)]
    pub(in crate::decode) fn text(&mut self, field: usize) -> Result<Option<&'d str>, E::Error> {
        let Some(text) = self.text_value(field)? else { return Ok(None) };
        self.hash_checked(field, text)?;
        Ok(Some(text.as_str()))
    }

    #[inline(always)]
    pub(in crate::decode) fn id(&mut self, field: usize) -> Result<Option<&'d str>, E::Error> {
        let Some(text) = self.text_value(field)? else { return Ok(None) };
        let id = text.as_str();
        self.hash_checked(field, text)?;
        let is_id = if self.context.is_plain { is_id_long(id) } else { check_id(id).is_ok() };
        if !is_id {
            return Err(self.reject(field, RejectCode::InvalidId));
        }
        Ok(Some(id))
    }

    #[inline(always)]
    pub(in crate::decode) fn required_id(&mut self, field: usize) -> Result<&'d str, E::Error> {
        let id = self.id(field)?;
        self.required(field, id)
    }

    /// Reads an id of a person, which is no part of the content.
    #[inline(always)]
    pub(in crate::decode) fn personal_id(
        &mut self,
        field: usize,
    ) -> Result<Option<&'d str>, E::Error> {
        let Some(text) = self.text_value(field)? else { return Ok(None) };
        let id = text.as_str();
        self.check_card_data(field, id)?;
        match check_id(id) {
            Ok(()) => Ok(Some(id)),
            Err(_) => Err(self.reject(field, RejectCode::InvalidId)),
        }
    }

    /// Checks an object that may hold anything about a person, none of which is content.
    pub(in crate::decode) fn personal_object(&mut self, field: usize) -> Result<(), E::Error> {
        let pointer = self.pointer.member(self.name(field));
        self.members.check_open_object(field, self.context, &pointer)
    }

    /// Reads a text of at most `most` bytes.
    pub(in crate::decode) fn text_within(
        &mut self,
        field: usize,
        most: usize,
    ) -> Result<Option<&'d str>, E::Error> {
        match self.text(field)? {
            Some(text) if text.len() > most => Err(self.reject(field, RejectCode::TextTooLong)),
            text => Ok(text),
        }
    }

    pub(in crate::decode) fn token(&mut self, field: usize) -> Result<Option<&'d str>, E::Error> {
        let token = self.text(field)?;
        match token {
            Some(token)
                if !(1..=MAX_TOKEN_BYTES).contains(&token.len())
                    || (!self.context.is_plain && token.chars().any(char::is_control)) =>
            {
                Err(self.reject(field, RejectCode::InvalidId))
            }
            token => Ok(token),
        }
    }

    /// Reads a member as text that a parser must accept, and that therefore can be no card number.
    #[inline(always)]
    pub(in crate::decode) fn known<T>(
        &mut self,
        field: usize,
        code: RejectCode,
        parse: impl FnOnce(TextValue<'d>) -> Option<T>,
    ) -> Result<Option<T>, E::Error> {
        let Some(text) = self.text_value(field)? else { return Ok(None) };
        match parse(text) {
            Some(known) => {
                self.hash_text(field, text);
                Ok(Some(known))
            }
            None => Err(self.reject_unreadable(field, code)),
        }
    }

    /// Reads a text that a parser must accept; absent and the default are the same, and neither is hashed.
    pub(in crate::decode) fn known_but<T: PartialEq + Copy>(
        &mut self,
        field: usize,
        code: RejectCode,
        default: T,
        parse: impl FnOnce(TextValue<'d>) -> Option<T>,
    ) -> Result<T, E::Error> {
        let Some(text) = self.text_value(field)? else { return Ok(default) };
        match parse(text) {
            Some(known) if known == default => Ok(default),
            Some(known) => {
                self.hash_text(field, text);
                Ok(known)
            }
            None => Err(self.reject_unreadable(field, code)),
        }
    }

    /// Reads a text that has a default; absent and the default are the same.
    #[inline(always)]
    pub(in crate::decode) fn text_or_default(
        &mut self,
        field: usize,
        code: RejectCode,
        default: &'static str,
        is_known: impl FnOnce(&str) -> bool,
    ) -> Result<&'d str, E::Error> {
        let Some(text) = self.text_value(field)? else {
            self.hash_text(field, TextValue::whole(default));
            return Ok(default);
        };
        if !is_known(text.as_str()) {
            return Err(self.reject_unreadable(field, code));
        }
        self.hash_text(field, text);
        Ok(text.as_str())
    }

    /// Reads a GTIN. One with a wrong check digit is called that, even if it could be a card number.
    #[inline(always)]
    pub(in crate::decode) fn gtin(&mut self, field: usize) -> Result<Option<&'d str>, E::Error> {
        const LONGEST: usize = 14;
        let Some(text) = self.text_value(field)? else { return Ok(None) };
        if text.short().is_some_and(|digits| is_short_gtin(digits, text.len())) {
            self.hash_text(field, text);
            return Ok(Some(text.as_str()));
        }
        let is_wrong_gtin = text.len() <= LONGEST && text.as_bytes().iter().all(u8::is_ascii_digit);
        Err(if is_wrong_gtin {
            self.reject(field, RejectCode::InvalidGtin)
        } else {
            self.reject_unreadable(field, RejectCode::InvalidGtin)
        })
    }

    /// Rejects a text that a rule cannot read; for a card number in it if there is one.
    #[cold]
    pub(super) fn reject_unreadable(&self, field: usize, code: RejectCode) -> E::Error {
        let text = self.members.text_value(field).ok().flatten().map(TextValue::as_str);
        match self.check_card_data(field, text.unwrap_or_default()) {
            Err(error) => error,
            Ok(()) => self.reject(field, code),
        }
    }

    /// Adds a text to the fingerprint, or rejects it for card data.
    #[inline(always)]
    pub(super) fn hash_checked(
        &mut self,
        field: usize,
        text: TextValue<'d>,
    ) -> Result<(), E::Error> {
        let string = text.as_str();
        if (E::HASHED || self.context.cards.is_some()) && card::may_hold_card(string) {
            self.search_card_data(field, string)?;
            self.hash_blind(field, string);
        } else {
            self.hash_text(field, text);
        }
        Ok(())
    }

    /// Adds a text to the fingerprint with those digits blinded that some issuer's card could have, so that a masked event has
    /// the same hash. Identities are never masked, and are hashed as they are.
    #[inline(never)]
    fn hash_blind(&mut self, field: usize, text: &str) {
        if !E::HASHED {
            return;
        }
        let name = self.name(field);
        let fingerprint = &mut self.context.scratch.fingerprint;
        if self.pointer.is_root() && card::is_identity_name(name) {
            fingerprint.text(tag(field), text);
        } else {
            fingerprint.blind_text(tag(field), text, TextClass::of(name));
        }
    }

    /// Rejects a text that contains card data.
    #[inline(always)]
    pub(super) fn check_card_data(&self, field: usize, text: &str) -> Result<(), E::Error> {
        if self.context.cards.is_none() || !card::may_hold_card(text) {
            return Ok(());
        }
        self.search_card_data(field, text)
    }

    #[inline(never)]
    fn search_card_data(&self, field: usize, text: &str) -> Result<(), E::Error> {
        match self.context.finding(text, TextClass::of(self.name(field))) {
            Some(code) => Err(self.reject(field, code)),
            None => Ok(()),
        }
    }
}
