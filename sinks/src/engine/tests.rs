//! The engine on a Local log, with a scripted backend.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::time::Duration;

use bytesize::ByteSize;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use rand::RngExt as _;
use tillrace_log::{Bounds, Committed, Consumer, LogView, Polled, Position, WritableLog};

use super::*;
use crate::connector::{CallError, DeliveryBatch, DeliveryFuture, DeliveryReply, RecordOutcome};
use crate::delivery::Delivery;
use crate::failure::FailureCode;
use crate::fixture::{Fixture, assert_valid, until};
use crate::record::{Record, RecordError};
use crate::settings::{self, BreakerSettings, InFlightSettings, RetrySettings};

type Script = dyn Fn(&DeliveryBatch) -> Result<Vec<RecordOutcome>, CallError> + Send + Sync;

/// A backend that does as its script says, and remembers.
struct Scripted {
    script: Box<Script>,
    ordering: Ordering,
    /// What was taken, in order, by key.
    taken: Mutex<BTreeMap<String, Vec<u64>>>,
    /// Sizes of all calls.
    calls: Mutex<Vec<usize>>,
}

impl Scripted {
    fn new(
        script: impl Fn(&DeliveryBatch) -> Result<Vec<RecordOutcome>, CallError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            ordering: Ordering::Key,
            taken: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    fn taken(&self) -> BTreeMap<String, Vec<u64>> {
        self.taken.lock().clone()
    }

    fn count(&self) -> usize {
        self.taken.lock().values().map(Vec::len).sum()
    }
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Scripted")
    }
}

impl Connector for Scripted {
    fn ordering(&self) -> Ordering {
        self.ordering
    }

    fn default_batch(&self) -> settings::BatchSettings {
        settings::BatchSettings {
            max_records: 10,
            max_bytes: ByteSize::mib(1),
            linger: Duration::from_millis(1),
        }
    }

    fn accepts(&self, record: &Record) -> Result<bool, RecordError> {
        assert!(record.key != "acme/panics", "a fault of ours");
        Ok(true)
    }

    fn deliver<'a>(&'a self, batch: &'a DeliveryBatch) -> DeliveryFuture<'a> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.calls.lock().push(batch.records.len());
            let outcomes = (self.script)(batch)?;
            let mut taken = self.taken.lock();
            for (record, outcome) in batch.records.iter().zip(&outcomes) {
                if *outcome == RecordOutcome::Delivered {
                    let key = String::from_utf8(record.key.to_vec()).unwrap();
                    taken.entry(key).or_default().push(record.offset);
                }
            }
            Ok(DeliveryReply { status: Some(200), outcomes })
        })
    }
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Patient with the backend and quick about it.
fn quick() -> FlowSettings {
    FlowSettings {
        retry: RetrySettings { initial: millis(1), longest: millis(4), attempts: Some(1_000) },
        breaker: BreakerSettings { failures: 1_000, open_for: millis(5) },
        commit_every: millis(5),
        ..FlowSettings::default()
    }
}

fn spec(connector: &Arc<Scripted>, flow: FlowSettings) -> SinkSpec {
    SinkSpec {
        name: "erp".into(),
        source: SourceTopic::Transactions,
        filter: Filter::default(),
        flow,
        connector: Arc::clone(connector) as Arc<dyn Connector>,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is a script like others")]
fn all_well(batch: &DeliveryBatch) -> Result<Vec<RecordOutcome>, CallError> {
    Ok(vec![RecordOutcome::Delivered; batch.records.len()])
}

fn outage() -> CallError {
    CallError::Unavailable {
        code: FailureCode::ServerError,
        status: None,
        after: None,
        source: None,
    }
}

async fn ended_well(delivery: Delivery) {
    for (sink, health) in delivery.drain().await {
        assert!(health.is_healthy(), "{sink}: {health}");
    }
}

/// What a gauge of the sink shows.
fn gauge(registry: &Registry, name: &str) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    let start = format!("tillrace_deliver_{name}{{sink=\"erp\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default().to_owned()
}

/// Everything below the commit must stand in the audit, once.
fn assert_audited(fixture: &Fixture, to: u64) {
    let topic = &fixture.topics.transactions;
    assert_eq!(fixture.committed("erp", topic), to);
    let mut audited: Vec<u64> = ["delivered", "dead", "filtered", "parked"]
        .iter()
        .flat_map(|outcome| fixture.audited(outcome))
        .collect();
    audited.sort_unstable();
    assert_eq!(audited, (0..to).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn order_per_key_holds_through_failures_of_every_kind() {
    let fixture = Fixture::new(1, &["erp"]);
    for _ in 0..40 {
        for store in ["1", "2", "3", "4", "5"] {
            fixture.sales(store, 1);
        }
    }
    let backend = Scripted::new(|batch| match rand::rng().random_range(0..5) {
        0 => Err(outage()),
        1 => Err(CallError::Throttled { after: Some(millis(1)) }),
        _ => {
            // A backend that keeps order takes nothing of a key behind what it could not take.
            let mut stuck = BTreeSet::new();
            Ok(batch
                .records
                .iter()
                .map(|record| {
                    if stuck.contains(&record.key) || rand::rng().random_range(0..4) == 0 {
                        stuck.insert(record.key.clone());
                        return RecordOutcome::Retry { code: "busy".into(), after: None };
                    }
                    RecordOutcome::Delivered
                })
                .collect())
        }
    });
    let delivery = fixture.start(&spec(&backend, quick())).await;
    until("all is delivered", || backend.count() == 200).await;
    ended_well(delivery).await;
    for (key, offsets) in backend.taken() {
        assert_eq!(offsets.len(), 40, "{key}");
        assert!(offsets.is_sorted(), "{key}: {offsets:?}");
    }
    assert!(fixture.dead("erp").is_empty());
    assert_audited(&fixture, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_key_is_parked_in_order_and_others_pass() {
    let fixture = Fixture::new(1, &["erp"]);
    let stuck = fixture.sales("stuck", 5);
    fixture.sales("fine", 20);
    let backend = Scripted::new(|batch| {
        let outcome = |record: &Record| match &record.key[..] {
            b"acme/stuck" => RecordOutcome::DependencyMissing,
            _ => RecordOutcome::Delivered,
        };
        Ok(batch.records.iter().map(outcome).collect())
    });
    let flow = FlowSettings { park_after: Some(millis(30)), ..quick() };
    let delivery = fixture.start(&spec(&backend, flow)).await;
    until("the stuck key is parked", || fixture.dead("erp").len() == 5).await;
    assert_eq!(backend.taken()["acme/fine"].len(), 20);
    ended_well(delivery).await;
    let letters = fixture.dead("erp");
    assert!(letters.iter().all(|letter| letter["reason"] == "parked"));
    assert!(letters.iter().all(|letter| letter["error"] == "dependency_missing"));
    let offsets: Vec<u64> =
        letters.iter().map(|letter| letter["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets, stuck);
    assert_eq!(fixture.audited("parked"), stuck);
    assert_audited(&fixture, 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_out_of_attempts_goes_alone_and_the_next_is_tried() {
    let fixture = Fixture::new(1, &["erp"]);
    let first = fixture.sales("1", 3)[0];
    let backend = Scripted::new(move |batch| {
        let outcome = |record: &Record| {
            if record.offset == first {
                RecordOutcome::Retry { code: "no_such_account".into(), after: None }
            } else {
                RecordOutcome::Delivered
            }
        };
        Ok(batch.records.iter().map(outcome).collect())
    });
    let mut flow = quick();
    flow.retry.attempts = Some(3);
    let delivery = fixture.start(&spec(&backend, flow)).await;
    until("all is settled", || fixture.dead("erp").len() == 1 && backend.count() == 2).await;
    ended_well(delivery).await;
    let letter = &fixture.dead("erp")[0];
    assert_eq!(letter["reason"], "exhausted");
    assert_eq!(letter["error"], "no_such_account");
    assert_eq!(letter["attempts"], 3);
    assert_eq!(letter["value"]["store"], "1");
    assert_audited(&fixture, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_is_taken_apart_until_the_one_is_found() {
    let fixture = Fixture::new(1, &["erp"]);
    let stores: Vec<String> = (0..20).map(|store| store.to_string()).collect();
    for store in &stores {
        fixture.sales(store, 2);
    }
    let poison = 13;
    let backend = Scripted::new(move |batch| {
        if batch.records.iter().any(|record| record.offset == poison) {
            return Err(CallError::Refused { status: 422, detail: "line 3: no such tax".into() });
        }
        all_well(batch)
    });
    let (max_bytes, linger) = (ByteSize::mib(1), millis(200));
    let batch = Some(settings::BatchSettings { max_records: 40, max_bytes, linger });
    let delivery = fixture.start(&spec(&backend, FlowSettings { batch, ..quick() })).await;
    until("all is settled", || backend.count() == 39 && fixture.dead("erp").len() == 1).await;
    ended_well(delivery).await;
    let letter = &fixture.dead("erp")[0];
    assert_eq!(letter["offset"], poison);
    assert_eq!(letter["reason"], "rejected");
    assert_eq!(letter["error"], "status_422: line 3: no such tax");
    assert!(letter["at"].as_str().unwrap().starts_with("20"), "{letter}");
    // Forty records are halved six times; one record at a time would take a call for each.
    let calls = backend.calls.lock().len();
    assert!(calls <= 2 + 2 * 7, "{calls} calls");
    assert_audited(&fixture, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_one_key_that_is_too_large_is_split_in_order() {
    let fixture = Fixture::new(1, &["erp"]);
    let sales = fixture.sales("1", 40);
    let backend = Scripted::new(|batch| {
        if batch.records.len() > 3 {
            return Err(CallError::Refused { status: 413, detail: String::new() });
        }
        all_well(batch)
    });
    let delivery = fixture.start(&spec(&backend, quick())).await;
    until("all is settled", || backend.count() == 40).await;
    ended_well(delivery).await;
    assert_eq!(backend.taken()["acme/1"], sales, "order of a key holds while it is split");
    let refused = backend.calls.lock().iter().filter(|&&size| size > 3).count();
    assert!(refused <= 4, "batches become smaller for good: {refused} refused");
    assert!(fixture.dead("erp").is_empty());
    assert_audited(&fixture, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_sink_begins_where_it_is_told_and_verify_counts_from_there() {
    let fixture = Fixture::new(1, &["erp"]);
    fixture.sales("1", 20);
    let backend = Scripted::new(all_well);
    let flow = FlowSettings { start: settings::Start::Now, ..quick() };
    let delivery = fixture.start(&spec(&backend, flow.clone())).await;
    let topic = fixture.topics.transactions.clone();
    until("the sink begins", || fixture.committed("erp", &topic) == 20).await;
    let later = fixture.sales("1", 3);
    until("what came since is settled", || backend.count() == 3).await;
    ended_well(delivery).await;
    let begun = fixture.audit().into_iter().find(|record| record["outcome"] == "begun").unwrap();
    assert_eq!(begun["offsets"], serde_json::json!([[0, 20]]));
    for record in fixture.audit() {
        assert_valid("audit.v1", record.to_string().as_bytes());
    }
    fixture.assert_verified("erp", &topic);

    let more = fixture.sales("1", 2);
    let delivery = fixture.start(&spec(&backend, flow)).await;
    until("it goes on where it was", || backend.count() == 5).await;
    ended_well(delivery).await;
    assert_eq!(backend.taken()["acme/1"], [later, more].concat());
    fixture.assert_verified("erp", &topic);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_kills_nothing_and_the_breaker_leaves_the_backend_alone() {
    let fixture = Fixture::new(1, &["erp"]);
    for store in 0..50 {
        fixture.sales(&store.to_string(), 1);
    }
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let backend =
        Scripted::new(
            move |batch| {
                if is_down.load(Atomic::Relaxed) { Err(outage()) } else { all_well(batch) }
            },
        );
    let mut flow = FlowSettings { park_after: Some(millis(1)), concurrency: 1, ..quick() };
    flow.retry.attempts = Some(2);
    flow.breaker = BreakerSettings { failures: 3, open_for: millis(50) };
    let delivery = fixture.start(&spec(&backend, flow)).await;
    until("the breaker has probed twice", || backend.calls.lock().len() >= 5).await;
    down.store(false, Atomic::Relaxed);
    until("all is delivered", || backend.count() == 50).await;
    ended_well(delivery).await;
    assert!(fixture.dead("erp").is_empty());
    assert_audited(&fixture, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_only_what_the_commit_does_not_know_is_sent_again() {
    let fixture = Fixture::new(1, &["erp"]);
    fixture.sales("stuck", 1);
    fixture.sales("fine", 30);
    let healed = Arc::new(AtomicBool::new(false));
    let is_healed = Arc::clone(&healed);
    let backend = Scripted::new(move |batch| {
        let outcome = |record: &Record| {
            if record.offset == 0 && !is_healed.load(Atomic::Relaxed) {
                RecordOutcome::DependencyMissing
            } else {
                RecordOutcome::Delivered
            }
        };
        Ok(batch.records.iter().map(outcome).collect())
    });
    let spec = spec(&backend, quick());
    let delivery = fixture.start(&spec).await;
    let (group, topic) = (fixture.topics.sink_group("erp"), &fixture.topics.transactions);
    until("what is above the stuck record is committed as a run", || {
        let committed = fixture.log.committed(&group, topic, 0).unwrap();
        committed.is_some_and(|position| position.offset == 0 && position.metadata == "1;31;1+30")
    })
    .await;
    delivery.abandon();
    let delivery = fixture.start(&spec).await;
    // Not before: until its group is free, the abandoned engine may still be at a call.
    healed.store(true, Atomic::Relaxed);
    until("the stuck record is delivered", || backend.count() == 31).await;
    until("all is committed", || fixture.committed("erp", topic) == 31).await;
    ended_well(delivery).await;
    assert_eq!(backend.count(), 31, "nothing was sent twice");
    assert_audited(&fixture, 31);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_stops_its_partition_and_no_other() {
    let fixture = Fixture::new(2, &["erp"]);
    let topic = &fixture.topics.transactions;
    fixture.sales("1", 3);
    fixture.append(topic, 0, "acme/1", &crate::fixture::envelope("1", "barter", 9, "{}"));
    fixture.sales("1", 3);
    for sequence in 0..4 {
        let value = crate::fixture::envelope("2", "sale", sequence, "{}");
        fixture.append(topic, 1, "acme/2", &value);
    }
    let backend = Scripted::new(all_well);
    let mut registry = Registry::default();
    let specs = vec![spec(&backend, quick())];
    let delivery = fixture.start_sinks(specs, &mut registry).unwrap();
    until("the readable part is delivered", || backend.count() == 7).await;
    until("the sink says so", || !delivery.health()[0].1.is_healthy()).await;
    until("so does its gauge", || gauge(&registry, "halted_partitions") == "1").await;
    assert_eq!(fixture.standing(), ["partition_halted partition 0"]);
    let ends = delivery.drain().await;
    let halted = &ends[0].1.halted;
    assert_eq!(halted.keys().copied().collect::<Vec<_>>(), [0]);
    let error = halted[&0].to_string();
    assert_eq!(error, "pos.transactions.v1/0: cannot read offset 3");
    assert_eq!(backend.taken()["acme/1"], [0, 1, 2]);
    assert_eq!(fixture.committed("erp", topic), 3, "it is never skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_partition_takes_no_room_from_others() {
    let fixture = Fixture::new(2, &["erp"]);
    let topic = &fixture.topics.transactions;
    for store in 0..20 {
        fixture.sales(&store.to_string(), 1);
    }
    for sequence in 0..20 {
        let value = crate::fixture::envelope("a", "sale", sequence, "{}");
        fixture.append(topic, 1, "acme/a", &value);
    }
    let backend = Scripted::new(|batch| match batch.partition {
        0 => Err(CallError::Stop {
            code: FailureCode::FilesMissing,
            source: Arc::new(std::io::Error::other("a hole")),
        }),
        _ => all_well(batch),
    });
    let in_flight = InFlightSettings { max_records: 20, max_bytes: ByteSize::mib(1) };
    let delivery = fixture.start(&spec(&backend, FlowSettings { in_flight, ..quick() })).await;
    until("the other partition is delivered", || backend.count() == 20).await;
    let ends = delivery.drain().await;
    assert_eq!(ends[0].1.halted.keys().copied().collect::<Vec<_>>(), [0]);
    assert_eq!(fixture.committed("erp", topic), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_the_log_does_not_hold_stops_the_sink_with_the_range() {
    let fixture = Fixture::new(1, &["erp"]);
    let topic = &fixture.topics.transactions;
    let group = fixture.topics.sink_group("erp");
    {
        let mut consumer = fixture.log.consumer(&group, topic).unwrap();
        consumer.poll(1, millis(10)).unwrap();
        let committed = Committed { offset: 77, metadata: String::new() };
        consumer.commit(&[Position { partition: 0, committed }]).unwrap();
    }
    let delivery = fixture.start(&spec(&Scripted::new(all_well), quick())).await;
    until("the sink stops", || delivery.health()[0].1.stopped.is_some()).await;
    let ends = delivery.drain().await;
    let stopped = ends[0].1.stopped.clone().unwrap();
    let SinkError::Log(LogError::OutOfRange { offset, start, end, .. }) = &*stopped else {
        panic!("stopped by {stopped}");
    };
    assert_eq!((*offset, *start, *end), (77, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_position_is_committed_before_anything_is_read() {
    let fixture = Fixture::new(1, &["erp"]);
    let backend = Scripted::new(all_well);
    let delivery = fixture.start(&spec(&backend, quick())).await;
    let group = fixture.topics.sink_group("erp");
    let committed = || fixture.log.committed(&group, &fixture.topics.transactions, 0).unwrap();
    until("the position stands", || committed().is_some()).await;
    assert_eq!(committed().unwrap().offset, 0);
    ended_well(delivery).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_filter_leaves_out_is_audited_and_not_sent() {
    let fixture = Fixture::new(1, &["erp"]);
    for store in ["1", "2", "1"] {
        fixture.transaction(store, "sale", "{}");
        fixture.transaction(store, "no_sale", "{}");
    }
    let backend = Scripted::new(all_well);
    let mut spec = spec(&backend, quick());
    spec.filter.kinds.insert("sale".into());
    spec.filter.stores.insert("1".into());
    let delivery = fixture.start(&spec).await;
    until("all is committed", || fixture.committed("erp", &fixture.topics.transactions) == 6).await;
    ended_well(delivery).await;
    assert_eq!(backend.taken()["acme/1"], [0, 4]);
    assert_eq!(fixture.audited("filtered"), [1, 2, 3, 5]);
    assert_audited(&fixture, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_in_flight_are_bounded_while_the_backend_answers_nothing() {
    let fixture = Fixture::new(1, &["erp"]);
    for store in 0..100 {
        fixture.sales(&store.to_string(), 5);
    }
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let backend =
        Scripted::new(
            move |batch| {
                if is_down.load(Atomic::Relaxed) { Err(outage()) } else { all_well(batch) }
            },
        );
    let in_flight = InFlightSettings { max_records: 50, max_bytes: ByteSize::mib(1) };
    let mut registry = Registry::default();
    let spec = spec(&backend, FlowSettings { in_flight, ..quick() });
    let delivery = fixture.start_sinks(vec![spec], &mut registry).unwrap();
    until("it has tried a while", || backend.calls.lock().len() > 20).await;
    assert_eq!(gauge(&registry, "in_flight_records"), "50");
    down.store(false, Atomic::Relaxed);
    until("all is delivered", || backend.count() == 500).await;
    ended_well(delivery).await;
    assert_audited(&fixture, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_delivers_what_lingers() {
    let fixture = Fixture::new(1, &["erp"]);
    fixture.sales("1", 3);
    let backend = Scripted::new(all_well);
    let batch = settings::BatchSettings {
        max_records: 1_000,
        max_bytes: ByteSize::mib(1),
        linger: Duration::from_hours(1),
    };
    let mut registry = Registry::default();
    let spec = spec(&backend, FlowSettings { batch: Some(batch), ..quick() });
    let delivery = fixture.start_sinks(vec![spec], &mut registry).unwrap();
    until("the records are in flight", || gauge(&registry, "in_flight_records") == "3").await;
    assert_eq!(backend.count(), 0, "the batch is not full and its time has not come");
    ended_well(delivery).await;
    assert_eq!(*backend.calls.lock(), [3]);
    assert_audited(&fixture, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_of_an_age_panics_nothing_and_parks_in_time() {
    let fixture = Fixture::new(1, &["erp"]);
    fixture.sales("locked", 2);
    fixture.sales("fine", 3);
    let backend = Scripted::new(|batch| {
        let outcome = |record: &Record| match &record.key[..] {
            b"acme/locked" => RecordOutcome::Retry {
                code: "locked".into(),
                after: Some(Duration::from_secs(u64::MAX)),
            },
            _ => RecordOutcome::Delivered,
        };
        Ok(batch.records.iter().map(outcome).collect())
    });
    let flow = FlowSettings { park_after: Some(millis(30)), ..quick() };
    let delivery = fixture.start(&spec(&backend, flow)).await;
    until("the locked key is parked", || fixture.dead("erp").len() == 2).await;
    ended_well(delivery).await;
    assert_eq!(backend.taken()["acme/fine"].len(), 3);
    assert_audited(&fixture, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_panics_is_stopped_and_says_so() {
    let call = Scripted::new(|_| panic!("a fault of ours"));
    let engine = Scripted::new(all_well);
    for (backend, store) in [(call, "1"), (engine, "panics")] {
        let fixture = Fixture::new(1, &["erp"]);
        fixture.sales(store, 1);
        let delivery = fixture.start(&spec(&backend, quick())).await;
        until("the sink says so", || delivery.health()[0].1.stopped.is_some()).await;
        let ends = delivery.drain().await;
        assert!(matches!(&**ends[0].1.stopped.as_ref().unwrap(), SinkError::Panicked(_)));
        assert_eq!(fixture.standing(), ["sink_stopped "]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_and_dead_letters_are_conditions_of_the_process() {
    let fixture = Fixture::new(1, &["erp"]);
    fixture.sales("1", 1);
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let backend = Scripted::new(move |batch| {
        if is_down.load(Atomic::Relaxed) {
            return Err(outage());
        }
        let rejected =
            RecordOutcome::Rejected { code: "closed".into(), detail: "period 11".into() };
        Ok(vec![rejected; batch.records.len()])
    });
    let mut registry = Registry::default();
    let flow =
        FlowSettings { breaker: BreakerSettings { failures: 2, open_for: millis(5) }, ..quick() };
    let delivery = fixture.start_sinks(vec![spec(&backend, flow)], &mut registry).unwrap();
    until("the breaker is open", || fixture.standing() == ["breaker_open "]).await;
    let condition = fixture.health.active_conditions().remove(0).condition;
    assert_eq!(condition.component, "sink/erp");
    assert!(condition.cause.starts_with("server_error. The backend"), "{}", condition.cause);
    assert_eq!(condition.remedy, FailureCode::ServerError.explanation().remedy);
    assert!(fixture.health.is_ready(), "a backend that is down takes no gateway from its tills");
    down.store(false, Atomic::Relaxed);
    until("it is closed again", || fixture.standing() == ["dead_letters "]).await;
    let condition = fixture.health.active_conditions().remove(0).condition;
    assert_eq!(
        condition.cause,
        "1 since the start, the last of partition 0, offset 0: rejected, closed"
    );
    assert!(condition.remedy.contains("`tillrace redrive erp`"), "{}", condition.remedy);
    ended_well(delivery).await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let counted = r#"tillrace_deliver_dead_letters_total{sink="erp",reason="rejected"} 1"#;
    assert!(text.contains(counted), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_read_goes_to_the_dead_letters_and_the_partition_goes_on() {
    let fixture = Fixture::new(1, &["erp"]);
    let topic = &fixture.topics.transactions;
    fixture.sales("1", 1);
    fixture.append(topic, 0, "acme/1", b"no envelope");
    fixture.append(topic, 0, "acme/1", &vec![0xff; 900_000]);
    fixture.append(topic, 0, "acme/1", b" {} ");
    fixture.remove(topic, 0, "acme/1");
    fixture.sales("1", 1);
    let backend = Scripted::new(all_well);
    let delivery = fixture.start(&spec(&backend, quick())).await;
    until("all is committed", || fixture.committed("erp", topic) == 6).await;
    ended_well(delivery).await;
    assert_eq!(backend.taken()["acme/1"], [0, 5]);
    let letters = fixture.entries(&fixture.topics.dead("erp"));
    assert_eq!(letters.len(), 4);
    for letter in &letters {
        assert_valid("dead-letter.v1", letter.value.as_ref().unwrap());
    }
    let letters = fixture.dead("erp");
    assert!(letters.iter().all(|letter| letter["reason"] == "unreadable"));
    assert_eq!(letters[0]["value"], "no envelope");
    assert_eq!(fixture.audited("dead"), [1, 2, 3, 4]);
    assert_eq!(fixture.standing(), ["dead_letters "]);
    assert_audited(&fixture, 6);
    fixture.assert_verified("erp", topic);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_configuration_sets_aside_halts_nothing() {
    let fixture = Fixture::new(1, &["erp"]);
    let topic = &fixture.topics.transactions;
    fixture.append(topic, 0, "acme/1", &crate::fixture::envelope("1", "barter", 9, "{}"));
    fixture.sales("1", 2);
    let backend = Scripted::new(all_well);
    let set_aside = vec![settings::RecordPosition { partition: 0, offset: 0 }];
    let delivery = fixture.start(&spec(&backend, FlowSettings { set_aside, ..quick() })).await;
    until("all is committed", || fixture.committed("erp", topic) == 3).await;
    ended_well(delivery).await;
    assert_eq!(backend.taken()["acme/1"], [1, 2]);
    let letter = &fixture.dead("erp")[0];
    assert_eq!((&letter["reason"], &letter["offset"]), (&"set_aside".into(), &0.into()));
    fixture.assert_verified("erp", topic);
}

/// A log whose first consumer is another, or none.
struct CutOff {
    log: Arc<dyn Log>,
    first: Mutex<Option<FirstConsumer>>,
}

type FirstConsumer = fn() -> Result<Box<dyn Consumer>, LogError>;

/// Ends at its first poll, as one does that its brokers gave up on.
struct EndedLog;

fn client_ended() -> LogError {
    LogError::ClientEnded { cause: Arc::new(std::io::Error::other("the brokers were away")) }
}

impl Consumer for EndedLog {
    fn poll(&mut self, _max_records: usize, _wait: Duration) -> Result<Polled, LogError> {
        Err(client_ended())
    }

    fn committed(&mut self, _partition: Partition) -> Result<Option<Committed>, LogError> {
        Err(client_ended())
    }

    fn start(&mut self, _partition: Partition, _offset: u64) -> Result<(), LogError> {
        Err(client_ended())
    }

    fn commit(&mut self, _positions: &[Position]) -> Result<(), LogError> {
        Err(client_ended())
    }
}

impl LogView for CutOff {
    fn identity(&self) -> Result<String, LogError> {
        self.log.identity()
    }

    fn partitions(&self) -> Partition {
        self.log.partitions()
    }

    fn bounds(&self, topic: &Topic, partition: Partition) -> Result<Bounds, LogError> {
        self.log.bounds(topic, partition)
    }

    fn reader(
        &self,
        topic: &Topic,
        partition: Partition,
        from: u64,
    ) -> Result<Box<dyn tillrace_log::Reader>, LogError> {
        self.log.reader(topic, partition, from)
    }

    fn committed(
        &self,
        group: &str,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Option<Committed>, LogError> {
        self.log.committed(group, topic, partition)
    }
}

impl WritableLog for CutOff {
    fn producer(&self) -> Result<Box<dyn tillrace_log::Producer>, LogError> {
        self.log.producer()
    }
}

impl Log for CutOff {
    fn ensure_topics(
        &self,
        topics: &[tillrace_log::TopicSpec],
    ) -> Result<tillrace_log::Weaknesses, LogError> {
        self.log.ensure_topics(topics)
    }

    fn consumer(&self, group: &str, topic: &Topic) -> Result<Box<dyn Consumer>, LogError> {
        let first = self.first.lock().take();
        first.map_or_else(|| self.log.consumer(group, topic), |first| first())
    }

    fn transactional_consumer(
        &self,
        group: &str,
        topic: &Topic,
    ) -> Result<Box<dyn tillrace_log::TransactionalConsumer>, LogError> {
        self.log.transactional_consumer(group, topic)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_whose_consumer_ended_or_whose_topic_is_in_the_making_starts_again_and_delivers() {
    let in_the_making = || {
        let topic = Topic::new("pos.transactions.v1");
        Err(LogError::UnknownTopic { topic })
    };
    let firsts: [FirstConsumer; 2] = [|| Ok(Box::new(EndedLog)), in_the_making];
    for first in firsts {
        assert_starts_again(first).await;
    }
}

async fn assert_starts_again(first: FirstConsumer) {
    let fixture = Fixture::new(1, &["erp"]);
    fixture.sales("1", 3);
    let backend = Scripted::new(all_well);
    let first = Mutex::new(Some(first));
    let log: Arc<dyn Log> = Arc::new(CutOff { log: Arc::clone(&fixture.log), first });
    let specs = vec![spec(&backend, quick())];
    let mut registry = Registry::default();
    let (topics, health) = (&fixture.topics, &fixture.health);
    let delivery = Delivery::start_sinks(specs, &log, topics, &mut registry, health).unwrap();
    until("the sink says so", || fixture.standing() == ["role_restarting "]).await;
    until("it delivers", || backend.taken().get("acme/1").is_some_and(|taken| taken.len() == 3))
        .await;
    assert!(delivery.health()[0].1.stopped.is_none());
    ended_well(delivery).await;
}

/// Lets time pass that nothing waits for.
async fn pass(span: Duration) {
    tokio::time::pause();
    tokio::time::advance(span).await;
    tokio::time::resume();
}

/// Lets time pass until a stall is told, and returns its cause.
async fn stall_told(fixture: &Fixture, expected: &str) -> String {
    for _ in 0..100 {
        if let [standing] = &fixture.health.active_conditions()[..] {
            assert_eq!(fixture.standing(), [expected]);
            assert!(fixture.health.is_ready());
            return standing.condition.cause.clone();
        }
        pass(Duration::from_secs(16)).await;
        tokio::time::sleep(millis(5)).await;
    }
    panic!("no stall was told");
}

#[tokio::test]
async fn a_wait_that_the_backend_asks_for_is_told_until_it_is_over() {
    let after = Some(Duration::from_mins(10));
    let throttled: fn(Option<Duration>) -> CallError = |after| CallError::Throttled { after };
    let unavailable: fn(Option<Duration>) -> CallError = |after| {
        let (code, status) = (FailureCode::ServerError, Some(503));
        CallError::Unavailable { code, status, after, source: None }
    };
    let cases = [(throttled, "backend asks for fewer calls"), (unavailable, "server_error")];
    for (error, said) in cases {
        let fixture = Fixture::new(1, &["erp"]);
        fixture.sales("1", 1);
        let busy = Arc::new(AtomicBool::new(true));
        let is_busy = Arc::clone(&busy);
        let backend = Scripted::new(move |batch| {
            if is_busy.load(Atomic::Relaxed) { Err(error(after)) } else { all_well(batch) }
        });
        let delivery = fixture.start(&spec(&backend, quick())).await;
        until("the backend was called", || backend.calls.lock().len() == 1).await;
        let cause = stall_told(&fixture, "delivery_stalled ").await;
        assert!(cause.starts_with("no call was served since 20"), "{cause}");
        let said = format!("; the last one: {said}; the backend asked for no call before 20");
        assert!(cause.contains(&said), "{cause}");
        busy.store(false, Atomic::Relaxed);
        pass(Duration::from_mins(10)).await;
        until("it is over", || fixture.standing().is_empty()).await;
        assert_eq!(*backend.calls.lock(), [1, 1]);
        ended_well(delivery).await;
        assert_audited(&fixture, 1);
    }
}

#[tokio::test]
async fn a_key_that_waits_while_others_pass_is_told_until_it_is_taken() {
    let fixture = Fixture::new(1, &["erp"]);
    fixture.sales("locked", 2);
    fixture.sales("fine", 3);
    let locked = Arc::new(AtomicBool::new(true));
    let is_locked = Arc::clone(&locked);
    let backend = Scripted::new(move |batch| {
        let after = Some(Duration::from_mins(10));
        let outcome = |record: &Record| match &record.key[..] {
            b"acme/locked" if is_locked.load(Atomic::Relaxed) => {
                RecordOutcome::Retry { code: "locked".into(), after }
            }
            _ => RecordOutcome::Delivered,
        };
        Ok(batch.records.iter().map(outcome).collect())
    });
    let flow = FlowSettings { park_after: Some(Duration::from_hours(1)), ..quick() };
    let delivery = fixture.start(&spec(&backend, flow)).await;
    until("the others are taken", || backend.count() == 3).await;
    let cause = stall_told(&fixture, "delivery_stalled partition 0").await;
    assert!(cause.starts_with("key acme/locked is not taken since 20"), "{cause}");
    assert!(cause.contains("; failures: 1, the last: locked; tried again at 20"), "{cause}");
    locked.store(false, Atomic::Relaxed);
    pass(Duration::from_mins(10)).await;
    until("it is over", || fixture.standing().is_empty()).await;
    ended_well(delivery).await;
    assert_audited(&fixture, 5);
}
