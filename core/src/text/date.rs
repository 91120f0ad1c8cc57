//! Calendar dates, proleptic Gregorian, as days since 1970-01-01.

use std::fmt;

use super::ascii::{Ascii, digits};
use super::short::{are_digits, eight_digits};

/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_TO_1970: i32 = 719_468;

/// A calendar date: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date(pub i32);

impl Date {
    /// Parses `YYYY-MM-DD` (RFC 3339 `full-date`), years 0001 to 9999.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
        let digits = u64::from_le_bytes([y1, y2, y3, y4, m1, m2, d1, d2]);
        if !are_digits(digits) {
            return None;
        }
        let number = u32::try_from(eight_digits(digits)).ok()?;
        let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
        if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
            return None;
        }
        Some(Self(days_from_civil(year, month, day)))
    }

    /// Returns year, month and day.
    pub fn civil(self) -> (i32, u32, u32) {
        // Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
        let z = self.0 + DAYS_TO_1970;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i32::from(month <= 2);
        (year, month.unsigned_abs(), day.unsigned_abs())
    }
}

impl Date {
    /// Appends `YYYY-MM-DD`, as [`fmt::Display`] shows it.
    pub fn push_to(self, text: &mut String) {
        text.push_str(self.ascii().as_str());
    }

    /// Returns what [`fmt::Display`] shows.
    pub(crate) fn ascii(self) -> Ascii {
        let mut ascii = Ascii::default();
        self.write(&mut ascii);
        ascii
    }

    /// Writes the date; of a year outside 0 to 9999, which no event has, the last four digits.
    pub(super) fn write(self, ascii: &mut Ascii) {
        let (year, month, day) = self.civil();
        let [y1, y2, y3, y4] = digits(year.unsigned_abs());
        let [[m1, m2], [d1, d2]] = [digits(month), digits(day)];
        ascii.push([y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2]);
    }
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.ascii().as_str())
    }
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(if year.is_multiple_of(100) { 400 } else { 4 })
}

/// Counts the days from 1970 to a date, whose year is at least 1. Years begin in March here, so that a leap day ends one.
fn days_from_civil(year: u32, month: u32, day: u32) -> i32 {
    let (year, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_years = 365 * year + year / 4 - year / 100 + year / 400;
    // From March on, every five months have 153 days.
    let days = of_years + (153 * months + 2) / 5 + day - 1;
    days.cast_signed() - DAYS_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_survives_the_round_trip() {
        for days in -200_000..200_000 {
            let text = Date(days).to_string();
            assert_eq!(Date::parse(text.as_bytes()), Some(Date(days)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_date_is_refused() {
        for text in [
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "0000-01-01",
            "2026-1-01",
            " 2026-01-01",
            "2026-01-0a",
        ] {
            assert_eq!(Date::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Date::parse(b"1970-01-01"), Some(Date(0)));
        assert_eq!(Date::parse(b"2024-02-29").map(Date::civil), Some((2024, 2, 29)));
    }
}
