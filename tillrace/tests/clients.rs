//! Clients of the policy set: made, exchanged and ended by command while the gateway runs, on both logs.

#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;
mod process;

use std::time::{Duration, Instant};

use process::{CommandLine, Tillrace, sale, until};
use serde_json::Value;

/// A revoked key ends within two seconds; machines that run tests are slower.
const LONGEST: Duration = Duration::from_secs(30);

fn run(command_line: &CommandLine, words: &[&str], code: i32, says: &str) -> String {
    let output = command_line.run(words);
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{words:?}: {printed}");
    assert!(printed.contains(says), "{words:?}: {printed}");
    printed
}

/// The key that a command printed, on a line of its own.
fn key(printed: &str) -> String {
    let key = printed.lines().find(|line| line.starts_with("tlr_"));
    assert!(key.is_some(), "no key is printed: {printed}");
    key.unwrap_or_default().to_owned()
}

const TILL: [&str; 4] = ["--tenant", "demo", "--name", "till"];

fn client(action: &str, more: &[&str]) -> Vec<String> {
    [&["client", action][..], &TILL, more].concat().into_iter().map(str::to_owned).collect()
}

fn change(
    command_line: &CommandLine,
    action: &str,
    more: &[&str],
    code: i32,
    says: &str,
) -> String {
    let words = client(action, more);
    run(command_line, &words.iter().map(String::as_str).collect::<Vec<_>>(), code, says)
}

fn status(tillrace: &Tillrace, key: &str, sequence: u64) -> u16 {
    tillrace.post_as(key, "/v1/events", &sale(sequence, "apples", "1")).0
}

fn clients_come_and_go_beside_a_running_gateway(command_line: &CommandLine) {
    let tillrace = command_line.up();
    tillrace.sell(1, "apples", "1");
    change(command_line, "create", &["--dry-run"], 0, "nothing was written");
    let who = ["--operator", "ada", "--reason", "a new store", "--yes"];
    let created =
        change(command_line, "create", &[&["--store", "12"][..], &who].concat(), 0, "revision 1");
    let first = key(&created);
    until("the new key is known", || (status(&tillrace, &first, 2) == 202).then_some(()));
    let elsewhere = sale(9, "apples", "1").replace(r#""store":"12""#, r#""store":"13""#);
    assert_eq!(tillrace.post_as(&first, "/v1/events", &elsewhere).0, 403, "another store's");
    change(command_line, "create", &who, 1, "client_exists");

    let second = key(&change(command_line, "rotate", &who, 0, "revision 2"));
    until("both keys are taken", || (status(&tillrace, &second, 3) == 202).then_some(()));
    assert_eq!(status(&tillrace, &first, 4), 202);
    change(command_line, "rotate", &who, 1, "client_two_keys");

    change(command_line, "revoke", &[&["--old"][..], &who].concat(), 0, "1 revoked");
    let ended = Instant::now();
    until("the old key is not taken", || (status(&tillrace, &first, 5) == 401).then_some(()));
    assert!(ended.elapsed() < LONGEST);
    assert_eq!(status(&tillrace, &second, 5), 202);
    let listed =
        run(command_line, &["client", "list"], 0, "tenant demo, client till: 1 stores, 1 keys");
    assert!(!listed.contains(&second) && listed.contains("live"), "{listed}");

    // A start anew comes to the same, before its first caller is let in.
    assert!(tillrace.terminate().success());
    let tillrace = command_line.up();
    assert_eq!((status(&tillrace, &second, 6), status(&tillrace, &first, 7)), (202, 401));
    change(command_line, "revoke", &who, 0, "1 revoked");
    until("no key is left", || (status(&tillrace, &second, 7) == 401).then_some(()));
    change(command_line, "revoke", &who, 1, "client_no_such_key");
    assert!(tillrace.terminate().success());
    let records = command_line.tap("policy.v1");
    let commits = records.iter().filter(|record| record["value"]["revision"].is_u64());
    let reasons: Vec<&Value> = commits.map(|commit| &commit["value"]["reason"]).collect();
    assert_eq!(reasons.len(), 4);
    assert!(reasons.iter().all(|reason| **reason == "a new store"));
    let text = format!("{records:?}");
    assert!(!text.contains(&first) && !text.contains(&second), "a key is stored nowhere");
    command_line.assert_verified();
}

#[test]
fn clients_come_and_go_beside_a_running_gateway_on_a_local_log() {
    let folder = tempfile::tempdir().expect("a folder");
    clients_come_and_go_beside_a_running_gateway(&CommandLine::new(folder.path(), &[]));
}

#[test]
fn clients_come_and_go_beside_a_running_gateway_on_kafka() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(brokers) = kafka_cluster::shared("clients on Kafka") else { return };
    let namespace = format!("clients-{}", std::process::id());
    let command_line = CommandLine::new(folder.path(), &["--kafka", brokers])
        .with("TILLRACE__NAMESPACE", &namespace);
    clients_come_and_go_beside_a_running_gateway(&command_line);
}

#[test]
fn who_is_no_tenant_or_no_client_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let command_line = CommandLine::new(folder.path(), &[]);
    assert!(command_line.up().terminate().success());
    change(&command_line, "rotate", &["--yes"], 1, "client_missing");
    let odd = ["client", "create", "--tenant", "demo", "--name", "", "--yes"];
    run(&command_line, &odd, 1, "client_name");
}
