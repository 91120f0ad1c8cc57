use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LIMITS: BatchLimits =
    BatchLimits { records: 4, bytes: 1_000, linger: Duration::from_millis(100) };

fn record(lane: &str, offset: u64) -> Record {
    Record::new(offset, 0, lane.to_owned(), vec![0; 10])
}

fn lane(name: &str) -> Bytes {
    name.to_owned().into()
}

fn filled(records: &[(&str, u64)], now: Instant) -> Lanes {
    let mut lanes = Lanes::default();
    for (name, offset) in records {
        lanes.push(&lane(name), record(name, *offset), now);
    }
    lanes
}

fn offsets(load: Option<Load>) -> Vec<u64> {
    load.map(|load| load.records.iter().map(|record| record.offset).collect()).unwrap_or_default()
}

fn trouble(until: Instant, single: bool) -> Trouble {
    Trouble {
        failures: 1,
        since: until,
        code: "locked".to_owned(),
        charged: 0,
        stuck: Duration::ZERO,
        last: until,
        until,
        single,
    }
}

#[test]
fn a_batch_waits_for_company_until_it_is_full_or_has_lingered() {
    let now = Instant::now();
    let mut lanes = filled(&[("a", 0), ("b", 1), ("a", 2)], now);
    assert!(lanes.take(now, LIMITS, false).is_none());
    assert_eq!(lanes.next_due(LIMITS), Some(now + LIMITS.linger));
    assert_eq!(offsets(lanes.take(now + LIMITS.linger, LIMITS, false)), [0, 2, 1]);
    let mut lanes = filled(&[("a", 0), ("b", 1), ("a", 2), ("c", 3), ("d", 4)], now);
    assert_eq!(offsets(lanes.take(now, LIMITS, false)), [0, 2, 1, 3]);
    assert!(lanes.take(now, LIMITS, false).is_none(), "the fifth waits");
    assert_eq!(offsets(lanes.take(now, LIMITS, true)), [4], "unless there is no time");
}

#[test]
fn bytes_close_a_batch_too() {
    let now = Instant::now();
    let mut lanes = filled(&[("a", 0), ("a", 1), ("a", 2)], now);
    let limits = BatchLimits { bytes: 12, ..LIMITS };
    assert_eq!(offsets(lanes.take(now, limits, false)), [0, 1]);
}

#[test]
fn a_lane_is_in_one_call_at_a_time() {
    let now = Instant::now();
    let mut lanes = filled(&[("a", 0)], now);
    assert_eq!(offsets(lanes.take(now, LIMITS, true)), [0]);
    lanes.push(&lane("a"), record("a", 1), now);
    assert!(lanes.take(now, LIMITS, true).is_none());
    lanes.give_back(&lane("a"), Vec::new(), None, now);
    assert_eq!(offsets(lanes.take(now, LIMITS, true)), [1]);
}

#[test]
fn a_lane_in_trouble_waits_and_is_called_alone() {
    let now = Instant::now();
    let mut lanes = filled(&[("a", 0), ("a", 1), ("b", 2)], now);
    assert_eq!(offsets(lanes.take(now, LIMITS, true)), [0, 1, 2]);
    let again = vec![record("a", 0), record("a", 1)];
    let later = now + Duration::from_secs(1);
    lanes.give_back(&lane("a"), again, Some(trouble(later, true)), now);
    lanes.give_back(&lane("b"), Vec::new(), None, now);
    lanes.push(&lane("b"), record("b", 3), now);
    lanes.push(&lane("a"), record("a", 4), now);
    assert_eq!(offsets(lanes.take(now, LIMITS, true)), [3], "the wait is not over");
    assert_eq!(lanes.next_due(LIMITS), Some(later));
    assert_eq!(offsets(lanes.take(later, LIMITS, false)), [0], "alone, and its first only");
    lanes.give_back(&lane("a"), vec![record("a", 0)], Some(trouble(later, false)), later);
    assert_eq!(offsets(lanes.take(later, LIMITS, false)), [0, 1, 4]);
}

#[test]
fn what_waits_in_a_lane_in_trouble_keeps_no_block_of_the_log() {
    let now = Instant::now();
    let block = Bytes::from(vec![b'x'; 64 << 10]);
    let read = |offset| Record::new(offset, 0, block.slice(..1), block.slice(1..9));
    let mut lanes = Lanes::default();
    for offset in 0..2 {
        lanes.push(&block.slice(..1), read(offset), now);
    }
    let load = lanes.take(now, BatchLimits { records: 1, ..LIMITS }, true).unwrap();
    lanes.give_back(&block.slice(..1), load.records, Some(trouble(now, false)), now);
    lanes.push(&block.slice(..1), read(2), now);
    drop(load.shares);
    assert!(block.is_unique(), "it was copied");
    let expected: Vec<_> = (0..3).map(read).collect();
    assert_eq!(lanes.take(now, LIMITS, false).unwrap().records, expected);
}

#[test]
fn a_parked_lane_gives_up_what_it_has_in_hand() {
    let now = Instant::now();
    let mut lanes = filled(&[("a", 0)], now);
    let load = lanes.take(now, LIMITS, true).unwrap();
    lanes.push(&lane("a"), record("a", 1), now);
    let parked: Vec<u64> =
        lanes.empty(&load.shares[0].lane).iter().map(|record| record.offset).collect();
    assert_eq!(parked, [1]);
    lanes.give_back(&lane("a"), Vec::new(), None, now);
    lanes.push(&lane("a"), record("a", 2), now);
    assert_eq!(offsets(lanes.take(now, LIMITS, true)), [2]);
}

#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    Take(bool),
    /// Gives a call back, so many of each of its shares settled, in trouble or not.
    Return {
        call: usize,
        settled: usize,
        troubled: bool,
    },
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u8..5).prop_map(Step::Push),
        2 => any::<bool>().prop_map(Step::Take),
        2 => (0_usize..4, 0_usize..4, any::<bool>())
            .prop_map(|(call, settled, troubled)| Step::Return { call, settled, troubled }),
        1 => (1_u64..200).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    /// Whatever happens, a lane's records leave in order, none twice, none lost, and never in two
    /// calls at once.
    #[test]
    fn lanes_keep_order_and_lose_nothing(steps in steps()) {
        let mut now = Instant::now();
        let mut lanes = Lanes::default();
        let mut next = 0;
        let mut pushed: BTreeMap<Bytes, Vec<u64>> = BTreeMap::new();
        let mut left: BTreeMap<Bytes, Vec<u64>> = BTreeMap::new();
        let mut calls: Vec<Load> = Vec::new();
        let mut give_back = |lanes: &mut Lanes, load: Load, settled: usize, troubled, now| {
            let mut records = load.records.into_iter();
            for share in load.shares {
                let mut own: Vec<Record> = records.by_ref().take(share.records).collect();
                let again = own.split_off(settled.min(own.len()));
                let done = own.iter().map(|record| record.offset);
                left.entry(share.lane.clone()).or_default().extend(done);
                let wait = now + Duration::from_millis(50);
                let trouble = (troubled && !again.is_empty()).then(|| trouble(wait, settled > 1));
                lanes.give_back(&share.lane, again, trouble, now);
            }
        };
        for step in steps {
            match step {
                Step::Push(name) => {
                    let name = lane(&name.to_string());
                    lanes.push(&name, Record::new(next, 0, name.clone(), vec![0; 10]), now);
                    pushed.entry(name).or_default().push(next);
                    next += 1;
                }
                Step::Take(force) => calls.extend(lanes.take(now, LIMITS, force)),
                Step::Return { call, settled, troubled } => {
                    if call < calls.len() {
                        give_back(&mut lanes, calls.swap_remove(call), settled, troubled, now);
                    }
                }
                Step::Pass(millis) => now += Duration::from_millis(millis),
            }
            let mut called: Vec<&Bytes> =
                calls.iter().flat_map(|call| &call.shares).map(|share| &share.lane).collect();
            let before = called.len();
            called.sort_unstable();
            called.dedup();
            prop_assert_eq!(called.len(), before, "a lane is in two calls");
        }
        for call in calls {
            give_back(&mut lanes, call, usize::MAX, false, now);
        }
        now += Duration::from_secs(1);
        while let Some(load) = lanes.take(now, LIMITS, true) {
            give_back(&mut lanes, load, usize::MAX, false, now);
        }
        prop_assert_eq!(left.into_iter().filter(|(_, gone)| !gone.is_empty()).collect::<BTreeMap<_, _>>(), pushed);
        prop_assert_eq!((lanes.ready_records, lanes.ready_bytes), (0, 0));
        prop_assert!(lanes.by_key.is_empty());
    }
}
