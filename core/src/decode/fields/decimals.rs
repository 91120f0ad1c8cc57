//! Members that hold decimals: amounts, unit prices, quantities and rates.

use std::ops::RangeInclusive;

use super::Fields;
use crate::card;
use crate::decode::RejectCode;
use crate::decode::json_pointer::JsonPointer;
use crate::decode::members::{Element, Members, TextValue};
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
    ) -> Result<Option<i64>, E::Error> {
        self.scaled(field, currency, 0, MAX_MINOR)
    }

    /// Reads a unit price in ten-thousandths of a minor unit.
    #[inline(always)]
    pub(in crate::decode) fn price(
        &mut self,
        field: usize,
        currency: Option<Currency>,
    ) -> Result<Option<i64>, E::Error> {
        self.scaled(field, currency, PRICE_DECIMALS, MAX_PRICE)
    }

    #[inline(always)]
    fn scaled(
        &mut self,
        field: usize,
        currency: Option<Currency>,
        more_decimals: u32,
        most: i64,
    ) -> Result<Option<i64>, E::Error> {
        if !self.members.has(field) {
            return Ok(None);
        }
        let currency = currency.ok_or_else(|| {
            E::error(RejectCode::MissingField, &JsonPointer::ROOT.member("currency"))
        })?;
        let scale = currency.exponent() + more_decimals;
        self.decimal(field, RejectCode::InvalidMoney, scale, -most..=most)
    }

    #[inline(always)]
    pub(in crate::decode) fn quantity(
        &mut self,
        field: usize,
    ) -> Result<Option<Decimal>, E::Error> {
        let allowed = -MAX_QUANTITY..=MAX_QUANTITY;
        let quantity = self.decimal(field, RejectCode::InvalidQuantity, Decimal::SCALE, allowed)?;
        Ok(quantity.map(Decimal))
    }

    pub(in crate::decode) fn rate(&mut self, field: usize) -> Result<Option<Decimal>, E::Error> {
        Ok(self
            .decimal(field, RejectCode::InvalidRate, Decimal::SCALE, i64::MIN..=i64::MAX)?
            .map(Decimal))
    }

    /// Reads a decimal.
    #[inline(always)]
    fn decimal(
        &mut self,
        field: usize,
        code: RejectCode,
        scale: u32,
        allowed: RangeInclusive<i64>,
    ) -> Result<Option<i64>, E::Error> {
        let Some(text) = self.text_value(field)? else { return Ok(None) };
        let short = text.shorter().and_then(|bytes| parse_short(bytes, text.len(), scale));
        let value = short.or_else(|| parse_scaled(text.as_bytes(), scale));
        match value.filter(|value| allowed.contains(value)) {
            Some(value) => {
                if text.len() >= card::MIN_DIGITS {
                    self.check_long(field, text)?;
                }
                self.hash_integer(field, value);
                Ok(Some(value))
            }
            None => Err(self.reject_unreadable(field, code)),
        }
    }

    /// Rejects a decimal that is a card number.
    #[cold]
    fn check_long(&self, field: usize, text: TextValue<'d>) -> Result<(), E::Error> {
        self.check_card_data(field, text.as_str())
    }
}
