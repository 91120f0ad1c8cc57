//! Transactions: outputs and places together or not at all.

use std::collections::BTreeMap;

use super::{
    PARTITIONS, Scenario, Stage, next_records, numbers, read_all, send_all, start_all, texts,
};
use crate::{
    Committed, ConsumerRecord, LogError, Partition, Position, ProducerRecord, TransactionalConsumer,
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "outputs_and_places_go_together", run: outputs_and_places_go_together },
    Scenario { name: "exactly_once_through_restarts", run: exactly_once_through_restarts },
    Scenario { name: "either_half_may_be_empty", run: either_half_may_be_empty },
    Scenario { name: "a_failed_transaction_is_invisible", run: a_failed_transaction_is_invisible },
    Scenario { name: "transactions_span_topics", run: transactions_span_topics },
];

fn join(stage: &Stage<'_>, log: &dyn crate::Log) -> Box<dyn TransactionalConsumer> {
    let mut consumer = log
        .transactional_consumer(&stage.group(), &stage.topic("in"))
        .expect("joining with transactions works");
    start_all(&mut *consumer, 0);
    consumer
}

/// The places behind these records.
fn behind(entries: &[ConsumerRecord]) -> Vec<Position> {
    let mut next: BTreeMap<Partition, u64> = BTreeMap::new();
    for entry in entries {
        next.insert(entry.partition, entry.offset + 1);
    }
    let place = |(partition, offset)| Position {
        partition,
        committed: Committed { offset, metadata: String::new() },
    };
    next.into_iter().map(place).collect()
}

/// An output for each record, in the partition it came from.
fn echoes(stage: &Stage<'_>, entries: &[ConsumerRecord]) -> Vec<ProducerRecord> {
    let echo = |entry: &ConsumerRecord| ProducerRecord {
        topic: stage.topic("out"),
        partition: entry.partition,
        key: entry.key.clone(),
        value: entry.value.clone(),
    };
    entries.iter().map(echo).collect()
}

fn outputs_and_places_go_together(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, stage.numbered("in", 0, 5));
    let mut consumer = join(stage, &*log);
    let entries = next_records(&mut *consumer, 5);
    let places = behind(&entries);
    consumer.commit_transaction(echoes(stage, &entries), &places).expect("the transaction commits");
    assert_eq!(
        texts(&read_all(&*log, &stage.topic("out"), 0)),
        texts(&entries),
        "outputs are visible once the partition is decided"
    );
    assert_eq!(
        log.committed(&stage.group(), &stage.topic("in"), 0).expect("the place is known"),
        Some(places[0].committed.clone())
    );
}

/// Consumes, produces, and dies before some of its commits; each input comes out once, in order.
fn exactly_once_through_restarts(stage: &Stage<'_>) {
    const ROWS: u64 = 40;
    let log = stage.open();
    for partition in 0..PARTITIONS {
        send_all(&*log, stage.numbered("in", partition, ROWS));
    }
    let total = usize::try_from(ROWS).unwrap_or_default() * PARTITIONS as usize;
    let mut consumer = join(stage, &*log);
    let (mut done, mut rounds) = (0, 0);
    while done < total {
        let entries = next_records(&mut *consumer, 9);
        rounds += 1;
        if rounds == 2 || rounds == 5 {
            drop(consumer);
            consumer = join(stage, &*log);
            continue;
        }
        let places = behind(&entries);
        consumer
            .commit_transaction(echoes(stage, &entries), &places)
            .expect("the transaction commits");
        done += entries.len();
    }
    for partition in 0..PARTITIONS {
        let out = read_all(&*log, &stage.topic("out"), partition);
        assert_eq!(texts(&out), numbers(ROWS), "partition {partition}");
    }
}

fn either_half_may_be_empty(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, stage.numbered("in", 0, 2));
    let mut consumer = join(stage, &*log);
    let entries = next_records(&mut *consumer, 1);
    consumer.commit_transaction(Vec::new(), &behind(&entries)).expect("places alone commit");
    consumer
        .commit_transaction(vec![stage.row("out", 0, "k", "alone")], &[])
        .expect("outputs alone commit");
    let committed = consumer.committed(0).expect("the place is known");
    assert_eq!(committed.map(|committed| committed.offset), Some(entries[0].offset + 1));
    assert_eq!(texts(&read_all(&*log, &stage.topic("out"), 0)), ["alone"]);
}

fn a_failed_transaction_is_invisible(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, stage.numbered("in", 0, 3));
    let mut consumer = join(stage, &*log);
    let entries = next_records(&mut *consumer, 3);
    let huge =
        ProducerRecord { value: Some(vec![0; 4 << 20].into()), ..stage.row("out", 1, "k", "") };
    let mut rows = echoes(stage, &entries);
    rows.push(huge);
    let error =
        consumer.commit_transaction(rows, &behind(&entries)).expect_err("4 MiB is too much");
    let known = matches!(error, LogError::Aborted { .. } | LogError::TooLarge { .. });
    assert!(known, "{error}");
    drop(consumer);
    for partition in 0..PARTITIONS {
        assert_eq!(read_all(&*log, &stage.topic("out"), partition), []);
    }
    let place = log.committed(&stage.group(), &stage.topic("in"), 0).expect("the place is known");
    assert_eq!(place, None, "nothing of it was committed");
    let mut consumer = join(stage, &*log);
    let again = next_records(&mut *consumer, 3);
    assert_eq!(again[0].offset, entries[0].offset);
    consumer
        .commit_transaction(echoes(stage, &again), &behind(&again))
        .expect("the next one commits");
    assert_eq!(texts(&read_all(&*log, &stage.topic("out"), 0)), texts(&again));
}

fn transactions_span_topics(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, stage.numbered("in", 1, 1));
    let mut consumer = join(stage, &*log);
    let entries = next_records(&mut *consumer, 1);
    let rows = vec![
        stage.row("out", 0, "k", "a"),
        stage.row("keyed", 1, "k", "b"),
        stage.row("out", 1, "k", "c"),
    ];
    consumer.commit_transaction(rows, &behind(&entries)).expect("the transaction commits");
    let seen = |name, partition| {
        let entries = read_all(&*log, &stage.topic(name), partition);
        texts(&entries).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((seen("out", 0), seen("keyed", 1)), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert_eq!(seen("out", 1), ["c"]);
}
