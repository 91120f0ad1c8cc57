use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;

use super::*;
use crate::record::SourceTopic;

/// Settings as the executable reads them.
fn read(yaml: &str) -> Result<SinkSettings, String> {
    serde_saphyr::from_str(yaml).map_err(|error| error.to_string())
}

/// Keys that cannot be used.
fn faults(sink: &SinkSettings) -> Vec<String> {
    let mut found = Inspection::default();
    sink.inspect(&mut found);
    found.errors().iter().map(|error| error.path.clone()).collect()
}

const ERP: &str =
    "name: erp\nto: {kind: erp_documents, backend: {url: 'https://erp.example/documents'}}";

#[test]
fn a_sink_is_a_name_and_a_target_and_the_rest_has_defaults() {
    let sink = read(ERP).unwrap();
    assert_eq!(faults(&sink), Vec::<String>::new());
    assert_eq!(sink.to.config().source(), SourceTopic::Transactions);
    assert_eq!(sink.flow.concurrency, 8);
    assert_eq!(sink.flow.retry.attempts(), 12);
    assert_eq!(sink.flow.park_after(), Duration::from_mins(10));
}

#[test]
fn everything_can_be_said_in_yaml() {
    let sink = read(
        "
name: lake
to:
  kind: parquet
  source: deltas
  location: s3://bucket/prefix
  s3: {endpoint: 'http://127.0.0.1:9000', region: eu-central-1, access_key_id: 'env:ID', secret_access_key: 'env:KEY'}
filter: {stores: ['12', '13'], tenants: [acme]}
flow:
  batch: {max_records: 10000, max_bytes: 16MiB, linger: 1m}
  concurrency: 2
  rate: {calls_per_second: 5, burst_calls: 10}
  retry: {initial: 1s, longest: 1m}
  breaker: {failures: 3, open_for: 30s}
  in_flight: {max_records: 20000, max_bytes: 32MiB}
  commit_every: 2s
  drain_within: 5s
",
    )
    .unwrap();
    assert_eq!(faults(&sink), Vec::<String>::new());
    let batch = sink.flow.batch.unwrap();
    assert_eq!((batch.max_records, batch.max_bytes), (10_000, ByteSize::mib(16)));
    assert_eq!(sink.flow.rate, Some(CallRateSettings { calls_per_second: 5, burst_calls: 10 }));
    assert_eq!(sink.flow.drain_within, Duration::from_secs(5));
    for target in [
        "{kind: erp_stock_movements, form: single, backend: {url: 'http://erp/', timeout: 3s}}",
        "{kind: crm_points, rule: {points: 3, per_major_units: 2}, backend: {url: 'http://crm/'}}",
    ] {
        let sink = read(&format!("name: x\nto: {target}")).unwrap();
        assert_eq!(faults(&sink), Vec::<String>::new());
    }
}

#[test]
fn what_is_misspelt_is_refused() {
    for yaml in [
        "name: x\nto: {kind: erp_documents, backend: {url: 'http://x/', tokn: y}}",
        "name: x\nto: {kind: fax, number: 1}",
        "name: x\nflows: {}\nto: {kind: crm_points, backend: {url: 'http://x/'}}",
    ] {
        assert!(read(yaml).is_err(), "{yaml}");
    }
}

#[test]
fn two_sinks_of_one_location_are_refused() {
    let files = |name: &str, source: &str, location: &str| {
        let to = format!("{{kind: parquet, source: {source}, location: '{location}'}}");
        read(&format!("name: {name}\nto: {to}")).unwrap()
    };
    let refused =
        |one, other| validate(&[one, other]).map_err(|errors| errors.all()[0].path.clone());
    let one = || files("a", "deltas", "/tmp/lake");
    assert_eq!(
        refused(one(), files("b", "deltas", "/tmp/./lake/")),
        Err("sinks[1].to.location".to_owned())
    );
    assert_eq!(refused(one(), files("b", "deltas", "/tmp/lake2")), Ok(()));
    assert_eq!(refused(one(), files("b", "transactions", "/tmp/lake")), Ok(()), "a folder each");
    let s3 = "{region: x, access_key_id: a, secret_access_key: b}";
    let bucket = |name: &str, location: &str| {
        let to = format!("{{kind: parquet, source: deltas, location: '{location}', s3: {s3}}}");
        read(&format!("name: {name}\nto: {to}")).unwrap()
    };
    assert_eq!(
        refused(bucket("a", "s3://b/x"), bucket("b", "s3://b/x/")),
        Err("sinks[1].to.location".to_owned())
    );
    assert_eq!(refused(bucket("a", "s3://b/x"), bucket("b", "s3://b/y")), Ok(()));
}

#[test]
fn wrong_settings_are_named_with_their_remedy() {
    let crm = "name: x\nto: {kind: crm_points, backend: {url: 'http://x/'}}\n";
    let files = "name: x\nto: {kind: parquet, source: deltas, location: /tmp/lake}\n";
    for (yaml, key) in [
        (ERP.replace("name: erp", "name: ERP!"), "name"),
        (ERP.replace("https://", "ftp://"), "to.backend.url"),
        (format!("{crm}flow: {{concurrency: 0}}"), "flow.concurrency"),
        (
            format!("{crm}flow: {{rate: {{calls_per_second: 0, burst_calls: 1}}}}"),
            "flow.rate.calls_per_second",
        ),
        (format!("{crm}flow: {{retry: {{initial: 1h}}}}"), "flow.retry.initial"),
        (format!("{crm}flow: {{retry: {{attempts: 0}}}}"), "flow.retry.attempts"),
        (format!("{crm}flow: {{park_after: 0s}}"), "flow.park_after"),
        (format!("{crm}flow: {{breaker: {{failures: 0}}}}"), "flow.breaker.failures"),
        (format!("{crm}flow: {{commit_every: 0s}}"), "flow.commit_every"),
        (format!("{crm}flow: {{commit_every: 25h}}"), "flow.commit_every"),
        (format!("{crm}flow: {{park_after: 1000years}}"), "flow.park_after"),
        (format!("{crm}flow: {{drain_within: 1000years}}"), "flow.drain_within"),
        (format!("{crm}flow: {{retry: {{longest: 25h}}}}"), "flow.retry.longest"),
        (format!("{crm}flow: {{breaker: {{open_for: 25h}}}}"), "flow.breaker.open_for"),
        (
            format!("{crm}flow: {{batch: {{max_records: 1, max_bytes: 1MiB, linger: 25h}}}}"),
            "flow.batch.linger",
        ),
        (ERP.replace("documents'}", "documents', timeout: 25h}"), "to.backend.timeout"),
        (format!("{crm}flow: {{in_flight: {{max_records: 0}}}}"), "flow.in_flight.max_records"),
        (
            format!("{crm}flow: {{batch: {{max_records: 0, max_bytes: 1KiB, linger: 1s}}}}"),
            "flow.batch.max_records",
        ),
        (format!("{crm}filter: {{kinds: [sales]}}"), "filter.kinds"),
        (crm.replace("backend", "rule: {points: 0}, backend"), "to.rule.points"),
        (format!("{files}flow: {{park_after: 1s}}"), "flow.park_after"),
        (format!("{files}flow: {{retry: {{attempts: 3}}}}"), "flow.retry.attempts"),
        (format!("{files}filter: {{kinds: [sale]}}"), "filter.kinds"),
        (files.replace("/tmp/lake", "s3://bucket/x"), "to.s3"),
        (files.replace("/tmp/lake", "''"), "to.location"),
    ] {
        assert_eq!(faults(&read(&yaml).unwrap()), [key], "{yaml}");
    }
}

#[test]
fn a_name_is_used_once() {
    let sink = read(ERP).unwrap();
    validate(std::slice::from_ref(&sink)).unwrap();
    let errors = validate(&[sink.clone(), sink]).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "sinks[1].name: is also the name of another sink; name each sink differently: the name is its consumer group"
    );
}

#[test]
fn secrets_of_every_connector_come_from_the_environment() {
    let environment: BTreeMap<&str, &str> =
        [("TOKEN", "t"), ("ID", "i"), ("KEY", "k")].into_iter().collect();
    let lookup = |name: &str| environment.get(name).map(|&value| value.to_owned());
    for target in [
        "{kind: erp_documents, backend: {url: 'http://x/', token: 'env:TOKEN'}}",
        "{kind: crm_points, backend: {url: 'http://x/', token: 'env:TOKEN'}}",
        "{kind: parquet, source: deltas, location: 's3://b', s3: {region: r, access_key_id: 'env:ID', secret_access_key: 'env:KEY'}}",
    ] {
        let mut sink = read(&format!("name: x\nto: {target}")).unwrap();
        for (path, secret) in sink.secrets() {
            assert!(path.starts_with("to."), "{path}");
            secret.resolve(&lookup).unwrap();
        }
        assert!(!sink.secrets().is_empty());
        assert!(!format!("{sink:?}").contains("env:"));
    }
}

#[test]
fn a_connector_may_say_its_kind_anywhere() {
    for to in [
        serde_json::json!({"kind": "crm_points", "backend": {"url": "http://x/"}}),
        serde_json::json!({"rule": {"points": 2}, "kind": "crm_points", "backend": {"url": "http://x/"}}),
    ] {
        let target: Target = serde_json::from_value(to).unwrap();
        assert!(matches!(target, Target::CrmPoints(_)));
    }
    let error = serde_json::from_str::<Target>(r#"{"kind": "fax"}"#).unwrap_err();
    assert!(
        error.to_string().starts_with("unknown variant `fax`, expected one of `erp_documents`")
    );
    let error = serde_json::from_str::<Target>("{}").unwrap_err();
    assert!(error.to_string().starts_with("missing field `kind`"));
}
