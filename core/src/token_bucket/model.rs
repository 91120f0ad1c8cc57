//! Every interleaving of a few takes, by loom: `RUSTFLAGS="--cfg loom" cargo test -p tillrace-core
//! --lib token_bucket`.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::*;

fn buckets(burst: u64) -> Arc<TokenBuckets> {
    let limit = RateLimit {
        per_second: NonZeroU64::new(1).unwrap(),
        burst: NonZeroU64::new(burst).unwrap(),
    };
    Arc::new(TokenBuckets::new(limit, 1))
}

/// Two threads take two each out of a burst of three: three pass, whoever comes first.
#[test]
fn a_burst_is_handed_out_once() {
    loom::model(|| {
        let buckets = buckets(3);
        let passed = Arc::new(AtomicU64::new(0));
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let (buckets, passed) = (Arc::clone(&buckets), Arc::clone(&passed));
                thread::spawn(move || {
                    for _ in 0..2 {
                        if buckets.take(0, 1, 9).is_ok() {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        takers.into_iter().for_each(|taker| taker.join().unwrap());
        assert_eq!(passed.load(Ordering::Relaxed), 3);
    });
}

/// One thread takes and is refunded while another takes: in the end exactly what the other took is
/// missing.
#[test]
fn a_refund_is_not_lost() {
    loom::model(|| {
        let buckets = buckets(2);
        let undone = {
            let buckets = Arc::clone(&buckets);
            thread::spawn(move || {
                if buckets.take(0, 1, 9).is_ok() {
                    buckets.refund(0, 1);
                }
            })
        };
        assert!(buckets.take(0, 1, 9).is_ok());
        undone.join().unwrap();
        assert!(buckets.take(0, 1, 9).is_ok());
        assert!(buckets.take(0, 1, 9).is_err());
    });
}
