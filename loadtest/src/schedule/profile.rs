//! Load profiles: the rate over time, relative to a base rate.

use std::time::Duration;

/// How the rate changes over a run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Profile {
    /// The rate does not change.
    #[default]
    Constant,
    /// The day of the year: calm, a ramp to the base rate, a spike when the doors open, a plateau,
    /// an outage that cuts some stores off, the flood of what they held, and the evening.
    BlackFriday {
        /// How long the day takes.
        over: Duration,
        /// Share of the stores that the outage cuts off, 0 to 1.
        outage: f64,
    },
    /// The base rate, first to warm up and then to be measured.
    Step {
        /// How long to warm up.
        warm_up: Duration,
        /// How long to measure.
        measured: Duration,
    },
}

/// A named part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// When it begins, from the start of the run.
    pub from: Duration,
    /// When the next one does; [`Duration::MAX`] where it has no end.
    pub until: Duration,
}

/// The outage of a profile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outage {
    /// Share of the stores that it cuts off.
    pub share: f64,
    /// When it begins.
    pub from: Duration,
    /// When the first stores are back.
    pub until: Duration,
    /// When the last stores are back.
    pub back_by: Duration,
}

/// A part of a profile over which the rate changes evenly; rates are multiples of the base rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProfileSegment {
    name: &'static str,
    pub(super) length_s: f64,
    pub(super) from: f64,
    pub(super) to: f64,
}

/// Black Friday: the name of each part, its share of the day, and the rate at its ends. The rate of
/// a flood is that of the stores which were never away; what the others held comes on top.
const BLACK_FRIDAY: [(&str, f64, f64, f64); 9] = [
    ("calm", 0.12, 0.3, 0.3),
    ("ramp", 0.10, 0.3, 1.0),
    ("spike", 0.02, 1.0, 2.5),
    ("spike", 0.03, 2.5, 2.5),
    ("spike", 0.03, 2.5, 1.0),
    ("plateau", 0.20, 1.0, 1.0),
    ("outage", 0.12, 1.0, 1.0),
    ("flood", 0.10, 1.0, 1.0),
    ("evening", 0.28, 1.0, 0.2),
];

/// The stores that were cut off are back after this share of the flood.
const BACK_WITHIN: u32 = 2;

impl Profile {
    /// Name of the phase that a step measures.
    pub const MEASURED: &'static str = "measured";

    /// Lists the parts in their order; the last has no end.
    pub(super) fn segments(self) -> Vec<ProfileSegment> {
        let level = |name, length_s| ProfileSegment { name, length_s, from: 1.0, to: 1.0 };
        match self {
            Self::Constant => vec![level("run", f64::INFINITY)],
            Self::BlackFriday { over, .. } => {
                let day_s = over.as_secs_f64();
                let parts = BLACK_FRIDAY.iter();
                let last = BLACK_FRIDAY[BLACK_FRIDAY.len() - 1];
                let night =
                    ProfileSegment { from: last.3, to: last.3, ..level(last.0, f64::INFINITY) };
                parts
                    .map(|&(name, share, from, to)| ProfileSegment {
                        name,
                        length_s: share * day_s,
                        from,
                        to,
                    })
                    .chain([night])
                    .collect()
            }
            Self::Step { warm_up, measured } => vec![
                level("warm-up", warm_up.as_secs_f64()),
                level(Self::MEASURED, measured.as_secs_f64()),
                level("after", f64::INFINITY),
            ],
        }
    }

    /// Lists the phases: parts of one name are one phase.
    pub(super) fn phases(self) -> Vec<Phase> {
        let mut phases: Vec<Phase> = Vec::new();
        let (mut ends_s, mut from) = (0.0, Duration::ZERO);
        for segment in self.segments() {
            ends_s += segment.length_s;
            let until = Duration::try_from_secs_f64(ends_s).unwrap_or(Duration::MAX);
            match phases.last_mut() {
                Some(last) if last.name == segment.name => last.until = until,
                _ => phases.push(Phase { name: segment.name, from, until }),
            }
            from = until;
        }
        phases
    }

    /// Returns the outage, where there is one.
    pub fn outage(self) -> Option<Outage> {
        let Self::BlackFriday { outage: share, .. } = self else { return None };
        let phases = self.phases();
        let phase = |name| phases.iter().find(|phase| phase.name == name);
        let (outage, flood) = (phase("outage")?, phase("flood")?);
        let back_by = flood.from + flood.until.saturating_sub(flood.from) / BACK_WITHIN;
        Some(Outage { share, from: outage.from, until: outage.until, back_by })
    }
}
