//! Points in time with the offset they were written in.

use std::fmt;

use super::Date;
use super::ascii::{Ascii, digits};
use super::short::eight_digits;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// A point in time: microseconds since the Unix epoch, and the offset it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timestamp {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub micros: i64,
    /// Minutes east of UTC, −1,439 to 1,439.
    pub offset_minutes: i16,
}

impl Timestamp {
    /// Makes a UTC time from milliseconds since the Unix epoch.
    pub fn from_millis(millis: i64) -> Self {
        Self { micros: millis.saturating_mul(1_000), offset_minutes: 0 }
    }

    /// Parses an RFC 3339 `date-time` with upper-case `T` and `Z`, and up to nine decimals of
    /// which six are kept. A leap second (`:60`) counts as the second before it.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let date = Date::parse(date)?;
        let [b'T', h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = rest else { return None };
        let hour = two_digits(*h1, *h2, 23)?;
        let minute = two_digits(*m1, *m2, 59)?;
        let second = two_digits(*s1, *s2, 60)?.min(59);
        let (fraction_micros, zone) = fraction(rest)?;
        let offset_minutes = zone_minutes(zone)?;
        let seconds = i64::from(date.0) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second
            - i64::from(offset_minutes) * 60;
        Some(Self { micros: seconds * MICROS_PER_SECOND + fraction_micros, offset_minutes })
    }

    /// Returns milliseconds since the Unix epoch, rounded down.
    pub fn millis(self) -> i64 {
        self.micros.div_euclid(1_000)
    }
}

impl Timestamp {
    /// Appends RFC 3339 with the offset the time came with, and decimals where they say something:
    /// three, or six where three are not enough.
    pub fn push_to(self, text: &mut String) {
        text.push_str(self.ascii().as_str());
    }

    pub(crate) fn ascii(self) -> Ascii {
        let mut ascii = Ascii::default();
        let local = self.micros + i64::from(self.offset_minutes) * 60 * MICROS_PER_SECOND;
        let (seconds, micros) =
            (local.div_euclid(MICROS_PER_SECOND), low(local.rem_euclid(MICROS_PER_SECOND)));
        let (days, of_day) =
            (seconds.div_euclid(SECONDS_PER_DAY), low(seconds.rem_euclid(SECONDS_PER_DAY)));
        // 64 bits of microseconds are fewer days than 32 bits count.
        Date(i32::try_from(days).unwrap_or_default()).write(&mut ascii);
        let [[h1, h2], [m1, m2], [s1, s2]] =
            [of_day / 3_600, of_day / 60 % 60, of_day % 60].map(digits);
        ascii.push([b'T', h1, h2, b':', m1, m2, b':', s1, s2]);
        if micros % 1_000 != 0 {
            ascii.push(*b".");
            ascii.push(digits::<6>(micros));
        } else if micros != 0 {
            ascii.push(*b".");
            ascii.push(digits::<3>(micros / 1_000));
        }
        if self.offset_minutes == 0 {
            ascii.push(*b"Z");
        } else {
            let sign = if self.offset_minutes < 0 { b'-' } else { b'+' };
            let minutes = u32::from(self.offset_minutes.unsigned_abs());
            let [[h1, h2], [m1, m2]] = [minutes / 60, minutes % 60].map(digits);
            ascii.push([sign, h1, h2, b':', m1, m2]);
        }
        ascii
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.ascii().as_str())
    }
}

/// A part of a second or of a day.
fn low(part: i64) -> u32 {
    u32::try_from(part).unwrap_or_default()
}

fn two_digits(tens: u8, ones: u8, most: i64) -> Option<i64> {
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return None;
    }
    let value = i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
    (value <= most).then_some(value)
}

fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, zone) = digits.split_at_checked(count)?;
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let mut first = [b'0'; 8];
    for (place, digit) in first.iter_mut().zip(digits) {
        *place = *digit;
    }
    let micros = eight_digits(u64::from_le_bytes(first)) / 100;
    Some((micros.cast_signed(), zone))
}

fn zone_minutes(zone: &[u8]) -> Option<i16> {
    match *zone {
        [b'Z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let minutes = two_digits(h1, h2, 23)? * 60 + two_digits(m1, m2, 59)?;
            let minutes = i16::try_from(minutes).ok()?;
            Some(if sign == b'-' { -minutes } else { minutes })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_microsecond_and_written_back_with_their_offset() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-11-27T08:15:30.123+01:00",
            "2026-11-27T23:59:59.000001-09:30",
            "1969-12-31T23:59:59.999Z",
        ] {
            assert_eq!(Timestamp::parse(text.as_bytes()).unwrap().to_string(), text);
        }
        assert_eq!(Timestamp::parse(b"1970-01-01T01:00:00.5+01:00").unwrap().micros, 500_000);
        assert_eq!(
            Timestamp::parse(b"2016-12-31T23:59:60Z"),
            Timestamp::parse(b"2016-12-31T23:59:59Z")
        );
        assert_eq!(Timestamp::parse(b"1970-01-01T00:00:00.123456789Z").unwrap().micros, 123_456);
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "2026-11-27T08:15:30",
            "2026-11-27 08:15:30Z",
            "2026-11-27T24:00:00Z",
            "2026-11-27T08:60:00Z",
            "2026-11-27T08:15:30.Z",
            "2026-11-27T08:15:30.1234567890Z",
            "2026-11-27T08:15:30+0100",
            "2026-11-27T08:15:30Zx",
        ] {
            assert_eq!(Timestamp::parse(text.as_bytes()), None, "{text}");
        }
    }
}
