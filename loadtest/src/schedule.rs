//! When events are due: a rate that changes in straight lines, and the exact inverse of its integral.
//!
//! The schedule is open: it is fixed before the run begins, and nothing that happens in the run
//! moves it. The event of number `n` is due when the integral of the rate has reached `n`; within a
//! stretch that integral is a parabola, so the time is the root of a quadratic equation and not the
//! sum of many small waits. What the rate is at which part of a run stands in a [`Profile`].

mod profile;

use std::time::Duration;

pub use self::profile::{Outage, Phase, Profile};

/// Due times of a run's events.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    stretches: Vec<Stretch>,
    phases: Vec<Phase>,
}

/// A part of a run over which the rate changes evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stretch {
    begins_s: f64,
    /// Events a second at its beginning.
    rate: f64,
    /// By how much the rate rises each second.
    slope: f64,
    /// Events due before it begins.
    events_before: f64,
}

impl Stretch {
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
        let legs = if rate > 0.0 { profile.legs() } else { Vec::new() };
        let (mut begins_s, mut events_before) = (0.0, 0.0);
        let stretches = legs
            .into_iter()
            .map(|leg| {
                // A leg without an end is level, and its slope comes out as zero.
                let slope = (leg.to - leg.from) * rate / leg.length_s;
                let stretch = Stretch { begins_s, rate: leg.from * rate, slope, events_before };
                begins_s += leg.length_s;
                events_before += stretch.events_within(leg.length_s);
                stretch
            })
            .collect();
        Self { stretches, phases: profile.phases() }
    }

    /// Returns when the event of this number (from 0) is due. Past the end of a profile events go
    /// on being due at its last rate.
    #[expect(clippy::cast_precision_loss, reason = "2^53 events are more than a run")]
    pub fn due(&self, number: u64) -> Duration {
        let number = number as f64;
        let after = self.stretches.partition_point(|stretch| stretch.events_before <= number);
        let Some(stretch) = after.checked_sub(1).map(|at| self.stretches[at]) else {
            return Duration::ZERO;
        };
        let due_s = stretch.begins_s + stretch.passed_s(number - stretch.events_before);
        Duration::try_from_secs_f64(due_s).unwrap_or(Duration::MAX)
    }

    /// Returns how many events are due by a time: the integral of the rate up to there.
    pub fn events_by(&self, at: Duration) -> f64 {
        let at_s = at.as_secs_f64();
        self.stretch_at(at_s).map_or(0.0, |stretch| {
            stretch.events_before + stretch.events_within(at_s - stretch.begins_s)
        })
    }

    /// Returns the rate at a time, events a second; zero where there is no schedule.
    pub fn rate_at(&self, at: Duration) -> f64 {
        let at_s = at.as_secs_f64();
        self.stretch_at(at_s)
            .map_or(0.0, |stretch| stretch.rate + stretch.slope * (at_s - stretch.begins_s))
    }

    /// Lists the phases of the run in their order; a single one where nothing changes.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// Says whether there is a schedule.
    pub fn is_scheduled(&self) -> bool {
        !self.stretches.is_empty()
    }

    fn stretch_at(&self, at_s: f64) -> Option<Stretch> {
        let after = self.stretches.partition_point(|stretch| stretch.begins_s <= at_s);
        after.checked_sub(1).map(|at| self.stretches[at])
    }
}

#[cfg(test)]
mod tests;
