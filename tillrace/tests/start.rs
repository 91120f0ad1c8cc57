//! Processes that start before the brokers do.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]

#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;
mod process;

use std::net::TcpListener;
use std::process::Command;

use kafka_cluster::Cluster;
use kafka_cluster::proxy::Proxy;
use process::{CommandLine, sale, try_status, until};
use serde_json::Value;

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn command_line(folder: &tempfile::TempDir, servers: &str) -> CommandLine {
    CommandLine::new(folder.path(), &["--kafka", servers])
        .with("TILLRACE__LOG__KAFKA__REQUEST_TIMEOUT", "1s")
}

/// Waits until a process says that it waits; returns why.
fn await_waiting(status: &str) -> String {
    until("the process says that it waits", || {
        let (code, body) = try_status(status, "/readyz")?;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((code, &body["status"]), (503, &"starting".into()), "{body}");
        let condition = body["conditions"].get(0)?;
        assert_eq!(condition["code"], "start_waiting");
        assert!(condition["remedy"].as_str().unwrap().contains("`log.kafka.brokers`"), "{body}");
        Some(condition["cause"].as_str().unwrap().to_owned())
    })
}

#[test]
fn a_process_without_brokers_waits_for_them_and_ends_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let command_line = command_line(&folder, &free_address());
    for role in ["up", "aggregate", "deliver"] {
        let status = free_address();
        let mut child = command_line.spawn(role, &status);
        let cause = await_waiting(&status);
        assert!(cause.contains("reach the Kafka cluster"), "{cause}");
        assert_eq!(try_status(&status, "/healthz").unwrap().0, 200);
        assert!(child.try_wait().unwrap().is_none(), "{role} waits");
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(child.wait().unwrap().success(), "{role} was told to end and had nothing to do");
    }
}

#[test]
fn a_process_that_starts_before_the_brokers_works_as_soon_as_they_answer() {
    let proxy = Proxy::start();
    let Some(cluster) = Cluster::start_proxied("a start in a black hole", &proxy) else { return };
    let folder = tempfile::tempdir().unwrap();
    let command_line = command_line(&folder, &cluster.servers);
    proxy.set_black_hole(true);
    let status = free_address();
    let child = command_line.spawn("up", &status);
    await_waiting(&status);

    proxy.set_black_hole(false);
    let tillrace = command_line.await_started(child);
    until("the sale is taken", || {
        let (status, _) = tillrace.post("/v1/events", &sale(1, "pears", "1"));
        (status == 202).then_some(())
    });
    assert_eq!(tillrace.wait_for("pos.transactions.v1", 1).len(), 1);
    let (_, body) = tillrace.status("/readyz");
    assert!(!body.contains("start_waiting"), "{body}");
    assert!(tillrace.terminate().success());
}
