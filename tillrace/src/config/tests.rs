//! Tests of the configuration: every option changes something, and all that is wrong is told by its key.

use std::ffi::OsString;
use std::path::Path;

use tillrace_sinks::settings::Target;

use super::*;
use crate::cli::LogSource;

fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
    let variables = variables.iter().map(|&(name, value)| (name.into(), value.into()));
    Surroundings { variables: variables.collect() }
}

const TOKENS: [(&str, &str); 3] =
    [("ERP_TOKEN", "secret"), ("CRM_TOKEN", "secret"), ("KAFKA_PASSWORD", "secret")];

fn examine_file(path: &Path, variables: &[(&str, &str)]) -> (Option<Settings>, Report) {
    let source = Source::from(&LogSource { config: Some(path.to_owned()), ..LogSource::default() });
    load::examine(&source, &surroundings(&[&TOKENS, variables].concat())).unwrap()
}

pub(super) fn examine(yaml: &str, variables: &[(&str, &str)]) -> (Option<Settings>, Report) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tillrace.yaml");
    std::fs::write(&path, yaml).unwrap();
    examine_file(&path, variables)
}

pub(super) fn load(yaml: &str, variables: &[(&str, &str)]) -> Settings {
    let (settings, report) = examine(yaml, variables);
    assert!(report.errors().is_empty(), "{report}");
    settings.unwrap()
}

/// Findings without the folder that the file is in.
pub(super) fn lines(findings: &[report::Finding]) -> Vec<String> {
    let without_folder = |finding: &report::Finding| {
        let line = finding.to_string();
        line.split_once("/tillrace.yaml")
            .map_or(line.clone(), |(_, rest)| format!("tillrace.yaml{rest}"))
    };
    findings.iter().map(without_folder).collect()
}

pub(super) fn errors(yaml: &str) -> Vec<String> {
    lines(examine(yaml, &[]).1.errors())
}

pub(super) fn warnings(yaml: &str) -> Vec<String> {
    lines(examine(yaml, &[]).1.warnings())
}

fn without_file(source: &Source) -> Settings {
    load::examine(source, &Surroundings::default()).unwrap().0.unwrap()
}

#[test]
fn the_example_is_sound_and_says_what_it_says() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tillrace.example.yaml");
    let (settings, report) = examine_file(&example, &[]);
    // Its file of certificate authorities is not here.
    let missing = "log.kafka.properties.ssl.ca.location: cannot read /etc/tillrace/kafka-ca.pem";
    assert!(report.errors().iter().all(|error| error.to_string().contains(missing)), "{report}");
    assert!(report.warnings().is_empty(), "{:?}", report.warnings());
    let settings = settings.unwrap();
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
    let variables = [
        ("TILLRACE__INGEST__LISTEN", "127.0.0.1:2"),
        ("TILLRACE__NAMESPACE", "eu"),
        ("TILLRACE__TENANTS__0__ID", "0042"),
        ("TILLRACE__TENANTS__0__KEYS", "[]"),
        ("TILLRACE__LOG__KAFKA__BROKERS", "b:9092"),
        ("TILLRACE__LOG__KAFKA__PROPERTIES__SASL_PASSWORD", "#1: {it's}"),
    ];
    let settings = load(yaml, &variables);
    assert_eq!(settings.ingest.listen.port(), 2);
    assert_eq!(settings.log.partitions, 4);
    assert_eq!(settings.domain_named(None).unwrap().topics().events.as_str(), "eu.pos.events.v1");
    assert_eq!(settings.tenants[0].id, "0042");
    assert_eq!(settings.log.kafka.unwrap().properties["sasl.password"].expose(), "#1: {it's}");
}

#[test]
fn the_command_line_stands_above_all() {
    let settings = without_file(&Source {
        log: LogSource {
            config: None,
            kafka: Some("b:9092".to_owned()),
            data: Some("/d".into()),
            domain: None,
        },
        listen: Some("127.0.0.1:3".parse().unwrap()),
        status: Some("127.0.0.1:4".parse().unwrap()),
    });
    assert_eq!(settings.log.kafka.as_ref().unwrap().brokers, "b:9092");
    assert_eq!(settings.ingest.listen.port(), 3);
    assert_eq!(settings.status.unwrap().port(), 4);
    assert_eq!(settings.domain_named(None).unwrap().local_log().dir, Path::new("/d/log"));
    assert!(settings.development);
    assert_eq!(settings.ingest.drain_delay, std::time::Duration::ZERO);
    let names: Vec<_> = settings.sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["transactions", "deltas"]);
}

#[test]
fn all_that_is_wrong_is_told_at_once_each_by_its_line_and_with_the_remedy() {
    let yaml = "\
log:
  partitions: 0
  kafka:
    session_timeout: 0s
    queue_rows: 1
    properties:
      acks: 1
      sasl.pasword: hunter2
      ssl.ca.location: /nowhere/ca.pem
ingest:
  lisen: x
  flood_after: soon
aggregate: {window: 7s}
sinks:
  - name: erp
    to:
      backend: {url: 'http://e', token: 'env:NOT_SET', ca_file: /nowhere/ca.pem, timeout: 0s}
      kind: erp_documents
  - {name: erp, to: {kind: fax}}
  - {name: lake, to: {kind: parquet, source: deltas, location: /tmp/lake, s4: x}}
  - {name: erp, to: {kind: crm_points, backend: {url: 'http://e'}}, flow: {concurrency: none}}
tenants:
  - {id: a}
telemetry: {level: loud}
";
    let expected = [
        "tillrace.yaml:11: ingest.lisen: is no key here; use `listen`,",
        "tillrace.yaml:12: ingest.flood_after: ",
        "tillrace.yaml:19: sinks[1].to.kind: `fax` is none of its values; use `erp_documents`,",
        "tillrace.yaml:20: sinks[2].to.s4: is no key here; use `source`, `location` or `s3`",
        "tillrace.yaml:21: sinks[3].flow.concurrency: is text; write a whole number, without quotes",
        "tillrace.yaml:23: tenants[0].keys: is missing; add it",
        "tillrace.yaml:17: sinks[0].to.backend.token: environment variable NOT_SET is not set; set it, or",
        "tillrace.yaml:2: log.partitions: 0 is out of bounds; set it between 1 and 1000",
        "tillrace.yaml:4: log.kafka.brokers: names no broker, or has an empty place; set it to",
        "tillrace.yaml:5: log.kafka.queue_rows: 1 is out of bounds; set it between 1000 and 1000000",
        "tillrace.yaml:4: log.kafka.session_timeout: 0s is out of bounds; set it between 1s and 1h",
        "tillrace.yaml:7: log.kafka.properties.acks: is set by Tillrace and cannot be overridden; remove it",
        "tillrace.yaml:8: log.kafka.properties.sasl.pasword: is no property of librdkafka; see",
        "tillrace.yaml:9: log.kafka.properties.ssl.ca.location: cannot read /nowhere/ca.pem: ",
        "tillrace.yaml:13: aggregate.window: does not divide a day; set it to whole seconds",
        "tillrace.yaml:17: sinks[0].to.backend.timeout: 0s is out of bounds; set it between 1ms and 1day",
        "tillrace.yaml:17: sinks[0].to.backend.ca_file: cannot read /nowhere/ca.pem: ",
        "tillrace.yaml:21: sinks[3].name: is also the name of another sink; name each sink differently",
        "tillrace.yaml:24: telemetry.level: is no level; use error, warn, info, debug or trace",
    ];
    let errors = errors(yaml);
    assert!(errors.iter().all(|error| !error.contains("hunter2")), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
}

#[test]
fn what_up_would_refuse_is_refused_by_check() {
    let kafka = "log: {kafka: {brokers: 'b:9092'}}\n";
    for (yaml, expected) in [
        (kafka.replace("}}", ", acks: 1}}"), "log.kafka.acks: is no key here"),
        (kafka.replace("b:9092", ""), "log.kafka.brokers: names no broker"),
        (kafka.replace("b:9092", "a,,b"), "log.kafka.brokers: names no broker"),
        (kafka.replace("}}", ", replication: 1}}"), "log.kafka.replication: is below what"),
        (
            kafka.replace("}}", ", properties: {socket.keepalive.enable: maybe}}}"),
            "log.kafka.properties.socket.keepalive.enable: has a value that librdkafka",
        ),
        ("log: {local: {frame_bytes: 8MiB}}".into(), "log.local.frame_bytes: "),
        ("telemetry: {level: loud}".into(), "telemetry.level: is no level"),
        ("telemetry: {level: tillrace_core}".into(), "telemetry.level: is no level"),
        (
            "sinks: [{name: e, to: {kind: crm_points, backend: {url: 'http://x', token: \"a\\nb\"}}}]"
                .into(),
            "sinks[0].to.backend.token: holds a line break",
        ),
        ("status: 0.0.0.0:8080".into(), "status: is the address that the gateway listens on"),
        ("namespace: a b".into(), "namespace: cannot stand before"),
    ] {
        let errors = errors(&yaml);
        assert!(errors.len() == 1 && errors[0].contains(expected), "{yaml}: {errors:#?}");
    }
    for yaml in ["telemetry: {level: 'info,tillrace_core=debug'}", "telemetry: {level: WARN}", ""] {
        assert_eq!(errors(yaml), Vec::<String>::new(), "{yaml}");
    }
}

#[test]
fn what_is_no_configuration_is_said_without_showing_it() {
    for (yaml, expected) in [
        ("- hunter2", "is no configuration; write keys and values"),
        ("hunter2", "is no configuration; write keys and values"),
        ("a: 1\nloyalty_secret: \"hunter2", "line 2, column 17: "),
    ] {
        let errors = errors(yaml);
        assert_eq!(errors.len(), 1);
        assert!(errors[0].contains(expected), "{errors:?}");
        assert!(!errors[0].contains("hunter2"), "{errors:?}");
    }
}

#[test]
fn what_is_hardly_meant_is_a_warning() {
    let tenant = "tenants: [{id: acme, loyalty_secret: sixteen-bytes-or-more, keys: []}]\n";
    let sink = "sinks:\n- name: e\n  to: {kind: crm_points, backend: {url: 'http://x', token: t}}\n  filter: {tenants: [acne]}\n";
    assert_eq!(
        warnings(&format!("{tenant}{sink}")),
        [
            "tillrace.yaml:4: sinks[0].to.backend.token: is a secret written out in the file; name where it stands: `env:NAME` or `file:PATH`",
            "tillrace.yaml:1: tenants[0].loyalty_secret: is a secret written out in the file; name where it stands: `env:NAME` or `file:PATH`",
            "tillrace.yaml:1: tenants[0].keys: is empty: nobody can send for this tenant; add a key",
            "tillrace.yaml:5: sinks[0].filter.tenants: \"acne\" is no tenant of this configuration; correct the id, or remove it",
        ]
    );
    assert_eq!(
        warnings("data: x"),
        ["tillrace.yaml:1: tenants: is empty: a gateway lets nobody in; add a tenant with a key"]
    );
    let (_, report) = examine(tenant, &[("TILLRACE_INGEST_LISTEN", "x")]);
    assert!(report.warnings()[0].to_string().starts_with("TILLRACE_INGEST_LISTEN: is ignored; "));
    // From the environment it comes as it should.
    let secret = [("TILLRACE__TENANTS__0__LOYALTY_SECRET", "sixteen-bytes-or-more")];
    let (_, report) = examine("tenants: [{id: a, keys: []}]", &secret);
    assert!(!report.warnings().iter().any(|warning| warning.to_string().contains("written out")));
}

#[test]
fn an_error_from_the_environment_is_told_by_its_variable() {
    let (_, report) = examine("", &[("TILLRACE__LOG__PARTITIONS", "0")]);
    assert_eq!(
        lines(report.errors()),
        [
            "TILLRACE__LOG__PARTITIONS: log.partitions: 0 is out of bounds; set it between 1 and 1000"
        ]
    );
}

#[test]
fn ids_are_taken_as_they_were_written() {
    let settings = load(
        "tenants: [{id: 0042, keys: [{name: NO, hash: 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', stores: [0042, NO, 1e3]}]}]\n\
         sinks: [{name: e, to: {kind: crm_points, backend: {url: 'http://x'}}, filter: {stores: [0042, on]}}]",
        &[],
    );
    assert_eq!(settings.tenants[0].id, "0042");
    assert_eq!(settings.tenants[0].keys[0].name, "NO");
    assert_eq!(settings.tenants[0].keys[0].stores, ["0042", "NO", "1e3"]);
    assert!(settings.sinks[0].filter.stores.contains("0042"));
    assert!(settings.sinks[0].filter.stores.contains("on"));
}

#[test]
fn a_generated_development_key_is_kept_to_its_owner_and_a_given_one_is_not_shown() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let key = |variables: &[(&str, &str)]| {
        let log = LogSource { data: Some(data.clone()), ..LogSource::default() };
        let mut settings = without_file(&Source::from(&log));
        development::add_tenant(&mut settings, &surroundings(variables)).unwrap()
    };
    let bits = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let made = key(&[]);
    assert!(matches!(&made, DevelopmentKey::Made(key) if key.starts_with("dev-")), "{made:?}");
    assert_eq!(key(&[]), made);
    assert_eq!((bits(&data), bits(&data.join("development-key"))), (0o700, 0o600));
    assert_eq!(key(&[("TILLRACE_DEV_KEY", "mine")]), DevelopmentKey::Given);
}

#[test]
fn variables_of_others_that_are_no_text_harm_nothing() {
    use std::os::unix::ffi::OsStringExt;
    let strange = OsString::from_vec(vec![b'x', 0xff]);
    let variables = vec![(strange.clone(), "x".into()), ("LC_ALL".into(), strange)];
    let found = load::examine(&Source::default(), &Surroundings { variables }).unwrap();
    assert!(found.1.errors().is_empty());
}

#[test]
fn an_old_key_is_read_under_its_new_name_with_a_warning() {
    let sink = |key: &str| {
        format!("sinks:\n  - name: lake\n    to: {{kind: parquet, source: deltas, {key}: /lake}}\n")
    };
    let (settings, report) = examine(&format!("data: x\n{}", sink("place")), &[]);
    assert!(report.errors().is_empty(), "{report}");
    let Target::Parquet(files) = &settings.unwrap().sinks[0].to else { panic!("no Parquet sink") };
    assert_eq!(files.location, "/lake");
    let warning = "tillrace.yaml:4: sinks[0].to.place: is an old name; write `location`";
    assert!(lines(report.warnings()).contains(&warning.to_owned()), "{:?}", report.warnings());
    assert!(!warnings(&sink("location")).iter().any(|line| line.contains("old name")));

    let variable = [("TILLRACE__SINKS__0__TO__LOCATION", "/other")];
    let Target::Parquet(files) = &load(&sink("place"), &variable).sinks[0].to else { panic!() };
    assert_eq!(files.location, "/other");
    let both = sink("place").replace("place:", "location: /new, place:");
    assert!(errors(&both)[0].contains("`place`") || errors(&both)[0].contains("to.place"));
}
