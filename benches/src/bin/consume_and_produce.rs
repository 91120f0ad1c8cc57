//! The least that an aggregator can cost: reads a topic to its end and writes as many bytes as an aggregator wrote.
//!
//! It looks into nothing and folds nothing. What it writes is what an aggregator wrote before, spread evenly over the input,
//! in transactions of five seconds that carry the consumed offsets, as exactly-once processing has to. Prints one JSON object.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::json;
use tillrace_benches::cpu::cpu_s;

const PATIENCE: Duration = Duration::from_secs(30);
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// Consumes a topic and produces records, and prints what that cost as one JSON object.
#[derive(Debug, Parser)]
struct Arguments {
    /// Bootstrap servers
    #[arg(long)]
    brokers: String,
    /// Topic to read to its end
    #[arg(long)]
    input: String,
    /// Topics whose records are written again; they are read before measuring
    #[arg(long, required = true)]
    like: Vec<String>,
    /// Topic to write to
    #[arg(long)]
    output: String,
}

struct Row {
    partition: i32,
    key: Vec<u8>,
    value: Vec<u8>,
}

fn main() -> ExitCode {
    let outcome = measure(&Arguments::parse()).map_err(io::Error::other);
    match outcome.and_then(|report| writeln!(io::stdout(), "{report}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "consume_and_produce: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn measure(
    arguments: &Arguments,
) -> Result<serde_json::Value, Box<dyn std::error::Error + Send + Sync>> {
    let rows = rows_like(arguments)?;
    let (before, begun) = (cpu_s(std::process::id())?, Instant::now());
    let events = copy(arguments, &rows)?;
    let (seconds, cpu_s) = (begun.elapsed().as_secs_f64(), cpu_s(std::process::id())? - before);
    Ok(json!({
        "events": events,
        "records_out": rows.len(),
        "seconds": seconds,
        "cpu_s": cpu_s,
    }))
}

fn rows_like(arguments: &Arguments) -> KafkaResult<Vec<Row>> {
    let mut rows = Vec::new();
    for topic in &arguments.like {
        let mut reading = Reading::start(&arguments.brokers, topic)?;
        reading.read_to_end(|_, partition, key, value| {
            rows.push(Row { partition, key: key.to_vec(), value: value.to_vec() });
            Ok(())
        })?;
    }
    Ok(rows)
}

/// Reads the input, and writes `rows` at the same pace; returns how many records it read.
fn copy(arguments: &Arguments, rows: &[Row]) -> KafkaResult<u64> {
    let mut reading = Reading::start(&arguments.brokers, &arguments.input)?;
    let writing = Writing::start(arguments)?;
    let (total, mut read, mut written) = (reading.left, 0, 0);
    let mut committed = Instant::now();
    reading.read_to_end(|positions, _, _, _| {
        read += 1;
        let due = usize::try_from(rows.len() as u64 * read / total).unwrap_or(rows.len());
        while written < due {
            writing.send(&rows[written])?;
            written += 1;
        }
        // The clock is read now and then only.
        if read % 1_024 == 0 && committed.elapsed() >= COMMIT_INTERVAL {
            writing.commit(positions)?;
            writing.producer.begin_transaction()?;
            committed = Instant::now();
        }
        Ok(())
    })?;
    writing.commit(&reading.consumer)?;
    Ok(read)
}

/// A topic on its way from its start to what its end was when reading began.
struct Reading {
    consumer: BaseConsumer,
    ends: Vec<i64>,
    left: u64,
}

impl Reading {
    fn start(brokers: &str, topic: &str) -> KafkaResult<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "consume-and-produce")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()?;
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        let (mut ends, mut left, mut start) = (Vec::new(), 0, TopicPartitionList::new());
        for partition in (0..).take(partitions) {
            let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
            ends.push(high);
            left += u64::try_from(high - low).unwrap_or(0);
            start.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&start)?;
        Ok(Self { consumer, ends, left })
    }

    /// Hands each record on, with the consumer for its positions, until every partition has been read to its end.
    fn read_to_end(
        &mut self,
        mut take: impl FnMut(&BaseConsumer, i32, &[u8], &[u8]) -> KafkaResult<()>,
    ) -> KafkaResult<()> {
        let mut open = self.ends.iter().filter(|end| **end > 0).count();
        while open > 0 {
            match self.consumer.poll(PATIENCE) {
                Some(Ok(message)) => {
                    let key = message.key().unwrap_or_default();
                    take(
                        &self.consumer,
                        message.partition(),
                        key,
                        message.payload().unwrap_or_default(),
                    )?;
                }
                // Transactions end with a marker, so that only the client knows where the records end.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    let place = usize::try_from(partition).unwrap_or(usize::MAX);
                    if self.ends.get_mut(place).is_some_and(|end| std::mem::take(end) > 0) {
                        open -= 1;
                    }
                }
                Some(Err(error)) => return Err(error),
                None => {
                    return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::RequestTimedOut));
                }
            }
        }
        Ok(())
    }
}

struct Writing<'a> {
    producer: BaseProducer,
    topic: &'a str,
}

impl<'a> Writing<'a> {
    fn start(arguments: &'a Arguments) -> KafkaResult<Self> {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &arguments.brokers)
            .set("transactional.id", "consume-and-produce")
            .set("compression.codec", "lz4")
            .set("linger.ms", "50")
            .create()?;
        producer.init_transactions(PATIENCE)?;
        producer.begin_transaction()?;
        Ok(Self { producer, topic: &arguments.output })
    }

    fn send(&self, row: &Row) -> KafkaResult<()> {
        let mut record =
            BaseRecord::to(self.topic).partition(row.partition).key(&row.key).payload(&row.value);
        while let Err((error, refused)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error);
            }
            self.producer.poll(Duration::from_millis(10));
            record = refused;
        }
        Ok(())
    }

    fn commit(&self, consumer: &BaseConsumer) -> KafkaResult<()> {
        let group =
            consumer.group_metadata().ok_or(KafkaError::ClientCreation("no group".into()))?;
        self.producer.send_offsets_to_transaction(&consumer.position()?, &group, PATIENCE)?;
        self.producer.commit_transaction(PATIENCE)
    }
}
