use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LIMITS: BatchLimits =
    BatchLimits { records: 4, bytes: 1_000, linger: Duration::from_millis(100) };

fn record(key: &str, offset: u64) -> Record {
    Record::new(offset, 0, key.to_owned(), vec![0; 10])
}

fn key(name: &str) -> Bytes {
    name.to_owned().into()
}

fn filled(records: &[(&str, u64)], now: Instant) -> KeyQueues {
    let mut queues = KeyQueues::default();
    for (name, offset) in records {
        queues.push(&key(name), record(name, *offset), now);
    }
    queues
}

fn offsets(draft: Option<BatchDraft>) -> Vec<u64> {
    draft
        .map(|draft| draft.records.iter().map(|record| record.offset).collect())
        .unwrap_or_default()
}

fn retry_state(until: Instant, single: bool) -> RetryState {
    RetryState {
        failures: 1,
        since: until,
        code: "locked".to_owned(),
        counted: 0,
        stuck: Duration::ZERO,
        last: until,
        until,
        single,
    }
}

#[test]
fn a_batch_waits_for_company_until_it_is_full_or_has_lingered() {
    let now = Instant::now();
    let mut queues = filled(&[("a", 0), ("b", 1), ("a", 2)], now);
    assert!(queues.next_batch(now, LIMITS, false).is_none());
    assert_eq!(queues.next_due(LIMITS), Some(now + LIMITS.linger));
    assert_eq!(offsets(queues.next_batch(now + LIMITS.linger, LIMITS, false)), [0, 2, 1]);
    let mut queues = filled(&[("a", 0), ("b", 1), ("a", 2), ("c", 3), ("d", 4)], now);
    assert_eq!(offsets(queues.next_batch(now, LIMITS, false)), [0, 2, 1, 3]);
    assert!(queues.next_batch(now, LIMITS, false).is_none(), "the fifth waits");
    assert_eq!(offsets(queues.next_batch(now, LIMITS, true)), [4], "unless there is no time");
}

#[test]
fn bytes_close_a_batch_too() {
    let now = Instant::now();
    let mut queues = filled(&[("a", 0), ("a", 1), ("a", 2)], now);
    let limits = BatchLimits { bytes: 12, ..LIMITS };
    assert_eq!(offsets(queues.next_batch(now, limits, false)), [0, 1]);
}

#[test]
fn a_key_is_in_one_call_at_a_time() {
    let now = Instant::now();
    let mut queues = filled(&[("a", 0)], now);
    assert_eq!(offsets(queues.next_batch(now, LIMITS, true)), [0]);
    queues.push(&key("a"), record("a", 1), now);
    assert!(queues.next_batch(now, LIMITS, true).is_none());
    queues.return_key(&key("a"), Vec::new(), None, now);
    assert_eq!(offsets(queues.next_batch(now, LIMITS, true)), [1]);
}

#[test]
fn a_failing_key_waits_and_is_called_alone() {
    let now = Instant::now();
    let mut queues = filled(&[("a", 0), ("a", 1), ("b", 2)], now);
    assert_eq!(offsets(queues.next_batch(now, LIMITS, true)), [0, 1, 2]);
    let again = vec![record("a", 0), record("a", 1)];
    let later = now + Duration::from_secs(1);
    queues.return_key(&key("a"), again, Some(retry_state(later, true)), now);
    queues.return_key(&key("b"), Vec::new(), None, now);
    queues.push(&key("b"), record("b", 3), now);
    queues.push(&key("a"), record("a", 4), now);
    assert_eq!(offsets(queues.next_batch(now, LIMITS, true)), [3], "the wait is not over");
    assert_eq!(queues.next_due(LIMITS), Some(later));
    assert_eq!(offsets(queues.next_batch(later, LIMITS, false)), [0], "alone, and its first only");
    queues.return_key(&key("a"), vec![record("a", 0)], Some(retry_state(later, false)), later);
    assert_eq!(offsets(queues.next_batch(later, LIMITS, false)), [0, 1, 4]);
}

#[test]
fn records_of_a_failing_key_keep_no_block_of_the_log() {
    let now = Instant::now();
    let block = Bytes::from(vec![b'x'; 64 << 10]);
    let read = |offset| Record::new(offset, 0, block.slice(..1), block.slice(1..9));
    let mut queues = KeyQueues::default();
    for offset in 0..2 {
        queues.push(&block.slice(..1), read(offset), now);
    }
    let draft = queues.next_batch(now, BatchLimits { records: 1, ..LIMITS }, true).unwrap();
    queues.return_key(&block.slice(..1), draft.records, Some(retry_state(now, false)), now);
    queues.push(&block.slice(..1), read(2), now);
    drop(draft.shares);
    assert!(block.is_unique(), "it was copied");
    let expected: Vec<_> = (0..3).map(read).collect();
    assert_eq!(queues.next_batch(now, LIMITS, false).unwrap().records, expected);
}

#[test]
fn a_parked_key_gives_up_its_records_in_flight() {
    let now = Instant::now();
    let mut queues = filled(&[("a", 0)], now);
    let draft = queues.next_batch(now, LIMITS, true).unwrap();
    queues.push(&key("a"), record("a", 1), now);
    let parked: Vec<u64> =
        queues.drain_key(&draft.shares[0].key).iter().map(|record| record.offset).collect();
    assert_eq!(parked, [1]);
    queues.return_key(&key("a"), Vec::new(), None, now);
    queues.push(&key("a"), record("a", 2), now);
    assert_eq!(offsets(queues.next_batch(now, LIMITS, true)), [2]);
}

#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    Take(bool),
    /// Returns a call with a number of records settled of each share, failing or not.
    Return {
        call: usize,
        settled: usize,
        failing: bool,
    },
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u8..5).prop_map(Step::Push),
        2 => any::<bool>().prop_map(Step::Take),
        2 => (0_usize..4, 0_usize..4, any::<bool>())
            .prop_map(|(call, settled, failing)| Step::Return { call, settled, failing }),
        1 => (1_u64..200).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    /// Whatever happens, a key's records leave in order, none twice, none lost, and never in two
    /// calls at once.
    #[test]
    fn keys_keep_order_and_lose_nothing(steps in steps()) {
        let mut now = Instant::now();
        let mut queues = KeyQueues::default();
        let mut next = 0;
        let mut pushed: BTreeMap<Bytes, Vec<u64>> = BTreeMap::new();
        let mut left: BTreeMap<Bytes, Vec<u64>> = BTreeMap::new();
        let mut calls: Vec<BatchDraft> = Vec::new();
        let mut return_key = |queues: &mut KeyQueues, draft: BatchDraft, settled: usize, failing, now| {
            let mut records = draft.records.into_iter();
            for share in draft.shares {
                let mut own: Vec<Record> = records.by_ref().take(share.records).collect();
                let again = own.split_off(settled.min(own.len()));
                let done = own.iter().map(|record| record.offset);
                left.entry(share.key.clone()).or_default().extend(done);
                let wait = now + Duration::from_millis(50);
                let retry_state = (failing && !again.is_empty()).then(|| retry_state(wait, settled > 1));
                queues.return_key(&share.key, again, retry_state, now);
            }
        };
        for step in steps {
            match step {
                Step::Push(name) => {
                    let name = key(&name.to_string());
                    queues.push(&name, Record::new(next, 0, name.clone(), vec![0; 10]), now);
                    pushed.entry(name).or_default().push(next);
                    next += 1;
                }
                Step::Take(force) => calls.extend(queues.next_batch(now, LIMITS, force)),
                Step::Return { call, settled, failing } => {
                    if call < calls.len() {
                        return_key(&mut queues, calls.swap_remove(call), settled, failing, now);
                    }
                }
                Step::Pass(millis) => now += Duration::from_millis(millis),
            }
            let mut called: Vec<&Bytes> =
                calls.iter().flat_map(|call| &call.shares).map(|share| &share.key).collect();
            let before = called.len();
            called.sort_unstable();
            called.dedup();
            prop_assert_eq!(called.len(), before, "a key is in two calls");
        }
        for call in calls {
            return_key(&mut queues, call, usize::MAX, false, now);
        }
        now += Duration::from_secs(1);
        while let Some(draft) = queues.next_batch(now, LIMITS, true) {
            return_key(&mut queues, draft, usize::MAX, false, now);
        }
        prop_assert_eq!(left.into_iter().filter(|(_, gone)| !gone.is_empty()).collect::<BTreeMap<_, _>>(), pushed);
        prop_assert_eq!((queues.ready_records, queues.ready_bytes), (0, 0));
        prop_assert!(queues.by_key.is_empty());
    }
}
