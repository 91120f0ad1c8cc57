//! The SQLite store: one owner, one log, one schema; and rows of records as the fold makes them.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its store has failed")]

use tillrace_books::change::{Batch, ReadTo};
use tillrace_books::fold::{Fold, ReadTopic, read_topics};
use tillrace_books::sqlite::{SqliteStore, open_to_read};
use tillrace_books::store::{Store as _, StoreError};
use tillrace_core::topics::Topics;
use tillrace_log::{ConsumerRecord, Topic};

fn record(topic: &Topic, key: &str, value: Option<&str>) -> ConsumerRecord {
    ConsumerRecord {
        topic: topic.clone(),
        partition: 0,
        offset: 7,
        appended_ms: 0,
        key: key.to_owned().into(),
        value: value.map(|text| text.to_owned().into()),
    }
}

fn read_topic(topic: &Topic) -> ReadTopic {
    let topics = read_topics(&Topics::new(""), &["erp".to_owned()]);
    topics.into_iter().find(|read| read.topic == *topic).unwrap()
}

fn folded(topic: &Topic, key: &str, value: Option<&str>) -> (bool, Batch) {
    let mut batch = Batch::default();
    let is_read = Fold::default().add(&read_topic(topic), &record(topic, key, value), &mut batch);
    (is_read, batch)
}

fn count(path: &std::path::Path, query: &str) -> i64 {
    open_to_read(path).unwrap().query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_second_owner_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deeper/books.sqlite");
    let first = SqliteStore::open(&path).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::Owned { .. })));
    drop(first);
    SqliteStore::open(&path).unwrap();
}

#[test]
fn a_store_of_another_log_or_schema_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.sqlite");
    let mut store = SqliteStore::open(&path).unwrap();
    store.claim("local/a", "").unwrap();
    store.claim("local/a", "").unwrap();
    assert!(matches!(store.claim("local/b", ""), Err(StoreError::OtherLog { .. })));
    assert!(matches!(store.claim("local/a", "eu"), Err(StoreError::OtherLog { .. })));
    drop(store);
    let edit = rusqlite::Connection::open(&path).unwrap();
    edit.execute("UPDATE migrations SET checksum = 'x' WHERE number = 2", []).unwrap();
    drop(edit);
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::OtherSchema { number: 2, .. })));
}

#[test]
fn rows_and_positions_come_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.sqlite");
    let mut store = SqliteStore::open(&path).unwrap();
    let mut batch = Batch::default();
    for _twice in 0..2 {
        batch.insert(
            "holes",
            &["topic", "partition", "first_offset", "past_offset"],
            ["t".into(), 3_u32.into(), 0_u64.into(), 9_u64.into()],
        );
    }
    batch.positions.push(ReadTo { topic: "t".to_owned(), partition: 3, next_offset: 9 });
    assert!(store.apply(&batch).is_err(), "the same key twice");
    assert_eq!(store.positions().unwrap(), []);
    assert_eq!(count(&path, "SELECT COUNT(*) FROM holes"), 0);
    batch.changes.pop();
    store.apply(&batch).unwrap();
    assert_eq!(store.positions().unwrap(), batch.positions);
}

#[test]
fn a_range_of_deliveries_is_cut_at_spans() {
    let audit = r#"{"sink":"erp","topic":"pos.transactions.v1","partition":2,"offsets":[[250,260],[300,301]],"outcome":"delivered",
        "status":200,"attempts":1,"started":"2026-11-27T08:00:00Z","elapsed_ms":3,"exceptions":[],"redriven":false,"writer":"w",
        "number":0,"previous":"","hash":""}"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.sqlite");
    let (is_read, batch) = folded(&Topics::new("").audit, "erp/2", Some(audit));
    assert!(is_read);
    SqliteStore::open(&path).unwrap().apply(&batch).unwrap();
    let records = "SELECT SUM(past_offset - first_offset) FROM deliveries";
    assert_eq!((count(&path, "SELECT COUNT(*) FROM deliveries"), count(&path, records)), (3, 11));
    let within = "SELECT COUNT(*) FROM deliveries WHERE first_offset / 256 = span AND (past_offset - 1) / 256 = span";
    assert_eq!(count(&path, within), 3);
}

#[test]
fn what_is_not_of_its_schema_is_noted_and_nothing_else() {
    let topics = Topics::new("");
    for (topic, value) in
        [(&topics.deltas, Some("{}")), (&topics.transactions, None), (&topics.audit, Some("7"))]
    {
        let (is_read, batch) = folded(topic, "k", value);
        assert!(!is_read);
        let tables: Vec<_> = batch.changes.iter().map(|change| change.table).collect();
        assert_eq!(tables, ["unreadable"]);
    }
}

#[test]
fn a_tombstone_deletes_a_day_and_settles_a_parked_event() {
    let topics = Topics::new("");
    let (is_read, batch) = folded(&topics.days, "demo/7/2026-11-27", None);
    assert!(is_read && batch.changes.len() == 5);
    let (is_read, batch) = folded(&topics.parked, "k", None);
    assert!(is_read);
    let tables: Vec<_> = batch.changes.iter().map(|change| change.table).collect();
    assert_eq!(tables, ["parked"]);
}
