//! Calendar dates, proleptic Gregorian, as days since 1970-01-01.

use std::fmt;

use super::ascii::{Ascii, digits};
use super::short::{are_digits, eight_digits};

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
        let number = i32::try_from(eight_digits(digits)).ok()?;
        let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
        if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
            return None;
        }
        Some(Self(days_from_civil(year, month, day)))
    }

    /// Returns year, month and day.
    pub fn civil(self) -> (i32, u32, u32) {
        // Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
        let z = self.0 + 719_468;
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
        let mut ascii = Ascii::default();
        self.write(&mut ascii);
        text.push_str(ascii.as_str());
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
        let mut ascii = Ascii::default();
        self.write(&mut ascii);
        formatter.write_str(ascii.as_str())
    }
}

fn days_in(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    // Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
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
