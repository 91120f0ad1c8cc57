//! Kafka behind TLS and SASL, by the settings that the example configuration documents.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]

#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;
mod process;

use std::fs;

use kafka_cluster::Cluster;
use process::{CommandLine, KEY, sale};
use serde_json::{Value, json};

/// The documented properties, the values that belong to this cluster in place of the example's.
fn properties(cluster: &Cluster, password: &str) -> String {
    let example = include_str!("../../docs/tillrace.example.yaml");
    let example: Value = serde_saphyr::from_str(example).unwrap();
    let mut properties = example["log"]["kafka"]["properties"].clone();
    let documented: Vec<&String> = properties.as_object().unwrap().keys().collect();
    let expected = [
        "sasl.mechanism",
        "sasl.password",
        "sasl.username",
        "security.protocol",
        "ssl.ca.location",
    ];
    assert_eq!(documented, expected, "what the example documents, and what is put in its place");
    properties["ssl.ca.location"] = json!(cluster.secret("ca.pem"));
    properties["sasl.password"] = json!(password);
    properties.to_string()
}

#[test]
fn everything_works_over_tls_and_sasl_and_nothing_with_another_password() {
    let Some(cluster) = Cluster::start_secure("Kafka behind TLS and SASL") else { return };
    let folder = tempfile::tempdir().unwrap();
    let hash = tillrace_ingest::hash_key(KEY);
    let settings = json!({
        "log": {"partitions": 2, "kafka": {
            "brokers": cluster.servers, "replication": 1, "durability": "development",
            "request_timeout": "5s",
        }},
        "ingest": {"durability": "development"},
        "tenants": [{"id": "demo", "keys": [{"name": "tests", "hash": hash, "stores": ["*"]}]}],
    });
    let path = folder.path().join("tillrace.yaml");
    // JSON is YAML.
    fs::write(&path, settings.to_string()).unwrap();
    let command_line = CommandLine::new(folder.path(), &["--config", path.to_str().unwrap()]);
    let let_in = |password: &str| {
        let properties = properties(&cluster, password);
        command_line.clone().with("TILLRACE__LOG__KAFKA__PROPERTIES", &properties)
    };

    let shut_out =
        let_in("another").run(&["up", "--listen", "127.0.0.1:0", "--status", "127.0.0.1:0"]);
    assert!(!shut_out.status.success());
    let complaint = String::from_utf8_lossy(&shut_out.stderr).into_owned();
    assert!(!complaint.contains("another"), "no password in what is said: {complaint}");

    let command_line = let_in(&fs::read_to_string(cluster.secret("password")).unwrap());
    let tillrace = command_line.up();
    let accepted = r#"{"outcome":"accepted"}"#.to_owned();
    assert_eq!(tillrace.post("/v1/events", &sale(1, "apples", "3")), (202, accepted));
    assert_eq!(tillrace.wait_for("pos.transactions.v1", 1).len(), 1, "a transaction is committed");
    assert_eq!(tillrace.wait_for("inventory.deltas.v1", 1)[0]["value"]["net"], "-3");
    assert!(tillrace.terminate().success());
    command_line.assert_verified();
}
