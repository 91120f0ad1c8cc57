//! Splitting a batch of 1 MiB into its events: lines and array elements, in reads of 64 KiB as they
//! come off a socket. Beside it what one would write without streaming: the standard library's
//! `split`, and `serde_json` with elements left raw.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::value::RawValue;
use tillrace_ingest::split::{Format, Splitter};

const MAX_EVENT_BYTES: usize = 256 * 1024;
const CHUNK_EVENTS: usize = 512;
const READ_BYTES: usize = 64 * 1024;
const BODY_BYTES: usize = 1024 * 1024;

/// A basket of five lines, 900 bytes, as a terminal writes it.
fn event(sequence: usize) -> String {
    let lines: Vec<_> = (1..=5)
        .map(|line| {
            serde_json::json!({
                "line": line, "type": "sale", "sku": format!("{}", 820_000 + line * 7),
                "quantity": "1", "unit_price": "1.29", "amount": "1.29",
                "discounts": [{"reason": "loyalty", "amount": "0.10"}],
            })
        })
        .collect();
    serde_json::json!({
        "store": "0042", "terminal": "03", "sequence": sequence, "event_id": sequence.to_string(),
        "kind": "sale", "occurred_at": "2026-11-27T08:15:30+01:00",
        "business_date": "2026-11-27", "currency": "EUR", "lines": lines,
    })
    .to_string()
}

fn split(format: Format, body: &[u8]) -> usize {
    let mut splitter = Splitter::new(format, MAX_EVENT_BYTES, CHUNK_EVENTS);
    let mut found = 0;
    for read in body.chunks(READ_BYTES) {
        splitter.buffer().extend_from_slice(read);
        while !splitter.scan(false).unwrap_or(true) {
            found += splitter.pieces().len();
            splitter.advance();
        }
        found += splitter.pieces().len();
        splitter.advance();
    }
    found
}

fn bench(criterion: &mut Criterion) {
    let size = event(0).len() + 1;
    let events: Vec<_> = (0..BODY_BYTES / size).map(event).collect();
    let lines = events.join("\n") + "\n";
    let array = format!("[{}]", events.join(","));
    let mut group = criterion.benchmark_group("split");
    group.throughput(Throughput::Bytes(lines.len() as u64));
    group.bench_function("tillrace/lines", |bencher| {
        bencher
            .iter(|| assert_eq!(split(Format::Lines, black_box(lines.as_bytes())), events.len()));
    });
    group.bench_function("std_split/lines", |bencher| {
        bencher.iter(|| {
            let pieces = black_box(lines.as_bytes()).split(|byte| *byte == b'\n');
            assert_eq!(pieces.filter(|piece| !piece.is_empty()).count(), events.len());
        });
    });
    group.bench_function("tillrace/array", |bencher| {
        bencher
            .iter(|| assert_eq!(split(Format::Array, black_box(array.as_bytes())), events.len()));
    });
    group.bench_function("serde_json_raw/array", |bencher| {
        bencher.iter(|| {
            let pieces: Vec<&RawValue> =
                serde_json::from_str(black_box(&array)).unwrap_or_default();
            assert_eq!(pieces.len(), events.len());
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
