//! A backlog of a day, drained in bounded memory: fills `pos.events`, then runs the aggregator until it has caught up.
//!
//!     cargo run --profile dist -p tillrace-benches --bin backlog -- local DIR [EVENTS]
//!     cargo run --profile dist -p tillrace-benches --bin backlog -- kafka BROKERS [EVENTS]
//!
//! The events are sales of two lines by 100 stores with 8 terminals each and 50 articles, their times spread evenly over
//! one day. The drain is a process of its own, so that its peak memory is the aggregator's. It fails if one event is
//! not on `pos.transactions` once, or the deltas do not add up to what was sold.

#![expect(clippy::expect_used, reason = "a measurement that cannot run should say why")]

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tillrace_benches::cpu::cpu_s;
use tillrace_benches::watched_log;
use tillrace_core::aggregate::AggregateSettings;
use tillrace_core::decode::Decoder;
use tillrace_core::envelope::{Admission, Envelope, Scope, TYPE_PREFIX};
use tillrace_core::text::Timestamp;
use tillrace_core::topics::{Topics, key, partition_of};
use tillrace_log::kafka::{Durability, KafkaLog, KafkaSettings};
use tillrace_log::local::{LocalLog, LocalSettings, LocalTuning};
use tillrace_log::{Log, Partition, ProducerRecord, Topic};

type Failure = Box<dyn Error + Send + Sync>;

const PARTITIONS: Partition = 8;
const STORES: u64 = 100;
const TERMINALS: u64 = 8;
const ARTICLES: u64 = 50;
const LINES: u64 = 2;
const DAY_MS: u64 = 86_400_000;
const CHUNK: u64 = 1_000;
const WAIT: Duration = Duration::from_mins(1);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: backlog (local DIR | kafka BROKERS) [EVENTS]";
    let [kind, place, rest @ ..] = arguments.as_slice() else { return Err(usage.into()) };
    let events = rest.first().map_or(Ok(10_000_000), |events| events.parse())?;
    if rest.get(1).is_some_and(|step| step == "drain") {
        return drain(kind, place, events);
    }
    let began = Instant::now();
    fill(open(kind, place)?.as_ref(), events)?;
    say(&format!("filled with {events} events in {:.0} s", began.elapsed().as_secs_f64()));
    let this = std::env::current_exe()?;
    let drained = Command::new(this).args([kind, place, &events.to_string(), "drain"]).status()?;
    if !drained.success() {
        return Err("the drain failed".into());
    }
    check(open(kind, place)?.as_ref(), events)
}

fn open(kind: &str, place: &str) -> Result<Arc<dyn Log>, Failure> {
    Ok(match kind {
        "local" => {
            let dir = Path::new(place).to_path_buf();
            let tuning = LocalTuning::default();
            LocalLog::open(LocalSettings { tuning, ..LocalSettings::new(dir, PARTITIONS) })?
        }
        "kafka" => KafkaLog::connect(KafkaSettings {
            // One broker is enough to measure memory on.
            replication: 1,
            durability: Durability::Development,
            ..KafkaSettings::new(place, PARTITIONS)
        })?,
        other => return Err(format!("{other} is neither local nor kafka").into()),
    })
}

/// Writes the journal as a gateway would have.
fn fill(log: &dyn Log, events: u64) -> Result<(), Failure> {
    let topics = Topics::new("");
    log.ensure_topics(&topics.specs(&[], 14))?;
    let producer = log.producer()?;
    let now_ms = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let first_ms = u64::try_from(now_ms)? - DAY_MS;
    let mut decoder = Decoder::new();
    let failed = Arc::new(Mutex::new(None));
    for chunk in (0..events).step_by(usize::try_from(CHUNK)?) {
        let numbers = chunk..(chunk + CHUNK).min(events);
        let row = |number| row(&topics, &mut decoder, number, first_ms + number * DAY_MS / events);
        let mut rows: Vec<ProducerRecord> = numbers.map(row).collect();
        rows.sort_by_key(|row| row.partition);
        let failed = Arc::clone(&failed);
        let mut done: tillrace_log::OnDurable = Box::new(move |outcomes| {
            if let Some(error) = outcomes.into_iter().find_map(Result::err) {
                *failed.lock() = Some(error);
            }
        });
        while let Err(full) = producer.send(rows, done) {
            (rows, done) = (full.rows, full.done);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    producer.flush(WAIT)?;
    failed.lock().take().map_or(Ok(()), |error| Err(error.into()))
}

fn row(topics: &Topics, decoder: &mut Decoder, number: u64, occurred_ms: u64) -> ProducerRecord {
    let (store, terminal) = (number % STORES, number / STORES % TERMINALS);
    let (sequence, time) = (number / (STORES * TERMINALS) + 1, occurred(occurred_ms));
    let date = &time[..10];
    let line = |line: u64| {
        let sku = (number * 7 + line * 31) % ARTICLES;
        format!(
            r#"{{"line":{line},"type":"sale","sku":"{sku:08}","quantity":"1","unit_price":"2.49","amount":"2.49"}}"#
        )
    };
    let lines: Vec<String> = (1..=LINES).map(line).collect();
    let event = format!(
        r#"{{"store":"{store:04}","terminal":"{terminal}","sequence":{sequence},"event_id":"e-{number}","kind":"sale","occurred_at":"{time}","business_date":"{date}","currency":"EUR","lines":[{}],"tenders":[{{"type":"cash","amount":"4.98"}}]}}"#,
        lines.join(",")
    );
    let hash = decoder.decode(event.as_bytes()).expect("a sound event").hash;
    let store = format!("{store:04}");
    let mut value = Vec::new();
    let envelope = Envelope {
        id: sequence.to_string().into(),
        source: format!("/demo/{store}/{terminal}").into(),
        event_type: format!("{TYPE_PREFIX}sale").into(),
        time: Some(time.as_str().into()),
        tenant: "demo".into(),
        store: store.as_str().into(),
        terminal: Some(terminal.to_string().into()),
        sequence: Some(sequence),
        event_id: Some(format!("e-{number}").into()),
        business_date: Some(date.into()),
        received_time: time.as_str().into(),
        content_hash: Some(hash),
        scope: Scope::Terminal,
        policy_revision: "1".into(),
        admission: Admission::Flood,
        gateway: "backlog".into(),
        data: event.as_bytes(),
        ..Envelope::default()
    };
    envelope.write(&mut value);
    ProducerRecord {
        topic: topics.events.clone(),
        partition: partition_of("demo", &store, PARTITIONS),
        key: key(&["demo", &store]).into(),
        value: Some(value.into()),
    }
}

fn occurred(ms: u64) -> String {
    Timestamp::from_millis(i64::try_from(ms).unwrap_or(i64::MAX)).to_string()
}

/// Runs the aggregator until everything is folded and committed, and says what that took.
fn drain(kind: &str, place: &str, events: u64) -> Result<(), Failure> {
    let topics = Topics::new("");
    let settings = AggregateSettings::default();
    let settings = match kind {
        "local" => settings.within(LocalTuning::default().frame_limits())?,
        _ => settings,
    };
    let (began, cpu) = (Instant::now(), cpu_s(std::process::id())?);
    let seen = watched_log::drain(open(kind, place)?, &topics, &settings, None)?;
    let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_s(std::process::id())? - cpu);
    let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "fewer events than 2^53")]
    let cpu_us = cpu * 1e6 / events as f64;
    say(
        "| log | events | drained in, s | CPU, µs an event | peak memory, MiB | transactions | largest: records | MiB | ms |",
    );
    say("|---|---|---|---|---|---|---|---|---|");
    say(&format!(
        "| {kind} | {events} | {took:.0} | {cpu_us:.1} | {} | {} | {} | {} | {} |",
        peak_kib()? >> 10,
        get(&seen.commits),
        get(&seen.most_rows),
        get(&seen.most_bytes) >> 20,
        get(&seen.longest_ms)
    ));
    Ok(())
}

/// Reads back what was made: each event once, and as much sold as was sold.
fn check(log: &dyn Log, events: u64) -> Result<(), Failure> {
    let topics = Topics::new("");
    let (mut firsts, mut sold) = (0_u64, 0_u64);
    for partition in 0..PARTITIONS {
        read(log, &topics.transactions, partition, |_value| firsts += 1)?;
        read(log, &topics.deltas, partition, |value| {
            let delta: serde_json::Value = serde_json::from_slice(value).expect("a delta is JSON");
            let text = delta["sold"].as_str().expect("a delta says how much was sold");
            sold += text.parse::<u64>().expect("whole pieces");
        })?;
    }
    say(&format!("{firsts} transactions, {sold} pieces sold"));
    if (firsts, sold) == (events, events * LINES) { Ok(()) } else { Err("not conserved".into()) }
}

fn read(
    log: &dyn Log,
    topic: &Topic,
    partition: Partition,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Failure> {
    let bounds = log.bounds(topic, partition)?;
    let mut reader = log.reader(topic, partition, bounds.start)?;
    while reader.position() < bounds.stable_end {
        for entry in reader.read(1_000, WAIT)? {
            each(entry.value.as_deref().unwrap_or_default());
        }
    }
    Ok(())
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output takes a line");
}

/// Most memory this process ever held (proc(5), `status`, `VmHWM`).
fn peak_kib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no VmHWM")?;
    Ok(kib.parse()?)
}
