//! Dates and times of the proleptic Gregorian calendar, as events write them.
//!
//! Days are counted from 1970-01-01; instants are milliseconds since then in UTC. Leap seconds do
//! not exist here, as they do not on a till.

use crate::json::padded;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// A calendar date, counted in days from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

impl Date {
    /// Returns the date that a clock `offset_minutes` ahead of UTC shows at an instant.
    pub fn of(instant_ms: i64, offset_minutes: i32) -> Self {
        let local_ms = instant_ms + i64::from(offset_minutes) * 60_000;
        Self(i32::try_from(local_ms.div_euclid(DAY_MS)).unwrap_or(i32::MAX))
    }

    /// Splits into year, month and day.
    ///
    /// Source: Howard Hinnant, “chrono-Compatible Low-Level Date Algorithms”, `civil_from_days`.
    pub fn civil(self) -> (i64, u8, u8) {
        let shifted = i64::from(self.0) + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year, u8::try_from(month).unwrap_or(1), u8::try_from(day).unwrap_or(1))
    }

    /// Appends `YYYY-MM-DD`.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let (year, month, day) = self.civil();
        padded(out, year.unsigned_abs(), 4);
        out.push(b'-');
        padded(out, month.into(), 2);
        out.push(b'-');
        padded(out, day.into(), 2);
    }
}

/// Appends an instant as RFC 3339 with milliseconds, on a clock `offset_minutes` ahead of UTC.
pub(crate) fn write_instant(out: &mut Vec<u8>, instant_ms: i64, offset_minutes: i32) {
    let local_ms = instant_ms + i64::from(offset_minutes) * 60_000;
    Date::of(instant_ms, offset_minutes).write(out);
    let of_day = local_ms.rem_euclid(DAY_MS).unsigned_abs();
    let seconds = of_day / 1_000;
    for (separator, value) in
        [(b'T', seconds / 3_600), (b':', seconds / 60 % 60), (b':', seconds % 60)]
    {
        out.push(separator);
        padded(out, value, 2);
    }
    out.push(b'.');
    padded(out, of_day % 1_000, 3);
    if offset_minutes == 0 {
        out.push(b'Z');
        return;
    }
    out.push(if offset_minutes < 0 { b'-' } else { b'+' });
    let offset = u64::from(offset_minutes.unsigned_abs());
    padded(out, offset / 60, 2);
    out.push(b':');
    padded(out, offset % 60, 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(ms: i64, offset: i32) -> String {
        let mut out = Vec::new();
        write_instant(&mut out, ms, offset);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_cross_leap_days_and_the_epoch() {
        assert_eq!(Date(0).civil(), (1970, 1, 1));
        assert_eq!(Date(-1).civil(), (1969, 12, 31));
        assert_eq!(Date(11_016).civil(), (2000, 2, 29));
        assert_eq!(Date(20_454).civil(), (2026, 1, 1));
    }

    #[test]
    fn instants_are_written_on_the_stores_clock() {
        assert_eq!(instant(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(instant(1_483_271_606_250, -300), "2017-01-01T06:53:26.250-05:00");
        assert_eq!(instant(1_483_228_799_999, 330), "2017-01-01T05:29:59.999+05:30");
    }

    #[test]
    fn a_date_is_that_of_the_stores_clock() {
        assert_eq!(Date::of(-1, 0), Date(-1));
        assert_eq!(Date::of(-1, 60), Date(0));
        assert_eq!(Date::of(0, -300), Date(-1));
    }
}
