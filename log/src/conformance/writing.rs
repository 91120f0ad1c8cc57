//! Producing: acknowledgements, order, limits, topics.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::{
    PARTITIONS, PATIENCE, Scenario, Stage, hand_over, numbers, read_all, send, send_all, text,
    texts,
};
use crate::{Cleanup, LogError, ProducerRecord, TopicSpec};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "acknowledged_rows_are_read_back", run: acknowledged_rows_are_read_back },
    Scenario { name: "outcomes_come_in_row_order", run: outcomes_come_in_row_order },
    Scenario { name: "order_holds_among_many_producers", run: order_holds_among_many_producers },
    Scenario { name: "flush_waits_for_all_answers", run: flush_waits_for_all_answers },
    Scenario { name: "large_records_fit", run: large_records_fit },
    Scenario { name: "an_oversized_row_fails_alone", run: an_oversized_row_fails_alone },
    Scenario { name: "an_unknown_topic_is_named", run: an_unknown_topic_is_named },
    Scenario { name: "a_partition_count_is_kept", run: a_partition_count_is_kept },
    Scenario { name: "everything_survives_reopening", run: everything_survives_reopening },
];

fn acknowledged_rows_are_read_back(stage: &Stage<'_>) {
    let log = stage.open();
    let mut rows = stage.numbered("in", 0, 50);
    rows.extend(stage.numbered("in", 1, 50));
    let sent = rows.clone();
    let offsets = send_all(&*log, rows);
    for partition in 0..PARTITIONS {
        let entries = read_all(&*log, &stage.topic("in"), partition);
        assert_eq!(texts(&entries), numbers(50));
        for entry in &entries {
            assert_eq!((&entry.topic, entry.partition), (&stage.topic("in"), partition));
            assert_eq!(entry.key, Bytes::from_static(b"k"));
            assert!(entry.appended_ms > 0, "the log stamps its time");
        }
        let here = sent.iter().zip(&offsets).filter(|(row, _)| row.partition == partition);
        let acknowledged: Vec<_> = here.map(|(_, offset)| *offset).collect();
        let read: Vec<_> = entries.iter().map(|entry| entry.offset).collect();
        assert_eq!(read, acknowledged, "records stand where the acknowledgement said");
    }
}

fn outcomes_come_in_row_order(stage: &Stage<'_>) {
    let log = stage.open();
    let row = |number: u32| stage.row("in", number % PARTITIONS, "k", &number.to_string());
    let offsets = send_all(&*log, (0..60).map(row).collect());
    for partition in 0..PARTITIONS {
        for entry in read_all(&*log, &stage.topic("in"), partition) {
            let number: usize = text(&entry).parse().expect("a number");
            assert_eq!(offsets[number], entry.offset, "the outcome of row {number}");
        }
    }
}

fn order_holds_among_many_producers(stage: &Stage<'_>) {
    const PRODUCERS: usize = 4;
    const ROWS: usize = 150;
    let log = stage.open();
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let log = &log;
            scope.spawn(move || {
                let mine = log.producer().expect("a producer opens");
                for number in 0..ROWS {
                    let key = producer.to_string();
                    let row = stage.row("in", 1, &key, &number.to_string());
                    hand_over(&*mine, vec![row], Box::new(drop));
                }
                mine.flush(PATIENCE).expect("everything is answered");
            });
        }
    });
    let mut next: HashMap<Bytes, usize> = HashMap::new();
    for entry in read_all(&*log, &stage.topic("in"), 1) {
        let expected = next.entry(entry.key.clone()).or_default();
        assert_eq!(text(&entry), expected.to_string(), "of producer {:?}", entry.key);
        *expected += 1;
    }
    assert_eq!(next.len(), PRODUCERS);
    assert!(next.values().all(|count| *count == ROWS), "{next:?}");
}

fn flush_waits_for_all_answers(stage: &Stage<'_>) {
    let log = stage.open();
    let producer = log.producer().expect("a producer opens");
    let answered = Arc::new(AtomicUsize::new(0));
    for number in 0_u32..40 {
        let answered = Arc::clone(&answered);
        let row = stage.row("in", number % PARTITIONS, "k", "v");
        let count = move |outcomes: Vec<Result<u64, LogError>>| {
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
            answered.fetch_add(outcomes.len(), Ordering::SeqCst);
        };
        hand_over(&*producer, vec![row], Box::new(count));
    }
    producer.flush(PATIENCE).expect("everything is answered");
    assert_eq!(answered.load(Ordering::SeqCst), 40);
}

fn large_records_fit(stage: &Stage<'_>) {
    let log = stage.open();
    let value = |byte: u8| Bytes::from(vec![byte; (1 << 20) - (8 << 10)]);
    let row =
        |byte: u8| ProducerRecord { value: Some(value(byte)), ..stage.row("in", 0, "large", "") };
    for byte in [1, 2, 3] {
        send_all(&*log, vec![row(byte)]);
    }
    let entries = read_all(&*log, &stage.topic("in"), 0);
    let read: Vec<_> = entries.into_iter().map(|entry| entry.value).collect();
    assert!(read == [1, 2, 3].map(|byte| Some(value(byte))), "1 MiB records come back whole");
}

fn an_oversized_row_fails_alone(stage: &Stage<'_>) {
    let log = stage.open();
    let huge =
        ProducerRecord { value: Some(vec![0; 4 << 20].into()), ..stage.row("in", 0, "huge", "") };
    let outcomes =
        send(&*log, vec![stage.row("in", 0, "k", "a"), huge, stage.row("in", 0, "k", "b")]);
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    let error = outcomes[1].as_ref().expect_err("4 MiB is too much");
    assert!(matches!(error, LogError::TooLarge { .. }), "{error}");
    assert_eq!(texts(&read_all(&*log, &stage.topic("in"), 0)), ["a", "b"]);
}

fn an_unknown_topic_is_named(stage: &Stage<'_>) {
    let log = stage.open();
    let unknown = stage.topic("never-made");
    let named = |error: &LogError| {
        assert!(matches!(error, LogError::UnknownTopic { topic } if *topic == unknown), "{error}");
    };
    named(&log.bounds(&unknown, 0).expect_err("no bounds of a topic that is not there"));
    named(&log.reader(&unknown, 0, 0).err().expect("no reader of a topic that is not there"));
    let outcomes = send(&*log, vec![stage.row("never-made", 0, "k", "v")]);
    named(outcomes[0].as_ref().expect_err("no row to a topic that is not there"));
}

fn a_partition_count_is_kept(stage: &Stage<'_>) {
    drop(stage.open());
    let spec = TopicSpec {
        topic: stage.topic("in"),
        cleanup: Cleanup::Delete { retention_ms: 86_400_000 },
    };
    let refused = stage
        .subject
        .open(&stage.id, PARTITIONS + 1)
        .and_then(|log| log.ensure_topics(&[spec]))
        .expect_err("another number of partitions is refused");
    match refused {
        LogError::PartitionCount { found, expected, .. } => {
            assert_eq!((found, expected), (PARTITIONS, PARTITIONS + 1));
        }
        other => assert!(matches!(other, LogError::PartitionCount { .. }), "{other}"),
    }
}

fn everything_survives_reopening(stage: &Stage<'_>) {
    let log = stage.open();
    let first = send_all(&*log, stage.numbered("in", 0, 20));
    drop(log);
    let log = stage.open();
    assert_eq!(texts(&read_all(&*log, &stage.topic("in"), 0)), numbers(20));
    let more = send_all(&*log, vec![stage.row("in", 0, "k", "20")]);
    assert!(more[0] > first[19], "offsets go on behind what was written");
    assert_eq!(texts(&read_all(&*log, &stage.topic("in"), 0)), numbers(21));
}
