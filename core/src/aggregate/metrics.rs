//! What operators see of the aggregator, as `tillrace_aggregate_…`.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::completeness_totals::CompletenessTotals;
use super::verdict::VerdictTotals;

/// Counters and gauges of one aggregator.
#[derive(Debug, Clone)]
pub struct AggregateMetrics {
    records: Family<VerdictLabels, Counter>,
    rows: Counter,
    flushes: Counter,
    aborts: Counter,
    jumps: Counter,
    resets: Counter,
    flush_seconds: Histogram,
    lag: Family<PartitionLabels, Gauge>,
    oldest_seconds: Family<PartitionLabels, Gauge>,
    stopped: Family<PartitionLabels, Gauge>,
    incomplete_days: Family<PartitionLabels, Gauge>,
    silent_terminals: Family<PartitionLabels, Gauge>,
    missing_numbers: Family<PartitionLabels, Gauge>,
    parked_events: Family<PartitionLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabels {
    partition: tillrace_log::Partition,
}

impl AggregateMetrics {
    /// Registers everything.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            records: Family::default(),
            rows: Counter::default(),
            flushes: Counter::default(),
            aborts: Counter::default(),
            jumps: Counter::default(),
            resets: Counter::default(),
            flush_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            lag: Family::default(),
            oldest_seconds: Family::default(),
            stopped: Family::default(),
            incomplete_days: Family::default(),
            silent_terminals: Family::default(),
            missing_numbers: Family::default(),
            parked_events: Family::default(),
        };
        let part = registry.sub_registry_with_prefix("tillrace_aggregate");
        part.register("records", "Records by verdict, committed", metrics.records.clone());
        part.register("rows", "Output records committed", metrics.rows.clone());
        part.register("flushes", "Transactions committed", metrics.flushes.clone());
        part.register("aborts", "Transactions aborted", metrics.aborts.clone());
        part.register(
            "sequence_jumps",
            "Numbers more than 10,000 above their terminal's mark",
            metrics.jumps.clone(),
        );
        part.register(
            "terminal_resets_suspected",
            "Terminals that began to look as if they counted anew",
            metrics.resets.clone(),
        );
        part.register_with_unit(
            "flush",
            "Time to write and commit a transaction",
            Unit::Seconds,
            metrics.flush_seconds.clone(),
        );
        part.register("lag_records", "Records not yet committed as consumed", metrics.lag.clone());
        part.register_with_unit(
            "oldest_unconsumed",
            "Age of the oldest record not yet consumed, at most",
            Unit::Seconds,
            metrics.oldest_seconds.clone(),
        );
        part.register(
            "partition_stopped",
            "1 for a partition that is stopped, because its state or a record for it can not be read or written",
            metrics.stopped.clone(),
        );
        metrics.register_lacking(part);
        metrics
    }

    fn register_lacking(&self, part: &mut Registry) {
        for (name, help, gauge) in [
            (
                "incomplete_days",
                "Store-days that are over, not complete and not sealed",
                &self.incomplete_days,
            ),
            (
                "silent_terminals",
                "Expected terminals that said nothing on a day that is over and not sealed, each day by itself",
                &self.silent_terminals,
            ),
            (
                "missing_numbers",
                "Numbers that are missing on store-days that are not sealed",
                &self.missing_numbers,
            ),
            (
                "parked_events",
                "Parked events of store-days that are not sealed, not settled",
                &self.parked_events,
            ),
        ] {
            part.register(name, help, gauge.clone());
        }
    }

    pub(super) fn committed(&self, before: &VerdictTotals, after: &VerdictTotals) {
        let named = |totals: &VerdictTotals| {
            [
                ("first", totals.first),
                ("duplicate", totals.duplicate),
                ("duplicate_unverified", totals.duplicate_unverified),
                ("conflict", totals.conflict),
                ("quarantined", totals.quarantined),
                ("refused", totals.refused),
                ("parked", totals.parked),
                ("settled", totals.settled),
                ("control", totals.control),
                ("unreadable", totals.unreadable),
                ("released", totals.released),
            ]
        };
        for ((verdict, before), (_, after)) in named(before).into_iter().zip(named(after)) {
            self.records.get_or_create(&VerdictLabels { verdict }).inc_by(after - before);
        }
    }

    pub(super) fn flushed(&self, rows: usize, took: Duration) {
        self.flushes.inc();
        self.rows.inc_by(rows as u64);
        self.flush_seconds.observe(took.as_secs_f64());
    }

    pub(super) fn aborted(&self) {
        self.aborts.inc();
    }

    pub(super) fn anomalies(&self, jumps: u64, resets: u64) {
        self.jumps.inc_by(jumps);
        self.resets.inc_by(resets);
    }

    pub(super) fn lagging(
        &self,
        partition: tillrace_log::Partition,
        records: u64,
        oldest: Duration,
    ) {
        let labels = PartitionLabels { partition };
        self.lag.get_or_create(&labels).set(i64::try_from(records).unwrap_or(i64::MAX));
        let seconds = i64::try_from(oldest.as_secs()).unwrap_or(i64::MAX);
        self.oldest_seconds.get_or_create(&labels).set(seconds);
    }

    pub(super) fn lacking(
        &self,
        partition: tillrace_log::Partition,
        completeness: CompletenessTotals,
    ) {
        let labels = PartitionLabels { partition };
        let set = |family: &Family<PartitionLabels, Gauge>, count| {
            family.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        set(&self.incomplete_days, completeness.incomplete_days);
        set(&self.silent_terminals, completeness.silent_terminals);
        set(&self.missing_numbers, completeness.missing_numbers);
        set(&self.parked_events, completeness.parked_events);
    }

    /// Returns what [`Self::lacking`] set for a partition: days, terminals, numbers, parked events.
    #[cfg(test)]
    pub(super) fn lacking_in(&self, partition: tillrace_log::Partition) -> [i64; 4] {
        let labels = PartitionLabels { partition };
        [&self.incomplete_days, &self.silent_terminals, &self.missing_numbers, &self.parked_events]
            .map(|family| family.get_or_create(&labels).get())
    }

    pub(super) fn stopped(&self, partition: tillrace_log::Partition, stopped: bool) {
        self.stopped.get_or_create(&PartitionLabels { partition }).set(i64::from(stopped));
    }

    /// Forgets the gauges of a partition that another member has now.
    pub(super) fn gone(&self, partition: tillrace_log::Partition) {
        let labels = PartitionLabels { partition };
        self.lag.remove(&labels);
        self.oldest_seconds.remove(&labels);
        self.stopped.remove(&labels);
        self.incomplete_days.remove(&labels);
        self.silent_terminals.remove(&labels);
        self.missing_numbers.remove(&labels);
        self.parked_events.remove(&labels);
    }
}
