use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What the numbers should say, kept as plain sets.
#[derive(Default)]
struct Oracle {
    known: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    baseline: u64,
    opened: u64,
    high: u64,
}

impl Oracle {
    fn open(first: u64) -> Self {
        Self { baseline: first, opened: first, high: first, ..Self::default() }
    }

    fn position_is_right(&self, number: u64, position: SequencePosition) -> bool {
        match position {
            SequencePosition::Known => self.known.contains(&number),
            SequencePosition::Open(OpenReason::Refused) => self.refused.contains(&number),
            SequencePosition::Open(_) => {
                (self.baseline..=self.high).contains(&number)
                    && !self.known.contains(&number)
                    && !self.refused.contains(&number)
            }
            SequencePosition::Above { jump } => {
                number > self.high && jump == (number - self.high > 10_000)
            }
            SequencePosition::Below => number < self.baseline && self.opened - number <= 10_000,
            SequencePosition::TooLow => number < self.baseline,
            SequencePosition::Untracked => (self.baseline..=self.high).contains(&number),
        }
    }

    fn act(&mut self, number: u64, refuse: bool) {
        self.baseline = self.baseline.min(number);
        self.high = self.high.max(number);
        if refuse {
            if !self.known.contains(&number) {
                self.refused.insert(number);
            }
        } else {
            self.refused.remove(&number);
            self.known.insert(number);
        }
    }
}

fn check(sequences: &SequenceSet, oracle: &Oracle) {
    let (known, refused) = (oracle.known.len() as u64, oracle.refused.len() as u64);
    assert_eq!(sequences.firsts(), known);
    assert_eq!(sequences.refused(), refused);
    assert_eq!(sequences.missing(), oracle.high - oracle.baseline + 1 - known - refused);
    assert_eq!((sequences.baseline(), sequences.high()), (oracle.baseline, oracle.high));
    assert!(sequences.intervals.len() <= MAX_INTERVALS && sequences.blocks.len() <= MAX_BLOCKS);
}

fn play(first: u64, acts: &[(u64, bool)]) -> (SequenceSet, Oracle) {
    let (mut sequences, mut oracle) = (SequenceSet::open_at(first), Oracle::open(first));
    for &(number, refuse) in std::iter::once(&(first, false)).chain(acts) {
        let position = sequences.position(number);
        assert!(oracle.position_is_right(number, position), "{number} {position:?} {sequences:?}");
        if matches!(position, SequencePosition::TooLow | SequencePosition::Untracked) {
            continue;
        }
        if refuse {
            sequences.refuse(number);
        } else {
            sequences.fill(number);
        }
        oracle.act(number, refuse);
        check(&sequences, &oracle);
    }
    (sequences, oracle)
}

/// Dense runs, isolated numbers in many blocks, and jumps.
fn acts() -> impl Strategy<Value = Vec<(u64, bool)>> {
    let number = prop_oneof![5 => 9_000..9_400_u64, 3 => 0..40_000_u64, 1 => 0..3_000_000_u64, 1 => 1_u64 << 40..1_u64 << 53];
    prop::collection::vec((number, prop::bool::weighted(0.1)), 0..400)
}

proptest! {
    #[test]
    fn answers_are_those_of_a_set_of_all_numbers(first in 8_000..12_000_u64, acts in acts()) {
        let (sequences, oracle) = play(first, &acts);
        for number in (0..40_000).step_by(7).chain(acts.iter().map(|act| act.0)) {
            let position = sequences.position(number);
            prop_assert!(oracle.position_is_right(number, position), "{} {:?}", number, position);
        }
    }

    #[test]
    fn missing_spans_are_the_gaps_of_the_set(acts in prop::collection::vec((9_000..12_000_u64, prop::bool::weighted(0.1)), 0..300)) {
        let (sequences, oracle) = play(10_000, &acts);
        let (intervals, more) = sequences.missing_intervals(false, usize::MAX);
        prop_assert!(!more);
        let listed: BTreeSet<u64> = intervals.iter().flat_map(|&(from, to)| from..=to).collect();
        let expected: BTreeSet<u64> = (oracle.baseline..=oracle.high)
            .filter(|number| !oracle.known.contains(number) && !oracle.refused.contains(number))
            .collect();
        prop_assert_eq!(&listed, &expected);
        prop_assert_eq!(sequences.missing_between(9_500, 10_500), expected.range(9_500..=10_500).count() as u64);
        prop_assert!(intervals.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
    }

    #[test]
    fn what_is_written_reads_back_equal(acts in acts(), flush_every in 1..200_usize) {
        let (mut sequences, mut kept) = (SequenceSet::open_at(10_000), BTreeMap::new());
        for acts in acts.chunks(flush_every) {
            for &(number, refused) in acts {
                match sequences.position(number) {
                    SequencePosition::TooLow | SequencePosition::Untracked => {}
                    _ if refused => sequences.refuse(number),
                    _ => sequences.fill(number),
                }
            }
            sequences.take_changed(|index, bitmap| {
                let mut bytes = Vec::new();
                match bitmap {
                    Some(bitmap) => {
                        bitmap.encode(&mut bytes);
                        kept.insert(index, bytes);
                    }
                    None => {
                        kept.remove(&index);
                    }
                }
            });
        }
        let text = serde_json::to_string(&sequences).unwrap();
        let mut read: SequenceSet = serde_json::from_str(&text).unwrap();
        for (&index, bytes) in &kept {
            read.restore(index, bytes).unwrap();
        }
        prop_assert_eq!(read, sequences);
    }
}

#[test]
fn blocks_that_an_earlier_version_kept_with_the_rest_are_to_be_written() {
    let words = |word: u64| vec![word; 64];
    let kept = serde_json::json!({"opened": 1, "baseline": 1, "high": 4_095, "floor": 0, "missing": 64, "refused": 0,
        "spans": [], "blocks": {"0": {"open": words(4), "refused": words(0)}}});
    let sequences: SequenceSet = serde_json::from_value(kept).unwrap();
    assert_eq!(sequences.clone().with_blocks_changed().changed(), 1);
    assert_eq!(sequences.position(66), SequencePosition::Open(OpenReason::Missing));
    assert!(SequenceSet::open_at(1).restore(0, &[1; 9]).is_none());
}

#[test]
fn every_second_number_goes_from_spans_to_blocks_and_stays_exact() {
    let acts: Vec<(u64, bool)> = (0..10_000).map(|n| (20_000 + 2 * n, false)).collect();
    let (mut sequences, _) = play(20_000, &acts);
    assert_eq!(sequences.missing(), 9_999);
    assert!(!sequences.blocks.is_empty());
    for n in 0..9_999 {
        assert_eq!(sequences.position(20_001 + 2 * n), SequencePosition::Open(OpenReason::Missing));
        sequences.fill(20_001 + 2 * n);
    }
    assert_eq!((sequences.missing(), sequences.firsts()), (0, 19_999));
    assert!(sequences.intervals.is_empty() && sequences.blocks.is_empty());
}

#[test]
fn a_jump_is_reported_apart_and_can_still_be_filled() {
    let (mut sequences, _) = play(1, &[(2, false), (20_000, false), (20_002, false)]);
    assert_eq!(sequences.missing_intervals(true, 9), (vec![(3, 19_999)], false));
    assert_eq!(sequences.missing_intervals(false, 9), (vec![(20_001, 20_001)], false));
    sequences.fill(100);
    assert_eq!(sequences.missing_intervals(true, 9), (vec![(3, 99), (101, 19_999)], false));
    assert_eq!(sequences.missing(), 19_997);
}

#[test]
fn past_its_bound_the_lowest_open_numbers_are_given_up_and_stay_counted() {
    let far: Vec<(u64, bool)> = (1..200).map(|n| (n * 100_000, false)).collect();
    let (sequences, _) = play(1, &far);
    assert_eq!(sequences.position(2), SequencePosition::Untracked);
    assert_eq!(sequences.missing(), 199 * 100_000 - 200);
    assert_eq!(sequences.position(199 * 100_000 - 1), SequencePosition::Open(OpenReason::Jumped));
    assert_eq!(sequences.missing_between(1, 199 * 100_000), sequences.missing());
    let isolated: Vec<(u64, bool)> = (1..200).map(|n| (n * 8_192, false)).collect();
    let (sequences, _) = play(1, &isolated);
    assert_eq!(sequences.missing(), 199 * 8_192 - 200);
}

#[test]
fn a_declared_baseline_is_not_lowered() {
    let mut sequences = SequenceSet::open_from(1, 3);
    sequences.fill(3);
    assert_eq!(sequences.position(0), SequencePosition::TooLow);
    assert_eq!(sequences.missing_intervals(false, 9), (vec![(1, 2)], false));
    assert_eq!((sequences.firsts(), sequences.missing()), (1, 2));
}

#[test]
fn an_opening_number_can_be_lowered_by_ten_thousand_in_all() {
    let (mut sequences, _) = play(50_000, &[(45_000, false)]);
    assert_eq!(sequences.position(40_000), SequencePosition::Below);
    assert_eq!(sequences.position(39_999), SequencePosition::TooLow);
    sequences.fill(40_000);
    assert_eq!(sequences.missing(), 9_998);
}
