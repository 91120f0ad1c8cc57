//! What an operator does when something went wrong: `tillrace release` and `tillrace redrive`, on either log.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]

#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;
mod process;

use std::path::Path;
use std::process::Output;

use process::{CommandLine, Tillrace, sale, until};
use serde_json::{Value, json};
use tillrace_sinks::simulate::{Faults, SimulatedBackend};
use tokio::runtime::Runtime;

fn on_kafka(folder: &Path, namespace: &str, what: &str) -> Option<CommandLine> {
    let brokers = kafka_cluster::shared(what)?;
    let namespace = format!("{namespace}-{}", std::process::id());
    Some(CommandLine::new(folder, &["--kafka", brokers]).with("TILLRACE__NAMESPACE", &namespace))
}

fn printed(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr];
    texts.map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

/// Runs a command that must end so, and say so.
fn expect(command_line: &CommandLine, words: &[&str], code: i32, says: &str) {
    let output = command_line.run(words);
    let printed = printed(&output);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {printed}");
    assert!(printed.contains(says), "{words:?}: {printed}");
}

fn net(deltas: &[Value]) -> i64 {
    deltas.iter().map(|delta| delta["value"]["net"].as_str().unwrap().parse::<i64>().unwrap()).sum()
}

/// Sends an event and another content under its number; returns the place of what was kept aside.
fn keep_one_aside(command_line: &CommandLine, tillrace: &Tillrace) -> String {
    tillrace.sell(1, "apples", "3");
    let (status, answer) = tillrace.post("/v1/events", &sale(1, "apples", "4"));
    assert_eq!(status, 202, "{answer}");
    let kept = tillrace.wait_for("pos.conflicts.v1", 1);
    assert_eq!(kept.len(), 1);
    assert_eq!(net(&tillrace.wait_for("inventory.deltas.v1", 1)), -3);
    expect(
        command_line,
        &["release", "0/999999", "--operator", "ada", "--dry-run"],
        1,
        "no record",
    );
    format!("{}/{}", kept[0]["partition"], kept[0]["offset"])
}

/// The released event is counted once more, and everything adds up.
fn assert_released(command_line: &CommandLine) {
    let transactions = command_line.tap("pos.transactions.v1");
    let verdicts: Vec<&Value> =
        transactions.iter().map(|record| &record["value"]["verdict"]).collect();
    assert_eq!(verdicts, ["first", "released"]);
    assert_eq!(net(&command_line.tap("inventory.deltas.v1")), -7);
    let journal = command_line.tap("pos.events.v1");
    let mut orders =
        journal.iter().filter(|record| record["value"]["type"] == "tillrace.pos.release");
    let order = &orders.next().unwrap()["value"]["data"];
    assert_eq!((&order["operator"], &order["reason"]), (&json!("ada"), &json!("typed twice")));
    command_line.assert_verified();
}

const WHY: [&str; 4] = ["--operator", "ada", "--reason", "typed twice"];

#[test]
fn what_was_kept_aside_is_released_on_a_stopped_local_log() {
    let folder = tempfile::tempdir().unwrap();
    let command_line = CommandLine::new(folder.path(), &[]);
    let tillrace = command_line.up();
    let place = keep_one_aside(&command_line, &tillrace);
    let release = [["release", &place].as_slice(), &WHY].concat();
    expect(&command_line, &[&release[..], &["--dry-run"]].concat(), 0, "nothing was written");
    assert!(tillrace.terminate().success());
    expect(&command_line, &release, 1, "add --yes");
    expect(&command_line, &[&release[..], &["--yes"]].concat(), 0, "when it is started next");
    let tillrace = command_line.up();
    tillrace.wait_for("pos.transactions.v1", 2);
    assert!(tillrace.terminate().success());
    assert_released(&command_line);
}

fn what_was_kept_aside_is_released_once(command_line: &CommandLine) {
    let tillrace = command_line.up();
    let place = keep_one_aside(command_line, &tillrace);
    let release = [["release", &place, "--yes"].as_slice(), &WHY].concat();
    expect(command_line, &release, 0, "released; it counts");
    expect(command_line, &release, 1, "not released: it was released before");
    assert!(tillrace.terminate().success());
    assert_released(command_line);
}

#[test]
fn what_was_kept_aside_is_released_once_beside_running_roles_on_a_local_log() {
    let folder = tempfile::tempdir().unwrap();
    what_was_kept_aside_is_released_once(&CommandLine::new(folder.path(), &[]));
}

#[test]
fn what_was_kept_aside_is_released_once_beside_running_roles_on_kafka() {
    let folder = tempfile::tempdir().unwrap();
    if let Some(command_line) = on_kafka(folder.path(), "release", "a release on Kafka") {
        what_was_kept_aside_is_released_once(&command_line);
    }
}

/// A dead letter is sent again, by a process that runs beside the roles.
fn a_dead_letter_goes_again(command_line: CommandLine) {
    let runtime = Runtime::new().unwrap();
    let backend = runtime.block_on(SimulatedBackend::start(Faults::default())).unwrap();
    backend.set_lacking("/demo/12/3#1", true);
    let sinks = json!([{
        "name": "erp",
        "to": {"kind": "erp_documents", "backend": {"url": backend.documents_url()}},
        "flow": {
            "park_after": "20ms", "commit_every": "20ms",
            "retry": {"initial": "5ms", "longest": "10ms"},
        },
    }]);
    let command_line = command_line.with("TILLRACE__SINKS", &sinks.to_string());
    let tillrace = command_line.up();
    tillrace.sell(1, "apples", "3");
    tillrace.wait_for("erp.dead.v1", 1);
    tillrace.sell(2, "apples", "1");
    until("the next one is delivered", || {
        backend.read(|books| books.booked.len() == 1).then_some(())
    });
    expect(&command_line, &["redrive", "crm"], 1, "configured are erp");
    expect(&command_line, &["redrive", "erp", "--dry-run"], 0, "parked, dependency_missing");
    expect(&command_line, &["redrive", "erp"], 1, "add --yes");
    expect(&command_line, &["redrive", "erp", "--yes"], 1, "0 delivered, 1 left");
    backend.set_lacking("/demo/12/3#1", false);
    expect(&command_line, &["redrive", "erp", "--yes"], 0, "1 delivered, 0 left");
    expect(&command_line, &["redrive", "erp", "--yes"], 0, "0 dead letters");
    assert!(tillrace.terminate().success());
    assert_eq!(backend.read(|books| (books.booked.len(), books.duplicates)), (2, 0));
    let audit = command_line.tap("pos.audit.v1");
    let redriven: Vec<_> =
        audit.iter().filter(|record| record["value"]["redriven"] == true).collect();
    assert_eq!(redriven.len(), 1);
    assert_eq!(redriven[0]["value"]["outcome"], "delivered");
    command_line.assert_verified();
}

#[test]
fn a_dead_letter_is_redriven_beside_running_roles_on_a_local_log() {
    let folder = tempfile::tempdir().unwrap();
    a_dead_letter_goes_again(CommandLine::new(folder.path(), &[]));
}

#[test]
fn a_dead_letter_is_redriven_beside_running_roles_on_kafka() {
    let folder = tempfile::tempdir().unwrap();
    if let Some(command_line) = on_kafka(folder.path(), "redrive", "a redrive on Kafka") {
        a_dead_letter_goes_again(command_line);
    }
}
