//! The gateway's health: readiness, and signals of pressure.
//!
//! Conditions of other parts of the process are in [`tillrace_log::health`]; `/readyz` reports both.

use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::RwLock;
use tillrace_log::explain::Explanation;
use tillrace_log::health::{self, ActiveCondition, Condition, Impact, Readiness};

use crate::clock::{Clock, CurrentTime};
use crate::settings::Durability;
use crate::tenant::NameCap;

/// A full queue counts as pressure for this long.
const PRESSURE_STANDS_MS: i64 = 1_000;

/// Topics have weaker settings than promised.
pub const WEAK_SETTINGS: Explanation = Explanation {
    code: "weak_settings",
    meaning: "Topics have settings that keep events less safely than the gateway promises its senders; the cause names each.",
    remedy: "Change the topics' settings, or accept weaker ones with ingest.durability: development.",
};

/// Names of stores or terminals exceed a cap.
pub const TOO_MANY_NAMES: Explanation = Explanation {
    code: "too_many_names",
    meaning: "A tenant has more stores or terminals than its caps on names allow, or one key named more than its part of them. \
              Events of new ones are answered 429 with Retry-After and kept by their terminals; known ones go on.",
    remedy: "Raise the setting that the condition names and restart the gateway; or replace the key, if it \
             invents names.",
};

/// The gateway's health; shared, each field an independent signal (hence relaxed ordering).
#[derive(Debug)]
pub struct GatewayHealth {
    process: health::Health,
    durability: Durability,
    weaknesses: RwLock<WeakSettings>,
    queue_full_at_ms: AtomicI64,
    clock: Clock,
}

#[derive(Debug, Default)]
struct WeakSettings {
    sentences: Vec<String>,
    since_ms: i64,
}

impl GatewayHealth {
    pub(crate) fn new(process: health::Health, durability: Durability, clock: Clock) -> Self {
        Self {
            process,
            durability,
            weaknesses: RwLock::new(WeakSettings::default()),
            queue_full_at_ms: AtomicI64::new(i64::MIN),
            clock,
        }
    }

    /// Sets the weak settings that [`Log::ensure_topics`](tillrace_log::Log::ensure_topics) found,
    /// one sentence each, in place of earlier ones.
    pub fn note_weaknesses(&self, sentences: Vec<String>) {
        let since_ms = self.clock.now().wall_ms;
        *self.weaknesses.write() = WeakSettings { sentences, since_ms };
    }

    /// Returns whether the process should get traffic, and all its conditions.
    pub fn readiness(&self) -> Readiness {
        let mut readiness = self.process.readiness();
        let weaknesses = self.weaknesses.read();
        if !weaknesses.sentences.is_empty() {
            readiness.add(weak_settings(&weaknesses, self.durability));
        }
        readiness
    }

    /// Reports that new names of a tenant are deferred, because a key reached a cap. The condition stays until a restart.
    pub(crate) fn report_name_cap(&self, tenant: &str, key: &str, cap: NameCap) {
        let (named, setting) = (cap.named.as_str(), cap.setting());
        self.process.raise(Condition {
            component: "gateway".to_owned(),
            code: TOO_MANY_NAMES.code,
            subject: format!("tenant {tenant}, {setting}"),
            impact: Impact::Degraded,
            cause: format!(
                "key `{key}` reached the limit of {named} that follows from `{setting}`"
            ),
            remedy: TOO_MANY_NAMES.remedy.to_owned(),
        });
    }

    pub(crate) fn queue_was_full(&self, now: CurrentTime) {
        self.queue_full_at_ms.store(now.wall_ms, Ordering::Relaxed);
    }

    /// Tells whether the log's queue was full a moment ago.
    pub(crate) fn is_queue_tight(&self, now: CurrentTime) -> bool {
        stands(&self.queue_full_at_ms, now, PRESSURE_STANDS_MS)
    }
}

fn stands(since_ms: &AtomicI64, now: CurrentTime, stands_ms: i64) -> bool {
    now.wall_ms.saturating_sub(since_ms.load(Ordering::Relaxed)) < stands_ms
}

fn weak_settings(weaknesses: &WeakSettings, durability: Durability) -> ActiveCondition {
    let condition = Condition {
        component: "gateway".to_owned(),
        code: WEAK_SETTINGS.code,
        subject: String::new(),
        impact: match durability {
            Durability::Brokers => Impact::NotReady,
            Durability::Development => Impact::Degraded,
        },
        cause: weaknesses.sentences.join("; "),
        remedy: WEAK_SETTINGS.remedy.to_owned(),
    };
    ActiveCondition { condition, since_ms: weaknesses.since_ms }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tillrace_log::health::ReadinessStatus;

    use super::*;

    fn at(wall_ms: i64) -> CurrentTime {
        CurrentTime { wall_ms, steady_ns: 0 }
    }

    /// A health on a clock that stands where it is put.
    fn health(durability: Durability) -> (GatewayHealth, Arc<AtomicI64>) {
        let clock = Arc::new(AtomicI64::new(0));
        let manual = Clock::Manual(Arc::clone(&clock));
        (GatewayHealth::new(health::Health::default(), durability, manual), clock)
    }

    fn told(health: &GatewayHealth) -> (ReadinessStatus, Vec<(&'static str, Impact, i64)>) {
        let readiness = health.readiness();
        let of = |standing: &ActiveCondition| {
            (standing.condition.code, standing.condition.impact, standing.since_ms)
        };
        (readiness.status, readiness.conditions.iter().map(of).collect())
    }

    #[test]
    fn weak_settings_fail_readiness_unless_development_is_meant() {
        for (durability, status, impact) in [
            (Durability::Brokers, ReadinessStatus::NotReady, Impact::NotReady),
            (Durability::Development, ReadinessStatus::Ready, Impact::Degraded),
        ] {
            let (health, clock) = health(durability);
            assert_eq!(told(&health), (ReadinessStatus::Ready, vec![]));
            clock.store(7, Ordering::Relaxed);
            health.note_weaknesses(vec!["replication is 1".to_owned(), "acks is 1".to_owned()]);
            assert_eq!(told(&health), (status, vec![("weak_settings", impact, 7)]));
            let cause = &health.readiness().conditions[0].condition.cause;
            assert_eq!(cause, "replication is 1; acks is 1");
        }
    }

    #[test]
    fn what_stands_still_elsewhere_in_the_process_is_told_too() {
        let (health, _clock) = health(Durability::Brokers);
        health.note_weaknesses(vec!["replication is 1".to_owned()]);
        let weak = weak_settings(&WeakSettings::default(), Durability::Brokers).condition;
        health.process.raise(Condition { component: "sink/erp".to_owned(), ..weak });
        let components: Vec<_> =
            health.readiness().conditions.into_iter().map(|c| c.condition.component).collect();
        assert_eq!(components, ["sink/erp", "gateway"]);
    }

    #[test]
    fn a_full_queue_is_pressure_for_a_moment() {
        let (health, _clock) = health(Durability::Brokers);
        assert!(!health.is_queue_tight(at(500)));
        health.queue_was_full(at(500));
        assert!(health.is_queue_tight(at(1_499)));
        assert!(!health.is_queue_tight(at(1_500)));
    }
}
