//! The published description of the topics against the code's table of topics, and against records that the engine wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]

mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use process::{CommandLine, sale, until};
use serde_json::{Value, json};
use tillrace_core::topics::Topics;
use tillrace_log::Cleanup;
use tillrace_sinks::simulate::{Faults, SimulatedBackend};
use tokio::runtime::Runtime;

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas")
}

fn document() -> Value {
    serde_saphyr::from_str(&fs::read_to_string(schemas().join("asyncapi.yaml")).unwrap()).unwrap()
}

/// The message of a channel; each has one.
fn message<'a>(document: &'a Value, channel: &'a Value) -> &'a Value {
    let messages = channel["messages"].as_object().unwrap();
    assert_eq!(messages.len(), 1);
    let reference = messages.values().next().unwrap()["$ref"].as_str().unwrap();
    document.pointer(reference.strip_prefix('#').unwrap()).unwrap()
}

#[test]
fn every_topic_is_described_with_how_it_forgets() {
    let document = document();
    assert_eq!(document["asyncapi"], "3.0.0");
    let described: BTreeMap<&str, &str> = document["channels"]
        .as_object()
        .unwrap()
        .values()
        .map(|channel| {
            let cleanup = &channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"];
            assert_eq!(cleanup.as_array().unwrap().len(), 1, "{channel}");
            (channel["address"].as_str().unwrap(), cleanup[0].as_str().unwrap())
        })
        .collect();
    let specs = Topics::new("").specs(&["{sink}"], 14);
    let known: BTreeMap<&str, &str> = specs
        .iter()
        .map(|spec| {
            let cleanup = match spec.cleanup {
                Cleanup::Delete { .. } => "delete",
                Cleanup::Compact => "compact",
            };
            (spec.topic.as_str(), cleanup)
        })
        .collect();
    assert_eq!(described, known);
    let said = document["info"]["description"].as_str().unwrap();
    assert!(said.contains("isolation.level=read_committed"));
    let operations = document["operations"].as_object().unwrap().values();
    let written: BTreeSet<&str> =
        operations.map(|operation| operation["channel"]["$ref"].as_str().unwrap()).collect();
    let channels = document["channels"].as_object().unwrap().keys();
    let channels: BTreeSet<String> = channels.map(|name| format!("#/channels/{name}")).collect();
    assert_eq!(written, channels.iter().map(String::as_str).collect());
}

#[test]
fn every_schema_belongs_to_a_topic_or_to_http() {
    let document = document();
    let of_http = ["crm-points", "erp-documents", "erp-stock-movements"];
    let mut named: BTreeSet<String> =
        of_http.map(|name| format!("{name}.v1.schema.json")).into_iter().collect();
    // Within the envelope.
    named.insert("event.v1.schema.json".to_owned());
    // What is set, not what is sent.
    named.insert("configuration.schema.json".to_owned());
    named.insert("register-file.v1.schema.json".to_owned());
    for message in document["components"]["messages"].as_object().unwrap().values() {
        named.extend(message["payload"]["$ref"].as_str().map(str::to_owned));
    }
    let files = fs::read_dir(schemas()).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.filter(|name| name.ends_with(".schema.json")).collect();
    assert_eq!(named, files);
}

fn schema(name: &str) -> Value {
    serde_json::from_slice(&fs::read(schemas().join(name)).unwrap()).unwrap()
}

fn validator(name: &str) -> jsonschema::Validator {
    // The envelope refers to the event's schema as a file beside it; a schema without an id has this base.
    let beside = "json-schema:///event.v1.schema.json";
    let registry = jsonschema::Registry::new().add(beside, schema("event.v1.schema.json")).unwrap();
    let registry = registry.prepare().unwrap();
    let options = jsonschema::options().with_registry(&registry).should_validate_formats(true);
    options.build(&schema(name)).unwrap()
}

/// The key that a record must have, by what its message says of keys.
fn key(described: &str, value: &Value) -> Option<String> {
    let parts: Vec<&str> = described.split(';').next()?.split('/').collect();
    let part = |name: &&str| {
        Some(value.get(*name)?.as_str().map_or_else(|| value[*name].to_string(), str::to_owned))
    };
    parts.iter().map(part).collect::<Option<Vec<_>>>().map(|parts| parts.join("/"))
}

/// The key of a parked event that has a number: its identity and the hash of its text.
fn parked_key(value: &Value) -> String {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let hash = text("datahash").replace("x3:", "");
    let parts = ["tenant", "store", "terminal", "epoch", "sequence"].map(text);
    format!("{}/{hash}", parts.join("/"))
}

/// The key of a record of the policy set, by which of the three it is.
fn policy_key(value: &Value) -> Option<String> {
    let text = |name: &str| value[name].as_str();
    Some(match (text("kind"), text("apply")) {
        (Some(kind), Some(apply)) => {
            format!("resource/{apply}/{kind}/{}/{}", text("tenant")?, text("name")?)
        }
        (None, Some(apply)) => format!("commit/{apply}"),
        // The colon is percent-encoded.
        _ => format!("revocation/{}", text("hash")?.replace(':', "%3A")),
    })
}

/// Writes what only commands write.
fn register_and_make_a_client(command_line: &CommandLine) {
    let register = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/samples/day/register.json");
    let client = ["--tenant", "demo", "--name", "till", "--yes"];
    for words in [
        &["register", "apply", register.to_str().unwrap(), "--yes"][..],
        &[&["client", "create"][..], &client].concat(),
        &[&["client", "revoke"][..], &client].concat(),
    ] {
        let output = command_line.run(words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_the_engine_writes_is_as_described() {
    let runtime = Runtime::new().unwrap();
    let backend = runtime.block_on(SimulatedBackend::start(Faults::default())).unwrap();
    backend.reject("/demo/12/3#2");
    let sinks = json!([{
        "name": "erp",
        "to": {"kind": "erp_documents", "backend": {"url": backend.documents_url()}},
        "flow": {"commit_every": "50ms"},
    }]);
    let folder = tempfile::tempdir().unwrap();
    let command_line =
        CommandLine::new(folder.path(), &[]).with("TILLRACE__SINKS", &sinks.to_string());
    // A local log has one owner.
    assert!(command_line.up().terminate().success());
    register_and_make_a_client(&command_line);
    let tillrace = command_line.up();
    tillrace.sell(1, "apples", "3");
    tillrace.sell(2, "pears", "1");
    // Another content under a number that is taken, one that is parked, one that is refused, and a count.
    let answer = tillrace.post("/v1/events", &sale(1, "apples", "4"));
    assert_eq!(answer.0, 202, "{answer:?}");
    let (status, answer) = tillrace.post("/v1/events", &sale(3, "apples", "many"));
    assert_eq!((status, answer.contains("parked")), (202, true), "{answer}");
    let card = sale(5, "apples", "1").replacen('{', r#"{"note":"4111 1111 1111 1111","#, 1);
    assert_eq!(tillrace.post("/v1/events", &card).0, 422);
    let count = sale(4, "apples", "12").replace("sale", "inventory_count");
    let count = count.replace(r#""type":"inventory_count""#, r#""type":"count""#);
    let answer = tillrace.post("/v1/events", &count);
    assert_eq!(answer.0, 202, "{answer:?}");
    tillrace.wait_for("erp.dead.v1", 1);
    tillrace.wait_for("pos.conflicts.v1", 1);
    tillrace.wait_for("stock.counts.v1", 1);
    tillrace.wait_for("pos.parked.v1", 1);
    tillrace.wait_for("store.registers.v1", 1);
    until("the good ones are audited", || {
        let audit = command_line.tap("pos.audit.v1");
        audit.iter().any(|record| record["value"]["outcome"] == "delivered").then_some(())
    });
    let types = command_line.tap("pos.events.v1");
    let refused = types.iter().filter(|record| record["value"]["type"] == "tillrace.pos.refused");
    assert_eq!(refused.count(), 1, "a refused event leaves its marker");

    let document = document();
    for channel in document["channels"].as_object().unwrap().values() {
        let topic = channel["address"].as_str().unwrap().replace("{sink}", "erp");
        let records = command_line.tap(&topic);
        assert!(!records.is_empty(), "{topic} is empty");
        let message = message(&document, channel);
        let Some(name) = message["payload"]["$ref"].as_str() else {
            assert_eq!(topic, "state.v1", "only what is private has no schema");
            continue;
        };
        let described = message["bindings"]["kafka"]["key"]["description"].as_str().unwrap();
        let validator = validator(name);
        for record in &records {
            let value = &record["value"];
            if let Err(error) = validator.validate(value) {
                panic!("{topic}: {error} at {}: {value}", error.instance_path());
            }
            let expected = match topic.as_str() {
                "erp.dead.v1" => value["key"].as_str().map(str::to_owned),
                "pos.parked.v1" => Some(parked_key(value)),
                "policy.v1" => policy_key(value),
                _ => key(described, value),
            };
            assert_eq!(record["key"].as_str().map(str::to_owned), expected, "{topic}: {value}");
        }
    }
}
