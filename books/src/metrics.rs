//! What the reader tells of itself.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Metrics of the data store.
#[derive(Debug, Clone, Default)]
pub struct BooksMetrics {
    /// Records read into the store.
    pub records: Counter,
    /// Rows written.
    pub rows: Counter,
    /// Transactions committed.
    pub commits: Counter,
    /// Records that the log has and the store has not.
    pub lag_records: Gauge<u64, AtomicU64>,
    /// Age of the oldest of those, as far as it is known.
    pub lag_seconds: Gauge<f64, AtomicU64>,
    /// Records that were gone before they were read.
    pub hole_records: Counter,
    /// Records that this version does not read.
    pub unreadable: Counter,
}

impl BooksMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("tillrace_books");
        registry.register("records", "Records read into the data store", metrics.records.clone());
        registry.register("rows", "Rows written to the data store", metrics.rows.clone());
        registry.register("commits", "Transactions of the data store", metrics.commits.clone());
        let help = "Records on the log that the data store has not read";
        registry.register("lag_records", help, metrics.lag_records.clone());
        let help = "Seconds since the newest record that was read was appended, while records wait";
        registry.register("lag_seconds", help, metrics.lag_seconds.clone());
        let help = "Offsets that the log no longer had when the data store came to read them";
        registry.register("hole_offsets", help, metrics.hole_records.clone());
        let help = "Records that this version of the data store does not read";
        registry.register("unreadable", help, metrics.unreadable.clone());
        metrics
    }
}
