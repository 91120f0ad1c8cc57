//! Members that hold decimals: amounts, unit prices, quantities and rates.

use std::ops::RangeInclusive;

use super::Fields;
use crate::card;
use crate::decode::Code;
use crate::decode::members::{Element, Members, Word};
use crate::decode::place::Place;
use crate::text::{Currency, Decimal, parse_scaled, parse_short};

/// Largest amount, minor units.
const MAX_MINOR: i64 = 1_000_000_000_000_000;
/// Largest quantity, millionths.
const MAX_QUANTITY: i64 = 1_000_000 * Decimal::ONE.0;
/// Largest unit price, ten-thousandths of a minor unit: what 64 bits hold.
const MAX_PRICE: i64 = i64::MAX;
/// Decimals that a unit price may have beyond its currency's.
const PRICE_DECIMALS: u32 = 4;

impl<'d, E: Element<'d>, const N: usize> Fields<'_, '_, 'd, E, N> {
    /// Reads an amount in minor units.
    #[inline(always)]
    pub(in crate::decode) fn money(
        &mut self,
        field: usize,
        currency: Option<Currency>,
    ) -> Result<Option<i64>, E::Fault> {
        self.scaled(field, currency, 0, MAX_MINOR)
    }

    /// Reads a unit price in ten-thousandths of a minor unit.
    #[inline(always)]
    pub(in crate::decode) fn price(
        &mut self,
        field: usize,
        currency: Option<Currency>,
    ) -> Result<Option<i64>, E::Fault> {
        self.scaled(field, currency, PRICE_DECIMALS, MAX_PRICE)
    }

    #[inline(always)]
    fn scaled(
        &mut self,
        field: usize,
        currency: Option<Currency>,
        more_decimals: u32,
        most: i64,
    ) -> Result<Option<i64>, E::Fault> {
        if !self.members.has(field) {
            return Ok(None);
        }
        let currency = currency
            .ok_or_else(|| E::fault(Code::MissingField, &Place::ROOT.member("currency")))?;
        let scale = currency.exponent() + more_decimals;
        self.decimal(field, Code::InvalidMoney, scale, -most..=most)
    }

    #[inline(always)]
    pub(in crate::decode) fn quantity(
        &mut self,
        field: usize,
    ) -> Result<Option<Decimal>, E::Fault> {
        let allowed = -MAX_QUANTITY..=MAX_QUANTITY;
        let quantity = self.decimal(field, Code::InvalidQuantity, Decimal::SCALE, allowed)?;
        Ok(quantity.map(Decimal))
    }

    pub(in crate::decode) fn rate(&mut self, field: usize) -> Result<Option<Decimal>, E::Fault> {
        Ok(self
            .decimal(field, Code::InvalidRate, Decimal::SCALE, i64::MIN..=i64::MAX)?
            .map(Decimal))
    }

    /// Reads a decimal.
    #[inline(always)]
    fn decimal(
        &mut self,
        field: usize,
        code: Code,
        scale: u32,
        allowed: RangeInclusive<i64>,
    ) -> Result<Option<i64>, E::Fault> {
        let Some(word) = self.word(field)? else { return Ok(None) };
        let short = word.shorter().and_then(|text| parse_short(text, word.len(), scale));
        let value = short.or_else(|| parse_scaled(word.bytes(), scale));
        match value.filter(|value| allowed.contains(value)) {
            Some(value) => {
                if word.len() >= card::MIN_DIGITS {
                    self.clear_long(field, word)?;
                }
                self.keep(field, value);
                Ok(Some(value))
            }
            None => Err(self.unread(field, code)),
        }
    }

    /// Refuses a decimal with as many digits as a card number if it is one.
    #[cold]
    fn clear_long(&self, field: usize, word: Word<'d>) -> Result<(), E::Fault> {
        self.clear(field, word.text())
    }
}
