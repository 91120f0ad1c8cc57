//! The two ways to a development broker agree: what the script sets, the compose file sets.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::collections::BTreeMap;

use serde_json::Value;

const SCRIPT: &str = include_str!("../../deploy/kafka/up");
const COMPOSE: &str = include_str!("../../deploy/kafka/compose.yaml");

/// Where a broker listens and stores is each way's own; the rest of these only saves a laptop work.
const APART: [&str; 8] = [
    "log.dirs",
    "offsets.topic.num.partitions",
    "transaction.state.log.num.partitions",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    "broker.session.timeout.ms",
    "broker.heartbeat.interval.ms",
    "num.network.threads",
    "num.io.threads",
];

/// The properties that the script writes for a single broker.
fn scripted() -> BTreeMap<String, String> {
    let (_, rest) = SCRIPT.split_once("server.properties\" <<PROPERTIES\n").unwrap();
    let (properties, _) = rest.split_once("\nPROPERTIES\n").unwrap();
    let lines = properties.lines().filter_map(|line| line.split_once('='));
    let value = |text: &str| text.replace("$brokers", "1").replace("$min_in_sync", "1");
    lines.map(|(key, text)| (key.to_owned(), value(text))).collect()
}

/// The properties that the image makes of the variables: in small letters, with dots.
fn composed() -> BTreeMap<String, String> {
    let compose: Value = serde_saphyr::from_str(COMPOSE).unwrap();
    let variables = compose["services"]["kafka"]["environment"].as_object().unwrap().clone();
    let property = |(name, value): (String, Value)| {
        let key = name.strip_prefix("KAFKA_")?.to_ascii_lowercase().replace('_', ".");
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (key != "heap.opts").then_some((key, value))
    };
    variables.into_iter().filter_map(property).collect()
}

#[test]
fn the_compose_file_sets_what_the_script_sets() {
    let (scripted, composed) = (scripted(), composed());
    let mut compared = 0;
    for (key, value) in &scripted {
        let names_an_address = value.contains("://") || value.contains('$');
        let defaults = ["controlled.shutdown.enable", "inter.broker.listener.name"];
        if names_an_address || APART.contains(&key.as_str()) || defaults.contains(&key.as_str()) {
            continue;
        }
        assert_eq!(composed.get(key), Some(value), "{key}");
        compared += 1;
    }
    assert!(compared >= 13, "{compared} properties compared");
    for key in composed.keys() {
        assert!(scripted.contains_key(key), "{key} is set in the compose file only");
    }
    let compose: Value = serde_saphyr::from_str(COMPOSE).unwrap();
    let pom = include_str!("../../deploy/kafka/pom.xml");
    let image = compose["services"]["kafka"]["image"].as_str().unwrap();
    let version = image.strip_prefix("apache/kafka:").unwrap();
    assert!(pom.contains(&format!("<kafka.version>{version}</kafka.version>")), "{image}");
}
