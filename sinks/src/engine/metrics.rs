//! Metrics of delivery, one series a sink.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::partition::InFlight;
use crate::audit::AuditOutcome;
use crate::connector::{CallError, DeliveryReply};
use crate::dead_letter::DeadLetterReason;

/// The families, shared by all sinks.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryMetrics {
    records: Family<OutcomeLabels, Counter>,
    calls: Family<OutcomeLabels, Counter>,
    call_seconds: Family<SinkLabel, Histogram, fn() -> Histogram>,
    calls_in_flight: Family<SinkLabel, Gauge<i64, AtomicI64>>,
    in_flight_records: Family<SinkLabel, Gauge<i64, AtomicI64>>,
    in_flight_bytes: Family<SinkLabel, Gauge<i64, AtomicI64>>,
    breaker_open: Family<SinkLabel, Gauge<i64, AtomicI64>>,
    breaker_state: Family<SinkLabel, Gauge<i64, AtomicI64>>,
    concurrency_limit: Family<SinkLabel, Gauge<i64, AtomicI64>>,
    lag_records: Family<SinkLabel, Gauge<i64, AtomicI64>>,
    halted_partitions: Family<SinkLabel, Gauge<i64, AtomicI64>>,
    dead_letters: Family<ReasonLabels, Counter>,
    oldest_seconds: Family<SinkLabel, Gauge<f64, AtomicU64>>,
}

/// One sink's series.
#[derive(Debug)]
pub(crate) struct SinkMetrics {
    sink: String,
    families: DeliveryMetrics,
    call_seconds: Histogram,
    calls_in_flight: Gauge<i64, AtomicI64>,
    in_flight_records: Gauge<i64, AtomicI64>,
    in_flight_bytes: Gauge<i64, AtomicI64>,
    breaker_open: Gauge<i64, AtomicI64>,
    breaker_state: Gauge<i64, AtomicI64>,
    concurrency_limit: Gauge<i64, AtomicI64>,
    lag_records: Gauge<i64, AtomicI64>,
    halted_partitions: Gauge<i64, AtomicI64>,
    oldest_seconds: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabel {
    sink: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    sink: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    sink: String,
    reason: &'static str,
}

/// The values of a sink's gauges.
#[derive(Debug, Clone, Copy)]
pub(super) struct GaugeValues {
    pub(super) held: InFlight,
    pub(super) calls: usize,
    /// 0 closed, 1 open, 2 half-open.
    pub(super) breaker: i64,
    pub(super) halted: usize,
    pub(super) oldest_ms: Option<i64>,
    /// Calls that may be under way at once.
    pub(super) concurrency: usize,
    /// Offsets between what is settled and the end of the topic.
    pub(super) lag: u64,
}

impl DeliveryMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        fn seconds() -> Histogram {
            Histogram::new(exponential_buckets(0.001, 2.0, 16))
        }
        let families = Self {
            records: Family::default(),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(seconds),
            calls_in_flight: Family::default(),
            in_flight_records: Family::default(),
            in_flight_bytes: Family::default(),
            breaker_open: Family::default(),
            breaker_state: Family::default(),
            concurrency_limit: Family::default(),
            lag_records: Family::default(),
            halted_partitions: Family::default(),
            dead_letters: Family::default(),
            oldest_seconds: Family::default(),
        };
        let all = families.clone();
        let registry = registry.sub_registry_with_prefix("tillrace_deliver");
        registry.register("records", "Records settled, by outcome", all.records);
        registry.register("calls", "Calls to the backend, by outcome", all.calls);
        registry.register("call_seconds", "Duration of calls", all.call_seconds);
        registry.register("calls_in_flight", "Calls under way", all.calls_in_flight);
        registry.register("in_flight_records", "Records read, not settled", all.in_flight_records);
        registry.register("in_flight_bytes", "Bytes of records not settled", all.in_flight_bytes);
        registry.register("breaker_open", "1 while the circuit breaker is open", all.breaker_open);
        let help = "State of the circuit breaker: 0 closed, 1 open, 2 half-open";
        registry.register("breaker_state", help, all.breaker_state);
        let help = "Calls that may be under way at once, as the backend takes them";
        registry.register("concurrency_limit", help, all.concurrency_limit);
        let help = "Offsets between what is settled and the end of the topic";
        registry.register("lag_records", help, all.lag_records);
        let help = "Partitions that halted until an operator acts";
        registry.register("halted_partitions", help, all.halted_partitions);
        registry.register("dead_letters", "Dead letters written, by reason", all.dead_letters);
        let help = "Age of the oldest record read and not settled";
        registry.register("oldest_seconds", help, all.oldest_seconds);
        families
    }

    pub(crate) fn sink(&self, name: &str) -> SinkMetrics {
        let label = SinkLabel { sink: name.to_owned() };
        // Prometheus sees no increase from a series that is not there to its first value.
        for reason in DeadLetterReason::ALL {
            let labels = ReasonLabels { sink: name.to_owned(), reason: reason.as_str() };
            drop(self.dead_letters.get_or_create(&labels));
        }
        SinkMetrics {
            sink: name.to_owned(),
            families: self.clone(),
            call_seconds: self.call_seconds.get_or_create_owned(&label),
            calls_in_flight: self.calls_in_flight.get_or_create_owned(&label),
            in_flight_records: self.in_flight_records.get_or_create_owned(&label),
            in_flight_bytes: self.in_flight_bytes.get_or_create_owned(&label),
            breaker_open: self.breaker_open.get_or_create_owned(&label),
            breaker_state: self.breaker_state.get_or_create_owned(&label),
            concurrency_limit: self.concurrency_limit.get_or_create_owned(&label),
            lag_records: self.lag_records.get_or_create_owned(&label),
            halted_partitions: self.halted_partitions.get_or_create_owned(&label),
            oldest_seconds: self.oldest_seconds.get_or_create_owned(&label),
        }
    }
}

impl SinkMetrics {
    pub(super) fn settled(&self, outcome: AuditOutcome, records: usize) {
        let outcome = match outcome {
            AuditOutcome::Delivered => "delivered",
            AuditOutcome::Dead => "dead",
            AuditOutcome::Begun => "begun",
            AuditOutcome::Filtered => "filtered",
            AuditOutcome::Parked => "parked",
        };
        let labels = OutcomeLabels { sink: self.sink.clone(), outcome };
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.families.records.get_or_create(&labels).inc_by(records);
    }

    pub(super) fn called(&self, result: &Result<DeliveryReply, CallError>, elapsed: Duration) {
        let outcome = match result {
            Ok(_) => "answered",
            Err(CallError::Unavailable { .. }) => "unavailable",
            Err(CallError::Throttled { .. }) => "throttled",
            Err(CallError::Busy { .. }) => "busy",
            Err(CallError::Refused { .. }) => "refused",
            Err(CallError::Stop { .. }) => "stopped",
        };
        let labels = OutcomeLabels { sink: self.sink.clone(), outcome };
        self.families.calls.get_or_create(&labels).inc();
        self.call_seconds.observe(elapsed.as_secs_f64());
    }

    pub(super) fn dead_letter(&self, reason: DeadLetterReason) {
        let labels = ReasonLabels { sink: self.sink.clone(), reason: reason.as_str() };
        self.families.dead_letters.get_or_create(&labels).inc();
    }

    pub(super) fn observe(&self, seen: GaugeValues) {
        let GaugeValues { held, calls, breaker, halted, oldest_ms, concurrency, lag } = seen;
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.calls_in_flight.set(count(calls));
        self.in_flight_records.set(count(held.records));
        self.in_flight_bytes.set(count(held.bytes));
        self.breaker_open.set(i64::from(breaker != 0));
        self.breaker_state.set(breaker);
        self.concurrency_limit.set(count(concurrency));
        self.lag_records.set(i64::try_from(lag).unwrap_or(i64::MAX));
        self.halted_partitions.set(count(halted));
        let age = oldest_ms.map_or(Duration::ZERO, |oldest_ms| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            now.saturating_sub(Duration::from_millis(oldest_ms.max(0).unsigned_abs()))
        });
        self.oldest_seconds.set(age.as_secs_f64());
    }
}
