//! Reading: bounds, positions, waiting, tombstones.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use super::{PATIENCE, Scenario, Stage, numbers, read_all, read_from, send_all, text, texts};
use crate::{LogError, ProducerRecord};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "an_empty_partition_has_bounds", run: an_empty_partition_has_bounds },
    Scenario { name: "bounds_hold_what_was_written", run: bounds_hold_what_was_written },
    Scenario { name: "reading_starts_at_any_offset", run: reading_starts_at_any_offset },
    Scenario { name: "an_offset_out_of_range_is_refused", run: an_offset_out_of_range_is_refused },
    Scenario { name: "a_reader_takes_no_more_than_asked", run: a_reader_takes_no_more_than_asked },
    Scenario { name: "a_waiting_reader_wakes", run: a_waiting_reader_wakes },
    Scenario { name: "partitions_are_apart", run: partitions_are_apart },
    Scenario { name: "the_latest_of_a_key_stays", run: the_latest_of_a_key_stays },
    Scenario { name: "empty_values_are_no_tombstones", run: empty_values_are_no_tombstones },
];

fn an_empty_partition_has_bounds(stage: &Stage<'_>) {
    let log = stage.open();
    let bounds = log.bounds(&stage.topic("in"), 1).expect("bounds are known");
    assert_eq!((bounds.start, bounds.stable_end, bounds.end), (0, 0, 0));
    let mut reader = log.reader(&stage.topic("in"), 1, 0).expect("a reader opens at the end");
    assert_eq!(reader.read(10, Duration::from_millis(10)).expect("reading works"), []);
    assert_eq!(reader.position(), 0);
}

fn bounds_hold_what_was_written(stage: &Stage<'_>) {
    let log = stage.open();
    let offsets = send_all(&*log, stage.numbered("in", 0, 10));
    let bounds = log.bounds(&stage.topic("in"), 0).expect("bounds are known");
    assert!(bounds.start <= offsets[0], "{bounds:?}");
    assert!(bounds.stable_end > offsets[9], "acknowledged is stable: {bounds:?}");
    assert!(bounds.end >= bounds.stable_end, "{bounds:?}");
}

fn reading_starts_at_any_offset(stage: &Stage<'_>) {
    let log = stage.open();
    let mut offsets = Vec::new();
    for batch in stage.numbered("in", 0, 24).chunks(5) {
        offsets.extend(send_all(&*log, batch.to_vec()));
    }
    for (number, offset) in offsets.iter().enumerate() {
        let entries = read_from(&*log, &stage.topic("in"), 0, *offset);
        assert_eq!(texts(&entries), numbers(24)[number..], "from {offset}");
        assert_eq!(entries[0].offset, *offset);
    }
    let end = log.bounds(&stage.topic("in"), 0).expect("bounds are known").stable_end;
    assert_eq!(read_from(&*log, &stage.topic("in"), 0, end), []);
}

fn an_offset_out_of_range_is_refused(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, stage.numbered("in", 0, 3));
    let end = log.bounds(&stage.topic("in"), 0).expect("bounds are known").end;
    let opened = log.reader(&stage.topic("in"), 0, end + 1_000);
    let error = opened.and_then(|mut reader| reader.read(1, PATIENCE)).expect_err("out of range");
    assert!(
        matches!(error, LogError::OutOfRange { offset, .. } if offset == end + 1_000),
        "{error}"
    );
}

fn a_reader_takes_no_more_than_asked(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, stage.numbered("in", 0, 10));
    let mut reader = log.reader(&stage.topic("in"), 0, 0).expect("a reader opens");
    let mut entries = Vec::new();
    while entries.len() < 10 {
        let more = reader.read(4, PATIENCE).expect("reading works");
        assert!((1..=4).contains(&more.len()), "{} records", more.len());
        assert_eq!(reader.position(), more[more.len() - 1].offset + 1);
        entries.extend(more);
    }
    assert_eq!(texts(&entries), numbers(10));
}

fn a_waiting_reader_wakes(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, stage.numbered("in", 0, 1));
    let end = log.bounds(&stage.topic("in"), 0).expect("bounds are known").stable_end;
    let mut reader = log.reader(&stage.topic("in"), 0, end).expect("a reader opens");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || reader.read(10, PATIENCE).expect("reading works"));
        send_all(&*log, vec![stage.row("in", 0, "k", "news")]);
        let entries = waiting.join().expect("the reader comes back");
        assert_eq!(texts(&entries), ["news"]);
    });
}

fn partitions_are_apart(stage: &Stage<'_>) {
    let log = stage.open();
    send_all(&*log, vec![stage.row("in", 0, "k", "zero"), stage.row("out", 1, "k", "other")]);
    send_all(&*log, vec![stage.row("in", 1, "k", "one")]);
    assert_eq!(texts(&read_all(&*log, &stage.topic("in"), 0)), ["zero"]);
    assert_eq!(texts(&read_all(&*log, &stage.topic("in"), 1)), ["one"]);
    assert_eq!(texts(&read_all(&*log, &stage.topic("out"), 1)), ["other"]);
    assert_eq!(texts(&read_all(&*log, &stage.topic("out"), 0)), Vec::<&str>::new());
}

/// What compaction may remove is an older record of a key; when it does so is the log's affair.
fn the_latest_of_a_key_stays(stage: &Stage<'_>) {
    let log = stage.open();
    let tombstone = ProducerRecord { value: None, ..stage.row("keyed", 0, "gone", "") };
    for round in numbers(5) {
        send_all(&*log, vec![stage.row("keyed", 0, "kept", &round)]);
        send_all(&*log, vec![stage.row("keyed", 0, "gone", &round)]);
    }
    send_all(&*log, vec![stage.row("keyed", 0, "other", "once"), tombstone]);
    let entries = read_all(&*log, &stage.topic("keyed"), 0);
    assert!(entries.windows(2).all(|pair| pair[0].offset < pair[1].offset), "offsets rise");
    let mut latest = HashMap::new();
    for entry in &entries {
        latest.insert(entry.key.clone(), entry.value.as_ref().map(|_| text(entry)));
    }
    assert_eq!(latest[&Bytes::from_static(b"kept")], Some("4"));
    assert_eq!(latest[&Bytes::from_static(b"other")], Some("once"));
    assert_eq!(latest.get(&Bytes::from_static(b"gone")).copied().flatten(), None);
}

fn empty_values_are_no_tombstones(stage: &Stage<'_>) {
    let log = stage.open();
    let none = ProducerRecord { value: None, ..stage.row("keyed", 1, "b", "") };
    send_all(&*log, vec![stage.row("keyed", 1, "a", ""), none]);
    let values: Vec<_> = read_all(&*log, &stage.topic("keyed"), 1)
        .into_iter()
        .map(|entry| (entry.key, entry.value))
        .collect();
    let expected =
        [(Bytes::from_static(b"a"), Some(Bytes::new())), (Bytes::from_static(b"b"), None)];
    assert_eq!(values, expected);
}
