//! The alerts, their runbooks and the metrics agree: each alert has its section, and rests on metrics that a process has.
//!
//! `deploy/prometheus/check` tests what the alerts say.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

mod process;

use std::collections::BTreeSet;

use serde_json::Value;

use process::CommandLine;

const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yaml");
const RUNBOOKS: &str = include_str!("../../docs/runbooks.md");

/// Families that have no series in a process that is well and speaks no TLS.
const SHOWN_WHEN_THERE_IS_SOMETHING: [&str; 5] = [
    "tillrace_conditions",
    "tillrace_ingest_refused_connections",
    "tillrace_ingest_tls_certificate_days_left",
    "tillrace_log_group_oldest_unread_seconds",
    "tillrace_status_tls_certificate_days_left",
];

fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(ALERTS).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
}

/// Names of metrics in an expression.
fn metrics(expression: &str) -> BTreeSet<String> {
    // One alert is of two metrics that differ in their listener.
    let expression = expression.replace(
        "tillrace_(ingest|status)_tls_certificate_days_left",
        "tillrace_ingest_tls_certificate_days_left tillrace_status_tls_certificate_days_left",
    );
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = expression.split(|character| !is_name(character));
    let names = words.filter(|word| word.starts_with("tillrace_")).map(|word| {
        let word = word.strip_suffix("_bucket").unwrap_or(word);
        word.strip_suffix("_total").unwrap_or(word).to_owned()
    });
    names.collect()
}

#[test]
fn each_alert_has_a_runbook_of_its_name_and_each_runbook_an_alert() {
    let headings: Vec<String> = RUNBOOKS
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(str::to_ascii_lowercase)
        .collect();
    let alerts: Vec<String> = rules()
        .iter()
        .map(|rule| {
            let name = rule["alert"].as_str().unwrap().to_ascii_lowercase();
            assert_eq!(rule["annotations"]["runbook"], format!("docs/runbooks.md#{name}"));
            name
        })
        .collect();
    assert_eq!(headings, alerts, "in one order");
}

#[test]
fn each_alert_rests_on_metrics_that_a_process_has() {
    let folder = tempfile::tempdir().unwrap();
    let command_line = CommandLine::new(folder.path(), &[]);
    let tillrace = command_line.up();
    tillrace.sell(1, "apples", "1");
    tillrace.wait_for("inventory.deltas.v1", 1);
    let (status, text) = tillrace.status("/metrics");
    assert_eq!(status, 200, "{text}");
    let there: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let asked: BTreeSet<String> =
        rules().iter().flat_map(|rule| metrics(rule["expr"].as_str().unwrap())).collect();
    let missing: Vec<&str> =
        asked.iter().map(String::as_str).filter(|name| !there.contains(name)).collect();
    assert_eq!(missing, SHOWN_WHEN_THERE_IS_SOMETHING);
    assert!(tillrace.terminate().success());
}
