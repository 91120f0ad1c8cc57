//! What the log tells of itself in figures.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// A group on a topic; both come from the configuration, so they are few.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct GroupLabels {
    group: String,
    topic: String,
}

/// Counters and gauges of one open log.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    pub(super) frames: Counter,
    pub(super) records: Counter,
    pub(super) bytes: Counter,
    pub(super) commit_seconds: Histogram,
    pub(super) stopped: Gauge,
    pub(super) segments: Gauge,
    pub(super) stored_bytes: Gauge,
    available_bytes: Gauge,
    seconds_left: Gauge<f64, AtomicU64>,
    unread_seconds: Family<GroupLabels, Gauge>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            frames: Counter::default(),
            records: Counter::default(),
            bytes: Counter::default(),
            commit_seconds: Histogram::new(exponential_buckets(50e-6, 2.0, 16)),
            stopped: Gauge::default(),
            segments: Gauge::default(),
            stored_bytes: Gauge::default(),
            available_bytes: Gauge::default(),
            seconds_left: Gauge::default(),
            unread_seconds: Family::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("tillrace_log_frames", "Group commits written", self.frames.clone());
        registry.register("tillrace_log_records", "Records written", self.records.clone());
        registry.register("tillrace_log_written_bytes", "Bytes of frames", self.bytes.clone());
        registry.register(
            "tillrace_log_commit_seconds",
            "Time to write and sync one frame",
            self.commit_seconds.clone(),
        );
        registry.register(
            "tillrace_log_stopped",
            "1 after a failed write or sync, until the log is opened again",
            self.stopped.clone(),
        );
        registry.register("tillrace_log_segments", "Segment files", self.segments.clone());
        registry.register(
            "tillrace_log_stored_bytes",
            "Bytes of segments",
            self.stored_bytes.clone(),
        );
        registry.register(
            "tillrace_log_disk_available_bytes",
            "Bytes left on the disk of the log",
            self.available_bytes.clone(),
        );
        registry.register(
            "tillrace_log_disk_left_seconds",
            "Time until the reserve is reached at the rate of the last day; infinite where retention keeps pace",
            self.seconds_left.clone(),
        );
        registry.register(
            "tillrace_log_group_oldest_unread_seconds",
            "Age of the oldest record a group has yet to commit past",
            self.unread_seconds.clone(),
        );
    }

    /// Shows how long the disk lasts.
    pub(super) fn show_disk(&self, available_bytes: u64, left: Option<Duration>) {
        self.available_bytes.set(i64::try_from(available_bytes).unwrap_or(i64::MAX));
        self.seconds_left.set(left.map_or(f64::INFINITY, |left| left.as_secs_f64()));
    }

    /// Shows how old the oldest unread record of each group on each topic is, in seconds; groups that are gone leave.
    pub(super) fn show_groups(&self, groups: impl Iterator<Item = (String, String, i64)>) {
        self.unread_seconds.clear();
        for (group, topic, unread_seconds) in groups {
            let labels = GroupLabels { group, topic };
            self.unread_seconds.get_or_create(&labels).set(unread_seconds);
        }
    }
}
