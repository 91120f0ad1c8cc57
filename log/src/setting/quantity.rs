//! Quantities as they are written in a configuration.

use std::num::NonZeroU64;
use std::time::Duration;

use bytesize::ByteSize;

/// A value with an order, and one way to write it.
pub trait Quantity: Copy + PartialOrd {
    /// Writes it as the configuration reads it.
    fn written(&self) -> String;
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Quantity for $number {
            fn written(&self) -> String {
                self.to_string()
            }
        })*
    };
}

numbers!(u8, u16, u32, u64, usize, NonZeroU64);

impl Quantity for Duration {
    fn written(&self) -> String {
        match self.as_secs() {
            // humantime goes on to months of 30.44 days.
            seconds @ 86_400.. if self.subsec_nanos() == 0 && seconds.is_multiple_of(86_400) => {
                let days = seconds / 86_400;
                format!("{days}day{}", if days == 1 { "" } else { "s" })
            }
            _ => humantime::format_duration(*self).to_string(),
        }
    }
}

impl Quantity for ByteSize {
    /// Uses the largest unit that leaves a whole number.
    fn written(&self) -> String {
        let bytes = self.as_u64();
        let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        units
            .into_iter()
            .find(|&(size, _)| bytes > 0 && bytes.is_multiple_of(size))
            .map_or_else(|| format!("{bytes}B"), |(size, unit)| format!("{}{unit}", bytes / size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for (size, written) in [(0, "0B"), (1_000, "1000B"), (4_096, "4KiB"), (3 << 30, "3GiB")] {
            let size = ByteSize::b(size);
            assert_eq!(size.written(), written);
            assert_eq!(written.parse(), Ok(size));
        }
        let wait = Duration::from_millis(90_500);
        assert_eq!(wait.written(), "1m 30s 500ms");
        assert_eq!(humantime::parse_duration(&wait.written()), Ok(wait));
        let horizon = Duration::from_hours(35 * 24);
        assert_eq!(horizon.written(), "35days");
        assert_eq!(humantime::parse_duration(&horizon.written()), Ok(horizon));
    }
}
