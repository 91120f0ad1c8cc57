//! Tells repetitions in what librdkafka says from news.
//!
//! A process has a dozen Kafka clients, and each says of each broker that is away what it says, every few seconds. Three
//! brokers that were killed made 263 warnings. Of a kind and a broker the first in a minute passes, with the number of those
//! that did not since the one before.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::error::RDKafkaErrorCode;

const QUIET_FOR: Duration = Duration::from_mins(1);
/// Kinds remembered; a cluster has fewer brokers than it has room for.
const MOST_KINDS: usize = 1_024;

static OF_PROCESS: LazyLock<Mutex<Repeats>> = LazyLock::new(Mutex::default);

/// Decides about a line of librdkafka's log: `Some` with the number of those suppressed before if it is news.
pub(super) fn of_line(facility: &str, line: &str) -> Option<u64> {
    let kind = format!("{facility} {}", broker(line));
    OF_PROCESS.lock().admit(kind, Instant::now())
}

/// Decides about an error of a client.
pub(super) fn of_error(code: RDKafkaErrorCode) -> Option<u64> {
    OF_PROCESS.lock().admit(format!("{code:?}"), Instant::now())
}

/// The broker that a line is about: its thread, without the number that is learned later, `[thrd:b1:9092/1]: …`.
fn broker(line: &str) -> &str {
    let thread = line.strip_prefix("[thrd:").and_then(|rest| rest.split_once(']'));
    let thread = thread.map_or("", |(thread, _)| thread);
    thread.split('/').find(|part| part.contains(':') && !part.ends_with(':')).unwrap_or(thread)
}

#[derive(Debug, Default)]
struct Repeats {
    kinds: HashMap<String, Kind>,
}

#[derive(Debug)]
struct Kind {
    passed: Instant,
    suppressed: u64,
}

impl Repeats {
    fn admit(&mut self, kind: String, now: Instant) -> Option<u64> {
        if self.kinds.len() >= MOST_KINDS {
            self.kinds.clear();
        }
        let fresh = Kind { passed: now, suppressed: 0 };
        let Some(known) = self.kinds.get_mut(&kind) else {
            self.kinds.insert(kind, fresh);
            return Some(0);
        };
        if now.saturating_duration_since(known.passed) < QUIET_FOR {
            known.suppressed += 1;
            return None;
        }
        Some(std::mem::replace(known, fresh).suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_passes_once_a_minute_with_the_number_of_those_that_did_not() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        assert_eq!(repeats.admit("FAIL b1".to_owned(), now), Some(0));
        assert_eq!(repeats.admit("FAIL b2".to_owned(), now), Some(0));
        for _ in 0..87 {
            assert_eq!(repeats.admit("FAIL b1".to_owned(), now), None);
        }
        assert_eq!(repeats.admit("FAIL b1".to_owned(), now + QUIET_FOR), Some(87));
        assert_eq!(repeats.admit("FAIL b1".to_owned(), now + QUIET_FOR), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for number in 0..5_000 {
            assert_eq!(repeats.admit(number.to_string(), now), Some(0));
        }
        assert!(repeats.kinds.len() <= MOST_KINDS);
    }

    #[test]
    fn lines_about_one_broker_are_told_from_those_about_another() {
        for (line, expected) in [
            ("[thrd:127.0.0.1:9092/1]: 127.0.0.1:9092/1: Connect to … failed", "127.0.0.1:9092"),
            ("[thrd:127.0.0.1:9092/bootstrap]: 127.0.0.1:9092/bootstrap: …", "127.0.0.1:9092"),
            ("[thrd:sasl_ssl://b1:9093/2]: sasl_ssl://b1:9093/2: …", "b1:9093"),
            ("[thrd:GroupCoordinator]: GroupCoordinator: …", "GroupCoordinator"),
            ("no thread", ""),
        ] {
            assert_eq!(broker(line), expected, "{line}");
        }
    }
}
