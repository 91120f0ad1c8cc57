//! That rows live exactly as long as librdkafka may read them, and that each is answered once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use crossbeam::channel::{Receiver, bounded};
use proptest::prelude::*;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::in_flight::row_id;
use super::*;
use crate::Offset;
use crate::kafka::client::producing;
use crate::kafka::error::shared;
use crate::kafka::settings::{Compression, KafkaSettings};

const PATIENCE: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(20);

/// Bytes that tell when they are freed.
struct Watched {
    bytes: Vec<u8>,
    freed: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.bytes.fill(0xdd);
        self.freed.fetch_add(1, Ordering::SeqCst);
    }
}

fn rows(topics: &[&str], count: u32, freed: &Arc<AtomicUsize>) -> Vec<ProducerRecord> {
    let row = |number: u32| {
        let bytes = format!("row {number}").repeat(60).into_bytes();
        let value = Bytes::from_owner(Watched { bytes, freed: Arc::clone(freed) });
        let topic = Topic::new(topics[number as usize % topics.len()]);
        ProducerRecord {
            topic,
            partition: number % 3,
            key: Bytes::from_static(b"k"),
            value: Some(value),
        }
    };
    (0..count).map(row).collect()
}

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let mock = MockCluster::new(1).expect("a mock cluster");
    for topic in ["a", "b"] {
        mock.create_topic(topic, 3, 1).expect("a topic");
    }
    mock
}

fn batch_producer(brokers: String) -> (Arc<InFlightBatches>, BatchProducer) {
    let in_flight = Arc::<InFlightBatches>::default();
    // Without a codec the values go to the socket from where they lie.
    let settings =
        KafkaSettings { compression: Compression::None, ..KafkaSettings::new(brokers, 3) };
    let batch_producer =
        BatchProducer::open(&producing(&settings), &in_flight).expect("a producer");
    (in_flight, batch_producer)
}

fn error_of(_: &ProducerRecord, code: RDKafkaErrorCode) -> LogError {
    LogError::Refused { action: "write", cause: shared(KafkaError::MessageProduction(code)) }
}

/// A callback that tells the outcomes.
fn telling() -> (OnBatchReport, Receiver<Vec<Result<Offset, LogError>>>) {
    let (told, heard) = bounded(1);
    (Box::new(move |reported| told.send(reported.outcomes(error_of)).expect("heard")), heard)
}

fn served(
    batch_producer: &BatchProducer,
    heard: &Receiver<Vec<Result<Offset, LogError>>>,
) -> Vec<Result<Offset, LogError>> {
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < until, "no answer comes");
        batch_producer.serve(STEP);
        if let Ok(outcomes) = heard.try_recv() {
            return outcomes;
        }
    }
}

#[test]
fn rows_of_several_topics_are_acknowledged_in_their_order_and_then_freed() {
    let mock = cluster();
    let (_, batch_producer) = batch_producer(mock.bootstrap_servers());
    let freed = Arc::default();
    for before in [0, 200] {
        let (tell, heard) = telling();
        batch_producer.send(rows(&["a", "b"], 1_200, &freed), tell);
        let outcomes = served(&batch_producer, &heard);
        // Six topic partitions take turns, 200 rows each.
        for (number, outcome) in (0_u64..).zip(outcomes) {
            assert_eq!(outcome.expect("acknowledged"), before + number / 6, "row {number}");
        }
    }
    assert_eq!(freed.load(Ordering::SeqCst), 2_400);
}

#[test]
fn rows_are_kept_while_nobody_has_acknowledged_them() {
    let mock = cluster();
    let (_, batch_producer) = batch_producer(mock.bootstrap_servers());
    let freed = Arc::default();
    let (tell, heard) = telling();
    batch_producer.send(rows(&["a"], 9, &freed), tell);
    assert!(served(&batch_producer, &heard).iter().all(Result::is_ok));
    mock.broker_down(1).expect("the broker goes");
    let (tell, heard) = telling();
    batch_producer.send(rows(&["a"], 90, &freed), tell);
    for _ in 0..20 {
        batch_producer.serve(STEP);
    }
    assert_eq!(freed.load(Ordering::SeqCst), 9, "the others may still be read");
    mock.broker_up(1).expect("the broker comes back");
    assert!(served(&batch_producer, &heard).iter().all(Result::is_ok));
    assert_eq!(freed.load(Ordering::SeqCst), 99);
}

#[test]
fn a_producer_that_ends_answers_for_what_it_holds() {
    let (in_flight, batch_producer) = batch_producer("127.0.0.1:1".to_owned());
    let freed = Arc::default();
    let (tell, heard) = telling();
    batch_producer.send(rows(&["a", "b"], 60, &freed), tell);
    drop(batch_producer);
    let outcomes = heard.try_recv().expect("answered");
    assert!(outcomes.len() == 60 && outcomes.iter().all(Result::is_err), "{outcomes:?}");
    assert_eq!(freed.load(Ordering::SeqCst), 60);
    assert!(in_flight.wait_until_answered(Instant::now()));
}

#[test]
fn a_producer_that_ends_frees_what_is_under_way() {
    let mock = cluster();
    let (_, batch_producer) = batch_producer(mock.bootstrap_servers());
    let freed = Arc::default();
    let (tell, heard) = telling();
    batch_producer.send(rows(&["a"], 9, &freed), tell);
    assert!(served(&batch_producer, &heard).iter().all(Result::is_ok));
    mock.broker_round_trip_time(1, Duration::from_secs(30)).expect("the broker becomes slow");
    let (tell, heard) = telling();
    batch_producer.send(rows(&["a", "b"], 6_000, &freed), tell);
    for _ in 0..10 {
        batch_producer.serve(STEP);
    }
    assert_eq!(freed.load(Ordering::SeqCst), 9);
    drop(batch_producer);
    assert_eq!(heard.try_recv().expect("answered").len(), 6_000);
    assert_eq!(freed.load(Ordering::SeqCst), 6_009);
}

#[test]
fn a_topic_that_cannot_be_fails_alone() {
    let mock = cluster();
    let (_, batch_producer) = batch_producer(mock.bootstrap_servers());
    let (tell, heard) = telling();
    batch_producer.send(rows(&["a", "no\0name"], 8, &Arc::default()), tell);
    for (number, outcome) in (0..).zip(served(&batch_producer, &heard)) {
        assert_eq!(outcome.is_ok(), number % 2 == 0, "row {number}: {outcome:?}");
    }
}

#[test]
fn a_row_is_settled_once_and_strangers_never() {
    let in_flight = InFlightBatches::default();
    let freed = Arc::default();
    let (tell, heard) = telling();
    let number = in_flight.add(1, rows(&["a"], 2, &freed), tell).expect("named");
    let fail = RDKafkaErrorCode::MessageTimedOut;
    let told = [
        (row_id(number, 0), Ok(7)),
        (row_id(number, 0), Ok(8)),
        (row_id(number, 2), Ok(9)),
        (row_id(number + 1, 1), Ok(10)),
    ];
    in_flight.complete(in_flight.settle(told.into_iter()));
    assert!(heard.try_recv().is_err() && freed.load(Ordering::SeqCst) == 0, "one is awaited");
    in_flight.complete(in_flight.settle([(row_id(number, 1), Err(fail))].into_iter()));
    let outcomes = heard.try_recv().expect("answered");
    assert!(matches!(outcomes[..], [Ok(7), Err(LogError::Refused { .. })]), "{outcomes:?}");
    assert_eq!(freed.load(Ordering::SeqCst), 2);
}

#[test]
fn only_the_end_of_its_own_client_fails_a_row() {
    let in_flight = InFlightBatches::default();
    let freed = Arc::default();
    let (tell, heard) = telling();
    let number = in_flight.add(1, rows(&["a"], 2, &freed), tell).expect("named");
    in_flight.complete(in_flight.settle([(row_id(number, 1), Ok(3))].into_iter()));
    in_flight.abandon(2);
    assert!(heard.try_recv().is_err() && freed.load(Ordering::SeqCst) == 0, "another client ended");
    in_flight.abandon(1);
    assert!(matches!(heard.try_recv().expect("answered")[..], [Err(_), Ok(3)]));
    assert_eq!(freed.load(Ordering::SeqCst), 2);
}

#[test]
fn rows_that_may_still_be_read_are_leaked_rather_than_freed() {
    let freed = Arc::default();
    let in_flight = InFlightBatches::default();
    in_flight.add(1, rows(&["a"], 2, &freed), telling().0);
    drop(in_flight);
    assert_eq!(freed.load(Ordering::SeqCst), 0);
}

#[test]
fn more_rows_than_can_be_named_are_refused() {
    let in_flight = InFlightBatches::default();
    let (tell, heard) = telling();
    let row = rows(&["a"], 1, &Arc::default()).remove(0);
    assert!(in_flight.add(1, vec![row; (1 << 20) + 1], tell).is_none());
    in_flight.complete_ready();
    assert!(heard.try_recv().expect("answered").iter().all(Result::is_err));
}

/// What can happen to batches in flight. Numbers are taken modulo what there is, and one beyond.
#[derive(Debug, Clone)]
enum Step {
    Add { client: u64, rows: u32 },
    Report(Vec<(usize, usize, bool)>),
    End { client: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..4_u64, 0..6_u32).prop_map(|(client, rows)| Step::Add { client, rows }),
        6 => prop::collection::vec((0..12_usize, 0..7_usize, any::<bool>()), 0..9)
            .prop_map(Step::Report),
        1 => (1..4_u64).prop_map(|client| Step::End { client }),
    ];
    prop::collection::vec(step, 0..60)
}

/// A batch as simply as can be.
struct Plain {
    client: u64,
    outcomes: Vec<Option<bool>>,
    freed: Arc<AtomicUsize>,
    heard: Receiver<Vec<Result<Offset, LogError>>>,
    answered: bool,
}

impl Plain {
    fn note(&mut self, row: usize, outcome: bool) {
        if let Some(slot) = self.outcomes.get_mut(row) {
            slot.get_or_insert(outcome);
        }
    }

    /// Nothing is freed or answered before everything is known, and then once.
    fn check(&mut self) {
        let known: Option<Vec<_>> = self.outcomes.iter().copied().collect();
        let told = self.heard.try_recv().ok();
        let told = told.map(|told| told.iter().map(Result::is_ok).collect::<Vec<_>>());
        let expected = if self.answered { None } else { known.clone() };
        assert_eq!(told, expected);
        self.answered = known.is_some();
        let freed = if self.answered { self.outcomes.len() } else { 0 };
        assert_eq!(self.freed.load(Ordering::SeqCst), freed);
    }
}

proptest! {
    #[test]
    fn batches_in_flight_do_as_the_plain_ones_do(steps in steps()) {
        let in_flight = InFlightBatches::default();
        let mut plain: Vec<Plain> = Vec::new();
        for step in steps {
            match step {
                Step::Add { client, rows: count } => {
                    let (freed, (tell, heard)) = (Arc::default(), telling());
                    in_flight.add(client, rows(&["a"], count, &freed), tell);
                    let outcomes = vec![None; count as usize];
                    plain.push(Plain { client, outcomes, freed, heard, answered: false });
                }
                Step::Report(told) => {
                    let told = told.into_iter().map(|(batch, row, well)| {
                        let batch = batch % (plain.len() + 1);
                        if let Some(plain) = plain.get_mut(batch) {
                            plain.note(row, well);
                        }
                        let outcome = if well { Ok(1) } else { Err(RDKafkaErrorCode::Fail) };
                        (row_id(batch, row), outcome)
                    });
                    let told: Vec<_> = told.collect();
                    in_flight.complete(in_flight.settle(told.into_iter()));
                }
                Step::End { client } => {
                    for plain in plain.iter_mut().filter(|plain| plain.client == client) {
                        for row in 0..plain.outcomes.len() {
                            plain.note(row, false);
                        }
                    }
                    in_flight.abandon(client);
                }
            }
            in_flight.complete_ready();
            plain.iter_mut().for_each(Plain::check);
            let all = plain.iter().all(|plain| plain.answered);
            prop_assert_eq!(in_flight.wait_until_answered(Instant::now()), all);
        }
    }
}
