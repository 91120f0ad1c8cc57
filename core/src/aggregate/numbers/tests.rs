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

    fn place_is_right(&self, number: u64, place: Place) -> bool {
        match place {
            Place::Known => self.known.contains(&number),
            Place::Open(Class::Refused) => self.refused.contains(&number),
            Place::Open(_) => {
                (self.baseline..=self.high).contains(&number)
                    && !self.known.contains(&number)
                    && !self.refused.contains(&number)
            }
            Place::Above { jump } => number > self.high && jump == (number - self.high > 10_000),
            Place::Below => number < self.baseline && self.opened - number <= 10_000,
            Place::TooLow => number < self.baseline,
            Place::Untracked => (self.baseline..=self.high).contains(&number),
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

fn check(numbers: &Numbers, oracle: &Oracle) {
    let (known, refused) = (oracle.known.len() as u64, oracle.refused.len() as u64);
    assert_eq!(numbers.firsts(), known);
    assert_eq!(numbers.refused(), refused);
    assert_eq!(numbers.missing(), oracle.high - oracle.baseline + 1 - known - refused);
    assert_eq!((numbers.baseline(), numbers.high()), (oracle.baseline, oracle.high));
    assert!(numbers.spans.len() <= SPANS && numbers.blocks.len() <= BLOCKS);
}

fn play(first: u64, acts: &[(u64, bool)]) -> (Numbers, Oracle) {
    let (mut numbers, mut oracle) = (Numbers::open_at(first), Oracle::open(first));
    for &(number, refuse) in std::iter::once(&(first, false)).chain(acts) {
        let place = numbers.place(number);
        assert!(oracle.place_is_right(number, place), "{number} {place:?} {numbers:?}");
        if matches!(place, Place::TooLow | Place::Untracked) {
            continue;
        }
        if refuse {
            numbers.refuse(number);
        } else {
            numbers.fill(number);
        }
        oracle.act(number, refuse);
        check(&numbers, &oracle);
    }
    (numbers, oracle)
}

/// Dense runs, isolated numbers in many blocks, and jumps.
fn acts() -> impl Strategy<Value = Vec<(u64, bool)>> {
    let number = prop_oneof![5 => 9_000..9_400_u64, 3 => 0..40_000_u64, 1 => 0..3_000_000_u64, 1 => 1_u64 << 40..1_u64 << 53];
    prop::collection::vec((number, prop::bool::weighted(0.1)), 0..400)
}

proptest! {
    #[test]
    fn answers_are_those_of_a_set_of_all_numbers(first in 8_000..12_000_u64, acts in acts()) {
        let (numbers, oracle) = play(first, &acts);
        for number in (0..40_000).step_by(7).chain(acts.iter().map(|act| act.0)) {
            let place = numbers.place(number);
            prop_assert!(oracle.place_is_right(number, place), "{} {:?}", number, place);
        }
    }

    #[test]
    fn missing_spans_are_the_gaps_of_the_set(acts in prop::collection::vec((9_000..12_000_u64, prop::bool::weighted(0.1)), 0..300)) {
        let (numbers, oracle) = play(10_000, &acts);
        let (spans, more) = numbers.missing_spans(false, usize::MAX);
        prop_assert!(!more);
        let listed: BTreeSet<u64> = spans.iter().flat_map(|&(from, to)| from..=to).collect();
        let expected: BTreeSet<u64> = (oracle.baseline..=oracle.high)
            .filter(|number| !oracle.known.contains(number) && !oracle.refused.contains(number))
            .collect();
        prop_assert_eq!(&listed, &expected);
        prop_assert_eq!(numbers.missing_between(9_500, 10_500), expected.range(9_500..=10_500).count() as u64);
        prop_assert!(spans.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
    }

    #[test]
    fn what_is_written_reads_back_equal(acts in acts(), flush_every in 1..200_usize) {
        let (mut numbers, mut kept) = (Numbers::open_at(10_000), BTreeMap::new());
        for acts in acts.chunks(flush_every) {
            for &(number, refused) in acts {
                match numbers.place(number) {
                    Place::TooLow | Place::Untracked => {}
                    _ if refused => numbers.refuse(number),
                    _ => numbers.fill(number),
                }
            }
            numbers.take_changed(|index, block| {
                let mut bytes = Vec::new();
                match block {
                    Some(block) => {
                        block.encode(&mut bytes);
                        kept.insert(index, bytes);
                    }
                    None => {
                        kept.remove(&index);
                    }
                }
            });
        }
        let text = serde_json::to_string(&numbers).unwrap();
        let mut read: Numbers = serde_json::from_str(&text).unwrap();
        for (&index, bytes) in &kept {
            read.restore(index, bytes).unwrap();
        }
        prop_assert_eq!(read, numbers);
    }
}

#[test]
fn blocks_that_an_earlier_version_kept_with_the_rest_are_to_be_written() {
    let words = |word: u64| vec![word; 64];
    let kept = serde_json::json!({"opened": 1, "baseline": 1, "high": 4_095, "floor": 0, "missing": 64, "refused": 0,
        "spans": [], "blocks": {"0": {"open": words(4), "refused": words(0)}}});
    let numbers: Numbers = serde_json::from_value(kept).unwrap();
    assert_eq!(numbers.clone().restored().changed(), 1);
    assert_eq!(numbers.place(66), Place::Open(Class::Missing));
    assert!(Numbers::open_at(1).restore(0, &[1; 9]).is_none());
}

#[test]
fn every_second_number_goes_from_spans_to_blocks_and_stays_exact() {
    let acts: Vec<(u64, bool)> = (0..10_000).map(|n| (20_000 + 2 * n, false)).collect();
    let (mut numbers, _) = play(20_000, &acts);
    assert_eq!(numbers.missing(), 9_999);
    assert!(!numbers.blocks.is_empty());
    for n in 0..9_999 {
        assert_eq!(numbers.place(20_001 + 2 * n), Place::Open(Class::Missing));
        numbers.fill(20_001 + 2 * n);
    }
    assert_eq!((numbers.missing(), numbers.firsts()), (0, 19_999));
    assert!(numbers.spans.is_empty() && numbers.blocks.is_empty());
}

#[test]
fn a_jump_is_reported_apart_and_can_still_be_filled() {
    let (mut numbers, _) = play(1, &[(2, false), (20_000, false), (20_002, false)]);
    assert_eq!(numbers.missing_spans(true, 9), (vec![(3, 19_999)], false));
    assert_eq!(numbers.missing_spans(false, 9), (vec![(20_001, 20_001)], false));
    numbers.fill(100);
    assert_eq!(numbers.missing_spans(true, 9), (vec![(3, 99), (101, 19_999)], false));
    assert_eq!(numbers.missing(), 19_997);
}

#[test]
fn past_its_bound_the_lowest_open_numbers_are_given_up_and_stay_counted() {
    let far: Vec<(u64, bool)> = (1..200).map(|n| (n * 100_000, false)).collect();
    let (numbers, _) = play(1, &far);
    assert_eq!(numbers.place(2), Place::Untracked);
    assert_eq!(numbers.missing(), 199 * 100_000 - 200);
    assert_eq!(numbers.place(199 * 100_000 - 1), Place::Open(Class::Jumped));
    assert_eq!(numbers.missing_between(1, 199 * 100_000), numbers.missing());
    let isolated: Vec<(u64, bool)> = (1..200).map(|n| (n * 8_192, false)).collect();
    let (numbers, _) = play(1, &isolated);
    assert_eq!(numbers.missing(), 199 * 8_192 - 200);
}

#[test]
fn a_declared_baseline_is_not_lowered() {
    let mut numbers = Numbers::open_from(1, 3);
    numbers.fill(3);
    assert_eq!(numbers.place(0), Place::TooLow);
    assert_eq!(numbers.missing_spans(false, 9), (vec![(1, 2)], false));
    assert_eq!((numbers.firsts(), numbers.missing()), (1, 2));
}

#[test]
fn an_opening_number_can_be_lowered_by_ten_thousand_in_all() {
    let (mut numbers, _) = play(50_000, &[(45_000, false)]);
    assert_eq!(numbers.place(40_000), Place::Below);
    assert_eq!(numbers.place(39_999), Place::TooLow);
    numbers.fill(40_000);
    assert_eq!(numbers.missing(), 9_998);
}
