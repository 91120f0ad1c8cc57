//! Where a value stands on an axis, and which values an axis names.

/// An axis' way of placing values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Equal steps for equal differences.
    Linear {
        /// The value at the axis' beginning.
        from: f64,
        /// The value at its end.
        to: f64,
    },
    /// Equal steps for equal ratios; both ends are above zero.
    Log {
        /// The value at the axis' beginning.
        from: f64,
        /// The value at its end.
        to: f64,
    },
}

/// Marks that a linear axis has at most.
const MOST_MARKS: f64 = 6.0;

/// Decades up to which a logarithmic axis also names 2 and 5.
const FEW_DECADES: f64 = 2.5;

impl Scale {
    /// Spans zero to a little above the highest value, ending at a round number.
    pub(super) fn up_to(highest: f64) -> Self {
        let step = round_step(highest.max(f64::MIN_POSITIVE) * 1.05);
        Self::Linear { from: 0.0, to: (highest * 1.05 / step).ceil().max(1.0) * step }
    }

    /// Spans the values on a logarithmic axis whose ends are one, two or five times a power of ten.
    pub(super) fn spanning(lowest: f64, highest: f64) -> Self {
        let (lowest, highest) = (lowest.max(1e-9), highest.max(lowest.max(1e-9)));
        let below = marks_between(lowest / 10.0, lowest * 1.000_001, &[1.0, 2.0, 5.0]);
        let above = marks_between(highest * 1.02, highest * 20.0, &[1.0, 2.0, 5.0]);
        Self::Log {
            from: below.last().copied().unwrap_or(lowest / 2.0),
            to: above.first().copied().unwrap_or(highest * 2.0),
        }
    }

    /// Returns the values at the axis' beginning and end.
    pub(super) fn ends(self) -> (f64, f64) {
        match self {
            Self::Linear { from, to } | Self::Log { from, to } => (from, to),
        }
    }

    /// Returns where a value stands, 0 at the axis' beginning and 1 at its end; values beyond stand
    /// at the ends.
    pub(super) fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { from, to } => (value - from) / (to - from),
            Self::Log { from, to } => (value.max(from) / from).ln() / (to / from).ln(),
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Lists the values that the axis names.
    pub(super) fn marks(self) -> Vec<f64> {
        match self {
            Self::Linear { from, to } => {
                let step = round_step(to - from);
                let first = (from / step).ceil();
                (0..=20_u32)
                    .map(|number| (first + f64::from(number)) * step)
                    .take_while(|mark| *mark <= to + step * 1e-6)
                    .collect()
            }
            Self::Log { from, to } if (to / from).log10() <= FEW_DECADES => {
                marks_between(from * 0.999_999, to * 1.000_001, &[1.0, 2.0, 5.0])
            }
            Self::Log { from, to } => marks_between(from * 0.999_999, to * 1.000_001, &[1.0]),
        }
    }
}

/// Returns the step of one, two or five times a power of ten that cuts a length into few parts.
fn round_step(length: f64) -> f64 {
    let rough = length / MOST_MARKS;
    let decade = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
    steps.into_iter().find(|step| *step >= rough * 0.999_999).unwrap_or(steps[3])
}

fn marks_between(from: f64, to: f64, digits: &[f64]) -> Vec<f64> {
    #[expect(clippy::cast_possible_truncation, reason = "the exponent of a float is small")]
    let decades = (from.log10().floor() as i32)..=(to.log10().ceil() as i32);
    let marks =
        decades.flat_map(|decade| digits.iter().map(move |digit| digit * 10_f64.powi(decade)));
    marks.filter(|mark| (from..=to).contains(mark)).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "the values are exact")]

    use super::*;

    #[test]
    fn a_linear_axis_ends_at_a_round_number_and_has_few_marks() {
        let scale = Scale::up_to(4_870.0);
        assert_eq!(scale, Scale::Linear { from: 0.0, to: 6_000.0 });
        assert_eq!(scale.marks().len(), 7);
        assert_eq!((scale.place(3_000.0), scale.place(9_000.0)), (0.5, 1.0));
        let seconds = Scale::Linear { from: 0.0, to: 60.3 };
        assert_eq!(seconds.marks(), [0.0, 20.0, 40.0, 60.0]);
        assert_eq!(Scale::up_to(0.0).place(0.0), 0.0, "nothing to show is no fault");
    }

    #[test]
    fn a_logarithmic_axis_names_decades_or_less() {
        let scale = Scale::spanning(430.0, 12_000.0);
        assert_eq!(scale, Scale::Log { from: 200.0, to: 20_000.0 });
        let rounded: Vec<f64> = scale.marks().into_iter().map(f64::round).collect();
        assert_eq!(rounded, [200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0]);
        assert!((scale.place(2_000.0) - 0.5).abs() < 1e-9);
        assert_eq!(scale.place(0.0), 0.0);
        let wide = Scale::spanning(100.0, 900_000.0).marks();
        assert_eq!(wide.len(), 5, "{wide:?}");
    }
}
