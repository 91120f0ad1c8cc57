//! When events are due: a rate that changes in straight lines, and the exact inverse of its integral.
//!
//! The schedule is open: it is fixed before the run begins, and nothing that happens in the run
//! moves it. The event of number `n` is due when the integral of the rate has reached `n`; within a
//! segment that integral is a parabola, so the time is the root of a quadratic equation and not the
//! sum of many small waits. A [`Profile`] defines the rate of each part of a run.

mod profile;

use std::time::Duration;

pub use self::profile::{Outage, Phase, Profile};

/// Due times of a run's events.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    segments: Vec<RateSegment>,
    phases: Vec<Phase>,
}

/// A part of a run over which the rate changes evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RateSegment {
    begins_s: f64,
    /// Events a second at its beginning.
    rate: f64,
    /// By how much the rate rises each second.
    slope: f64,
    /// Events due before it begins.
    events_before: f64,
}

impl RateSegment {
    /// Events due within its first `passed_s` seconds.
    fn events_within(&self, passed_s: f64) -> f64 {
        (self.rate + self.slope * passed_s / 2.0) * passed_s
    }

    /// Seconds after its beginning at which `events` of its own are due: the smaller root of
    /// `slope/2 x² + rate x = events`, in the form that loses no digits when the slope is slight.
    fn passed_s(&self, events: f64) -> f64 {
        if events <= 0.0 {
            return 0.0;
        }
        let rate_then = (self.rate * self.rate + 2.0 * self.slope * events).max(0.0).sqrt();
        2.0 * events / (self.rate + rate_then)
    }
}

impl Schedule {
    /// Plans `rate` events a second, varied as the profile has it; a rate of zero means no
    /// schedule: events go as fast as they are taken.
    pub fn new(rate: f64, profile: Profile) -> Self {
        let parts = if rate > 0.0 { profile.segments() } else { Vec::new() };
        let (mut begins_s, mut events_before) = (0.0, 0.0);
        let segments = parts
            .into_iter()
            .map(|part| {
                // A part without an end is level, and its slope is zero.
                let slope = (part.to - part.from) * rate / part.length_s;
                let segment =
                    RateSegment { begins_s, rate: part.from * rate, slope, events_before };
                begins_s += part.length_s;
                events_before += segment.events_within(part.length_s);
                segment
            })
            .collect();
        Self { segments, phases: profile.phases() }
    }

    /// Returns when the event of this number (from 0) is due. Past the end of a profile events go
    /// on being due at its last rate.
    #[expect(clippy::cast_precision_loss, reason = "2^53 events are more than a run")]
    pub fn due(&self, number: u64) -> Duration {
        let number = number as f64;
        let after = self.segments.partition_point(|segment| segment.events_before <= number);
        let Some(segment) = after.checked_sub(1).map(|at| self.segments[at]) else {
            return Duration::ZERO;
        };
        let due_s = segment.begins_s + segment.passed_s(number - segment.events_before);
        Duration::try_from_secs_f64(due_s).unwrap_or(Duration::MAX)
    }

    /// Returns how many events are due by a time: the integral of the rate up to there.
    pub fn events_by(&self, at: Duration) -> f64 {
        let at_s = at.as_secs_f64();
        self.segment_at(at_s).map_or(0.0, |segment| {
            segment.events_before + segment.events_within(at_s - segment.begins_s)
        })
    }

    /// Returns the rate at a time, events a second; zero where there is no schedule.
    pub fn rate_at(&self, at: Duration) -> f64 {
        let at_s = at.as_secs_f64();
        self.segment_at(at_s)
            .map_or(0.0, |segment| segment.rate + segment.slope * (at_s - segment.begins_s))
    }

    /// Lists the phases of the run in their order; a single one where nothing changes.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// Tells whether there is a schedule.
    pub fn is_scheduled(&self) -> bool {
        !self.segments.is_empty()
    }

    fn segment_at(&self, at_s: f64) -> Option<RateSegment> {
        let after = self.segments.partition_point(|segment| segment.begins_s <= at_s);
        after.checked_sub(1).map(|at| self.segments[at])
    }
}

#[cfg(test)]
mod tests;
