//! A sink with a simulated backend, its dead letters, and what an operator can make of them.

use std::sync::atomic::{AtomicBool, Ordering as Atomic};

use prometheus_client::registry::Registry;
use serde_json::json;
use tillrace_core::verify::{SinkUnderTest, verify};
use tillrace_log::{Log, Offset};

use super::*;
use crate::Delivery;
use crate::fixture::{Fixture, assert_valid, until};
use crate::simulate::{Faults, SimulatedBackend};

const SALE: &str = r#"{"kind":"sale"}"#;

fn id(store: &str, sequence: u64) -> String {
    format!("/acme/{store}/1#{sequence}")
}

fn settings(backend: &SimulatedBackend) -> SinkSettings {
    trying(backend, 3)
}

fn trying(backend: &SimulatedBackend, attempts: u32) -> SinkSettings {
    serde_json::from_value(json!({
        "name": "erp",
        "to": {"kind": "erp_documents", "backend": {"url": backend.documents_url()}},
        "flow": {
            "park_after": "20ms", "commit_every": "5ms",
            "retry": {"initial": "1ms", "longest": "2ms", "attempts": attempts},
        },
    }))
    .unwrap()
}

/// Six sales, of which the backend refuses one for good and lacks something for three of one store.
async fn stage(backend: &SimulatedBackend) -> Fixture {
    let fixture = Fixture::new(1, &["erp"]);
    for store in ["1", "stuck", "1", "stuck", "stuck", "1"] {
        fixture.transaction(store, "sale", SALE);
    }
    backend.reject(&id("1", 2));
    for sequence in [1, 3, 4] {
        backend.set_lacking(&id("stuck", sequence), true);
    }
    // So often that a key is parked for its time, not given up for its attempts.
    let sinks = [trying(backend, 1_000)];
    let log = Arc::clone(&fixture.log);
    let delivery =
        Delivery::start(&sinks, log, &fixture.topics, &mut Registry::default(), &fixture.health)
            .await
            .unwrap();
    until("all is settled", || fixture.committed("erp", &fixture.topics.transactions) == 6).await;
    drop(delivery.drain().await);
    assert_eq!(fixture.dead("erp").len(), 4);
    fixture
}

fn listed(fixture: &Fixture, sink: &SinkSettings) -> Vec<(Offset, String)> {
    let due = due(&*fixture.log, &fixture.topics, sink).unwrap();
    due.into_iter().map(|due| (due.offset, due.reason)).collect()
}

async fn run(
    fixture: &Fixture,
    sink: &SinkSettings,
) -> (RedriveTotals, Vec<(Offset, LetterOutcome)>) {
    let due = due(&*fixture.log, &fixture.topics, sink).unwrap();
    let mut outcomes = Vec::new();
    let report = &mut |due: &DueLetter, outcome: &LetterOutcome| {
        outcomes.push((due.offset, outcome.clone()));
    };
    let total = redrive(Arc::<dyn Log>::clone(&fixture.log), &fixture.topics, sink, &due, report)
        .await
        .unwrap();
    outcomes.sort_by_key(|outcome| outcome.0);
    (total, outcomes)
}

/// Recounts the sink: delivered, dead, parked.
fn recounted(fixture: &Fixture) -> (u64, u64, u64) {
    let sink = SinkUnderTest {
        name: "erp".into(),
        topic: fixture.topics.transactions.clone(),
        group: fixture.topics.sink_group("erp"),
        is_configured: true,
    };
    let report = verify(&*fixture.log, &fixture.topics, &[sink], 0, &mut |_| {}).unwrap();
    let check = report.checks.iter().find(|check| check.name == "(d) sink erp").unwrap();
    assert!(check.holds(), "{check}");
    let counts = &report.sinks[0];
    (counts.delivered, counts.dead, counts.parked)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_right_is_delivered_once_and_the_rest_stays_dead() {
    let backend = SimulatedBackend::start(Faults::default()).await.unwrap();
    let (fixture, sink) = (stage(&backend).await, settings(&backend));
    assert_eq!(recounted(&fixture), (2, 1, 3));
    for sequence in [1, 3, 4] {
        backend.set_lacking(&id("stuck", sequence), false);
    }
    let (total, outcomes) = run(&fixture, &sink).await;
    assert_eq!(total, RedriveTotals { delivered: 3, left: 1 });
    let reason = "unbookable: the simulation was told to reject it".to_owned();
    let delivered = |offset| (offset, LetterOutcome::Delivered);
    assert_eq!(
        outcomes,
        [delivered(1), (2, LetterOutcome::Failed(reason)), delivered(3), delivered(4)]
    );
    assert_eq!(backend.read(|books| books.order["acme/stuck"].clone()), [1, 3, 4]);
    assert_eq!(recounted(&fixture), (5, 1, 0));
    let redriven: Vec<_> =
        fixture.audit().into_iter().filter(|record| record["redriven"] == true).collect();
    assert_eq!(redriven.len(), 3);
    assert!(redriven.iter().all(|record| record["outcome"] == "delivered"));
    assert_valid("audit.v1", &serde_json::to_vec(&redriven[0]).unwrap());

    assert_eq!(listed(&fixture, &sink), [(2, "rejected".to_owned())], "what is due still");
    assert_eq!(run(&fixture, &sink).await.0, RedriveTotals { delivered: 0, left: 1 });
    assert_eq!(backend.read(|books| books.duplicates), 0, "nothing went out twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_has_to_wait_holds_back_its_key_and_no_other() {
    let backend = SimulatedBackend::start(Faults::default()).await.unwrap();
    let (fixture, sink) = (stage(&backend).await, settings(&backend));
    backend.set_lacking(&id("stuck", 3), false);
    backend.set_lacking(&id("stuck", 4), false);
    let (total, outcomes) = run(&fixture, &sink).await;
    assert_eq!(total, RedriveTotals { delivered: 0, left: 4 });
    assert_eq!(outcomes[0], (1, LetterOutcome::Failed("dependency_missing".to_owned())));
    assert_eq!(outcomes[2..], [(3, LetterOutcome::Blocked), (4, LetterOutcome::Blocked)]);
    assert_eq!(recounted(&fixture), (2, 1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_down_ends_the_run_and_nothing_is_forgotten() {
    let backend = SimulatedBackend::start(Faults::default()).await.unwrap();
    let (fixture, sink) = (stage(&backend).await, settings(&backend));
    backend.set_down(true);
    let calls = backend.read(|books| books.calls);
    let due = due(&*fixture.log, &fixture.topics, &sink).unwrap();
    let reported = AtomicBool::new(false);
    let failed =
        redrive(Arc::<dyn Log>::clone(&fixture.log), &fixture.topics, &sink, &due, &mut |_, _| {
            reported.store(true, Atomic::Relaxed);
        })
        .await
        .unwrap_err();
    assert!(matches!(failed, RedriveError::Backend(CallError::Unavailable { .. })), "{failed}");
    assert_eq!(backend.read(|books| books.calls) - calls, 3, "as often as the settings say");
    assert!(!reported.load(Atomic::Relaxed));
    assert_eq!(listed(&fixture, &sink).len(), 4);
}

#[test]
fn files_have_no_dead_letters() {
    let fixture = Fixture::new(1, &["lake"]);
    let to = json!({"kind": "parquet", "source": "transactions", "location": "x"});
    let sink: SinkSettings = serde_json::from_value(json!({"name": "lake", "to": to})).unwrap();
    let refused = due(&*fixture.log, &fixture.topics, &sink).unwrap_err();
    assert!(matches!(refused, RedriveError::Files { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_not_all_of_its_record_is_sent_from_the_topic() {
    let backend = SimulatedBackend::start(Faults::default()).await.unwrap();
    let fixture = Fixture::new(1, &["erp"]);
    let topic = fixture.topics.deltas.clone();
    // Sound, but for the blank behind it, and set aside by the configuration.
    let delta = json!({
        "id": "d", "tenant": "acme", "store": "1", "sku": "4711", "unit": "C62", "net": "-1",
        "sold": "1", "returned": "0", "adjusted": "0", "partition": 0, "from_offset": 0,
    });
    fixture.append(&topic, 0, "acme/1/4711", format!("{delta} ").as_bytes());
    fixture.append(&topic, 0, "acme/1/4711", b"no delta");
    let sink: SinkSettings = serde_json::from_value(json!({
        "name": "erp",
        "to": {"kind": "erp_stock_movements", "backend": {"url": backend.movements_url()}},
        "flow": {"commit_every": "5ms", "set_aside": [{"partition": 0, "offset": 0}]},
    }))
    .unwrap();
    let sinks = [sink.clone()];
    let log = Arc::clone(&fixture.log);
    let mut registry = Registry::default();
    let delivery = Delivery::start(&sinks, log, &fixture.topics, &mut registry, &fixture.health)
        .await
        .unwrap();
    until("all is settled", || fixture.committed("erp", &topic) == 2).await;
    drop(delivery.drain().await);

    let letters = due(&*fixture.log, &fixture.topics, &sink).unwrap();
    let mut outcomes = Vec::new();
    let mut report = |_: &DueLetter, outcome: &LetterOutcome| outcomes.push(outcome.clone());
    let total =
        redrive(Arc::<dyn Log>::clone(&fixture.log), &fixture.topics, &sink, &letters, &mut report)
            .await
            .unwrap();
    assert_eq!(total, RedriveTotals { delivered: 1, left: 1 });
    assert!(
        matches!(&outcomes[1], LetterOutcome::Failed(why) if why.starts_with("unreadable: ")),
        "{outcomes:?}"
    );
    backend.read(|books| assert_eq!(books.booked.len(), 1));
}
