//! The executable as a user runs it: HTTP in, topics out, killed, stopped and started again, on either log.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]

#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;
mod process;

use std::net::TcpListener;

use process::{CommandLine, sale, try_status, until};
use serde_json::Value;

fn net(deltas: &[Value], sku: &str) -> i64 {
    let of_sku = deltas.iter().filter(|delta| delta["value"]["sku"] == sku);
    of_sku.map(|delta| delta["value"]["net"].as_str().unwrap().parse::<i64>().unwrap()).sum()
}

fn an_event_comes_out_once(command_line: &CommandLine) {
    let tillrace = command_line.up();
    let event = sale(1, "apples", "3");
    assert_eq!(tillrace.post("/v1/events", &event), (202, r#"{"outcome":"accepted"}"#.to_owned()));
    assert_eq!(tillrace.post("/v1/events", &event), (202, r#"{"outcome":"duplicate"}"#.to_owned()));
    let (status, problem) = tillrace.post("/v1/events", "{\"store\":\"12\"}");
    assert_eq!(status, 422, "{problem}");
    let problem: Value = serde_json::from_str(&problem).unwrap();
    assert_eq!(problem["code"], "missing_field");

    assert_eq!(net(&tillrace.wait_for("inventory.deltas.v1", 1), "apples"), -3);
    assert_eq!(tillrace.wait_for("pos.transactions.v1", 1).len(), 1);
    command_line.assert_verified();
}

fn nothing_acknowledged_is_lost_by_kill_9(command_line: &CommandLine) {
    for round in 0..3 {
        let tillrace = command_line.up();
        let first = round * 50 + 1;
        for sequence in first..first + 50 {
            tillrace.sell(sequence, "pears", "1");
        }
        tillrace.sell(first, "pears", "1");
        tillrace.kill_9();
    }
    let tillrace = command_line.up();
    assert_eq!(tillrace.wait_for("pos.transactions.v1", 150).len(), 150);
    assert_eq!(net(&tillrace.wait_for("inventory.deltas.v1", 1), "pears"), -150);
    command_line.assert_verified();
}

#[test]
fn an_event_comes_out_once_of_the_local_log() {
    let folder = tempfile::tempdir().unwrap();
    an_event_comes_out_once(&CommandLine::new(folder.path(), &[]));
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9_on_the_local_log() {
    let folder = tempfile::tempdir().unwrap();
    nothing_acknowledged_is_lost_by_kill_9(&CommandLine::new(folder.path(), &[]));
}

#[test]
fn sigterm_drains_and_leaves_a_log_that_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let command_line = CommandLine::new(folder.path(), &[]);
    let tillrace = command_line.up();
    for sequence in 1..=20 {
        tillrace.sell(sequence, "plums", "2");
    }
    assert!(tillrace.terminate().success());
    assert_eq!(
        command_line.tap("pos.transactions.v1").len(),
        20,
        "draining flushed what was folded"
    );
    assert_eq!(net(&command_line.tap("inventory.deltas.v1"), "plums"), -40);
    command_line.assert_verified();
}

#[test]
fn a_second_owner_of_a_local_log_is_refused_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let command_line = CommandLine::new(folder.path(), &[]);
    let _owner = command_line.up();
    let second = command_line.run(&["aggregate", "--status", "127.0.0.1:0"]);
    assert!(!second.status.success());
    let complaint = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(complaint.contains("another process owns"), "{complaint}");
}

/// A command that reads the log's files in the moment of a start has it open for that long.
#[test]
fn a_start_waits_for_whoever_reads_the_log_and_then_lets_all_read() {
    let folder = tempfile::tempdir().unwrap();
    let command_line = CommandLine::new(folder.path(), &[]);
    let tillrace = command_line.up();
    tillrace.sell(1, "plums", "2");
    assert!(tillrace.terminate().success());

    let mut reader = command_line.follow("pos.events.v1");
    let status = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let child = command_line.spawn("up", &status);
    let told = until("the process says that it waits", || {
        Some(try_status(&status, "/readyz")?.1).filter(|body| body.contains("local_log_held"))
    });
    assert!(told.contains(&format!("process {}, which reads", reader.id())), "{told}");
    reader.kill().and_then(|()| reader.wait()).unwrap();
    let tillrace = command_line.await_started(child);
    tillrace.sell(2, "plums", "2");
    assert_eq!(tillrace.wait_for("pos.transactions.v1", 2).len(), 2);
    assert!(tillrace.terminate().success());
    command_line.assert_verified();
}

#[test]
fn every_role_tells_its_readiness_and_metrics_where_it_alone_answers() {
    for role in ["up", "ingest", "aggregate", "deliver"] {
        let folder = tempfile::tempdir().unwrap();
        let command_line = CommandLine::new(folder.path(), &[]);
        let process = command_line.start(role);
        let ready = r#"{"status":"ready","conditions":[]}"#.to_owned();
        assert_eq!(process.status("/readyz"), (200, ready), "{role}");
        assert_eq!(process.status("/healthz").0, 200, "{role}");
        let (status, metrics) = process.status("/metrics");
        assert_eq!(status, 200, "{role}");
        assert!(metrics.contains("tillrace_log_frames_total"), "{role}: {metrics}");
        assert!(process.terminate().success(), "{role}");
    }
}

/// Silent connections take no descriptor from the log, and none is left without an answer.
#[test]
fn silent_connections_past_the_limit_of_open_files_harm_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let limited = CommandLine::new(folder.path(), &[])
        .with_open_files("-n 1024")
        .with("TILLRACE__INGEST__ADDRESS_SHARE_PERCENT", "100")
        .with("TILLRACE__LOG__LOCAL__SEAL_AFTER", "1s");
    let tillrace = limited.up();
    tillrace.sell(1, "apples", "3");
    let silent = tillrace.connect_silently(800);
    let open = || tillrace.metric("tillrace_ingest_connections ");
    // 1,024 but for files, the status listener and the reserve, which lets go of who says nothing.
    until("all there may be are open, and the reserve is free again", || {
        let refused = "tillrace_ingest_refused_connections_total{reason=\"max_connections\"}";
        (tillrace.metric(refused) > 159.0 && open() < 641.0).then_some(())
    });
    let (status, answer) = tillrace.post("/v1/events", &sale(2, "apples", "1"));
    assert_eq!(status, 503, "at once, and with words: {answer}");
    assert_eq!(tillrace.status("/readyz").0, 200);
    drop(silent);
    until("there is room again", || (open() < 1.0).then_some(()));
    tillrace.sell(2, "apples", "1");
    assert!(tillrace.terminate().success());
    limited.assert_verified();
}

#[cfg(target_os = "linux")]
#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let folder = tempfile::tempdir().unwrap();
    let tillrace = CommandLine::new(folder.path(), &[]).with_open_files("-S -n 300").up();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", tillrace.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|column| line.split_whitespace().nth(column).unwrap());
    assert_eq!(soft, hard);
}

#[test]
fn a_role_without_a_gateway_refuses_an_address_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let command_line = CommandLine::new(folder.path(), &[]);
    let refused = command_line.run(&["aggregate", "--listen", "127.0.0.1:0"]);
    assert!(!refused.status.success());
    let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(complaint.contains("--status is where it answers"), "{complaint}");
}

/// Arguments and settings for a test's own corner of the shared broker.
fn on_kafka(folder: &std::path::Path, namespace: &str, what: &str) -> Option<CommandLine> {
    let brokers = kafka_cluster::shared(what)?;
    let namespace = format!("{namespace}-{}", std::process::id());
    Some(CommandLine::new(folder, &["--kafka", brokers]).with("TILLRACE__NAMESPACE", &namespace))
}

#[test]
fn an_event_comes_out_once_of_kafka() {
    let folder = tempfile::tempdir().unwrap();
    if let Some(command_line) = on_kafka(folder.path(), "once", "an event through the executable") {
        an_event_comes_out_once(&command_line);
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9_on_kafka() {
    let folder = tempfile::tempdir().unwrap();
    if let Some(command_line) = on_kafka(folder.path(), "killed", "kill -9 of the executable") {
        nothing_acknowledged_is_lost_by_kill_9(&command_line);
    }
}

#[test]
fn a_folder_of_files_that_is_another_sinks_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("lake");
    let owned = place.join("inventory.deltas.v1");
    std::fs::create_dir_all(&owned).unwrap();
    std::fs::write(owned.join("_tillrace.json"), r#"{"sink":"swamp","log":"local/x"}"#).unwrap();
    let configuration = folder.path().join("tillrace.yaml");
    let text = format!(
        "data: {}\nsinks:\n  - name: lake\n    to: {{kind: parquet, source: deltas, location: {}}}\n",
        folder.path().join("data").display(),
        place.display()
    );
    std::fs::write(&configuration, text).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tillrace"))
        .args(["check", "--config"])
        .arg(&configuration)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("belongs to sink swamp of log local/x"), "{said}");
}
