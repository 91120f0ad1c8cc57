//! Values read from text without a float on the way: decimals, dates, times, currencies.
//!
//! Parsers take exactly the documented grammar and nothing around it. They return `None` on
//! anything else; the caller knows the field and says what was wrong.

mod ascii;
mod currency;
mod date;
mod decimal;
mod gtin;
mod id;
mod json;
mod short;
mod time;

pub use currency::Currency;
pub use date::Date;
pub use decimal::{Decimal, format_minor, parse_scaled};
pub(crate) use decimal::{parse_short, put_minor};
pub use gtin::is_gtin;
pub(crate) use gtin::is_short_gtin;
pub(crate) use id::is_id_long;
pub use id::{IdError, check_id, percent_encode};
pub(crate) use json::escape;
pub(crate) use short::{is_number, leading_digits, short, shorter, thirty_two_hex_digits};
pub use time::Timestamp;
