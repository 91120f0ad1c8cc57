//! What the gateway says of itself at `/readyz`, and the signals of pressure it gathers.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::RwLock;
use serde::Serialize;
use tillrace_core::log::LogError;

use crate::clock::Now;
use crate::settings::Durability;

/// A failure to publish speaks against readiness for this long, or until one succeeds. It ends by
/// itself because an instance that gets no traffic cannot show that it works again.
const FAILURE_STANDS_MS: i64 = 10_000;
/// A full queue counts as pressure for this long.
const PRESSURE_STANDS_MS: i64 = 1_000;

/// The gateway's health; shared, each field an independent signal (hence relaxed ordering).
#[derive(Debug)]
pub struct Health {
    durability: Durability,
    weaknesses: RwLock<Vec<String>>,
    draining: AtomicBool,
    failed_at_ms: AtomicI64,
    queue_full_at_ms: AtomicI64,
}

/// The body of `/readyz`.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Readiness {
    status: &'static str,
    durability: Durability,
    log: &'static str,
    weak_settings: Vec<String>,
}

impl Health {
    pub(crate) fn new(durability: Durability) -> Self {
        Self {
            durability,
            weaknesses: RwLock::new(Vec::new()),
            draining: AtomicBool::new(false),
            failed_at_ms: AtomicI64::new(i64::MIN),
            queue_full_at_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// Takes note of what [`Log::ensure_topics`](tillrace_core::log::Log::ensure_topics) found
    /// weaker than promised, one sentence each, in place of what was noted before.
    pub fn note_weaknesses(&self, weaknesses: Vec<String>) {
        *self.weaknesses.write() = weaknesses;
    }

    /// Says whether the gateway should get traffic, and why not.
    pub(crate) fn readiness(&self, now: Now) -> (bool, Readiness) {
        let weak_settings = self.weaknesses.read().clone();
        let failing = stands(&self.failed_at_ms, now, FAILURE_STANDS_MS);
        let weak = !weak_settings.is_empty() && self.durability == Durability::Brokers;
        let draining = self.draining.load(Ordering::Relaxed);
        let status = match (draining, failing, weak) {
            (true, _, _) => "draining",
            (_, true, _) => "log_failing",
            (_, _, true) => "weak_settings",
            _ => "ready",
        };
        let log = if failing { "failing" } else { "ok" };
        let readiness = Readiness { status, durability: self.durability, log, weak_settings };
        (!draining && !failing && !weak, readiness)
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Takes note that a publish went well; logs the first after failures.
    pub(crate) fn works(&self) {
        if self.failed_at_ms.load(Ordering::Relaxed) != i64::MIN
            && self.failed_at_ms.swap(i64::MIN, Ordering::Relaxed) != i64::MIN
        {
            tracing::info!("publishing works again");
        }
    }

    /// Takes note that a publish failed; logs the first failure of a row of them.
    pub(crate) fn fails(&self, now: Now, error: &LogError) {
        if self.failed_at_ms.swap(now.wall_ms, Ordering::Relaxed) == i64::MIN {
            let error: &dyn std::error::Error = error;
            tracing::warn!(error, "publishing fails, senders are asked to retry");
        }
    }

    pub(crate) fn queue_was_full(&self, now: Now) {
        self.queue_full_at_ms.store(now.wall_ms, Ordering::Relaxed);
    }

    /// Tells whether the log's queue was full a moment ago.
    pub(crate) fn is_queue_tight(&self, now: Now) -> bool {
        stands(&self.queue_full_at_ms, now, PRESSURE_STANDS_MS)
    }
}

fn stands(since_ms: &AtomicI64, now: Now, stands_ms: i64) -> bool {
    now.wall_ms.saturating_sub(since_ms.load(Ordering::Relaxed)) < stands_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURE: LogError = LogError::TimedOut { action: "publish" };

    fn at(wall_ms: i64) -> Now {
        Now { wall_ms, steady_ns: 0 }
    }

    fn status(health: &Health, wall_ms: i64) -> (bool, &'static str) {
        let (ready, readiness) = health.readiness(at(wall_ms));
        (ready, readiness.status)
    }

    #[test]
    fn weak_settings_fail_readiness_unless_development_is_meant() {
        for (durability, expected) in [
            (Durability::Brokers, (false, "weak_settings")),
            (Durability::Development, (true, "ready")),
        ] {
            let health = Health::new(durability);
            assert_eq!(status(&health, 0), (true, "ready"));
            health.note_weaknesses(vec!["replication is 1".to_owned()]);
            assert_eq!(status(&health, 0), expected);
            let (_, readiness) = health.readiness(at(0));
            assert_eq!(readiness.weak_settings, ["replication is 1"]);
        }
    }

    #[test]
    fn a_failing_log_shows_until_it_works_or_was_not_asked_for_a_while() {
        let health = Health::new(Durability::Brokers);
        health.fails(at(1_000), &FAILURE);
        assert_eq!(status(&health, 1_001), (false, "log_failing"));
        assert_eq!(status(&health, 11_000), (true, "ready"));
        health.fails(at(20_000), &FAILURE);
        health.works();
        assert_eq!(status(&health, 20_002), (true, "ready"));
    }

    #[test]
    fn a_full_queue_is_pressure_for_a_moment() {
        let health = Health::new(Durability::Brokers);
        assert!(!health.is_queue_tight(at(500)));
        health.queue_was_full(at(500));
        assert!(health.is_queue_tight(at(1_499)));
        assert!(!health.is_queue_tight(at(1_500)));
    }

    #[test]
    fn a_draining_gateway_is_not_ready() {
        let health = Health::new(Durability::Development);
        health.drain();
        assert_eq!(status(&health, 0), (false, "draining"));
    }
}
