//! A release of a till's software adds a kind that nobody knows: the sale is parked, mended and counted, on either log.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]

#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;
mod process;

use std::path::Path;

use process::{CommandLine, Tillrace, sale};
use serde_json::{Value, json};

const MAPPING: &str = "\
# What release 9.3 of the tills calls a sale.
- replace:
    at: /kind
    table: {drone_delivery: sale}
";

const REFUSED: [&str; 8] =
    ["refused", "dismiss", "--tenant", "demo", "--store", "12", "--terminal", "3"];
const WHY: [&str; 5] = ["--operator", "ada", "--reason", "a test drive", "--yes"];

/// Runs a command that must succeed or fail as told, and say so.
fn expect(command_line: &CommandLine, words: &[&str], code: i32, says: &str) {
    let output = command_line.run(words);
    let printed = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let printed = printed.concat();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {printed}");
    assert!(printed.contains(says), "{words:?}: {printed}");
}

/// A sale of a kind that this version does not know.
fn unknown(sequence: u64) -> String {
    sale(sequence, "pears", "2").replacen(r#""kind":"sale""#, r#""kind":"drone_delivery""#, 1)
}

fn park(tillrace: &Tillrace, sequence: u64) {
    let (status, body) = tillrace.post("/v1/events", &unknown(sequence));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &body["outcome"], &body["pointer"]),
        (202, &json!("parked"), &json!("/kind"))
    );
}

/// Parked records by their place on the journal.
fn parked(command_line: &CommandLine) -> Vec<String> {
    let output = command_line.run(&["parked", "list", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let events = report["events"].as_array().unwrap();
    assert_eq!(report["parked"], events.len());
    events.iter().map(|event| event["place"].as_str().unwrap().to_owned()).collect()
}

fn look(command_line: &CommandLine, place: &str) {
    expect(
        command_line,
        &["parked", "list", "--code", "unknown_kind"],
        0,
        "2 parked: 2 unknown_kind",
    );
    expect(command_line, &["parked", "list", "--store", "99"], 0, "0 parked");
    expect(
        command_line,
        &["parked", "show", place],
        0,
        "it still breaks unknown_kind at \"/kind\"",
    );
    expect(command_line, &["parked", "show", place], 0, "/kind is \"drone_delivery\"");
    expect(command_line, &["parked", "show", "0/99999"], 1, "parked_not_found");
    expect(command_line, &["parked", "readmit", "--dry-run"], 1, "parked_nothing_named");
    let as_it_is = ["parked", "readmit", "--all", "--dry-run"];
    expect(command_line, &as_it_is, 0, "0 would be readmitted, 2 stay parked");
}

fn refuse_no_range(command_line: &CommandLine) {
    for (numbers, code, says) in
        [("9-3", 1, "refused_no_range"), ("8-9", 0, "2 would be dismissed")]
    {
        let more = ["--sequence", numbers, "--reason", "x", "--dry-run"];
        expect(command_line, &[&REFUSED[..], &more].concat(), code, says);
    }
}

fn parked_events_are_mended_or_dismissed(command_line: &CommandLine, folder: &Path) {
    let mapping = folder.join("mapping.yaml");
    std::fs::write(&mapping, MAPPING).unwrap();
    let mapping = mapping.to_str().unwrap();
    let tillrace = command_line.up();
    tillrace.sell(1, "apples", "3");
    park(&tillrace, 2);
    park(&tillrace, 3);
    park(&tillrace, 2);
    tillrace.wait_for("pos.parked.v1", 2);
    let places = parked(command_line);
    look(command_line, &places[0]);
    let mended = ["parked", "readmit", &places[0], "--mapping", mapping, "--operator", "ada"];
    expect(
        command_line,
        &[&mended[..], &["--dry-run"]].concat(),
        0,
        "1 would be readmitted, 0 stay",
    );

    let yes = [&mended[..], &["--yes"]].concat();
    expect(command_line, &yes, 0, "1 readmitted, 0 stay parked");
    let transactions = tillrace.wait_for("pos.transactions.v1", 2);
    let mended = &transactions[1]["value"];
    assert_eq!((&mended["verdict"], &mended["data"]["kind"]), (&json!("first"), &json!("sale")));
    assert!(mended["transforms"].as_str().unwrap().starts_with("mapping:"));
    // The till never heard the answer, and sends again what it sent.
    park(&tillrace, 2);
    // A card number may not be kept: the number stays, as refused.
    let card = sale(5, "pears", "1").replacen('{', r#"{"note":"4111 1111 1111 1111","#, 1);
    assert_eq!(tillrace.post("/v1/events", &card).0, 422);
    let dismiss = ["parked", "dismiss", "--terminal", "3"];
    expect(command_line, &[&dismiss[..], &WHY].concat(), 0, "1 ordered");
    let number = [&REFUSED[..], &["--sequence", "5"], &WHY].concat();
    expect(command_line, &number, 0, "1 ordered");
    tillrace.sell(4, "apples", "1");
    tillrace.wait_for("pos.transactions.v1", 3);
    assert_eq!(parked(command_line), [""; 0]);
    refuse_no_range(command_line);
    assert!(tillrace.terminate().success());
    let journal = command_line.tap("pos.events.v1");
    let of_type = |name: &str| {
        let name = format!("tillrace.pos.{name}");
        journal.iter().filter(|record| record["value"]["type"] == *name).count()
    };
    assert_eq!((of_type("readmit"), of_type("dismiss")), (1, 2));
    let ledger = command_line.tap("terminal.ledger.v1").pop().unwrap();
    let counts = ["firsts", "missing_count", "refused", "parked", "dismissed"];
    assert_eq!(counts.map(|name| ledger["value"][name].as_u64()), [3, 0, 0, 0, 2].map(Some));
    command_line.assert_verified();
}

#[test]
fn parked_events_are_mended_or_dismissed_beside_running_roles_on_a_local_log() {
    let folder = tempfile::tempdir().unwrap();
    let command_line = CommandLine::new(folder.path(), &[]);
    parked_events_are_mended_or_dismissed(&command_line, folder.path());
}

#[test]
fn parked_events_are_mended_or_dismissed_beside_running_roles_on_kafka() {
    let folder = tempfile::tempdir().unwrap();
    let Some(brokers) = kafka_cluster::shared("parked events on Kafka") else { return };
    let namespace = format!("parked-{}", std::process::id());
    let command_line = CommandLine::new(folder.path(), &["--kafka", brokers])
        .with("TILLRACE__NAMESPACE", &namespace);
    parked_events_are_mended_or_dismissed(&command_line, folder.path());
}
