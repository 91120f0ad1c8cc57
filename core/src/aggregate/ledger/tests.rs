use proptest::prelude::*;
use std::collections::HashMap;

use super::*;

const HORIZON: i64 = 1_000;

fn at(now_ms: i64) -> LedgerClock {
    LedgerClock { now_ms, horizon_ms: HORIZON }
}

fn decide(ledger: &mut Ledger, number: u64, hash: u32, now_ms: i64) -> Verdict {
    ledger.decide(number, ShortHash(hash), false, at(now_ms)).verdict
}

#[test]
fn a_number_is_counted_once() {
    let mut ledger = Ledger::new(Scope::Terminal);
    assert_eq!(decide(&mut ledger, 5, 1, 0), Verdict::First);
    assert_eq!(decide(&mut ledger, 5, 1, 1), Verdict::Duplicate);
    assert_eq!(decide(&mut ledger, 5, 2, 1), Verdict::Conflict(ShortHash(1)));
    assert_eq!(decide(&mut ledger, 5, 2, 1_001), Verdict::DuplicateUnverified);
    assert_eq!(decide(&mut ledger, 4, 9, 1_001), Verdict::First);
    let sequences = ledger.sequences.unwrap();
    assert_eq!((sequences.baseline(), sequences.firsts()), (4, 2));
}

#[test]
fn a_refused_number_is_filled_until_a_good_event_comes() {
    let mut ledger = Ledger::new(Scope::Terminal);
    ledger.refuse(7);
    assert_eq!(decide(&mut ledger, 9, 1, 0), Verdict::First);
    let sequences = ledger.sequences.clone().unwrap();
    assert_eq!((sequences.baseline(), sequences.refused(), sequences.missing()), (7, 1, 1));
    let decision = ledger.decide(7, ShortHash(3), false, at(0));
    assert_eq!((decision.verdict, decision.filled), (Verdict::First, true));
    assert_eq!(ledger.sequences.as_ref().unwrap().refused(), 0);
    ledger.refuse(7);
    assert_eq!(ledger.sequences.unwrap().refused(), 0, "a good one stands");
}

#[test]
fn a_jump_is_counted_and_said() {
    let mut ledger = Ledger::new(Scope::Terminal);
    decide(&mut ledger, 1, 1, 0);
    assert!(!ledger.decide(10_001, ShortHash(1), false, at(0)).jumped);
    let decision = ledger.decide(20_002, ShortHash(1), false, at(0));
    assert_eq!((decision.verdict, decision.jumped), (Verdict::First, true));
    assert!(ledger.decide(20_001, ShortHash(1), false, at(0)).filled);
}

#[test]
fn conflicts_in_a_row_raise_a_suspicion_which_progress_ends() {
    let mut ledger = Ledger::new(Scope::Terminal);
    (1..=20).for_each(|number| assert_eq!(decide(&mut ledger, number, 1, 0), Verdict::First));
    for number in 1..=8 {
        assert!(!ledger.reset_suspected());
        assert_eq!(decide(&mut ledger, number, 2, 0), Verdict::Conflict(ShortHash(1)));
    }
    assert!(ledger.reset_suspected());
    let suspected = Verdict::Quarantined(QuarantineReason::ResetSuspected);
    assert_eq!(decide(&mut ledger, 9, 2, 0), suspected);
    assert_eq!(decide(&mut ledger, 21, 2, 0), Verdict::First);
    assert!(!ledger.reset_suspected());
    assert_eq!(decide(&mut ledger, 10, 2, 0), Verdict::Conflict(ShortHash(1)));
}

#[test]
fn an_old_terminal_that_counts_anew_is_noticed_by_its_own_clock() {
    let mut ledger = Ledger::new(Scope::Terminal);
    (1..=20).for_each(|number| assert_eq!(decide(&mut ledger, number, 1, 0), Verdict::First));
    for number in 1..=20 {
        assert_eq!(decide(&mut ledger, number, 1, 9_000), Verdict::DuplicateUnverified);
    }
    for number in 1..=8 {
        let decision = ledger.decide(number, ShortHash(2), true, at(9_000));
        assert_eq!(decision.verdict, Verdict::DuplicateUnverified);
    }
    let decision = ledger.decide(9, ShortHash(2), true, at(9_000));
    assert_eq!(decision.verdict, Verdict::Quarantined(QuarantineReason::ResetSuspected));
}

#[test]
fn numbers_of_a_business_date_start_at_one() {
    let mut ledger = Ledger::new(Scope::BusinessDate);
    let below = Verdict::Quarantined(QuarantineReason::BelowBaseline);
    assert_eq!(decide(&mut ledger, 0, 1, 0), below);
    assert_eq!(decide(&mut ledger, 3, 1, 0), Verdict::First);
    assert_eq!(ledger.sequences.as_ref().unwrap().missing(), 2);
    assert_eq!(decide(&mut ledger, 0, 1, 0), below);
}

#[test]
fn numbers_wrap_at_their_modulus() {
    let mut ledger = Ledger::new(Scope::Wrapping(100));
    let aside = |reason| Verdict::Quarantined(reason);
    assert_eq!(decide(&mut ledger, 98, 1, 0), Verdict::First);
    assert_eq!(decide(&mut ledger, 1, 1, 0), Verdict::First);
    assert_eq!(decide(&mut ledger, 99, 1, 0), Verdict::First);
    assert_eq!(decide(&mut ledger, 98, 1, 0), Verdict::Duplicate);
    assert_eq!(ledger.sequences.as_ref().unwrap().missing_intervals(false, 9).0, [(200, 200)]);
    assert_eq!(decide(&mut ledger, 26, 1, 0), Verdict::First);
    assert_eq!(decide(&mut ledger, 52, 1, 0), aside(QuarantineReason::WrappedFar));
    assert_eq!(decide(&mut ledger, 100, 1, 0), aside(QuarantineReason::BeyondModulus));
    let mut low = Ledger::new(Scope::Wrapping(100));
    decide(&mut low, 0, 1, 0);
    assert_eq!(decide(&mut low, 99, 1, 0), Verdict::First, "from before the wrap");
}

proptest! {
    /// The ledger against one map of everything it ever counted.
    #[test]
    fn verdicts_are_those_of_a_map_of_all_numbers(
        events in prop::collection::vec((0..200_u64, 0..3_u32, any::<bool>()), 1..400),
    ) {
        let mut ledger = Ledger::new(Scope::Terminal);
        let mut known: HashMap<u64, u32> = HashMap::new();
        let mut streak = 0;
        for (number, hash, refused) in events {
            if refused {
                ledger.refuse(number);
                continue;
            }
            let expected = match known.get(&number) {
                None => Verdict::First,
                Some(&first) if first == hash => Verdict::Duplicate,
                Some(&first) if streak < RESET_STREAK => Verdict::Conflict(ShortHash(first)),
                Some(_) => Verdict::Quarantined(QuarantineReason::ResetSuspected),
            };
            streak = match expected {
                Verdict::First | Verdict::Duplicate => 0,
                _ => streak + 1,
            };
            prop_assert_eq!(decide(&mut ledger, number, hash, 0), expected);
            known.entry(number).or_insert(hash);
        }
        let firsts = ledger.sequences.map_or(0, |sequences| sequences.firsts());
        prop_assert_eq!(firsts, known.len() as u64);
    }
}
