//! Tests of the configuration: every option changes something, and what is wrong is named.

use std::path::Path;

use super::*;

fn load(yaml: &str, variables: &[(&str, &str)]) -> anyhow::Result<Settings> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tillrace.yaml");
    std::fs::write(&path, yaml)?;
    load_file(&path, variables)
}

fn load_file(path: &Path, variables: &[(&str, &str)]) -> anyhow::Result<Settings> {
    let source = Source { config: Some(path.to_owned()), ..Source::default() };
    let variables = variables.iter().map(|&(name, text)| (name.to_owned(), text.to_owned()));
    Settings::from_parts(&source, variables, &|name| {
        name.ends_with("_TOKEN").then(|| "secret".to_owned())
    })
}

fn complaint(yaml: &str) -> String {
    format!("{:#}", load(yaml, &[]).unwrap_err())
}

#[test]
fn the_example_is_sound_and_says_what_it_says() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tillrace.example.yaml");
    let settings = load_file(&example, &[]).unwrap();
    assert_eq!(
        settings.log.kafka.as_ref().unwrap().brokers,
        "kafka-1:9092,kafka-2:9092,kafka-3:9092"
    );
    assert_eq!(settings.tenants[0].id, "acme");
    let names: Vec<_> = settings.sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["erp-sales", "erp-stock", "crm", "lake"]);
    assert_eq!(settings.status, Some("127.0.0.1:8081".parse().unwrap()));
}

#[test]
fn the_environment_stands_above_the_file() {
    let yaml = "ingest: {listen: '127.0.0.1:1'}\nlog: {partitions: 4}\n";
    let settings =
        load(yaml, &[("TILLRACE__INGEST__LISTEN", "127.0.0.1:2"), ("TILLRACE__NAMESPACE", "eu")])
            .unwrap();
    assert_eq!(settings.ingest.listen.port(), 2);
    assert_eq!(settings.log.partitions, 4);
    assert_eq!(settings.topics().events.as_str(), "eu.pos.events.v1");
}

#[test]
fn the_command_line_stands_above_all() {
    let source = Source {
        kafka: Some("b:9092".to_owned()),
        listen: Some("127.0.0.1:3".parse().unwrap()),
        status: Some("127.0.0.1:4".parse().unwrap()),
        data: Some("/d".into()),
        config: None,
    };
    let settings = Settings::from_parts(&source, std::iter::empty(), &|_name| None).unwrap();
    assert_eq!(settings.log.kafka.as_ref().unwrap().brokers, "b:9092");
    assert_eq!(settings.ingest.listen.port(), 3);
    assert_eq!(settings.status.unwrap().port(), 4);
    assert_eq!(settings.local_log().dir, Path::new("/d/log"));
    assert!(settings.development);
    assert_eq!(settings.ingest.drain_delay, std::time::Duration::ZERO);
    let names: Vec<_> = settings.sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["transactions", "deltas"]);
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    assert_eq!(
        complaint("lgo: {}"),
        "lgo: unknown field `lgo`, expected one of `namespace`, `data`, `log`, `ingest`, `aggregate`, `sinks`, `tenants`, `telemetry`, `status`"
    );
    assert_eq!(complaint("log: {partitions: 0}"), "log.partitions: 0 is not between 1 and 1000");
    assert!(complaint("ingest: {flood_after: soon}").starts_with("ingest.flood_after: "));
    assert!(
        complaint("aggregate: {window: 7s}").contains("set it to whole seconds that divide a day")
    );
    assert!(complaint("namespace: 'a b'").starts_with("namespace: use at most 64"));
    let unset = "sinks: [{name: erp, to: {kind: erp_documents, backend: {url: 'http://e', token: 'env:NOT_SET'}}}]";
    assert!(complaint(unset).contains("NOT_SET"), "{}", complaint(unset));
}

#[test]
fn a_generated_development_key_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let key = || {
        let source = Source { data: Some(folder.path().to_owned()), ..Source::default() };
        let mut settings =
            Settings::from_parts(&source, std::iter::empty(), &|_name| None).unwrap();
        development::add_tenant(&mut settings, &|_name| None).unwrap()
    };
    assert_eq!(key(), key());
}
