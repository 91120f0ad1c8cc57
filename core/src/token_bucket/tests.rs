use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn limit(per_second: u64, burst: u64) -> RateLimit {
    RateLimit {
        per_second: NonZeroU64::new(per_second).unwrap(),
        burst: NonZeroU64::new(burst).unwrap(),
    }
}

/// The textbook bucket: a level that rises with time, in billionths of a token, exact.
struct Oracle {
    limit: RateLimit,
    level: i128,
    at_ns: u64,
}

impl Oracle {
    fn new(limit: RateLimit) -> Self {
        Self { limit, level: Self::full(limit), at_ns: 0 }
    }

    fn full(limit: RateLimit) -> i128 {
        i128::from(limit.burst.get()) * i128::from(SECOND)
    }

    fn take(&mut self, amount: u64, now_ns: u64) -> bool {
        let gained = i128::from(now_ns - self.at_ns) * i128::from(self.limit.per_second.get());
        self.level = (self.level + gained).min(Self::full(self.limit));
        self.at_ns = now_ns;
        let wanted = i128::from(amount) * i128::from(SECOND);
        let passes = self.level >= wanted.min(Self::full(self.limit));
        if passes {
            self.level -= wanted;
        }
        passes
    }
}

fn takes() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..2 * SECOND, 0_u64..40), 1..200)
}

proptest! {
    /// Rates that divide a second into whole ticks leave nothing to round: every decision is the
    /// oracle's.
    #[test]
    fn decides_like_the_textbook(
        rate in prop::sample::select(vec![1_u64, 2, 5, 16, 100, 1_000, 1_000_000, 2_000_000_000]),
        burst in 1_u64..50,
        takes in takes(),
    ) {
        let buckets = TokenBuckets::new(limit(rate, burst), 1);
        let mut oracle = Oracle::new(limit(rate, burst));
        let mut now = 0;
        for (pause, amount) in takes {
            now += pause * 16 / rate.min(SECOND);
            prop_assert_eq!(buckets.take(0, amount, now).is_ok(), oracle.take(amount, now));
        }
    }

    /// At any rate: never more than the rate and one burst, and the wait it names is enough.
    #[test]
    fn never_lets_more_through_and_never_names_too_short_a_wait(
        rate in 1_u64..5_000_000_000,
        burst in 40_u64..1_000_000,
        takes in takes(),
    ) {
        let buckets = TokenBuckets::new(limit(rate, burst), 1);
        let (mut now, mut passed) = (0_u64, 0_u128);
        for (pause, amount) in takes {
            now += pause / 1_000;
            if let Err(RateExceeded { wait }) = buckets.take(0, amount, now) {
                now += u64::try_from(wait.as_nanos()).unwrap();
                prop_assert_eq!(buckets.take(0, amount, now), Ok(()));
            }
            passed += u128::from(amount);
            let earned = u128::from(now) * u128::from(rate) / u128::from(SECOND) + 1;
            prop_assert!(passed <= u128::from(burst) + earned, "{} of {}", passed, earned);
        }
    }

    /// What is given back can be taken again, and no more than that.
    #[test]
    fn giving_back_undoes_a_take(
        rate in prop::sample::select(vec![1_u64, 250, 16_000, 1_000_000]),
        first in 1_u64..20,
        second in 1_u64..20,
    ) {
        let buckets = TokenBuckets::new(limit(rate, first + second), 1);
        let now = 5 * SECOND;
        buckets.take(0, first, now).unwrap();
        buckets.take(0, second, now).unwrap();
        prop_assert!(buckets.take(0, 1, now).is_err());
        buckets.refund(0, second);
        prop_assert_eq!(buckets.take(0, second, now), Ok(()));
        prop_assert!(buckets.take(0, 1, now).is_err());
    }
}

#[test]
fn buckets_of_one_array_do_not_share_tokens() {
    let buckets = TokenBuckets::new(limit(1, 2), 3);
    assert_eq!(buckets.take(1, 2, 0), Ok(()));
    assert_eq!(buckets.take(1, 1, 0), Err(RateExceeded { wait: Duration::from_secs(1) }));
    assert_eq!(buckets.take(0, 2, 0), Ok(()));
    assert_eq!(buckets.take(2, 2, 0), Ok(()));
}

#[test]
fn more_than_a_burst_passes_a_full_bucket_and_leaves_a_debt() {
    let buckets = TokenBuckets::new(limit(10, 5), 1);
    assert_eq!(buckets.take(0, 25, 0), Ok(()));
    assert_eq!(buckets.take(0, 1, 0), Err(RateExceeded { wait: Duration::from_millis(2_100) }));
    assert_eq!(buckets.take(0, 1, 2_100_000_000), Ok(()));
}

#[test]
fn threads_together_get_one_burst() {
    let buckets = TokenBuckets::new(limit(1, 10_000), 1);
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..5_000).filter(|_| buckets.take(0, 1, 7).is_ok()).count()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 10_000);
}

#[test]
fn a_new_limit_fills_no_bucket() {
    let buckets = TokenBuckets::new(limit(100, 200), 2);
    assert_eq!(buckets.take(0, 200, SECOND), Ok(()));
    for new in [limit(10, 200), limit(1_000, 200), limit(100, 10)] {
        let changed = buckets.with_limit(new, 2, SECOND);
        assert!(changed.take(0, 1, SECOND).is_err_and(|error| error.wait > Duration::ZERO));
        // The buckets are shared: they are put back as they were.
        drop(changed.with_limit(limit(100, 200), 2, SECOND));
    }
    let slow = buckets.with_limit(limit(10, 200), 2, SECOND);
    let wait = slow.take(0, 1, SECOND).unwrap_err().wait;
    assert_eq!(wait, Duration::from_millis(100), "the next token comes at the new rate");
    assert_eq!(slow.take(1, 200, SECOND), Ok(()), "the other one was full");
    let wider = slow.with_limit(limit(10, 200), 3, SECOND);
    assert!(wider.take(1, 1, SECOND).is_err(), "copied as it was");
    assert_eq!(wider.take(2, 200, SECOND), Ok(()), "a new one is full");
}
