//! What compressing the Local log's frames costs and saves: codecs on the blocks of a fleet's log, and the log itself with
//! and without. ADR 22 decides by it; the rival that is not linked into the product is LZ4.
//!
//! Sales of seven lines reach the journal in groups of seven, as 1,500 a second do where a sync takes some five
//! milliseconds; the aggregator flushes what five seconds of them make. The folder is the system's temporary one: set
//! `TMPDIR` to a disk worth measuring.
#![expect(clippy::expect_used, reason = "a bench that cannot run should say why")]
#![expect(clippy::cast_precision_loss, reason = "fewer bytes than 2^53")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tillrace_benches::cpu::cpu_s;
use tillrace_benches::fleet::Fleet;
use tillrace_benches::watched_log;
use tillrace_core::aggregate::AggregateSettings;
use tillrace_core::topics::{Topics, partition_of_key};
use tillrace_log::local::{Compression, LocalLog, LocalSettings, LocalTuning};
use tillrace_log::{Log, LogView, ProducerRecord, Topic, WritableLog};

const EVENTS: u64 = 30_000;
const GROUP: u8 = 7;
const PARTITIONS: u32 = 8;
/// Bodies of a block at most, as in the log.
const BLOCK_BYTES: usize = 128 << 10;
const FLEET: Fleet =
    Fleet { stores: 50, terminals: 8, skus: 2_000, lines: 7, events_per_minute: 90_000 };

fn main() {
    let none = measure_log(Compression::None);
    let zstd = measure_log(Compression::Zstd);
    say(
        "| codec on the log's blocks | journal, bytes an event | outputs, bytes an event | all, of none | compress, CPU µs an event | decompress |",
    );
    say("|---|---:|---:|---:|---:|---:|");
    for codec in
        [Codec::None, Codec::Lz4, Codec::Zstd(-5), Codec::Zstd(-1), Codec::Zstd(1), Codec::Zstd(3)]
    {
        measure_codec(codec, &none.journal, &none.outputs);
    }
    say(
        "\n| log, compression | bytes an event | of none | writing, CPU µs an event | flushing | opening after a crash, ms |",
    );
    say("|---|---:|---:|---:|---:|---:|");
    for (name, log) in [("none", &none), ("zstd", &zstd)] {
        say(&format!(
            "| {name} | {:.0} | {:.3} | {:.1} | {:.1} | {:.0} |",
            log.bytes as f64 / EVENTS as f64,
            log.bytes as f64 / none.bytes as f64,
            log.write_us,
            log.flush_us,
            log.open_ms
        ));
    }
}

/// What one log took, and what stands on it.
struct Measured {
    bytes: u64,
    write_us: f64,
    flush_us: f64,
    open_ms: f64,
    journal: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
}

fn open(dir: &Path, compression: Compression) -> Arc<LocalLog> {
    let mut settings = LocalSettings::new(dir, PARTITIONS);
    settings.tuning.compression = compression;
    // One segment takes all of it, so that opening scans all of it.
    settings.tuning.segment_bytes = bytesize::ByteSize::mib(512);
    settings.tuning.reserve_bytes = bytesize::ByteSize::mib(1_088);
    settings.tuning.seal_after = Duration::from_hours(1);
    LocalLog::open(settings).expect("the log opens")
}

fn measure_log(compression: Compression) -> Measured {
    let (dir, topics) = (tempfile::tempdir().expect("a folder"), Topics::new(""));
    let log = open(dir.path(), compression);
    log.ensure_topics(&topics.specs(&[], 14)).expect("topics");
    let rows: Vec<Vec<ProducerRecord>> = groups(&topics);
    let write_us = cpu_us(|| write(&log, rows));
    let settings = AggregateSettings { flush_records: 50_000, ..AggregateSettings::default() };
    let settings =
        settings.within(LocalTuning::default().frame_limits()).expect("the defaults fit");
    let inner: Arc<dyn Log> = Arc::clone(&log) as Arc<dyn Log>;
    let flush_us = cpu_us(|| {
        watched_log::drain(inner, &topics, &settings, None).expect("the aggregator works");
    });
    let journal = blocks(&log, std::slice::from_ref(&topics.events), usize::from(GROUP));
    let made = [&topics.transactions, &topics.deltas, &topics.state, &topics.days, &topics.ledger];
    let outputs = blocks(&log, &made.map(Clone::clone), usize::MAX);
    // As after a power cut: the tail is not sealed.
    let crashed = tempfile::tempdir().expect("a folder");
    let mut bytes = 0;
    for entry in fs::read_dir(dir.path()).expect("the log's folder") {
        let entry = entry.expect("a file");
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            bytes += entry.metadata().expect("its length").len();
            fs::copy(entry.path(), crashed.path().join(entry.file_name())).expect("a copy");
        }
    }
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        drop(open(crashed.path(), compression));
        times.push(began.elapsed().as_secs_f64() * 1e3);
        // An orderly end sealed it.
        for entry in fs::read_dir(dir.path()).expect("the log's folder").flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                for old in fs::read_dir(crashed.path()).expect("the copy").flatten() {
                    fs::remove_file(old.path()).expect("removed");
                }
                fs::copy(entry.path(), crashed.path().join(entry.file_name())).expect("a copy");
            }
        }
    }
    times.sort_by(f64::total_cmp);
    Measured { bytes, write_us, flush_us, open_ms: times[1], journal, outputs }
}

/// The journal's rows, as many as are committed together.
fn groups(topics: &Topics) -> Vec<Vec<ProducerRecord>> {
    let row = |number| {
        let entry = FLEET.entry(topics, number);
        let store = String::from_utf8(entry.key.to_vec()).expect("keys are text");
        let partition = partition_of_key(&store, PARTITIONS);
        ProducerRecord {
            topic: topics.events.clone(),
            partition,
            key: entry.key,
            value: entry.value,
        }
    };
    (0..EVENTS)
        .step_by(usize::from(GROUP))
        .map(|from| (from..(from + u64::from(GROUP)).min(EVENTS)).map(row).collect())
        .collect()
}

fn write(log: &Arc<LocalLog>, groups: Vec<Vec<ProducerRecord>>) {
    let producer = log.producer().expect("a producer");
    let (durable, heard) = mpsc::sync_channel(1);
    for rows in groups {
        let durable = durable.clone();
        let done = move |outcomes: Vec<_>| durable.send(outcomes).expect("heard");
        producer.send(rows, Box::new(done)).expect("there is room");
        assert!(heard.recv().expect("an answer").iter().all(Result::is_ok));
    }
}

/// Reads topics back and packs them as the log does: so many records at most, and so many bytes.
fn blocks(log: &Arc<LocalLog>, topics: &[Topic], most: usize) -> Vec<Vec<u8>> {
    let (mut blocks, mut block, mut records) = (Vec::new(), Vec::new(), 0);
    let mut all = Vec::new();
    for topic in topics {
        for partition in 0..PARTITIONS {
            let end = log.bounds(topic, partition).expect("bounds").stable_end;
            let mut reader = log.reader(topic, partition, 0).expect("a reader");
            while reader.position() < end {
                all.extend(reader.read(10_000, Duration::ZERO).expect("records"));
            }
        }
    }
    if most != usize::MAX {
        all.sort_by_key(|entry| entry.appended_ms);
    }
    for entry in all {
        let value = entry.value.unwrap_or_default();
        if records == most || block.len() + entry.key.len() + value.len() > BLOCK_BYTES {
            blocks.push(std::mem::take(&mut block));
            records = 0;
        }
        block.extend_from_slice(&entry.key);
        block.extend_from_slice(&value);
        records += 1;
    }
    blocks.push(block);
    blocks
}

#[derive(Debug, Clone, Copy)]
enum Codec {
    None,
    Lz4,
    Zstd(i32),
}

fn measure_codec(codec: Codec, journal: &[Vec<u8>], outputs: &[Vec<u8>]) {
    let mut zstd =
        zstd::bulk::Compressor::new(if let Codec::Zstd(level) = codec { level } else { 1 })
            .expect("a context");
    let mut back = zstd::bulk::Decompressor::new().expect("a context");
    let mut pack = |block: &[u8]| match codec {
        Codec::None => block.to_vec(),
        Codec::Lz4 => lz4_flex::block::compress(block),
        Codec::Zstd(_) => zstd.compress(block).expect("compressed"),
    };
    let packed = |blocks: &[Vec<u8>], pack: &mut dyn FnMut(&[u8]) -> Vec<u8>| {
        blocks.iter().map(|block| (pack(block), block.len())).collect::<Vec<_>>()
    };
    let (mut small, mut large) = (Vec::new(), Vec::new());
    let compress_us = cpu_us(|| {
        for _ in 0..3 {
            (small, large) = (packed(journal, &mut pack), packed(outputs, &mut pack));
        }
    }) / 3.0;
    let decompress_us = cpu_us(|| {
        for (block, length) in
            small.iter().chain(&large).cycle().take(3 * (small.len() + large.len()))
        {
            let length = match codec {
                Codec::None => block.clone().len(),
                Codec::Lz4 => lz4_flex::block::decompress(block, *length).expect("whole").len(),
                Codec::Zstd(_) => back.decompress(block, *length).expect("whole").len(),
            };
            assert!(length > 0);
        }
    }) / 3.0;
    let bytes = |packed: &[(Vec<u8>, usize)]| {
        packed.iter().map(|(block, _)| block.len()).sum::<usize>() as f64
    };
    let raw: usize = journal.iter().chain(outputs).map(Vec::len).sum();
    let (small, large) = (bytes(&small), bytes(&large));
    say(&format!(
        "| {codec:?} | {:.0} | {:.0} | {:.3} | {compress_us:.1} | {decompress_us:.1} |",
        small / EVENTS as f64,
        large / EVENTS as f64,
        (small + large) / raw as f64
    ));
}

/// CPU time of this process for some work, a share of it for each event.
fn cpu_us(work: impl FnOnce()) -> f64 {
    let before = cpu_s(std::process::id()).expect("a process");
    work();
    (cpu_s(std::process::id()).expect("a process") - before) * 1e6 / EVENTS as f64
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("somebody listens");
}
