//! Whether a run kept its schedule.

use std::time::Duration;

use crate::schedule::Schedule;

/// Share of the asked rate below which it was missed.
const KEPT_SHARE: f64 = 0.95;

/// Time that the last batch and its reply may take in a run of any length.
const LAST_REPLY: Duration = Duration::from_secs(1);

/// The rate of a run, compared with what was asked. Copies come on top of either.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RateCheck {
    /// Events a second by the schedule, on average.
    pub(super) asked_per_s: f64,
    /// Events a second that were reached.
    pub(super) reached_per_s: f64,
    /// When the last event was due, seconds from the start.
    pub(super) due_within_s: f64,
    /// The run lagged behind its schedule.
    pub(super) is_missed: bool,
}

impl RateCheck {
    /// Compares a run with its schedule; `None` where there is none, or its first event was the last.
    pub(super) fn of(schedule: &Schedule, last_due: Duration, elapsed: Duration) -> Option<Self> {
        if !schedule.is_scheduled() || last_due.is_zero() {
            return None;
        }
        let asked_per_s = schedule.events_by(last_due) / last_due.as_secs_f64();
        let share = (last_due.as_secs_f64() / elapsed.as_secs_f64()).min(1.0);
        let lag = elapsed.saturating_sub(last_due);
        Some(Self {
            asked_per_s,
            reached_per_s: asked_per_s * share,
            due_within_s: last_due.as_secs_f64(),
            is_missed: share < KEPT_SHARE && lag > LAST_REPLY,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Profile;

    fn pace(last_due_ms: u64, elapsed_ms: u64) -> RateCheck {
        let schedule = Schedule::new(1_000.0, Profile::Constant);
        let [last_due, elapsed] = [last_due_ms, elapsed_ms].map(Duration::from_millis);
        RateCheck::of(&schedule, last_due, elapsed).unwrap()
    }

    #[test]
    fn a_rate_is_missed_when_the_run_lags_by_more_than_a_few_per_cent() {
        let half = pace(30_000, 60_000);
        assert_eq!((half.asked_per_s, half.reached_per_s), (1_000.0, 500.0));
        assert_eq!((half.due_within_s, half.is_missed), (30.0, true));
        assert!(pace(30_000, 31_600).is_missed, "5.1 % behind");
        assert!(!pace(30_000, 31_500).is_missed, "4.8 % behind");
        assert!(!pace(20, 80).is_missed, "so short a run is the time of its last reply");
        assert!(!pace(2_000, 3_000).is_missed);
        assert!(pace(2_000, 3_100).is_missed);
    }

    #[test]
    fn without_a_schedule_no_rate_was_asked() {
        let second = Duration::from_secs(1);
        assert_eq!(RateCheck::of(&Schedule::new(0.0, Profile::Constant), second, second), None);
        let schedule = Schedule::new(5.0, Profile::Constant);
        assert_eq!(RateCheck::of(&schedule, Duration::ZERO, second), None);
    }
}
