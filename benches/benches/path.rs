//! The whole path of an event through the engine, from a body's bytes to the rows of a flush.
//!
//! `whole` is what both roles do together, without the network and the log between them: split a
//! body of NDJSON, decode and admit, check, intern, take from buckets, write the envelope; read it,
//! decode again, give the verdict, fold into days and windows, and make the rows of each flush,
//! `pos.transactions` and state included. `aggregate` is the second half alone, `admit` and `decode`
//! are the decoder's shares of the two halves, and `simd_json_tape_only` is what simd-json takes to
//! build its tape of the same bytes and do nothing with it.

#![expect(clippy::expect_used, reason = "a bench that cannot run should say why")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use simd_json::{Buffers, Tape};
use tillrace_benches::fleet::Fleet;
use tillrace_benches::null_log::{Feed, drain};
use tillrace_core::aggregate::AggregateSettings;
use tillrace_core::card::CardRules;
use tillrace_core::check::{CheckRules, check};
use tillrace_core::decode::Decoder;
use tillrace_core::envelope::{Admission, Envelope, Scope};
use tillrace_core::event::Event;
use tillrace_core::intern::Interner;
use tillrace_core::token_bucket::{RateLimit, TokenBuckets};
use tillrace_core::topics::{Topics, key};
use tillrace_ingest::split::{Format, Piece, Splitter};
use tillrace_log::ConsumerRecord;

const EVENTS: u64 = 20_000;
const READ_BYTES: usize = 64 * 1_024;
const MAX_EVENT_BYTES: usize = 256 * 1_024;
const CHUNK_EVENTS: usize = 512;
const POLLED: usize = 1_000;
const RECEIVED_MS: i64 = 1_795_849_200_000;
const RATE: NonZeroU64 = NonZeroU64::new(1_000_000_000_000).expect("not zero");

/// The gateway's part: bodies in, journal records out.
struct Gateway {
    body: Arc<Vec<u8>>,
    read: usize,
    splitter: Splitter,
    decoder: Decoder,
    cards: CardRules,
    rules: CheckRules,
    stores: Interner,
    terminals: Interner,
    keys: Vec<Bytes>,
    events: TokenBuckets,
    bytes: TokenBuckets,
    topics: Topics,
    offset: u64,
    words: Words,
}

/// Texts of one envelope, each overwritten by the next event.
#[derive(Default)]
struct Words {
    id: String,
    source: String,
    event_type: String,
    time: String,
    date: String,
}

impl Gateway {
    fn new(body: &Arc<Vec<u8>>, topics: &Topics) -> Self {
        let limit = RateLimit { per_second: RATE, burst: RATE };
        Self {
            body: Arc::clone(body),
            read: 0,
            splitter: Splitter::new(Format::Lines, MAX_EVENT_BYTES, CHUNK_EVENTS),
            decoder: Decoder::new(),
            cards: CardRules::default(),
            rules: CheckRules::default(),
            stores: Interner::new(1 << 20),
            terminals: Interner::new(1 << 20),
            keys: Vec::new(),
            events: TokenBuckets::new(limit, 1),
            bytes: TokenBuckets::new(limit, 1 << 10),
            topics: topics.clone(),
            offset: 0,
            words: Words::default(),
        }
    }

    /// Takes one event through the policies and writes its envelope; returns its store.
    fn judge(&mut self, text: &[u8], now_ns: u64, out: &mut Vec<u8>) -> u32 {
        let event = self.decoder.admit(text, &self.cards).expect("a good event");
        let flags = check(&event, &self.rules).expect("no rule refuses");
        assert!(flags.is_empty(), "totals agree");
        let store = self.stores.id(0, event.store).expect("room");
        black_box(self.terminals.id(store, event.terminal).expect("room"));
        self.events.take(0, 1, now_ns).expect("tokens");
        self.bytes.take(store, text.len() as u64, now_ns).expect("tokens");
        if store as usize == self.keys.len() {
            self.keys.push(key(&["demo", event.store]).into());
        }
        self.words.describe(&event);
        self.words.envelope(&event, text).write(out);
        let buffers = event.into_buffers();
        self.decoder.reuse(buffers);
        store
    }
}

impl Words {
    fn describe(&mut self, event: &Event<'_>) {
        let Self { id, source, event_type, time, date } = self;
        for text in [&mut *id, source, event_type, time, date] {
            text.clear();
        }
        write!(id, "{}", event.sequence.unwrap_or_default()).expect("a string takes all");
        for part in ["/demo/", event.store, "/", event.terminal] {
            source.push_str(part);
        }
        event_type.push_str("tillrace.pos.");
        event_type.push_str(event.kind.as_str());
        write!(time, "{}", event.occurred_at).expect("a string takes all");
        write!(date, "{}", event.business_date).expect("a string takes all");
    }

    fn envelope<'a>(&'a self, event: &Event<'a>, data: &'a [u8]) -> Envelope<'a> {
        Envelope {
            id: self.id.as_str().into(),
            source: self.source.as_str().into(),
            event_type: self.event_type.as_str().into(),
            time: Some(self.time.as_str().into()),
            tenant: "demo".into(),
            store: event.store.into(),
            terminal: Some(event.terminal.into()),
            sequence: event.sequence,
            event_id: Some(event.event_id.into()),
            business_date: Some(self.date.as_str().into()),
            received_time: "2026-11-28T07:00:00.002Z".into(),
            content_hash: Some(event.hash),
            scope: Scope::Terminal,
            policy_revision: "1".into(),
            admission: Admission::Live,
            gateway: "gw-1".into(),
            data,
            ..Envelope::default()
        }
    }
}

impl Iterator for Gateway {
    type Item = Vec<ConsumerRecord>;

    /// One read of the body, as it comes off a socket.
    fn next(&mut self) -> Option<Vec<ConsumerRecord>> {
        let to = (self.read + READ_BYTES).min(self.body.len());
        if self.read == to {
            return None;
        }
        self.splitter.buffer().extend_from_slice(&self.body[self.read..to]);
        self.read = to;
        let mut places = Vec::with_capacity(CHUNK_EVENTS);
        let mut out = Vec::with_capacity(2 * READ_BYTES);
        let mut splitter = std::mem::replace(
            &mut self.splitter,
            Splitter::new(Format::Lines, MAX_EVENT_BYTES, CHUNK_EVENTS),
        );
        loop {
            let done = splitter.scan(false).expect("lines are never malformed");
            for piece in splitter.pieces() {
                let Piece::Event(place) = piece else { continue };
                let from = out.len();
                let now_ns = self.offset * 1_000;
                let store = self.judge(&splitter.text()[place.clone()], now_ns, &mut out);
                places.push((store, from..out.len()));
                self.offset += 1;
            }
            splitter.advance();
            if done {
                break;
            }
        }
        self.splitter = splitter;
        let (out, first) = (Bytes::from(out), self.offset - places.len() as u64);
        let entries =
            places.into_iter().zip(first..).map(|((store, place), offset)| ConsumerRecord {
                topic: self.topics.events.clone(),
                partition: 0,
                offset,
                appended_ms: RECEIVED_MS,
                key: self.keys[store as usize].clone(),
                value: Some(out.slice(place)),
            });
        Some(entries.collect())
    }
}

fn aggregated(feed: Feed, topics: &Topics) {
    let written = drain(feed, topics, &AggregateSettings::default()).expect("no faults");
    assert!(written.rows > EVENTS, "every event goes out, and what follows from it");
}

fn path(criterion: &mut Criterion) {
    let topics = Topics::new("");
    let mut group = criterion.benchmark_group("path");
    group.sample_size(10);
    for (shape, bytes) in [("s", 515_usize), ("m", 912), ("l", 1_429)] {
        let fleet = Fleet::of_shape(shape);
        let lines: Vec<String> = (0..EVENTS).map(|number| fleet.event(number) + "\n").collect();
        let body = Arc::new(lines.concat().into_bytes());
        let length = body.len() / lines.len();
        assert!(length.abs_diff(bytes) < bytes / 20, "{shape} has {length} bytes");
        group.throughput(Throughput::Elements(EVENTS));
        group.bench_function(BenchmarkId::new("whole", shape), |bencher| {
            let feed = || -> Feed { Box::new(Gateway::new(&body, &topics)) };
            bencher.iter_batched(feed, |feed| aggregated(feed, &topics), BatchSize::PerIteration);
        });
        let journal: Vec<ConsumerRecord> = Gateway::new(&body, &topics).flatten().collect();
        group.bench_function(BenchmarkId::new("aggregate", shape), |bencher| {
            let feed = || -> Feed {
                let polls: Vec<_> =
                    journal.chunks(POLLED).map(<[ConsumerRecord]>::to_vec).collect();
                Box::new(polls.into_iter())
            };
            bencher.iter_batched(feed, |feed| aggregated(feed, &topics), BatchSize::PerIteration);
        });
        decoders(&mut group, shape, &lines);
    }
    group.finish();
}

/// The shares of the two decodes, and the tape alone.
fn decoders(group: &mut BenchmarkGroup<'_, WallTime>, shape: &str, lines: &[String]) {
    group.bench_function(BenchmarkId::new("admit", shape), |bencher| {
        let (mut decoder, cards) = (Decoder::new(), CardRules::default());
        bencher.iter(|| {
            for line in lines {
                let event = decoder.admit(line.trim_end().as_bytes(), &cards).expect("good");
                let buffers = black_box(event).into_buffers();
                decoder.reuse(buffers);
            }
        });
    });
    group.bench_function(BenchmarkId::new("decode", shape), |bencher| {
        let mut decoder = Decoder::new();
        bencher.iter(|| {
            for line in lines {
                let event = decoder.decode(line.trim_end().as_bytes()).expect("good");
                let buffers = black_box(event).into_buffers();
                decoder.reuse(buffers);
            }
        });
    });
    group.bench_function(BenchmarkId::new("simd_json_tape_only", shape), |bencher| {
        let (mut buffers, mut text, mut kept) = (Buffers::new(4_096), Vec::new(), Tape(Vec::new()));
        bencher.iter(|| {
            for line in lines {
                text.clear();
                text.extend_from_slice(line.trim_end().as_bytes());
                let mut tape = std::mem::replace(&mut kept, Tape(Vec::new())).reset();
                simd_json::fill_tape(&mut text, &mut buffers, &mut tape).expect("JSON");
                black_box(tape.0.len());
                kept = tape.reset();
            }
        });
    });
}

criterion_group!(benches, path);
criterion_main!(benches);
