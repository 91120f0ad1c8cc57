//! Metrics of the gateway. Label values are bounded: tenants by configuration, codes and routes by their
//! lists.

use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tillrace_core::decode::RejectCode;

/// What every name begins with.
const PREFIX: &str = "tillrace_ingest";

/// Latency buckets, seconds: 100 µs to 26 s, each twice the one before.
fn latency() -> Histogram {
    Histogram::new((0..19).map(|power| 0.0001 * f64::from(1_u32 << power)))
}

/// Routes, as metrics distinguish them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Single,
    Batch,
    Health,
    Ready,
    /// Any unknown path.
    Other,
}

impl Route {
    /// All of them, in the order of their declaration.
    pub(crate) const ALL: [Self; 5] =
        [Self::Single, Self::Batch, Self::Health, Self::Ready, Self::Other];

    pub(crate) fn of(path: &str) -> Self {
        let known = Self::ALL.into_iter().find(|route| route.name() == path);
        known.unwrap_or(Self::Other)
    }

    /// The path, or `other`: no path is called so, as each begins with a slash.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Single => "/v1/events",
            Self::Batch => "/v1/events:batch",
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Other => "other",
        }
    }
}

/// The gateway's metrics; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    /// Those of the requests that took events, one for each route that does.
    accepted: [Counter; 2],
    latencies: Family<RouteLabel, Histogram, fn() -> Histogram>,
    /// One for each route.
    latency: [Histogram; Route::ALL.len()],
    pub(crate) events: Family<OutcomeLabels, Counter>,
    pub(crate) rejected: Family<CodeLabel, Counter>,
    pub(crate) parked: Family<CodeLabel, Counter>,
    pub(crate) flagged: FlagCounters,
    pub(crate) backpressure: Family<ReasonLabel, Counter>,
    pub(crate) waited_for_copy: Counter,
    pub(crate) body_bytes: Counter,
    pub(crate) text_bytes: Counter,
    pub(crate) in_flight_bytes: Gauge,
    pub(crate) connections: Gauge,
    refused_connections: Family<ReasonLabel, Counter>,
    pub(crate) timed_out_writes: Counter,
}

/// Counts what is flagged and needs eyes that no outcome tells of.
#[derive(Debug, Clone, Default)]
pub(crate) struct FlagCounters {
    pub(crate) clocks_ahead: Counter,
    pub(crate) masked_cards: Counter,
}

/// Labels of a counted request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

/// Label of a latency.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

/// Labels of counted events.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabels {
    pub(crate) tenant: String,
    pub(crate) outcome: &'static str,
}

/// Label of a refused event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CodeLabel {
    pub(crate) code: &'static str,
}

/// Why work was deferred: `rate`, `flood`, `names`, `memory` or `log`; why a connection was: the setting that caps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    pub(crate) reason: &'static str,
}

impl Metrics {
    /// Makes the metrics of the gateway as a whole and registers them: of its connections, and of requests that are no
    /// domain's.
    pub(crate) fn of_gateway(registry: &mut Registry) -> Self {
        let metrics = Self::new();
        let part = registry.sub_registry_with_prefix(PREFIX);
        metrics.register_requests(part);
        metrics.register_connections(part);
        metrics
    }

    /// Returns these metrics for the only domain of the gateway, and registers what a domain has beside them.
    pub(crate) fn of_whole(&self, registry: &mut Registry) -> Self {
        self.register_events(registry.sub_registry_with_prefix(PREFIX));
        self.clone()
    }

    /// Makes the metrics of one domain of several and registers them.
    pub(crate) fn of_domain(registry: &mut Registry) -> Self {
        let metrics = Self::new();
        let part = registry.sub_registry_with_prefix(PREFIX);
        metrics.register_requests(part);
        metrics.register_events(part);
        metrics
    }

    fn new() -> Self {
        let requests = Family::default();
        let latencies =
            Family::<RouteLabel, Histogram, fn() -> Histogram>::new_with_constructor(latency);
        let accepted = |route: Route| {
            let status = StatusCode::ACCEPTED.as_u16();
            requests.get_or_create_owned(&RequestLabels { route: route.name(), status })
        };
        let latency =
            |route: Route| latencies.get_or_create_owned(&RouteLabel { route: route.name() });
        let rejected = Family::default();
        // Prometheus sees no increase from a series that is not there to its first value, and this one has an alert.
        drop(rejected.get_or_create(&CodeLabel { code: RejectCode::CardData.as_str() }));
        Self {
            accepted: [Route::Single, Route::Batch].map(accepted),
            latency: Route::ALL.map(latency),
            latencies: latencies.clone(),
            requests,
            events: Family::default(),
            rejected,
            parked: Family::default(),
            flagged: FlagCounters::default(),
            backpressure: Family::default(),
            waited_for_copy: Counter::default(),
            body_bytes: Counter::default(),
            text_bytes: Counter::default(),
            in_flight_bytes: Gauge::default(),
            connections: Gauge::default(),
            refused_connections: Family::default(),
            timed_out_writes: Counter::default(),
        }
    }

    fn register_requests(&self, part: &mut Registry) {
        part.register("requests", "Requests answered", self.requests.clone());
        part.register(
            "request_duration_seconds",
            "Time from a request's head to its reply",
            self.latencies.clone(),
        );
        part.register("backpressure", "Deferred requests, by reason", self.backpressure.clone());
    }

    fn register_events(&self, part: &mut Registry) {
        part.register("events", "Events by tenant and outcome", self.events.clone());
        part.register("rejected", "Events refused for good, by code", self.rejected.clone());
        part.register("parked", "Events parked, by code", self.parked.clone());
        part.register(
            "clocks_ahead",
            "Events, copies included, whose time was further ahead of the gateway's than `clock_skew` allows",
            self.flagged.clocks_ahead.clone(),
        );
        part.register(
            "masked_cards",
            "Events, copies included, of which card numbers were masked",
            self.flagged.masked_cards.clone(),
        );
        part.register(
            "waited_for_copy",
            "Events that waited for a copy of theirs in flight",
            self.waited_for_copy.clone(),
        );
        part.register("body_bytes", "Bytes of request bodies read", self.body_bytes.clone());
        part.register(
            "text_bytes",
            "Bytes of text read, decompressed, whatever it holds",
            self.text_bytes.clone(),
        );
        part.register(
            "in_flight_bytes",
            "Memory budget reserved for text in flight",
            self.in_flight_bytes.clone(),
        );
    }

    fn register_connections(&self, part: &mut Registry) {
        part.register("connections", "Connections open", self.connections.clone());
        part.register(
            "refused_connections",
            "Connections over a cap, by setting",
            self.refused_connections.clone(),
        );
        part.register(
            "timed_out_writes",
            "Connections cut because their client did not read",
            self.timed_out_writes.clone(),
        );
    }

    /// Returns a tenant's counters of events accepted, duplicate, parked, rejected and deferred.
    pub(crate) fn of_tenant(&self, tenant: &str) -> [Counter; 5] {
        ["accepted", "duplicate", "parked", "rejected", "retry"].map(|outcome| {
            self.events.get_or_create_owned(&OutcomeLabels { tenant: tenant.to_owned(), outcome })
        })
    }

    /// Counts an answered request.
    pub(crate) fn count_request(&self, route: Route, status: StatusCode, took: Duration) {
        let place = route as usize;
        if let Some(latency) = self.latency.get(place) {
            latency.observe(took.as_secs_f64());
        }
        match self.accepted.get(place) {
            Some(accepted) if status == StatusCode::ACCEPTED => accepted.inc(),
            _ => {
                let labels = RequestLabels { route: route.name(), status: status.as_u16() };
                self.requests.get_or_create(&labels).inc()
            }
        };
    }

    pub(crate) fn count_rejected(&self, code: &'static str) {
        self.rejected.get_or_create(&CodeLabel { code }).inc();
    }

    /// Counts an event that was parked.
    pub(crate) fn count_parked(&self, code: &'static str) {
        self.parked.get_or_create(&CodeLabel { code }).inc();
    }

    pub(crate) fn count_refused_connection(&self, reason: &'static str) {
        self.refused_connections.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn count_backpressure(&self, reason: &'static str) {
        self.backpressure.get_or_create(&ReasonLabel { reason }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_counted_under_its_own_route_and_status() {
        let mut registry = Registry::default();
        let metrics = Metrics::of_gateway(&mut registry);
        for (times, route) in (1..).zip(Route::ALL) {
            for _ in 0..times {
                metrics.count_request(route, StatusCode::ACCEPTED, Duration::from_millis(1));
            }
            metrics.count_request(route, StatusCode::NOT_FOUND, Duration::from_millis(1));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for (times, route) in (1..).zip(Route::ALL) {
            let (name, all) = (route.name(), times + 1);
            for line in [
                format!("requests_total{{route=\"{name}\",status=\"202\"}} {times}"),
                format!("requests_total{{route=\"{name}\",status=\"404\"}} 1"),
                format!("request_duration_seconds_count{{route=\"{name}\"}} {all}"),
            ] {
                assert!(text.contains(&format!("tillrace_ingest_{line}\n")), "{line}\n{text}");
            }
        }
    }
}
