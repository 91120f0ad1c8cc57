//! Texts of records as the integers and times of columns.

use tillrace_core::text::{Currency, Decimal, Timestamp, parse_scaled};

use super::FoldError;
use crate::change::Value;

/// Returns a quantity in millionths.
pub(super) fn millionths(member: &'static str, text: &str) -> Result<Value, FoldError> {
    let quantity = Decimal::parse(text.as_bytes()).ok_or(FoldError::Member(member))?;
    Ok(quantity.0.into())
}

/// Returns an amount in minor units of its currency.
pub(super) fn minor(
    member: &'static str,
    text: &str,
    currency: Currency,
) -> Result<i64, FoldError> {
    parse_scaled(text.as_bytes(), currency.exponent()).ok_or(FoldError::Member(member))
}

/// Reads a currency.
pub(super) fn currency(code: &str) -> Result<Currency, FoldError> {
    Currency::parse(code.as_bytes()).ok_or(FoldError::Member("currency"))
}

/// Returns a time in UTC.
pub(super) fn utc(member: &'static str, text: &str) -> Result<Value, FoldError> {
    let time = Timestamp::parse(text.as_bytes()).ok_or(FoldError::Member(member))?;
    Ok(utc_of(time).into())
}

/// Writes a time in UTC, always with six decimals, so that texts sort as times do.
pub(super) fn utc_of(time: Timestamp) -> String {
    let seconds = time.micros.div_euclid(1_000_000) * 1_000_000;
    let whole = Timestamp { micros: seconds, offset_minutes: 0 }.to_string();
    let micros = time.micros.rem_euclid(1_000_000);
    format!("{}.{micros:06}Z", whole.trim_end_matches('Z'))
}

/// Returns date and hour as the terminal's clock showed them.
pub(super) fn local(time: Timestamp) -> (String, i64) {
    let local = time.micros + i64::from(time.offset_minutes) * 60_000_000;
    let shown = Timestamp { micros: local, offset_minutes: 0 }.to_string();
    let date = shown.get(..10).unwrap_or_default().to_owned();
    (date, local.div_euclid(3_600_000_000).rem_euclid(24))
}
