//! Token buckets: one take from a dense array of atomics, beside the same arithmetic behind a mutex
//! a bucket. Ids are spread so that buckets do not all sit in the nearest cache; `contended` is two
//! threads on one bucket.

use std::hint::black_box;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parking_lot::Mutex;
use tillrace_core::token_bucket::{RateLimit, TokenBuckets};

const BUCKETS: u32 = 100_000;
/// Steps through all ids in an order that no prefetcher guesses.
const STRIDE: u32 = 61_813;
const RATE: NonZeroU64 = NonZeroU64::new(1_000_000_000).expect("not zero");

/// The rival: a level and a time, locked.
struct Locked {
    level: f64,
    at_ns: u64,
}

impl Locked {
    fn take(&mut self, amount: f64, now_ns: u64) -> bool {
        let gained = Duration::from_nanos(now_ns.saturating_sub(self.at_ns)).as_secs_f64() * 1e9;
        self.level = (self.level + gained).min(1e9);
        self.at_ns = now_ns;
        let passes = self.level >= amount;
        if passes {
            self.level -= amount;
        }
        passes
    }
}

fn atomics() -> TokenBuckets {
    TokenBuckets::new(RateLimit { per_second: RATE, burst: RATE }, BUCKETS as usize)
}

fn mutexes() -> Vec<Mutex<Locked>> {
    (0..BUCKETS).map(|_| Mutex::new(Locked { level: 1e9, at_ns: 0 })).collect()
}

fn spread(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bucket");
    group.throughput(Throughput::Elements(1));
    let (atomics, mutexes) = (atomics(), mutexes());
    let (mut id, mut now_ns) = (0, 0);
    group.bench_function("atomic/spread", |bencher| {
        bencher.iter(|| {
            id = (id + STRIDE) % BUCKETS;
            now_ns += 10;
            black_box(atomics.take(id, 1, now_ns).is_ok())
        });
    });
    group.bench_function("mutex/spread", |bencher| {
        bencher.iter(|| {
            id = (id + STRIDE) % BUCKETS;
            now_ns += 10;
            black_box(mutexes.get(id as usize).is_some_and(|b| b.lock().take(1.0, now_ns)))
        });
    });
    group.finish();
}

/// Has two threads take from one bucket at once; returns the time of the slower.
fn contend(times: u64, take: impl Fn(u64) -> bool + Sync) -> Duration {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..times).for_each(|now_ns| assert!(black_box(take(now_ns)))));
        }
    });
    began.elapsed()
}

fn contended(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bucket");
    group.throughput(Throughput::Elements(2));
    let (atomics, mutexes) = (atomics(), mutexes());
    group.bench_function("atomic/contended", |bencher| {
        bencher.iter_custom(|times| contend(times, |now| atomics.take(0, 0, now).is_ok()));
    });
    group.bench_function("mutex/contended", |bencher| {
        bencher.iter_custom(|times| {
            contend(times, |now| mutexes.first().is_some_and(|b| b.lock().take(0.0, now)))
        });
    });
    group.finish();
}

criterion_group!(benches, spread, contended);
criterion_main!(benches);
