//! What publishing to Kafka costs: Tillrace's producer, or rdkafka's `send` a row, as fast as either goes.
//!
//! Every event is one line of a file, keyed and partitioned by its store as the gateway does it. The first fifth only warms up.
//! Prints one JSON object; CPU time is that of this process, all its threads.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};
use serde_json::json;
use tillrace_benches::cpu::cpu_s;
use tillrace_log::kafka::{Compression, Durability, KafkaLog, KafkaSettings};
use tillrace_log::setting::Secret;
use tillrace_log::{Cleanup, Full, Log, LogError, Offset, ProducerRecord, Topic, TopicSpec};

const PATIENCE: Duration = Duration::from_mins(1);
/// How long a sender waits when there is no room.
const PAUSE: Duration = Duration::from_millis(1);
const LINGER: Duration = Duration::from_millis(5);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Publishes events, and prints what that cost as one JSON object.
#[derive(Debug, Parser)]
struct Arguments {
    /// Bootstrap servers
    #[arg(long)]
    brokers: String,
    /// Topic to write to; made if it does not exist
    #[arg(long)]
    topic: String,
    /// Partitions of the topic
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// Lines to send, over and over
    #[arg(long)]
    feed: PathBuf,
    /// Events to send
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Who sends
    #[arg(long)]
    way: Way,
    /// none, lz4 or zstd
    #[arg(long, default_value = "lz4")]
    codec: String,
    /// The codec's level
    #[arg(long)]
    level: Option<i32>,
    /// Events handed over in one call
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Events that may be on their way at once; Tillrace's default, or rdkafka's
    #[arg(long)]
    queue: Option<usize>,
    /// What is done with the acknowledgements
    #[arg(long, default_value = "count")]
    answers: Answers,
    /// Further librdkafka properties
    #[arg(long = "set", value_parser = property)]
    properties: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Tillrace's producer
    Tillrace,
    /// rdkafka's `send`, one call a row, reports counted
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answers {
    /// Nobody listens
    Drop,
    /// They are counted
    Count,
    /// 64 senders each wait for the answer to one call before the next
    Wait,
}

fn property(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    let outcome = measure(&Arguments::parse()).map_err(io::Error::other);
    match outcome.and_then(|report| writeln!(io::stdout(), "{report}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "publish: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<serde_json::Value, Failure> {
    let feed = Feed::read(arguments)?;
    let log = KafkaLog::connect(settings(arguments)?)?;
    let cleanup = Cleanup::Delete { retention_ms: 86_400_000 };
    log.ensure_topics(&[TopicSpec { topic: feed.topic.clone(), cleanup }])?;
    let sender: Box<dyn Sender> = match arguments.way {
        Way::Tillrace => Box::new(Rows::open(&*log, arguments)?),
        Way::Plain => Box::new(Records::open(arguments)?),
    };
    let warm_up = arguments.events / 5;
    sender.send(&feed, 0..warm_up)?;
    let (before, begun) = (cpu_s(std::process::id())?, Instant::now());
    sender.send(&feed, warm_up..arguments.events)?;
    let (seconds, cpu_s) = (begun.elapsed().as_secs_f64(), cpu_s(std::process::id())? - before);
    let events = arguments.events - warm_up;
    Ok(
        json!({ "events": events, "seconds": seconds, "cpu_s": cpu_s, "events_per_s": f64::from(u32::try_from(events)?) / seconds }),
    )
}

fn settings(arguments: &Arguments) -> Result<KafkaSettings, Failure> {
    let compression = match arguments.codec.as_str() {
        "none" => Compression::None,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => return Err("the codec is none, lz4 or zstd".into()),
    };
    let given = arguments.properties.iter();
    let mut properties: BTreeMap<String, Secret> =
        given.map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    if let Some(level) = arguments.level {
        properties.insert("compression.level".to_owned(), level.to_string().into());
    }
    let settings = KafkaSettings::new(arguments.brokers.clone(), arguments.partitions);
    Ok(KafkaSettings {
        queue_rows: arguments.queue.unwrap_or(settings.queue_rows),
        replication: 1,
        durability: Durability::Development,
        compression,
        linger: LINGER,
        properties,
        ..settings
    })
}

/// The events, in memory as a gateway has them: each a slice of what was received.
struct Feed {
    topic: Topic,
    lines: Vec<Line>,
}

struct Line {
    partition: u32,
    key: Bytes,
    value: Bytes,
}

impl Feed {
    fn read(arguments: &Arguments) -> Result<Self, Failure> {
        let file = std::fs::read(&arguments.feed)?;
        let all: Vec<_> =
            file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let mut lines = Vec::new();
        // The events of a request share its body.
        for request in all.chunks(arguments.batch) {
            let mut body = Bytes::from(request.concat());
            for line in request {
                let store = between(line, b"\"store\":\"", b'"').ok_or("a line without a store")?;
                let key = Bytes::from([b"retail/", store].concat());
                let add = |hash: u32, byte: &u8| hash.wrapping_mul(31) + u32::from(*byte);
                let partition = key.iter().fold(0, add) % arguments.partitions;
                lines.push(Line { partition, key, value: body.split_to(line.len()) });
            }
        }
        if lines.is_empty() {
            return Err("no lines to send".into());
        }
        Ok(Self { topic: Topic::new(&arguments.topic), lines })
    }

    fn line(&self, number: u64) -> &Line {
        let count = self.lines.len() as u64;
        &self.lines[usize::try_from(number % count).unwrap_or(0)]
    }

    fn row(&self, number: u64) -> ProducerRecord {
        let line = self.line(number);
        let value = Some(line.value.clone());
        ProducerRecord {
            topic: self.topic.clone(),
            partition: line.partition,
            key: line.key.clone(),
            value,
        }
    }
}

fn between<'a>(line: &'a [u8], start: &[u8], end: u8) -> Option<&'a [u8]> {
    let at = line.windows(start.len()).position(|window| window == start)? + start.len();
    line[at..].split(|byte| *byte == end).next()
}

trait Sender {
    /// Sends events and waits until all are acknowledged.
    fn send(&self, feed: &Feed, numbers: std::ops::Range<u64>) -> Result<(), Failure>;
}

/// Tillrace's producer.
struct Rows {
    producer: Box<dyn tillrace_log::Producer>,
    batch: usize,
    answers: Answers,
    counted: Arc<Counted>,
}

#[derive(Default)]
struct Counted {
    durable: AtomicU64,
    failed: AtomicU64,
}

impl Counted {
    fn count(&self, outcomes: &[Result<Offset, LogError>]) {
        let durable = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        self.durable.fetch_add(durable as u64, Ordering::Relaxed);
        self.failed.fetch_add((outcomes.len() - durable) as u64, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), Failure> {
        match self.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            failed => Err(format!("{failed} events failed").into()),
        }
    }
}

impl Rows {
    fn open(log: &dyn Log, arguments: &Arguments) -> Result<Self, Failure> {
        let (batch, answers) = (arguments.batch, arguments.answers);
        Ok(Self { producer: log.producer()?, batch, answers, counted: Arc::default() })
    }

    fn hand_over(&self, mut rows: Vec<ProducerRecord>, mut done: tillrace_log::OnDurable) {
        while let Err(full) = self.producer.send(rows, done) {
            Full { rows, done } = full;
            std::thread::sleep(PAUSE);
        }
    }

    /// Sends every `of`-th call, each after the answer to the one before.
    fn send_in_turn(&self, feed: &Feed, mut numbers: impl Iterator<Item = u64>) {
        let (told, heard) = std::sync::mpsc::sync_channel(1);
        loop {
            let rows: Vec<_> =
                numbers.by_ref().take(self.batch).map(|number| feed.row(number)).collect();
            if rows.is_empty() {
                return;
            }
            let told = told.clone();
            self.hand_over(rows, Box::new(move |outcomes| told.send(outcomes).unwrap_or_default()));
            self.counted.count(&heard.recv().unwrap_or_default());
        }
    }
}

impl Sender for Rows {
    fn send(&self, feed: &Feed, mut numbers: std::ops::Range<u64>) -> Result<(), Failure> {
        if self.answers == Answers::Wait {
            let share = (numbers.end - numbers.start).div_ceil(64).max(1);
            std::thread::scope(|scope| {
                while !numbers.is_empty() {
                    let mine = numbers.start..numbers.end.min(numbers.start + share);
                    numbers.start = mine.end;
                    scope.spawn(move || self.send_in_turn(feed, mine));
                }
            });
            return self.counted.check();
        }
        while !numbers.is_empty() {
            let rows: Vec<_> =
                numbers.by_ref().take(self.batch).map(|number| feed.row(number)).collect();
            let counted = Arc::clone(&self.counted);
            match self.answers {
                Answers::Drop => self.hand_over(rows, Box::new(drop)),
                _ => self.hand_over(rows, Box::new(move |outcomes| counted.count(&outcomes))),
            }
        }
        self.producer.flush(PATIENCE)?;
        self.counted.check()
    }
}

/// rdkafka as its documentation uses it: a record a call, a thread of its own for the reports.
struct Records {
    producer: ThreadedProducer<Reports>,
}

#[derive(Default)]
struct Reports(Counted);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() { &self.0.durable } else { &self.0.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Records {
    fn open(arguments: &Arguments) -> Result<Self, Failure> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &arguments.brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", LINGER.as_millis().to_string())
            .set("compression.codec", &arguments.codec);
        if let Some(level) = arguments.level {
            config.set("compression.level", level.to_string());
        }
        if let Some(queue) = arguments.queue {
            config.set("queue.buffering.max.messages", queue.to_string());
        }
        for (key, value) in &arguments.properties {
            config.set(key, value);
        }
        Ok(Self { producer: config.create_with_context(Reports::default())? })
    }
}

impl Sender for Records {
    fn send(&self, feed: &Feed, numbers: std::ops::Range<u64>) -> Result<(), Failure> {
        for number in numbers {
            let line = feed.line(number);
            let partition = i32::try_from(line.partition)?;
            let mut record = BaseRecord::to(feed.topic.as_str())
                .partition(partition)
                .key(&*line.key)
                .payload(&*line.value);
            while let Err((error, refused)) = self.producer.send(record) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(error.into());
                }
                record = refused;
                std::thread::sleep(PAUSE);
            }
        }
        self.producer.flush(PATIENCE)?;
        self.producer.context().0.check()
    }
}
