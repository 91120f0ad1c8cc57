//! What the gateway counts. Label values are bounded: tenants by configuration, codes and routes by
//! their lists.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Latency buckets, seconds: 100 µs to 26 s, each twice the one before.
fn latency() -> Histogram {
    Histogram::new((0..19).map(|power| 0.0001 * f64::from(1_u32 << power)))
}

/// The gateway's metrics; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) requests: Family<Request, Counter>,
    pub(crate) latency: Family<Route, Histogram, fn() -> Histogram>,
    pub(crate) events: Family<Outcome, Counter>,
    pub(crate) rejected: Family<Code, Counter>,
    pub(crate) turned_away: Family<Reason, Counter>,
    pub(crate) waited_for_copy: Counter,
    pub(crate) body_bytes: Counter,
    pub(crate) text_bytes: Counter,
    pub(crate) in_flight_bytes: Gauge,
    pub(crate) connections: Gauge,
}

/// Labels of a counted request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Request {
    pub(crate) route: &'static str,
    pub(crate) status: u16,
}

/// Label of a latency.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Route {
    pub(crate) route: &'static str,
}

/// Labels of counted events.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub(crate) tenant: String,
    pub(crate) outcome: &'static str,
}

/// Label of a refused event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Code {
    pub(crate) code: &'static str,
}

/// Why work was turned away for now: `rate`, `flood`, `credit` or `log`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            latency: Family::new_with_constructor(latency),
            events: Family::default(),
            rejected: Family::default(),
            turned_away: Family::default(),
            waited_for_copy: Counter::default(),
            body_bytes: Counter::default(),
            text_bytes: Counter::default(),
            in_flight_bytes: Gauge::default(),
            connections: Gauge::default(),
        };
        let part = registry.sub_registry_with_prefix("tillrace_ingest");
        part.register("requests", "Requests answered", metrics.requests.clone());
        part.register(
            "request_duration_seconds",
            "Time from a request's head to its reply",
            metrics.latency.clone(),
        );
        part.register("events", "Events by tenant and outcome", metrics.events.clone());
        part.register("rejected", "Events refused for good, by code", metrics.rejected.clone());
        part.register(
            "turned_away",
            "Times that senders were asked to come back, by reason",
            metrics.turned_away.clone(),
        );
        part.register(
            "waited_for_copy",
            "Events that waited for a copy of theirs in flight",
            metrics.waited_for_copy.clone(),
        );
        part.register("body_bytes", "Bytes of request bodies read", metrics.body_bytes.clone());
        part.register("text_bytes", "Bytes of event text judged", metrics.text_bytes.clone());
        part.register(
            "in_flight_bytes",
            "Credit for text in flight that is taken",
            metrics.in_flight_bytes.clone(),
        );
        part.register("connections", "Connections open", metrics.connections.clone());
        metrics
    }

    /// Returns a tenant's counters of events accepted, duplicate, rejected and put off.
    pub(crate) fn of_tenant(&self, tenant: &str) -> [Counter; 4] {
        ["accepted", "duplicate", "rejected", "retry"].map(|outcome| {
            self.events.get_or_create_owned(&Outcome { tenant: tenant.to_owned(), outcome })
        })
    }

    pub(crate) fn count_rejected(&self, code: &'static str) {
        self.rejected.get_or_create(&Code { code }).inc();
    }

    pub(crate) fn count_turned_away(&self, reason: &'static str) {
        self.turned_away.get_or_create(&Reason { reason }).inc();
    }
}
