//! Files on a real disk, read back by the Parquet crate.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, RecordBatch};
use bytesize::ByteSize;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tillrace_log::{Committed, Log, Position};

mod columns;

use super::*;
use crate::connector::{CallError, Connector as _, DeliveryBatch, RecordOutcome};
use crate::engine::SinkSpec;
use crate::failure::FailureCode;
use crate::filter::Filter;
use crate::fixture::{Fixture, envelope, until};
use crate::record::{Record, SourceTopic};
use crate::settings::{self, FlowSettings};

pub(super) const GENERATION: &str = "7c0ffee7-0000-4000-8000-000000000000";
pub(super) const SINK: &str = "lake";

pub(super) fn fixture() -> Fixture {
    let fixture = Fixture::new(1, &[SINK]);
    let checkpoint = format!(r#"{{"generation":"{GENERATION}","flush":1,"next_offset":9}}"#);
    fixture.append(&fixture.topics.state, 0, "checkpoint/1", checkpoint.as_bytes());
    fixture
}

fn delta(number: u64) -> String {
    format!(
        r#"{{"id":"{GENERATION}:0:{number}:{next}:w:d:acme/1/sku-{number}/C62","generation":"{GENERATION}","partition":0,"from_offset":{number},"to_offset":{next},"tenant":"acme","store":"1","sku":"sku-{number}","unit":"C62","window_start":"2026-11-27T08:15:00Z","window_seconds":60,"business_date":"2026-11-27","net":"-{number}.25","sold":"{number}.25","returned":"0","adjusted":"0","events":1}}"#,
        next = number + 1
    )
}

fn deltas(offsets: std::ops::Range<u64>) -> Vec<Record> {
    offsets.map(|offset| Record::new(offset, 0, "acme/1/x", delta(offset))).collect()
}

pub(super) fn append_deltas(fixture: &Fixture, offsets: std::ops::Range<u64>) {
    for offset in offsets {
        let value = delta(offset);
        fixture.append(&fixture.topics.deltas, 0, "acme/1/x", value.as_bytes());
    }
}

pub(super) fn batch(offsets: std::ops::Range<u64>) -> DeliveryBatch {
    DeliveryBatch { partition: 0, delivered_to: 0, records: deltas(offsets) }
}

fn open(fixture: &Fixture, source: SourceTopic) -> ParquetFiles {
    let lake = fixture.folder.path().join("lake");
    let settings = ParquetSettings::local(source, lake.to_str().unwrap());
    ParquetFiles::open(&settings, Arc::<dyn Log>::clone(&fixture.log), &fixture.topics, SINK)
        .unwrap()
}

pub(super) fn folder(fixture: &Fixture, topic: &str) -> PathBuf {
    fixture.folder.path().join("lake").join(topic)
}

/// The published files in the order of their names.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
        .collect();
    files.sort();
    files
}

fn rows(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.build().unwrap().collect::<Result<_, _>>().unwrap()
}

/// The offsets of all rows in the order of files.
fn offsets(folder: &Path) -> Vec<u64> {
    let mut offsets = Vec::new();
    for rows in files(folder).iter().flat_map(|path| rows(path)) {
        let column = rows.column_by_name("offset").unwrap().as_primitive::<Int64Type>().clone();
        offsets.extend(column.values().iter().map(|offset| offset.cast_unsigned()));
    }
    offsets
}

fn stopped(result: Result<crate::connector::DeliveryReply, CallError>) -> String {
    match result {
        Err(CallError::Stop { source, .. }) => source.to_string(),
        other => panic!("{other:?} instead of a stop"),
    }
}

pub(super) fn spec(fixture: &Fixture, max_records: usize) -> SinkSpec {
    let batch = settings::BatchSettings {
        max_records,
        max_bytes: ByteSize::mib(1),
        linger: Duration::from_millis(5),
    };
    SinkSpec {
        name: SINK.into(),
        source: SourceTopic::Deltas,
        filter: Filter::default(),
        flow: FlowSettings {
            batch: Some(batch),
            commit_every: Duration::from_millis(5),
            ..FlowSettings::default()
        },
        connector: Arc::new(open(fixture, SourceTopic::Deltas)),
    }
}

#[tokio::test]
async fn a_file_of_more_records_than_are_arranged_at_once_holds_them_all() {
    let fixture = fixture();
    open(&fixture, SourceTopic::Deltas).deliver(&batch(0..2_500)).await.unwrap();
    let folder = folder(&fixture, "inventory.deltas.v1");
    assert_eq!(files(&folder).len(), 1);
    assert_eq!(offsets(&folder), (0..2_500).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_delta_is_in_one_row_of_one_file_through_crashes() {
    let fixture = fixture();
    append_deltas(&fixture, 0..100);
    let folder = folder(&fixture, "inventory.deltas.v1");
    let topic = fixture.topics.deltas.clone();
    for crash in 1..=5_usize {
        let delivery = fixture.start(&spec(&fixture, 7)).await;
        until("some more files stand", || files(&folder).len() >= crash * 2).await;
        delivery.abandon();
    }
    let delivery = fixture.start(&spec(&fixture, 7)).await;
    until("all is committed", || fixture.committed(SINK, &topic) == 100).await;
    for (_, health) in delivery.drain().await {
        assert!(health.is_healthy(), "{health}");
    }
    assert_eq!(offsets(&folder), (0..100).collect::<Vec<_>>());
    let mut audited = fixture.audited("delivered");
    audited.sort_unstable();
    audited.dedup();
    assert_eq!(audited, (0..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_publishing_or_before_it_doubles_nothing() {
    let fixture = fixture();
    append_deltas(&fixture, 0..30);
    let folder = folder(&fixture, "inventory.deltas.v1");
    // Published, but neither audited nor committed.
    open(&fixture, SourceTopic::Deltas).deliver(&batch(0..12)).await.unwrap();
    // Written, but not published.
    fs::write(folder.join(".unpublished/left.parquet.1"), b"half a file").unwrap();
    let delivery = fixture.start(&spec(&fixture, 1_000)).await;
    let topic = fixture.topics.deltas.clone();
    until("all is committed", || fixture.committed(SINK, &topic) == 30).await;
    delivery.drain().await;
    assert_eq!(offsets(&folder), (0..30).collect::<Vec<_>>());
    assert_eq!(
        files(&folder)[0].file_name().unwrap().to_str().unwrap(),
        format!("{GENERATION}-p00000-00000000000000000000.parquet")
    );
    assert_eq!(
        files(&folder)[1].file_name().unwrap().to_str().unwrap(),
        format!("{GENERATION}-p00000-00000000000000000012.parquet")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_the_loser_drops_what_the_winner_has() {
    for round in 0..20 {
        let fixture = fixture();
        let (one, other) =
            (open(&fixture, SourceTopic::Deltas), open(&fixture, SourceTopic::Deltas));
        let (first, second) = (batch(0..40 + round), batch(0..60));
        let (a, b) = tokio::join!(one.deliver(&first), other.deliver(&second));
        a.unwrap();
        b.unwrap();
        // The stale one goes on, and so does the other.
        let (third, fourth) = (batch(40 + round..90), batch(60..80));
        let (a, b) = tokio::join!(one.deliver(&third), other.deliver(&fourth));
        a.unwrap();
        b.unwrap();
        let folder = folder(&fixture, "inventory.deltas.v1");
        assert_eq!(offsets(&folder), (0..90).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_comes_back_goes_on_where_another_member_left_it() {
    let fixture = fixture();
    let (here, there) = (open(&fixture, SourceTopic::Deltas), open(&fixture, SourceTopic::Deltas));
    here.deliver(&batch(0..4)).await.unwrap();
    there.deliver(&batch(4..8)).await.unwrap();
    here.deliver(&DeliveryBatch { delivered_to: 8, ..batch(8..10) }).await.unwrap();
    let folder = folder(&fixture, "inventory.deltas.v1");
    assert_eq!(offsets(&folder), (0..10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_gone_stop_the_partition_with_the_range() {
    let fixture = fixture();
    open(&fixture, SourceTopic::Deltas).deliver(&batch(0..10)).await.unwrap();
    let folder = folder(&fixture, "inventory.deltas.v1");
    fs::remove_file(&files(&folder)[0]).unwrap();
    let mut next = batch(10..20);
    next.delivered_to = 10;
    let reason = stopped(open(&fixture, SourceTopic::Deltas).deliver(&next).await);
    assert!(reason.ends_with("restore the files of 0..10"), "{reason}");
    assert!(files(&folder).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_published_below_the_committed_offset() {
    let fixture = fixture();
    append_deltas(&fixture, 0..20);
    {
        let group = fixture.topics.sink_group(SINK);
        let mut consumer = fixture.log.consumer(&group, &fixture.topics.deltas).unwrap();
        consumer.poll(1, Duration::from_millis(1)).unwrap();
        let committed = Committed { offset: 15, metadata: String::new() };
        consumer.commit(&[Position { partition: 0, committed }]).unwrap();
    }
    let stale = open(&fixture, SourceTopic::Deltas);
    let reason = stopped(stale.deliver(&batch(10..20)).await);
    assert!(reason.contains("from offset 10 on, the group has committed 15"), "{reason}");
    stale.deliver(&batch(15..20)).await.unwrap();
    assert_eq!(offsets(&folder(&fixture, "inventory.deltas.v1")), [15, 16, 17, 18, 19]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_ours_is_never_built_upon() {
    let fixture = fixture();
    let files = open(&fixture, SourceTopic::Deltas);
    let folder = folder(&fixture, "inventory.deltas.v1");
    let name = format!("{GENERATION}-p00000-00000000000000000044.parquet");
    fs::write(folder.join(&name), b"PAR1 something else PAR1").unwrap();
    let reason = stopped(files.deliver(&batch(0..5)).await);
    assert!(reason.contains(&name), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_checkpoint_nothing_is_written() {
    let fixture = Fixture::new(1, &[SINK]);
    let answer = open(&fixture, SourceTopic::Deltas).deliver(&batch(0..5)).await;
    assert!(matches!(answer, Err(CallError::Unavailable { code: FailureCode::NoCheckpoint, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_have_the_types_of_what_they_hold() {
    let fixture = fixture();
    open(&fixture, SourceTopic::Deltas).deliver(&batch(3..5)).await.unwrap();
    let rows = rows(&files(&folder(&fixture, "inventory.deltas.v1"))[0]).remove(0);
    let types: Vec<(String, String)> = rows
        .schema()
        .fields()
        .iter()
        .map(|field| (field.name().clone(), field.data_type().to_string()))
        .collect();
    let of = |name: &str| types.iter().find(|(known, _)| known == name).unwrap().1.clone();
    assert_eq!(of("net"), "Decimal128(19, 6)");
    assert_eq!(of("window_start"), "Timestamp(µs, \"UTC\")");
    assert_eq!(of("business_date"), "Date32");
    assert_eq!(of("offset"), "Int64");
    let net = rows.column_by_name("net").unwrap().as_primitive::<Decimal128Type>();
    assert_eq!(net.values().to_vec(), [-3_250_000, -4_250_000]);
    assert_eq!(
        rows.column_by_name("topic").unwrap().as_string::<i32>().value(0),
        "inventory.deltas.v1"
    );
    assert_eq!(rows.column_by_name("sku").unwrap().as_string::<i32>().value(1), "sku-4");
    assert_eq!(rows.num_rows(), 2);
    let absent = rows.columns().iter().enumerate().filter(|(_, column)| column.null_count() > 0);
    let absent: Vec<_> = absent.map(|(index, _)| types[index].0.as_str()).collect();
    assert_eq!(absent, ["reason", "location"], "this delta has neither");
}

/// Writes events of kinds and data as one file and returns its rows.
async fn lines_of(events: &[(&str, &str)]) -> RecordBatch {
    let fixture = fixture();
    let records = (0_u64..)
        .zip(events)
        .map(|(offset, (kind, data))| {
            Record::new(offset, 0, "acme/1", envelope("1", kind, offset, data))
        })
        .collect();
    let batch = DeliveryBatch { partition: 0, delivered_to: 0, records };
    open(&fixture, SourceTopic::Transactions).deliver(&batch).await.unwrap();
    rows(&files(&folder(&fixture, "pos.transactions.v1"))[0]).remove(0)
}

fn event(kind: &str, rest: &str) -> String {
    format!(
        r#"{{"store":"1","terminal":"1","sequence":7,"event_id":"e-7","kind":"{kind}","occurred_at":"2026-11-27T02:15:30.5+01:00","business_date":"2026-11-26"{rest}}}"#
    )
}

fn decimals(rows: &RecordBatch, name: &str) -> Vec<Option<i128>> {
    rows.column_by_name(name).unwrap().as_primitive::<Decimal128Type>().iter().collect()
}

fn texts(rows: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = rows.column_by_name(name).unwrap().as_string::<i32>();
    column.iter().map(|text| text.map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_has_a_row_a_line_with_amounts_in_major_units() {
    let line = r#"{"line":1,"type":"sale","sku":"A","quantity":"2","unit_price":"9.995","amount":"19.99","discounts":[{"reason":"promo","amount":"1.00"}],"taxes":[{"code":"v","amount":"3.03","inclusive":true}]}"#;
    let void = r#"{"line":2,"type":"sale","sku":"B","quantity":"1","amount":"5.00","void":true}"#;
    let back = r#"{"line":3,"type":"return","sku":"C","quantity":"0.5","unit":"KGM","amount":"2.50","disposition":"damaged"}"#;
    let euros = event(
        "sale",
        &format!(r#","currency":"EUR","loyalty_id":"L1","lines":[{line},{void},{back}]"#),
    );
    let yen = event(
        "sale",
        r#","currency":"JPY","lines":[{"line":1,"type":"sale","sku":"A","quantity":"1","amount":"500"}]"#,
    );
    let dinars = event(
        "return",
        r#","blind":true,"currency":"KWD","lines":[{"line":1,"type":"return","sku":"A","quantity":"1","amount":"1.234"}]"#,
    );
    let rows = lines_of(&[("sale", &euros), ("sale", &yen), ("return", &dinars)]).await;
    assert_eq!(rows.num_rows(), 5);
    let some = |values: &[i128]| values.iter().copied().map(Some).collect::<Vec<_>>();
    assert_eq!(decimals(&rows, "amount"), some(&[199_900, 50_000, 25_000, 5_000_000, 12_340]));
    assert_eq!(decimals(&rows, "discount"), some(&[10_000, 0, 0, 0, 0]));
    assert_eq!(decimals(&rows, "tax_inclusive"), some(&[30_300, 0, 0, 0, 0]));
    assert_eq!(decimals(&rows, "unit_price")[0], Some(999_500_000));
    assert_eq!(
        decimals(&rows, "quantity"),
        some(&[2_000_000, 1_000_000, 500_000, 1_000_000, 1_000_000])
    );
    assert_eq!(decimals(&rows, "stock"), some(&[-2_000_000, 0, 0, -1_000_000, 1_000_000]));
    assert_eq!(decimals(&rows, "sold"), some(&[2_000_000, 0, 0, 1_000_000, 0]));
    assert_eq!(decimals(&rows, "returned"), some(&[0, 0, 500_000, 0, 1_000_000]));
    assert_eq!(texts(&rows, "currency")[3], Some("JPY".into()));
    assert_eq!(texts(&rows, "loyalty_id")[2], Some("L1".into()));
    assert_eq!(texts(&rows, "unit")[2], Some("KGM".into()));
    let schema = rows.schema();
    let of = |name: &str| schema.field_with_name(name).unwrap().data_type().to_string();
    assert_eq!(of("amount"), "Decimal128(24, 4)");
    assert_eq!(of("unit_price"), "Decimal128(28, 8)");
    assert_eq!(of("occurred_at"), "Timestamp(µs, \"UTC\")");
    assert_eq!(of("business_date"), "Date32");
    let times = rows.column_by_name("occurred_at").unwrap();
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let expected = tillrace_core::text::Timestamp::parse(b"2026-11-27T01:15:30.5Z").unwrap();
    assert_eq!(times.value(0), expected.micros);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_without_lines_has_a_row_of_its_own() {
    let open = event("open", "");
    let rows = lines_of(&[("open", &open), ("no_sale", &event("no_sale", ""))]).await;
    assert_eq!(rows.num_rows(), 2);
    assert_eq!(texts(&rows, "kind"), [Some("open".into()), Some("no_sale".into())]);
    assert_eq!(texts(&rows, "verdict"), [Some("first".into()), Some("first".into())]);
    for name in ["line", "sku", "quantity", "amount", "stock", "void"] {
        assert_eq!(rows.column_by_name(name).unwrap().null_count(), 2, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_number_of_any_size_stays_what_it_is() {
    let line = r#"{"line":3000000000,"type":"sale","sku":"A","quantity":"1"}"#;
    let rows = lines_of(&[("sale", &event("sale", &format!(r#","lines":[{line}]"#)))]).await;
    let lines = rows.column_by_name("line").unwrap().as_primitive::<Int64Type>();
    assert_eq!(lines.value(0), 3_000_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_decoded_is_left_out_of_its_file() {
    let fixture = fixture();
    let sound = event("open", "");
    let records = vec![
        Record::new(4, 0, "acme/1", envelope("1", "sale", 4, r#"{"kind":"sale"}"#)),
        Record::new(5, 0, "acme/1", envelope("1", "open", 5, &sound)),
    ];
    let batch = DeliveryBatch { partition: 0, delivered_to: 0, records };
    let answer = open(&fixture, SourceTopic::Transactions).deliver(&batch).await.unwrap();
    let [RecordOutcome::Unreadable { detail }, RecordOutcome::Delivered] = &answer.outcomes[..]
    else {
        panic!("{answer:?}");
    };
    assert!(detail.starts_with("record cannot be read: "), "{detail}");
    assert_eq!(offsets(&folder(&fixture, "pos.transactions.v1")), [5]);
}

/// A delta of a window in year 0, as an older version may have written it.
fn undated(number: u64) -> String {
    delta(number).replace("2026-11-27T08:15:00Z", "0000-12-31T23:00:00Z")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_no_row_can_hold_is_a_dead_letter_and_the_files_go_on() {
    let fixture = fixture();
    let topic = fixture.topics.deltas.clone();
    append_deltas(&fixture, 0..3);
    for offset in [3, 4] {
        fixture.append(&topic, 0, "acme/1/x", undated(offset).as_bytes());
    }
    append_deltas(&fixture, 5..8);
    // Published, but neither audited nor committed: what it left out is told again.
    let mut first = batch(0..3);
    first.records.push(Record::new(3, 0, "acme/1/x", undated(3)));
    open(&fixture, SourceTopic::Deltas).deliver(&first).await.unwrap();
    let delivery = fixture.start(&spec(&fixture, 5)).await;
    until("all is committed", || fixture.committed(SINK, &topic) == 8).await;
    for (_, health) in delivery.drain().await {
        assert!(health.is_healthy(), "{health}");
    }
    assert_eq!(offsets(&folder(&fixture, "inventory.deltas.v1")), [0, 1, 2, 5, 6, 7]);
    let letters = fixture.dead(SINK);
    let dead: Vec<u64> = letters.iter().map(|letter| letter["offset"].as_u64().unwrap()).collect();
    assert_eq!(dead, [3, 4]);
    assert_eq!(
        letters[0]["error"],
        "unreadable: window_start cannot be read, or is beyond what its column holds"
    );
    assert_eq!(fixture.audited("dead"), [3, 4]);
    fixture.assert_verified(SINK, &topic);
}

#[tokio::test]
async fn a_batch_without_a_single_row_makes_no_file() {
    let fixture = fixture();
    let records = (0..3).map(|offset| Record::new(offset, 0, "acme/1/x", undated(offset)));
    let batch = DeliveryBatch { partition: 0, delivered_to: 0, records: records.collect() };
    let answer = open(&fixture, SourceTopic::Deltas).deliver(&batch).await.unwrap();
    assert!(
        answer.outcomes.iter().all(|outcome| matches!(outcome, RecordOutcome::Unreadable { .. }))
    );
    assert_eq!(answer.outcomes.len(), 3);
    assert!(files(&folder(&fixture, "inventory.deltas.v1")).is_empty());
}

fn open_as(fixture: &Fixture, sink: &str) -> ParquetFiles {
    let lake = fixture.folder.path().join("lake");
    let settings = ParquetSettings::local(SourceTopic::Deltas, lake.to_str().unwrap());
    ParquetFiles::open(&settings, Arc::<dyn Log>::clone(&fixture.log), &fixture.topics, sink)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_belongs_to_one_sink() {
    let fixture = fixture();
    open_as(&fixture, "lake").claim().await.unwrap();
    open_as(&fixture, "lake").claim().await.unwrap();
    let other = open_as(&fixture, "swamp");
    let error = other.claim().await.unwrap_err().to_string();
    let log = fixture.log.identity().unwrap();
    assert!(error.contains(&format!("belongs to sink lake of log {log}")), "{error}");
    let location = fixture.folder.path().join("lake");
    let settings = ParquetSettings::local(SourceTopic::Deltas, location.to_str().unwrap());
    let check = |sink, log| owner::check_owner(&settings, &fixture.topics, sink, log).is_ok();
    assert!(check("lake", &*log) && check("lake", "local/"));
    assert!(!check("swamp", "local/") && !check("lake", "kafka/") && !check("lake", "none"));
    // Whoever did not ask at the start is refused before its first file.
    let answer = other.deliver(&batch(0..1)).await;
    assert!(matches!(answer, Err(CallError::Stop { code: FailureCode::LocationTaken, .. })));
    assert!(files(&folder(&fixture, "inventory.deltas.v1")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_belongs_to_one_log() {
    let (one, other) = (fixture(), fixture());
    let location = one.folder.path().join("lake");
    let settings = ParquetSettings::local(SourceTopic::Deltas, location.to_str().unwrap());
    open(&one, SourceTopic::Deltas).deliver(&batch(0..1)).await.unwrap();
    let stranger =
        ParquetFiles::open(&settings, Arc::<dyn Log>::clone(&other.log), &other.topics, SINK)
            .unwrap();
    let error = stranger.claim().await.unwrap_err();
    assert!(matches!(&error, OwnerError::OtherOwner { sink, .. } if sink == SINK), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_of_an_older_version_is_taken_over_by_the_log_that_wrote_it() {
    let fixture = fixture();
    open(&fixture, SourceTopic::Deltas).deliver(&batch(0..3)).await.unwrap();
    let folder = folder(&fixture, "inventory.deltas.v1");
    fs::remove_file(folder.join("_tillrace.json")).unwrap();
    // Another log wrote there too, as the defaults of an older version let it.
    fs::write(folder.join("0ther-p00000-00000000000000000000.parquet"), b"PAR1").unwrap();
    let files = open(&fixture, SourceTopic::Deltas);
    files.claim().await.unwrap();
    files.deliver(&DeliveryBatch { delivered_to: 3, ..batch(3..4) }).await.unwrap();
    let owner = fs::read_to_string(folder.join("_tillrace.json")).unwrap();
    let log = fixture.log.identity().unwrap();
    assert_eq!(owner, format!("{{\"sink\":\"lake\",\"log\":\"{log}\"}}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_another_log_without_an_owner_are_not_taken_over() {
    let fixture = fixture();
    let files = open(&fixture, SourceTopic::Deltas);
    let folder = folder(&fixture, "inventory.deltas.v1");
    fs::write(folder.join("0ther-p00000-00000000000000000000.parquet"), b"PAR1").unwrap();
    let error = files.claim().await.unwrap_err();
    assert!(matches!(&error, OwnerError::OtherFiles { file, .. } if file.starts_with("0ther")));
    assert!(!folder.join("_tillrace.json").exists());
}
