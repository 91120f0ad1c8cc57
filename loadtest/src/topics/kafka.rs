//! Reads topics from Kafka with `read_committed`: what an aborted transaction wrote is not seen.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::{Positions, ReadError, Record, TopicReader};

/// How long the brokers may be silent.
const SILENCE: Duration = Duration::from_mins(1);

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);

/// A consumer that joins no group: it commits nothing and moves nobody's position.
pub struct KafkaReader {
    consumer: BaseConsumer<Diagnostics>,
}

/// Passes what librdkafka says on to `tracing`.
struct Diagnostics;

impl ClientContext for Diagnostics {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match level {
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, line, "librdkafka");
            }
            // librdkafka calls a broker that is away an error; it goes on trying by itself.
            _ => tracing::warn!(facility, line, "librdkafka"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The reader asked to be told where a partition ends; librdkafka reports that as an error.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::debug!(reason, "a partition was read to its end");
        } else {
            tracing::warn!(%error, reason, "Kafka client");
        }
    }
}

impl ConsumerContext for Diagnostics {}

impl KafkaReader {
    /// Prepares a consumer; `properties` are librdkafka's, such as those of SASL, and override ours.
    ///
    /// # Errors
    /// A property is unknown or has no such value.
    pub fn new(brokers: &str, properties: &[(String, String)]) -> Result<Self, ReadError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            // Demanded by librdkafka even of a consumer that never joins its group.
            .set("group.id", "tillrace-loadtest")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("queued.max.messages.kbytes", "65536");
        for (name, value) in properties {
            config.set(name, value);
        }
        let consumer = BaseConsumer::from_config_and_context(&config, Diagnostics)
            .map_err(|source| ReadError::Kafka { topic: String::new(), source })?;
        Ok(Self { consumer })
    }

    /// Lists a topic's partitions; none where there is no such topic.
    fn partitions(&self, topic: &str) -> Result<Vec<i32>, KafkaError> {
        let metadata = self.consumer.fetch_metadata(Some(topic), SILENCE)?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(Vec::new());
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(found
                .partitions()
                .iter()
                .map(rdkafka::metadata::MetadataPartition::id)
                .collect()),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Ok(Vec::new())
            }
            Some(code) => Err(KafkaError::MetadataFetch(code)),
        }
    }

    fn read_to_end(
        &self,
        topic: &str,
        positions: &mut Positions,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<(), KafkaError> {
        let mut unfinished: BTreeSet<i32> = self.partitions(topic)?.into_iter().collect();
        let mut assignment = TopicPartitionList::new();
        for &partition in &unfinished {
            let next = positions.get(&partition).copied();
            let offset = next.map_or(Offset::Beginning, Offset::Offset);
            assignment.add_partition_offset(topic, partition, offset)?;
        }
        self.consumer.assign(&assignment)?;
        let mut last_message_at = Instant::now();
        while !unfinished.is_empty() {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    last_message_at = Instant::now();
                    let (partition, offset) = (message.partition(), message.offset());
                    positions.insert(partition, offset + 1);
                    let key = message.key().unwrap_or_default();
                    let value = message.payload().unwrap_or_default();
                    each(&Record { partition, offset, key, value });
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    last_message_at = Instant::now();
                    unfinished.remove(&partition);
                }
                Some(Err(error)) if is_fatal(&error) => return Err(error),
                Some(Err(error)) => tracing::debug!(%error, topic, "reading goes on"),
                None => {}
            }
            if last_message_at.elapsed() > SILENCE {
                return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
            }
        }
        self.consumer.unassign()
    }
}

/// An error after which polling on would miss records; librdkafka mends all others itself.
fn is_fatal(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::MessageConsumptionFatal(_)
            | KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::OffsetOutOfRange
                    | RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::BadCompression
                    | RDKafkaErrorCode::BadMessage
            )
    )
}

impl TopicReader for KafkaReader {
    fn read(
        &mut self,
        topic: &str,
        positions: &mut Positions,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<(), ReadError> {
        self.read_to_end(topic, positions, each)
            .map_err(|source| ReadError::Kafka { topic: topic.to_owned(), source })
    }

    fn skip(&mut self, topic: &str, positions: &mut Positions) -> Result<(), ReadError> {
        let error = |source| ReadError::Kafka { topic: topic.to_owned(), source };
        for partition in self.partitions(topic).map_err(error)? {
            let (_, end) =
                self.consumer.fetch_watermarks(topic, partition, SILENCE).map_err(error)?;
            positions.insert(partition, end);
        }
        Ok(())
    }
}

impl std::fmt::Debug for KafkaReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaReader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn unknown_properties_are_refused() {
        let properties = [("no.such.property".to_owned(), "1".to_owned())];
        let refused = KafkaReader::new("127.0.0.1:1", &properties);
        assert!(matches!(refused, Err(ReadError::Kafka { .. })), "{refused:?}");
        assert!(KafkaReader::new("127.0.0.1:1", &[]).is_ok());
    }

    /// What is logged, from INFO on.
    #[derive(Debug, Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_end_of_a_partition_is_no_error_and_a_lost_broker_is_worth_a_warning() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let error = |code| Diagnostics.error(KafkaError::Global(code), "why");
            error(RDKafkaErrorCode::PartitionEOF);
            assert_eq!(String::from_utf8(lines.0.lock().clone()).unwrap(), "");
            error(RDKafkaErrorCode::BrokerTransportFailure);
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        assert!(text.contains("WARN") && text.contains("BrokerTransportFailure"), "{text}");
    }

    #[test]
    fn a_lost_position_is_fatal_and_a_lost_broker_is_not() {
        let error = KafkaError::MessageConsumption;
        assert!(is_fatal(&error(RDKafkaErrorCode::AutoOffsetReset)));
        assert!(!is_fatal(&error(RDKafkaErrorCode::BrokerTransportFailure)));
    }
}
