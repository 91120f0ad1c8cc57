//! The timeline of a run: latencies by phase, and rates and latencies over time.
//!
//! A latency counts at the time when its event was due, so that a stall shows where it began. Sent and
//! acknowledged events count when they were sent and acknowledged. The time axis has a bounded number
//! of slots: when a run outgrows them, each two are merged into one of twice the width.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::schedule::{Phase, Schedule};

/// Longest latency that is recorded; longer ones count as this.
const MAX_LATENCY_US: u64 = 3_600_000_000;

/// Slots of the time axis at most; an even number, so that they pair up.
const MAX_SLOTS: usize = 160;

/// Width of a slot in a short run.
const FIRST_WIDTH: Duration = Duration::from_millis(250);

/// Significant digits of a latency in a slot; phases keep three.
const SLOT_DIGITS: u8 = 2;

/// The timeline of a run.
#[derive(Debug, Clone)]
pub struct Timeline {
    phases: Vec<PhaseTotals>,
    slots: Vec<TimeSlot>,
    width: Duration,
    last_due: Duration,
}

/// Totals of a phase.
#[derive(Debug, Clone)]
pub struct PhaseTotals {
    /// The phase.
    pub phase: Phase,
    /// Events due in it which their terminal had held while it was cut off.
    pub held: u64,
    /// Events acknowledged in it, whenever they were due.
    pub acknowledged: u64,
    /// Latency of each settled event that was due in it, from when it was due, microseconds.
    pub latency_us: Histogram<u64>,
}

/// Events settled by one reply; times count from the start of the run.
#[derive(Debug, Clone, Copy)]
pub struct SettledEvents {
    /// When they were due; where there is no schedule, when they were sent.
    pub due: Duration,
    /// When the reply came.
    pub at: Duration,
    /// How many.
    pub events: u64,
    /// Those not refused.
    pub acknowledged: u64,
    /// Those which their terminal had held.
    pub held: u64,
}

#[derive(Debug, Clone)]
struct TimeSlot {
    sent: u64,
    acknowledged: u64,
    latency_us: Histogram<u64>,
}

/// One interval of the time axis.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct TimelineSpan {
    /// When it begins, seconds from the start of the run.
    pub from_s: f64,
    /// When it ends.
    pub until_s: f64,
    /// Events due a second by the schedule; absent where there is none.
    pub scheduled_per_s: Option<f64>,
    /// Events sent a second.
    pub sent_per_s: f64,
    /// Events acknowledged a second.
    pub acknowledged_per_s: f64,
    /// Latencies of the events due in it; absent where none was.
    pub latency: Option<SpanLatency>,
}

/// Latencies of a span, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct SpanLatency {
    /// Median.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Longest.
    pub max_us: u64,
}

impl Timeline {
    /// Starts the timeline of a run with these phases, at least one.
    pub fn new(phases: &[Phase]) -> Self {
        let totals = |&phase| PhaseTotals {
            phase,
            held: 0,
            acknowledged: 0,
            latency_us: latency_histogram(),
        };
        let phases = phases.iter().map(totals).collect();
        Self { phases, slots: Vec::new(), width: FIRST_WIDTH, last_due: Duration::ZERO }
    }

    /// Records sent events, resends not counted.
    pub fn sent(&mut self, at: Duration, events: u64) {
        self.slot(at).sent += events;
    }

    /// Records a reply.
    pub fn settled(&mut self, settled: &SettledEvents) {
        let SettledEvents { due, at, events, acknowledged, held } = *settled;
        let latency = at.saturating_sub(due);
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let latency_us = latency_us.clamp(1, MAX_LATENCY_US);
        self.last_due = self.last_due.max(due);
        self.slot(due).record(latency_us, events);
        self.slot(at).acknowledged += acknowledged;
        if let Some(totals) = self.phase(due) {
            totals.held += held;
            totals.latency_us.saturating_record_n(latency_us, events);
        }
        if let Some(totals) = self.phase(at) {
            totals.acknowledged += acknowledged;
        }
    }

    /// Returns when the last of the settled events was due.
    pub fn last_due(&self) -> Duration {
        self.last_due
    }

    /// Returns the totals of each phase.
    pub fn phases(&self) -> &[PhaseTotals] {
        &self.phases
    }

    /// Returns the latencies of the whole run, microseconds.
    pub fn latency_us(&self) -> Histogram<u64> {
        let mut all = latency_histogram();
        for totals in &self.phases {
            // All have the bounds of `latency_histogram`, so one always fits the other.
            if let Err(error) = all.add(&totals.latency_us) {
                tracing::error!(%error, "failed to merge the latencies of a phase");
            }
        }
        all
    }

    /// Returns the latencies of events due in a span of the run, as exact as the time axis's slots are narrow.
    pub fn latency_between(&self, span: std::ops::Range<Duration>) -> Histogram<u64> {
        let mut all = latency_histogram();
        for (index, slot) in self.slots.iter().enumerate() {
            let is_within =
                self.start_of(index) >= span.start && self.start_of(index + 1) <= span.end;
            if is_within && let Err(error) = all.add(&slot.latency_us) {
                tracing::error!(%error, "failed to merge the latencies of a slot");
            }
        }
        all
    }

    /// Lists the time axis up to the end of the run. What is left after the last whole slot is a
    /// span of its own, or lengthens the one before it where it is less than half a slot.
    pub fn spans(&self, elapsed: Duration, schedule: &Schedule) -> Vec<TimelineSpan> {
        let mut slots = self.slots.clone();
        let rest = elapsed.saturating_sub(self.start_of(slots.len().saturating_sub(1)));
        if slots.len() > 1
            && rest < self.width / 2
            && let (Some(last), Some(slot)) = (slots.pop(), slots.last_mut())
        {
            slot.add(&last);
        }
        let count = slots.len();
        let until =
            |index: usize| if index + 1 == count { elapsed } else { self.start_of(index + 1) };
        let spans = slots.iter().enumerate();
        spans.map(|(index, slot)| slot.span(self.start_of(index), until(index), schedule)).collect()
    }

    fn start_of(&self, index: usize) -> Duration {
        self.width * u32::try_from(index).unwrap_or(u32::MAX)
    }

    fn phase(&mut self, at: Duration) -> Option<&mut PhaseTotals> {
        let after = self.phases.partition_point(|totals| totals.phase.from <= at);
        self.phases.get_mut(after.saturating_sub(1))
    }

    fn slot(&mut self, at: Duration) -> &mut TimeSlot {
        while at >= self.start_of(MAX_SLOTS) {
            self.fold();
        }
        let index = usize::try_from(at.as_nanos() / self.width.as_nanos()).unwrap_or(0);
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, TimeSlot::new);
        }
        &mut self.slots[index]
    }

    fn fold(&mut self) {
        let mut slots = std::mem::take(&mut self.slots).into_iter();
        while let Some(mut slot) = slots.next() {
            if let Some(next) = slots.next() {
                slot.add(&next);
            }
            self.slots.push(slot);
        }
        self.width *= 2;
    }
}

impl TimeSlot {
    #[expect(clippy::expect_used, reason = "the number of digits is a constant and valid")]
    fn new() -> Self {
        let latency_us = Histogram::new(SLOT_DIGITS).expect("valid digits");
        Self { sent: 0, acknowledged: 0, latency_us }
    }

    /// Records latencies; this histogram grows, unlike those of phases.
    fn record(&mut self, latency_us: u64, events: u64) {
        if let Err(error) = self.latency_us.record_n(latency_us, events) {
            tracing::error!(%error, "failed to record a latency");
        }
    }

    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        if let Err(error) = self.latency_us.add(&other.latency_us) {
            tracing::error!(%error, "failed to merge the latencies of a slot");
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    fn span(&self, from: Duration, until: Duration, schedule: &Schedule) -> TimelineSpan {
        let length_s = until.saturating_sub(from).as_secs_f64().max(f64::MIN_POSITIVE);
        let scheduled = schedule.events_by(until) - schedule.events_by(from);
        let quantile = |quantile| self.latency_us.value_at_quantile(quantile);
        TimelineSpan {
            from_s: from.as_secs_f64(),
            until_s: until.as_secs_f64(),
            scheduled_per_s: schedule.is_scheduled().then_some(scheduled / length_s),
            sent_per_s: self.sent as f64 / length_s,
            acknowledged_per_s: self.acknowledged as f64 / length_s,
            latency: (!self.latency_us.is_empty()).then(|| SpanLatency {
                p50_us: quantile(0.5),
                p99_us: quantile(0.99),
                max_us: self.latency_us.max(),
            }),
        }
    }
}

#[expect(clippy::expect_used, reason = "the bounds are constants and valid")]
fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_LATENCY_US, 3).expect("valid bounds")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "the values are exact")]

    use super::*;
    use crate::schedule::Profile;

    const SECOND: Duration = Duration::from_secs(1);

    fn settled(due: Duration, at: Duration, events: u64) -> SettledEvents {
        SettledEvents { due, at, events, acknowledged: events, held: 0 }
    }

    fn even(rate: f64) -> Schedule {
        Schedule::new(rate, Profile::Constant)
    }

    fn constant() -> Timeline {
        Timeline::new(even(1.0).phases())
    }

    #[test]
    fn a_stall_shows_where_its_events_were_due() {
        let mut timeline = constant();
        timeline.sent(SECOND / 8, 10);
        timeline.settled(&settled(SECOND / 8, SECOND / 8 + SECOND, 10));
        let spans = timeline.spans(SECOND + SECOND / 4, &even(1.0));
        assert_eq!(spans.len(), 5);
        let latency = spans[0].latency.unwrap();
        assert!((990_000..=1_010_000).contains(&latency.p99_us), "{latency:?}");
        assert_eq!((spans[0].sent_per_s, spans[0].acknowledged_per_s), (40.0, 0.0));
        assert_eq!((spans[4].acknowledged_per_s, spans[4].latency), (40.0, None));
    }

    #[test]
    fn the_axis_stays_bounded_and_loses_nothing() {
        let mut timeline = constant();
        for second in 0..10_000 {
            timeline.sent(SECOND * second, 3);
            timeline.settled(&settled(SECOND * second, SECOND * second + SECOND / 100, 2));
        }
        let spans = timeline.spans(10_000 * SECOND, &even(3.0));
        assert!((MAX_SLOTS / 2..=MAX_SLOTS).contains(&spans.len()), "{}", spans.len());
        let all = |rate: fn(&TimelineSpan) -> f64| -> f64 {
            spans.iter().map(|span| rate(span) * (span.until_s - span.from_s)).sum()
        };
        assert_eq!(all(|span| span.scheduled_per_s.unwrap()).round(), 30_000.0);
        assert_eq!(all(|span| span.sent_per_s).round(), 30_000.0);
        assert_eq!(all(|span| span.acknowledged_per_s).round(), 20_000.0);
        assert_eq!(timeline.latency_us().len(), 20_000);
        assert_eq!(timeline.latency_us().value_at_quantile(0.5), 10_007, "three digits of 10 ms");
        assert!(spans.windows(2).all(|pair| pair[0].until_s == pair[1].from_s));
    }

    #[test]
    fn a_short_rest_lengthens_the_last_span() {
        let mut timeline = constant();
        timeline.sent(SECOND / 4, 5);
        timeline.sent(SECOND / 2, 5);
        let spans = timeline.spans(SECOND * 6 / 10, &even(0.0));
        assert_eq!(spans.len(), 2);
        assert_eq!((spans[1].from_s, spans[1].until_s), (0.25, 0.6));
        assert_eq!(spans[1].scheduled_per_s, None);
        assert_eq!((spans[1].sent_per_s * 0.35).round(), 10.0);
    }

    #[test]
    fn phases_take_latencies_when_due_and_acknowledgements_when_they_come() {
        let step = Profile::Step { warm_up: SECOND, measured: SECOND };
        let mut timeline = Timeline::new(Schedule::new(1.0, step).phases());
        timeline.settled(&settled(SECOND / 2, SECOND * 3 / 2, 4));
        let held = SettledEvents { held: 3, acknowledged: 5, ..settled(SECOND, SECOND * 9, 6) };
        timeline.settled(&held);
        let seen: Vec<_> = timeline
            .phases()
            .iter()
            .map(|totals| (totals.latency_us.len(), totals.acknowledged, totals.held))
            .collect();
        assert_eq!(seen, [(4, 0, 0), (6, 4, 3), (0, 5, 0)]);
    }
}
