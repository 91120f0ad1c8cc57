//! Reading one event, beside what others take for less. Rows are of two sorts, to be compared within each.
//!
//! Shapes s, m and l are sales of 2, 5 and 10 lines, about 515, 912 and 1,429 bytes of compact JSON.
//! `shuffled` has the members of m in changing order, `escapes` text beyond ASCII and escapes.
//!
//! Indexing the members: text to the offset of each value that the engine needs. The text is known to be UTF-8 and JSON.
//! - `fast_path_index`: the first half of our decoder. It also checks that each member is of the schema, occurs once and
//!   has its JSON type.
//! - `simd_json_tape`: the tape, of a private copy, and a walk over it that compares every name and looks at
//!   the values that the engine needs, unparsed. `simd_json_tape_only`: the tape alone.
//! - `serde_json`: the same values into typed fields, texts unparsed.
//!
//! Decoding: text in, typed event out.
//! - `fast_path`, `reference`: our decoders, with all rules and the content hash; `…_admit`: with
//!   card data looked for as well, as the gateway decodes.
//!
//! `hostile` is what a sender costs who has a member that the schema does not know at the very end of each text, and
//! another order of members in each; the fast path can index none of those.
//!
//! `day` is the 65 events of `docs/samples/day`, every kind there is; only our decoders read them, since the rivals know sales.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use tillrace_benches::day;
use tillrace_benches::decoders::{Read, WAYS};
use tillrace_benches::sales::{SHAPES, Style, sale, sales};

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for shape in SHAPES {
        let (name, lines, style, about) = shape;
        let length = sale(7, lines, style).len();
        assert!(length.abs_diff(about) < about / 20, "{name} has {length} bytes");
        let events = sales(shape);
        let bytes: usize = events.iter().map(Vec::len).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        for (way, make) in WAYS {
            if (way, style) == ("fast_path_index", Style::Hostile) {
                continue;
            }
            read_all(&mut group, BenchmarkId::new(way, name), &events, make);
        }
    }
    let events = day::events("s0001");
    let bytes: usize = events.iter().map(Vec::len).sum();
    group.throughput(Throughput::Bytes(bytes as u64));
    let decoders = ["fast_path", "fast_path_admit", "reference", "reference_admit"];
    for (way, make) in WAYS.into_iter().filter(|(way, _)| decoders.contains(way)) {
        read_all(&mut group, BenchmarkId::new(way, "day"), &events, make);
    }
    group.finish();
}

fn read_all(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    events: &[Vec<u8>],
    make: fn() -> Read,
) {
    group.bench_with_input(id, events, |bench, events| {
        let mut read = make();
        bench.iter(|| {
            for event in events {
                black_box(read(event));
            }
        });
    });
}

criterion_group!(benches, decode);
criterion_main!(benches);
