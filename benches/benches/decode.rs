//! Decoding one event, beside what simd-json takes for its tape and `serde_json` for typed fields.
//!
//! Shapes s, m and l are sales of 2, 5 and 10 lines, about 515, 912 and 1,429 bytes of compact JSON.
//! `shuffled` has the members of m in changing order, `escapes` text beyond ASCII and escapes.
//!
//! - `speculative`, `reference`: our decoders whole, with all rules and the content hash; `…_admit`: with
//!   card data looked for as well, as the gateway decodes.
//! - `simd_json_tape`: the tape, of a private copy, and a walk over it that compares every name and looks at
//!   the values that the engine needs, unparsed. `simd_json_tape_only`: the tape alone.
//! - `serde_json`: the same values into typed fields.
//!
//! `hostile` is what a sender costs who has an escape at the very end of each text and another order
//! of members in each: the speculative decoder beside the reference.

#![expect(clippy::expect_used, reason = "a bench that cannot run should say why")]
#![expect(clippy::struct_field_names, reason = "the names are those of the schema")]

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use simd_json::{Buffers, Node, StaticNode, Tape};
use tillrace_core::card::CardRules;
use tillrace_core::decode::Decoder;

/// Events a shape has, so that no predictor learns one by heart.
const EVENTS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Style {
    Fleet,
    Shuffled,
    Escapes,
}

fn event(number: usize, lines: usize, style: Style) -> Vec<u8> {
    let mut members = vec![
        format!(r#""store":"{:04}""#, number % 40),
        format!(r#""terminal":"{:02}""#, number % 9),
        format!(r#""sequence":{}"#, 100_000 + number),
        format!(r#""event_id":"{:04}.{:02}.{}""#, number % 40, number % 9, 100_000 + number),
        r#""kind":"sale""#.to_owned(),
        format!(r#""occurred_at":"2026-11-27T08:{:02}:{:02}.250+01:00""#, number % 60, number % 59),
        r#""business_date":"2026-11-27""#.to_owned(),
        r#""currency":"EUR""#.to_owned(),
        format!(r#""operator_id":"op-{:03}""#, number % 200),
    ];
    let mut list = String::new();
    for line in 1..=lines {
        let cents = 99 + (number * 37 + line * 113) % 2_000;
        let sku = match style {
            Style::Escapes => format!("caf\u{e9} \\u0041\\/{}", 1_000 + number % 9 * 13 + line),
            Style::Fleet | Style::Shuffled => format!("{}", 1_000_000 + number * 7_919 + line * 13),
        };
        let price = format!("{}.{:02}", cents / 100, cents % 100);
        let mut fields = vec![
            format!(r#""line":{line}"#),
            r#""type":"sale""#.to_owned(),
            format!(r#""sku":"{sku}""#),
            format!(r#""quantity":"{}""#, 1 + line % 3),
            format!(r#""unit_price":"{price}""#),
            format!(r#""amount":"{price}""#),
        ];
        if line > 1 {
            fields.insert(3, format!(r#""gtin":"{}""#, gtin(number * 7_919 + line * 13)));
        }
        if style == Style::Shuffled {
            fields.rotate_left((number + line) % 6);
        }
        let comma = if line > 1 { "," } else { "" };
        write!(list, "{comma}{{{}}}", fields.join(",")).expect("a string takes all");
    }
    members.push(format!(r#""lines":[{list}]"#));
    members.push(r#""tenders":[{"type":"card","amount":"24.50","last_four":"1881"}]"#.to_owned());
    members.push(format!(r#""totals":{{"total":"24.50","line_count":{lines}}}"#));
    if style == Style::Shuffled {
        let places = members.len();
        members.rotate_left(number % places);
    }
    format!("{{{}}}", members.join(",")).into_bytes()
}

/// A GTIN-13 with its check digit.
fn gtin(number: usize) -> String {
    let body = format!("400{number:09}");
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(digit - b'0') * if place % 2 == 0 { 3 } else { 1 })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read by serde_json, which is what is measured")]
struct Event<'a> {
    #[serde(borrow)]
    store: Cow<'a, str>,
    #[serde(borrow)]
    terminal: Cow<'a, str>,
    sequence: Option<u64>,
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    occurred_at: Cow<'a, str>,
    #[serde(borrow)]
    business_date: Cow<'a, str>,
    #[serde(borrow)]
    currency: Option<Cow<'a, str>>,
    #[serde(borrow)]
    lines: Vec<Line<'a>>,
    #[serde(borrow)]
    tenders: Vec<Tender<'a>>,
    #[serde(borrow)]
    totals: Option<Totals<'a>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read by serde_json, which is what is measured")]
struct Line<'a> {
    line: u32,
    #[serde(rename = "type", borrow)]
    line_type: Cow<'a, str>,
    #[serde(borrow)]
    sku: Cow<'a, str>,
    #[serde(borrow)]
    gtin: Option<Cow<'a, str>>,
    #[serde(borrow)]
    quantity: Cow<'a, str>,
    #[serde(borrow)]
    unit_price: Option<Cow<'a, str>>,
    #[serde(borrow)]
    amount: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read by serde_json, which is what is measured")]
struct Tender<'a> {
    #[serde(rename = "type", borrow)]
    tender_type: Cow<'a, str>,
    #[serde(borrow)]
    amount: Cow<'a, str>,
    #[serde(borrow)]
    last_four: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read by serde_json, which is what is measured")]
struct Totals<'a> {
    #[serde(borrow)]
    total: Option<Cow<'a, str>>,
    line_count: Option<u32>,
}

/// Our decoders by name.
type Named<F> = (&'static str, F);
type Walk = fn(&[Node<'_>]) -> u64;

const DECODERS: [Named<fn() -> Decoder>; 2] =
    [("speculative", Decoder::new), ("reference", Decoder::reference)];

/// What is done with simd-json's tape, by name.
const TAPES: [Named<Walk>; 2] = [("simd_json_tape", walk), ("simd_json_tape_only", count)];

/// Looks at each value that the engine needs.
fn walk(nodes: &[Node<'_>]) -> u64 {
    let mut seen = 0;
    for pair in nodes.windows(2) {
        let [Node::String(name), value] = pair else { continue };
        seen += match (*name, value) {
            (
                "store" | "terminal" | "event_id" | "kind" | "occurred_at" | "business_date"
                | "currency" | "type" | "sku" | "gtin" | "quantity" | "unit_price" | "amount"
                | "total" | "last_four",
                Node::String(text),
            ) => text.len() as u64,
            ("sequence" | "line" | "line_count", Node::Static(StaticNode::U64(value))) => *value,
            _ => 0,
        };
    }
    seen
}

/// Looks at nothing.
fn count(nodes: &[Node<'_>]) -> u64 {
    nodes.len() as u64
}

/// Shuffled events, each with an escape in its last member.
fn hostile() -> Vec<Vec<u8>> {
    let events = (0..EVENTS).map(|number| {
        let mut text = event(number, 5, Style::Shuffled);
        text.pop();
        text.extend_from_slice(br#","loyalty_id":"\u0041"}"#);
        text
    });
    events.collect()
}

#[expect(clippy::too_many_lines, reason = "the rivals stand side by side")]
fn decode(criterion: &mut Criterion) {
    let shapes = [
        ("s", 2, Style::Fleet),
        ("m", 5, Style::Fleet),
        ("l", 10, Style::Fleet),
        ("shuffled", 5, Style::Shuffled),
        ("escapes", 5, Style::Escapes),
    ];
    for ((shape, lines, style), bytes) in shapes.into_iter().zip([515, 912, 1_429]) {
        let length = event(7, lines, style).len();
        assert!(length.abs_diff(bytes) < bytes / 20, "{shape} has {length} bytes");
    }
    let mut group = criterion.benchmark_group("decode");
    for (shape, lines, style) in shapes {
        let events: Vec<_> = (0..EVENTS).map(|number| event(number, lines, style)).collect();
        let bytes: usize = events.iter().map(Vec::len).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        for (who, make) in DECODERS {
            group.bench_with_input(BenchmarkId::new(who, shape), &events, |bench, events| {
                let mut decoder = make();
                bench.iter(|| {
                    for text in events {
                        let event = decoder.decode(text).expect("a good event");
                        black_box(event.hash);
                        let spare = event.into_spare();
                        decoder.reuse(spare);
                    }
                });
            });
            let who = format!("{who}_admit");
            group.bench_with_input(BenchmarkId::new(who, shape), &events, |bench, events| {
                let (mut decoder, cards) = (make(), CardRules::default());
                bench.iter(|| {
                    for text in events {
                        let event = decoder.admit(text, &cards).expect("a good event");
                        black_box(event.hash);
                        let spare = event.into_spare();
                        decoder.reuse(spare);
                    }
                });
            });
        }
        for (who, look) in TAPES {
            group.bench_with_input(BenchmarkId::new(who, shape), &events, |bench, events| {
                let (mut buffers, mut text, mut kept) =
                    (Buffers::new(4_096), Vec::new(), Tape(Vec::new()));
                bench.iter(|| {
                    for event in events {
                        text.clear();
                        text.extend_from_slice(event);
                        let mut tape = std::mem::replace(&mut kept, Tape(Vec::new())).reset();
                        simd_json::fill_tape(&mut text, &mut buffers, &mut tape).expect("JSON");
                        black_box(look(&tape.0));
                        kept = tape.reset();
                    }
                });
            });
        }
        group.bench_with_input(BenchmarkId::new("serde_json", shape), &events, |bench, events| {
            bench.iter(|| {
                for text in events {
                    black_box(serde_json::from_slice::<Event<'_>>(text).expect("a good event"));
                }
            });
        });
    }
    let events = hostile();
    for (who, make) in DECODERS {
        group.bench_with_input(BenchmarkId::new(who, "hostile"), &events, |bench, events| {
            let mut decoder = make();
            bench.iter(|| {
                for text in events {
                    let event = decoder.decode(text).expect("a good event");
                    black_box(event.hash);
                    let spare = event.into_spare();
                    decoder.reuse(spare);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
