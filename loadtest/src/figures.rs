//! Figures as people read them, on the terminal and on pages: counts with commas, latencies and times
//! with their unit. JSON keeps the numbers as they are.

/// Writes a count with commas: `12,345`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a rate as a count, its fraction dropped below what matters: `12,345`, `0.5`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
pub fn rate(rate: f64) -> String {
    if rate > 0.0 && rate < 10.0 {
        return trimmed(rate, 2);
    }
    count(rate.round() as u64)
}

/// Writes a rate as short as an axis wants it: `12k`, `1.5M`.
pub fn short(rate: f64) -> String {
    match rate {
        _ if rate >= 1e6 => trimmed(rate / 1e6, 2) + "M",
        _ if rate >= 1e4 => trimmed(rate / 1e3, 2) + "k",
        _ => self::rate(rate),
    }
}

/// Writes a latency with three digits and the unit that suits it: `950 µs`, `1.25 ms`, `3.4 s`.
pub fn latency(latency_us: f64) -> String {
    let (value, unit) = match latency_us {
        _ if latency_us < 999.5 => (latency_us, "µs"),
        _ if latency_us < 999_500.0 => (latency_us / 1e3, "ms"),
        _ => (latency_us / 1e6, "s"),
    };
    let places = match value {
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    format!("{} {unit}", trimmed(value, places))
}

/// Writes a latency in whole microseconds as [`latency`] does.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn latency_us(latency_us: u64) -> String {
    latency(latency_us as f64)
}

/// Writes a moment of a run: `12.5 s`, `2:30`, `1:02:30`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
pub fn moment(seconds: f64) -> String {
    if seconds < 120.0 {
        return trimmed(seconds, 2) + " s";
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, rest) = (whole / 3_600, whole / 60 % 60, whole % 60);
    if hours == 0 {
        format!("{minutes}:{rest:02}")
    } else {
        format!("{hours}:{minutes:02}:{rest:02}")
    }
}

/// Writes how long something took, as a moment to a tenth of a second.
pub fn time(seconds: f64) -> String {
    moment((seconds * 10.0).round() / 10.0)
}

/// Writes a number with so many decimals at most, no zeros at its end.
fn trimmed(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas_and_rates_their_digits() {
        let counts = [0, 999, 1_000, 12_345, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!([0.0, 0.5, 9.99, 12_345.6].map(rate), ["0", "0.5", "9.99", "12,346"]);
        assert_eq!([500.0, 12_000.0, 1.5e6].map(short), ["500", "12k", "1.5M"]);
    }

    #[test]
    fn latencies_have_three_digits_and_a_unit() {
        let latencies = [1.0, 950.0, 999.9, 1_250.0, 12_345.0, 123_456.0, 3_400_000.0].map(latency);
        let expected = ["1 µs", "950 µs", "1 ms", "1.25 ms", "12.3 ms", "123 ms", "3.4 s"];
        assert_eq!(latencies, expected);
    }

    #[test]
    fn moments_become_clocks_when_they_are_long() {
        let moments = [0.0, 12.5, 119.0, 150.0, 3_750.0].map(moment);
        assert_eq!(moments, ["0 s", "12.5 s", "119 s", "2:30", "1:02:30"]);
        assert_eq!([7.97, 36.08, 200.0].map(time), ["8 s", "36.1 s", "3:20"]);
    }
}
