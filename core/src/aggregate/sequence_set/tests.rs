use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What comes under a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Good,
    Refused,
    Parked,
    DismissRefused,
    DismissParked,
}

/// What the numbers should say, kept as plain sets.
#[derive(Default)]
struct Oracle {
    known: BTreeSet<u64>,
    open: BTreeMap<u64, OpenReason>,
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
            SequencePosition::Open(OpenReason::Missing | OpenReason::Jumped) => {
                (self.baseline..=self.high).contains(&number)
                    && !self.known.contains(&number)
                    && !self.open.contains_key(&number)
            }
            SequencePosition::Open(reason) => self.open.get(&number) == Some(&reason),
            SequencePosition::Above { jump } => {
                number > self.high && jump == (number - self.high > 10_000)
            }
            SequencePosition::Below => number < self.baseline && self.opened - number <= 10_000,
            SequencePosition::TooLow => number < self.baseline,
            SequencePosition::Untracked => (self.baseline..=self.high).contains(&number),
        }
    }

    fn act(&mut self, number: u64, act: Act) {
        let open = self.open.get(&number).copied();
        let dismissed = match act {
            Act::DismissRefused => Some(OpenReason::Refused),
            Act::DismissParked => Some(OpenReason::Parked),
            _ => None,
        };
        if dismissed.is_some() {
            if open == dismissed {
                self.open.insert(number, OpenReason::Dismissed);
            }
            return;
        }
        self.baseline = self.baseline.min(number);
        self.high = self.high.max(number);
        if act == Act::Good {
            self.open.remove(&number);
            self.known.insert(number);
        } else if !self.known.contains(&number) && open != Some(OpenReason::Parked) {
            let reason = if act == Act::Parked { OpenReason::Parked } else { OpenReason::Refused };
            self.open.insert(number, reason);
        }
    }

    fn count(&self, reason: OpenReason) -> u64 {
        self.open.values().filter(|&&open| open == reason).count() as u64
    }
}

fn check(sequences: &SequenceSet, oracle: &Oracle) {
    let (known, open) = (oracle.known.len() as u64, oracle.open.len() as u64);
    assert_eq!(sequences.firsts(), known);
    let counts = [sequences.refused(), sequences.parked(), sequences.dismissed()];
    let expected = [OpenReason::Refused, OpenReason::Parked, OpenReason::Dismissed];
    assert_eq!(counts, expected.map(|reason| oracle.count(reason)));
    assert_eq!(sequences.missing(), oracle.high - oracle.baseline + 1 - known - open);
    assert_eq!((sequences.baseline(), sequences.high()), (oracle.baseline, oracle.high));
    assert!(sequences.intervals.len() <= MAX_INTERVALS && sequences.blocks.len() <= MAX_BLOCKS);
}

fn take_in(sequences: &mut SequenceSet, number: u64, act: Act) {
    match act {
        Act::Good => sequences.fill(number),
        Act::Refused => sequences.refuse(number),
        Act::Parked => sequences.park(number),
        Act::DismissRefused => _ = sequences.dismiss(number, OpenReason::Refused),
        Act::DismissParked => _ = sequences.dismiss(number, OpenReason::Parked),
    }
}

fn play(first: u64, acts: &[(u64, Act)]) -> (SequenceSet, Oracle) {
    let (mut sequences, mut oracle) = (SequenceSet::open_at(first), Oracle::open(first));
    for &(number, act) in std::iter::once(&(first, Act::Good)).chain(acts) {
        let position = sequences.position(number);
        assert!(oracle.position_is_right(number, position), "{number} {position:?} {sequences:?}");
        if matches!(position, SequencePosition::TooLow | SequencePosition::Untracked) {
            continue;
        }
        take_in(&mut sequences, number, act);
        oracle.act(number, act);
        check(&sequences, &oracle);
    }
    (sequences, oracle)
}

fn good(numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, Act)> {
    numbers.into_iter().map(|number| (number, Act::Good)).collect()
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => Just(Act::Good),
        2 => Just(Act::Refused),
        2 => Just(Act::Parked),
        1 => Just(Act::DismissRefused),
        1 => Just(Act::DismissParked),
    ]
}

/// Dense runs, isolated numbers in many blocks, and jumps.
fn acts() -> impl Strategy<Value = Vec<(u64, Act)>> {
    let number = prop_oneof![5 => 9_000..9_400_u64, 3 => 0..40_000_u64, 1 => 0..3_000_000_u64, 1 => 1_u64 << 40..1_u64 << 53];
    prop::collection::vec((number, act()), 0..400)
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
    fn missing_spans_are_the_gaps_of_the_set(acts in prop::collection::vec((9_000..12_000_u64, act()), 0..300)) {
        let (sequences, oracle) = play(10_000, &acts);
        let (intervals, more) = sequences.missing_intervals(false, usize::MAX);
        prop_assert!(!more);
        let listed: BTreeSet<u64> = intervals.iter().flat_map(|&(from, to)| from..=to).collect();
        let expected: BTreeSet<u64> = (oracle.baseline..=oracle.high)
            .filter(|number| !oracle.known.contains(number) && !oracle.open.contains_key(number))
            .collect();
        prop_assert_eq!(&listed, &expected);
        let within = |reason| oracle.open.range(9_500..=10_500).filter(|&(_, &open)| open == reason).count() as u64;
        let lacking = Lacking {
            missing: expected.range(9_500..=10_500).count() as u64,
            refused: within(OpenReason::Refused),
            parked: within(OpenReason::Parked),
        };
        prop_assert_eq!(sequences.lacking_between(9_500, 10_500), lacking);
        prop_assert!(intervals.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
    }

    #[test]
    fn what_is_written_reads_back_equal(acts in acts(), flush_every in 1..200_usize) {
        let (mut sequences, mut kept) = (SequenceSet::open_at(10_000), BTreeMap::new());
        for acts in acts.chunks(flush_every) {
            for &(number, act) in acts {
                match sequences.position(number) {
                    SequencePosition::TooLow | SequencePosition::Untracked => {}
                    _ => take_in(&mut sequences, number, act),
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
fn bytes_that_are_no_block_of_this_version_are_refused() {
    let mut bytes = Vec::new();
    let mut block = BitmapBlock::new();
    for (number, reason) in [
        OpenReason::Missing,
        OpenReason::Jumped,
        OpenReason::Refused,
        OpenReason::Parked,
        OpenReason::Dismissed,
    ]
    .into_iter()
    .enumerate()
    {
        block.open(number as u64, number as u64, reason);
        assert_eq!(block.open_reason(number as u64), Some(reason));
        assert_eq!(block.count(0, reason, 0, 4_095), 1);
    }
    block.encode(&mut bytes);
    assert_eq!(BitmapBlock::decode(&bytes), Some(block));
    assert_eq!(BitmapBlock::decode(&bytes[1..]), None);
    // The first version had two planes.
    assert_eq!(BitmapBlock::decode(&[&[1][..], &[0; 1_024]].concat()), None);
    bytes[0] = 1;
    assert_eq!(BitmapBlock::decode(&bytes), None);
    (bytes[0], bytes[2 * 512 + 8], bytes[512 + 8]) = (2, 0xff, 0xff);
    assert_eq!(BitmapBlock::decode(&bytes), None, "a code that no reason has");
}

#[test]
fn a_parked_number_that_was_given_up_can_still_be_dismissed() {
    let (mut sequences, _) = play(1, &[(3, Act::Parked)]);
    (1..200).for_each(|step| sequences.fill(step * 100_000));
    assert_eq!(sequences.position(3), SequencePosition::Untracked);
    assert_eq!(sequences.lacking_between(1, u64::MAX).parked, 1);
    let firsts = sequences.firsts();
    assert!(sequences.dismiss(3, OpenReason::Parked));
    assert!(
        !sequences.dismiss(3, OpenReason::Parked) && !sequences.dismiss(3, OpenReason::Refused)
    );
    assert_eq!((sequences.parked(), sequences.dismissed(), sequences.firsts()), (0, 1, firsts));
    assert_eq!(sequences.lacking_between(1, u64::MAX).parked, 0);
}

#[test]
fn every_second_number_goes_from_spans_to_blocks_and_stays_exact() {
    let acts = good((0..10_000).map(|n| 20_000 + 2 * n));
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
    let (mut sequences, _) = play(1, &good([2, 20_000, 20_002]));
    assert_eq!(sequences.missing_intervals(true, 9), (vec![(3, 19_999)], false));
    assert_eq!(sequences.missing_intervals(false, 9), (vec![(20_001, 20_001)], false));
    sequences.fill(100);
    assert_eq!(sequences.missing_intervals(true, 9), (vec![(3, 99), (101, 19_999)], false));
    assert_eq!(sequences.missing(), 19_997);
}

#[test]
fn past_its_bound_the_lowest_open_numbers_are_given_up_and_stay_counted() {
    let far = good((1..200).map(|n| n * 100_000));
    let (sequences, _) = play(1, &far);
    assert_eq!(sequences.position(2), SequencePosition::Untracked);
    assert_eq!(sequences.missing(), 199 * 100_000 - 200);
    assert_eq!(sequences.position(199 * 100_000 - 1), SequencePosition::Open(OpenReason::Jumped));
    assert_eq!(sequences.lacking_between(1, 199 * 100_000).missing, sequences.missing());
    let isolated = good((1..200).map(|n| n * 8_192));
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
    let (mut sequences, _) = play(50_000, &good([45_000]));
    assert_eq!(sequences.position(40_000), SequencePosition::Below);
    assert_eq!(sequences.position(39_999), SequencePosition::TooLow);
    sequences.fill(40_000);
    assert_eq!(sequences.missing(), 9_998);
}
