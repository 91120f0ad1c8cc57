//! A link to the brokers that swallows everything for a while: before all roles in one process, and before each alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]

#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;
mod process;

use std::time::SystemTime;

use kafka_cluster::Cluster;
use kafka_cluster::proxy::Proxy;
use process::{CommandLine, Tillrace, sale, until};
use serde_json::{Value, json};
use tillrace_sinks::simulate::{Faults, SimulatedBackend};
use tokio::runtime::Runtime;

/// More than the timeouts of transaction and session below.
const GIVEN_UP_AFTER_MS: u128 = 12_000;

/// Sends a sale as a till does: again and again until it is taken.
fn sell_until_taken(tillrace: &Tillrace, sequence: u64) {
    until("the sale is taken", || {
        let (status, body) = tillrace.post("/v1/events", &sale(sequence, "pears", "1"));
        assert!([202, 503].contains(&status), "{status}: {body}");
        (status == 202).then_some(())
    });
}

fn conditions(tillrace: &Tillrace) -> (u16, Vec<String>) {
    let (status, body) = tillrace.status("/readyz");
    let body: Value = serde_json::from_str(&body).unwrap();
    let conditions = body["conditions"].as_array().unwrap().iter();
    (status, conditions.map(|one| one["code"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn a_black_hole_to_the_brokers_ends_no_role_for_good_and_loses_nothing() {
    let proxy = Proxy::start();
    let Some(cluster) = Cluster::start_proxied("a black hole", &proxy) else { return };
    let folder = tempfile::tempdir().unwrap();
    let command_line = CommandLine::new(folder.path(), &["--kafka", &cluster.servers])
        .with("TILLRACE__LOG__KAFKA__TRANSACTION_TIMEOUT", "5s")
        .with("TILLRACE__LOG__KAFKA__SESSION_TIMEOUT", "6s")
        .with("TILLRACE__AGGREGATE__FLUSH_INTERVAL", "1s");
    let tillrace = command_line.up();
    for sequence in 1..=20 {
        sell_until_taken(&tillrace, sequence);
    }
    tillrace.wait_for("pos.transactions.v1", 20);

    // What was just sold is folded and not flushed: the flush falls into the black hole.
    sell_until_taken(&tillrace, 21);
    proxy.set_black_hole(true);
    let (status, body) = tillrace.post("/v1/events", &sale(22, "pears", "1"));
    assert_eq!(status, 503, "{body}");
    until("the process is not ready", || (conditions(&tillrace).0 == 503).then_some(()));
    // The brokers abort what is open after transaction_timeout, and give the members' partitions away.
    until("the brokers have given the process up", || {
        let (_, body) = tillrace.status("/readyz");
        let body: Value = serde_json::from_str(&body).unwrap();
        let down =
            body["conditions"].as_array().unwrap().iter().find(|one| one["code"] == "log_down")?;
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        (now > u128::from(down["since_ms"].as_u64().unwrap()) + GIVEN_UP_AFTER_MS).then_some(())
    });
    let (status, codes) = conditions(&tillrace);
    assert_eq!(status, 503);
    assert!(!codes.contains(&"role_stopped".to_owned()), "{codes:?}");

    proxy.set_black_hole(false);
    for sequence in 22..=40 {
        sell_until_taken(&tillrace, sequence);
    }
    until("the process is ready", || (conditions(&tillrace).0 == 200).then_some(()));
    assert_eq!(tillrace.wait_for("pos.transactions.v1", 40).len(), 40);
    command_line.assert_verified();
    assert!(tillrace.terminate().success());
}

/// A process without a gateway has nobody who waits for an acknowledgement, and its own threads wait for the log.
#[test]
fn a_role_alone_in_a_black_hole_says_so_until_the_log_answers() {
    let proxy = Proxy::start();
    let Some(cluster) = Cluster::start_proxied("roles alone in a black hole", &proxy) else {
        return;
    };
    let runtime = Runtime::new().unwrap();
    let backend = runtime.block_on(SimulatedBackend::start(Faults::default())).unwrap();
    let sinks = json!([{
        "name": "erp",
        "to": {"kind": "erp_documents", "backend": {"url": backend.documents_url()}, "form": "batch"},
        // Long enough for the black hole to begin before the commit.
        "flow": {"commit_every": "3s"},
    }]);
    let folder = tempfile::tempdir().unwrap();
    let command_line = CommandLine::new(folder.path(), &["--kafka", &cluster.servers])
        .with("TILLRACE__SINKS", &sinks.to_string())
        .with("TILLRACE__AGGREGATE__FLUSH_INTERVAL", "1s");
    let ingest = command_line.start("ingest");
    let aggregate = command_line.start("aggregate");
    let deliver = command_line.start("deliver");
    let booked = || backend.read(|books| books.booked.len());
    for sequence in 1..=20 {
        sell_until_taken(&ingest, sequence);
    }
    until("all of it is booked", || (booked() == 20).then_some(()));

    sell_until_taken(&ingest, 21);
    proxy.set_black_hole(true);
    let said = "log_not_answering".to_owned();
    until("the aggregator says so", || {
        (conditions(&aggregate) == (503, vec![said.clone()])).then_some(())
    });
    until("the sink says so", || conditions(&deliver).1.contains(&said).then_some(()));
    let series = "tillrace_conditions{component=\"aggregator\",code=\"log_not_answering\"}";
    assert!((aggregate.metric(series) - 1.0).abs() < f64::EPSILON);

    proxy.set_black_hole(false);
    for role in [&aggregate, &deliver] {
        until("the role goes on", || (!conditions(role).1.contains(&said)).then_some(()));
    }
    sell_until_taken(&ingest, 22);
    until("all of it is booked", || (booked() == 22).then_some(()));
    for role in [ingest, aggregate, deliver] {
        assert!(role.terminate().success());
    }
    command_line.assert_verified();
}
