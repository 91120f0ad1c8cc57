//! Consumer groups: assignment, delivery, places.

use std::time::Duration;

use super::{
    PARTITIONS, PATIENCE, Scenario, Stage, assigned, next_records, numbers, send_all, start_all,
    texts,
};
use crate::{Committed, Consumer, ConsumerRecord, LogError, Polled, Position};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "nothing_is_delivered_before_start", run: nothing_is_delivered_before_start },
    Scenario { name: "a_group_resumes_where_it_committed", run: a_group_resumes },
    Scenario { name: "metadata_is_kept_whole", run: metadata_is_kept_whole },
    Scenario { name: "groups_are_apart", run: groups_are_apart },
    Scenario { name: "delivery_can_start_again", run: delivery_can_start_again },
    Scenario { name: "asking_for_no_records_brings_none", run: asking_for_no_records },
    Scenario { name: "a_waiting_consumer_wakes", run: a_waiting_consumer_wakes },
    Scenario { name: "a_start_out_of_range_is_refused", run: a_start_out_of_range_is_refused },
];

fn place(partition: u32, offset: u64, metadata: &str) -> Position {
    Position { partition, committed: Committed { offset, metadata: metadata.to_owned() } }
}

/// Takes `count` records of a started consumer.
fn take(consumer: &mut dyn Consumer, count: usize) -> Vec<ConsumerRecord> {
    let mut entries = Vec::new();
    while entries.len() < count {
        entries.extend(next_records(consumer, count - entries.len()));
    }
    entries
}

fn nothing_is_delivered_before_start(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, stage.numbered("in", 0, 5));
    let mut consumer = log.consumer(&stage.group(), &stage.topic("in")).expect("joining works");
    assigned(&mut *consumer);
    for partition in 0..PARTITIONS {
        assert_eq!(consumer.committed(partition).expect("the place is known"), None);
    }
    let polled = consumer.poll(10, Duration::from_millis(300)).expect("polling works");
    assert!(matches!(polled, Polled::Idle), "{polled:?}");
    consumer.start(0, 0).expect("the partition starts");
    assert_eq!(texts(&take(&mut *consumer, 5)), numbers(5));
}

fn a_group_resumes(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, stage.numbered("in", 0, 10));
    let mut consumer = log.consumer(&stage.group(), &stage.topic("in")).expect("joining works");
    start_all(&mut *consumer, 0);
    let entries = take(&mut *consumer, 4);
    assert_eq!(texts(&entries), numbers(4));
    let next = entries[3].offset + 1;
    consumer.commit(&[place(0, next, "half")]).expect("committing works");
    assert_eq!(
        consumer.committed(0).expect("the place is known"),
        Some(place(0, next, "half").committed)
    );
    drop(consumer);
    drop(log);
    let log = stage.open();
    let seen = log.committed(&stage.group(), &stage.topic("in"), 0).expect("the place is known");
    assert_eq!(seen, Some(place(0, next, "half").committed));
    let mut consumer = log.consumer(&stage.group(), &stage.topic("in")).expect("joining again");
    start_all(&mut *consumer, 0);
    assert_eq!(texts(&take(&mut *consumer, 6)), numbers(10)[4..]);
}

fn metadata_is_kept_whole(stage: &Stage<'_>) {
    let log = stage.open();
    let mut consumer = log.consumer(&stage.group(), &stage.topic("in")).expect("joining works");
    start_all(&mut *consumer, 0);
    let longest = "m".repeat(4_096);
    consumer.commit(&[place(0, 0, &longest), place(1, 0, "")]).expect("4,096 bytes fit");
    for (partition, metadata) in [(0, longest.as_str()), (1, "")] {
        let committed = consumer.committed(partition).expect("the place is known");
        assert_eq!(committed, Some(place(partition, 0, metadata).committed));
    }
}

fn groups_are_apart(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, stage.numbered("in", 1, 3));
    for (name, taken) in [("one", 1), ("two", 2)] {
        let group = format!("{}.{name}", stage.id);
        let mut consumer = log.consumer(&group, &stage.topic("in")).expect("joining works");
        start_all(&mut *consumer, 0);
        let entries = take(&mut *consumer, taken);
        assert_eq!(texts(&entries), numbers(3)[..taken]);
        let next = entries[taken - 1].offset + 1;
        consumer.commit(&[place(1, next, group.as_str())]).expect("committing works");
        let seen = log.committed(&group, &stage.topic("in"), 1).expect("the place is known");
        assert_eq!(seen, Some(place(1, next, &group).committed));
    }
}

fn delivery_can_start_again(stage: &Stage<'_>) {
    let log = stage.open();
    let offsets = send_all(&*log, stage.numbered("in", 0, 6));
    let mut consumer = log.consumer(&stage.group(), &stage.topic("in")).expect("joining works");
    start_all(&mut *consumer, 0);
    assert_eq!(texts(&take(&mut *consumer, 6)), numbers(6));
    consumer.start(0, offsets[3]).expect("the partition starts again");
    assert_eq!(texts(&take(&mut *consumer, 3)), numbers(6)[3..]);
}

fn asking_for_no_records(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, stage.numbered("in", 0, 2));
    let mut consumer = log.consumer(&stage.group(), &stage.topic("in")).expect("joining works");
    start_all(&mut *consumer, 0);
    let polled = consumer.poll(0, Duration::from_millis(300)).expect("polling works");
    assert!(matches!(polled, Polled::Idle), "{polled:?}");
    assert_eq!(texts(&take(&mut *consumer, 2)), numbers(2));
}

fn a_waiting_consumer_wakes(stage: &Stage<'_>) {
    let log = stage.open();
    let mut consumer = log.consumer(&stage.group(), &stage.topic("in")).expect("joining works");
    start_all(&mut *consumer, 0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || match consumer.poll(10, PATIENCE) {
            Ok(Polled::Records(entries)) => entries,
            other => next_after(&mut *consumer, &other),
        });
        send_all(&*log, vec![stage.row("in", 1, "k", "news")]);
        let entries = waiting.join().expect("the consumer comes back");
        assert_eq!(texts(&entries), ["news"]);
    });
}

/// A poll may come back early with nothing, but not with anything else.
fn next_after(
    consumer: &mut dyn Consumer,
    polled: &Result<Polled, LogError>,
) -> Vec<ConsumerRecord> {
    assert!(matches!(polled, Ok(Polled::Idle)), "{polled:?}");
    next_records(consumer, 10)
}

fn a_start_out_of_range_is_refused(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, stage.numbered("in", 0, 3));
    let mut consumer = log.consumer(&stage.group(), &stage.topic("in")).expect("joining works");
    assigned(&mut *consumer);
    let far = log.bounds(&stage.topic("in"), 0).expect("bounds are known").end + 1_000;
    let error = consumer.start(0, far).expect_err("out of range");
    assert!(matches!(error, LogError::OutOfRange { offset, .. } if offset == far), "{error}");
}
