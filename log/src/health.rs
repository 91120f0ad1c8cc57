//! The conditions of this process, reported in three places at once: `/readyz`, a metric and a log line with the remedy.
//!
//! A component that cannot go on, or goes on degraded, raises a [`Condition`] and clears it when the cause is gone. Raising
//! logs once, whatever the number of tries, so that a long outage is two lines and not thousands. The component decides what
//! the condition means for readiness: a gateway must lose its traffic when the log takes no records, and must keep it when a
//! back end is down.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tracing::Span;

/// What a condition means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// The process should get no traffic: `/readyz` answers 503.
    NotReady,
    /// The process works, but a part of it has stopped: `/readyz` answers 200 and names it.
    Degraded,
}

/// A part that has stopped, why, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Part of the process: `gateway`, `aggregator`, `sink/erp`, `local_log`, `kafka`.
    pub component: String,
    /// The kind of condition, such as `partition_halted`; one of a small, documented set.
    pub code: &'static str,
    /// Which part of the component, such as `partition 3`; empty if there is only one.
    pub subject: String,
    /// What it means for the process.
    pub impact: Impact,
    /// What failed, and where.
    pub cause: String,
    /// What an operator does about it.
    pub remedy: String,
}

/// The phase of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// It opens its log and starts its roles, and can do nothing for anybody yet.
    Starting,
    /// It does its work.
    #[default]
    Serving,
    /// It was told to stop; load balancers should send no more.
    Draining,
}

/// Whether a process should get traffic, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadinessStatus {
    /// It should.
    Ready,
    /// Not yet.
    Starting,
    /// No more.
    Draining,
    /// Not as long as a condition is active whose impact is `not_ready`.
    NotReady,
}

/// The body of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether the process should get traffic.
    pub status: ReadinessStatus,
    /// All active conditions.
    pub conditions: Vec<ActiveCondition>,
    /// The domains, where the process has several; what is said above is then of the process as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainReadiness>,
}

/// Whether a domain takes work, and its conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DomainReadiness {
    /// Its name.
    pub name: String,
    /// Where its data is, in its operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Status and conditions.
    #[serde(flatten)]
    pub readiness: Readiness,
}

impl Readiness {
    /// Tells whether the process should get traffic.
    pub fn is_ready(&self) -> bool {
        self.status == ReadinessStatus::Ready
    }

    /// Adds a condition that its component determines on request.
    pub fn add(&mut self, active: ActiveCondition) {
        if self.is_ready() && active.condition.impact == Impact::NotReady {
            self.status = ReadinessStatus::NotReady;
        }
        self.conditions.push(active);
    }

    /// Adds the domains of a process with several. It is ready as long as one of them is: the traffic of that one would be
    /// lost with the process.
    #[must_use]
    pub fn with_domains(mut self, domains: Vec<DomainReadiness>) -> Self {
        if self.is_ready() && !domains.iter().any(|domain| domain.readiness.is_ready()) {
            let is_starting =
                |domain: &DomainReadiness| domain.readiness.status == ReadinessStatus::Starting;
            self.status = if domains.iter().all(is_starting) {
                ReadinessStatus::Starting
            } else {
                ReadinessStatus::NotReady
            };
        }
        self.domains = domains;
        self
    }
}

/// A condition that was raised and not cleared, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActiveCondition {
    /// The condition.
    #[serde(flatten)]
    pub condition: Condition,
    /// When it was raised, milliseconds since the Unix epoch.
    pub since_ms: i64,
}

/// The conditions of one process; clones share them.
#[derive(Clone, Default)]
pub struct Health {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    phase: RwLock<Phase>,
    conditions: RwLock<BTreeMap<Key, ActiveCondition>>,
    gauges: Family<Labels, Gauge>,
    /// What the lines stand in; nothing where the process is one domain.
    span: Option<Span>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    component: String,
    code: &'static str,
    subject: String,
}

/// The subject is no label: partitions and stores would make too many series.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    component: String,
    code: &'static str,
}

/// The part of a process that the spans of its domains belong to.
pub const DOMAIN_TARGET: &str = "tillrace::domain";

/// Makes the span that the lines of a domain stand in.
pub fn domain_span(name: &str) -> Span {
    tracing::error_span!(target: DOMAIN_TARGET, "roles", domain = name)
}

impl Health {
    /// Makes a health without conditions, and registers `tillrace_conditions`.
    pub fn register(registry: &mut Registry) -> Self {
        let health = Self::default();
        health.register_gauges(registry);
        health
    }

    /// Makes the health of one domain of a process, whose lines stand in a span with its name, and registers it likewise.
    pub fn of_domain(registry: &mut Registry, span: Span) -> Self {
        let health = Self { shared: Arc::new(Shared { span: Some(span), ..Shared::default() }) };
        health.register_gauges(registry);
        health
    }

    fn register_gauges(&self, registry: &mut Registry) {
        registry.register(
            "tillrace_conditions",
            "Active conditions, by component and code; /readyz has cause and remedy of each",
            self.shared.gauges.clone(),
        );
    }

    /// Raises a condition. Logs it the first time, as an error; a changed cause replaces the old one silently.
    pub fn raise(&self, condition: Condition) {
        let key = Key {
            component: condition.component.clone(),
            code: condition.code,
            subject: condition.subject.clone(),
        };
        let _entered = self.shared.span.as_ref().map(Span::enter);
        let mut conditions = self.shared.conditions.write();
        if let Some(active) = conditions.get_mut(&key) {
            active.condition = condition;
            return;
        }
        let Condition { component, code, subject, cause, remedy, .. } = &condition;
        tracing::error!(component, code, subject, cause, remedy, "condition raised");
        let labels = Labels { component: component.clone(), code };
        self.shared.gauges.get_or_create(&labels).inc();
        conditions.insert(key, ActiveCondition { condition, since_ms: now_ms() });
    }

    /// Clears a condition; logs that if it was raised.
    pub fn clear(&self, component: &str, code: &'static str, subject: &str) {
        let key = Key { component: component.to_owned(), code, subject: subject.to_owned() };
        // Most calls find nothing: a component clears what it might have raised whenever its work succeeds.
        if !self.shared.conditions.read().contains_key(&key) {
            return;
        }
        let Some(active) = self.shared.conditions.write().remove(&key) else { return };
        let _entered = self.shared.span.as_ref().map(Span::enter);
        let duration_ms = now_ms().saturating_sub(active.since_ms);
        tracing::info!(component, code, subject, duration_ms, "condition cleared");
        self.shared.gauges.get_or_create(&Labels { component: component.to_owned(), code }).dec();
    }

    /// Returns all active conditions, in the order of components.
    pub fn active_conditions(&self) -> Vec<ActiveCondition> {
        self.shared.conditions.read().values().cloned().collect()
    }

    /// Sets the phase of the process.
    pub fn enter(&self, phase: Phase) {
        *self.shared.phase.write() = phase;
    }

    /// Returns whether the process should get traffic, and all active conditions.
    pub fn readiness(&self) -> Readiness {
        let status = match *self.shared.phase.read() {
            Phase::Starting => ReadinessStatus::Starting,
            Phase::Serving => ReadinessStatus::Ready,
            Phase::Draining => ReadinessStatus::Draining,
        };
        let mut readiness = Readiness { status, conditions: Vec::new(), domains: Vec::new() };
        self.active_conditions().into_iter().for_each(|active| readiness.add(active));
        readiness
    }

    /// Tells whether the process should get traffic.
    pub fn is_ready(&self) -> bool {
        self.readiness().is_ready()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.shared.conditions.read().values()).finish()
    }
}

/// The wall clock; only people read it.
fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    fn halted(subject: &str, impact: Impact) -> Condition {
        Condition {
            component: "sink/erp".to_owned(),
            code: "partition_halted",
            subject: subject.to_owned(),
            impact,
            cause: "record 7 cannot be read".to_owned(),
            remedy: "skip it by command".to_owned(),
        }
    }

    fn gauge(registry: &Registry) -> Option<String> {
        let mut page = String::new();
        text::encode(&mut page, registry).unwrap();
        page.lines().find(|line| line.starts_with("tillrace_conditions{")).map(str::to_owned)
    }

    #[test]
    fn a_condition_is_active_until_it_is_cleared() {
        let mut registry = Registry::default();
        let health = Health::register(&mut registry);
        health.raise(halted("partition 3", Impact::Degraded));
        health.raise(halted("partition 4", Impact::Degraded));
        health.raise(Condition {
            cause: "changed".to_owned(),
            ..halted("partition 3", Impact::Degraded)
        });
        let active = health.active_conditions();
        assert_eq!(active.len(), 2);
        assert_eq!(active[0].condition.cause, "changed");
        let line = r#"tillrace_conditions{component="sink/erp",code="partition_halted"}"#;
        assert_eq!(gauge(&registry).unwrap(), format!("{line} 2"));

        health.clear("sink/erp", "partition_halted", "partition 3");
        health.clear("sink/erp", "partition_halted", "never raised");
        assert_eq!(gauge(&registry).unwrap(), format!("{line} 1"));
        assert_eq!(health.active_conditions()[0].condition.subject, "partition 4");
    }

    #[test]
    fn only_what_hinders_traffic_speaks_against_readiness() {
        let health = Health::default();
        health.raise(halted("partition 3", Impact::Degraded));
        assert!(health.is_ready());
        health.clone().raise(halted("partition 4", Impact::NotReady));
        assert!(!health.is_ready());
        assert_eq!(health.readiness().status, ReadinessStatus::NotReady);
        health.clear("sink/erp", "partition_halted", "partition 4");
        assert!(health.is_ready());
        assert_eq!(health.readiness().conditions, health.active_conditions());
    }

    #[test]
    fn a_process_is_ready_only_between_its_start_and_its_drain() {
        let health = Health::default();
        let mut told = Vec::new();
        for phase in [Phase::Starting, Phase::Serving, Phase::Draining] {
            health.enter(phase);
            told.push((health.is_ready(), health.readiness().status));
        }
        let expected = [
            (false, ReadinessStatus::Starting),
            (true, ReadinessStatus::Ready),
            (false, ReadinessStatus::Draining),
        ];
        assert_eq!(told, expected);
    }
}
