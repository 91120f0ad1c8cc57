//! Tests of `domains`: what each has, what it takes from the top level, and how they must differ.

use std::path::Path;

use tillrace_ingest::hash_key;
use tillrace_log::Cleanup;

use super::Domain;
use super::tests::{errors, examine, lines, load, warnings};
use crate::usage::UsageError;

/// A tenant of one line, with a key.
fn tenant(id: &str, key: &str) -> String {
    let hash = hash_key(key);
    format!("{{id: {id}, keys: [{{name: k, hash: '{hash}', stores: ['*']}}]}}")
}

#[test]
fn a_file_without_domains_is_one() {
    let settings = load("namespace: eu\ndata: /d\n", &[]);
    let domain = settings.domain_named(None).unwrap();
    assert_eq!((domain.name.as_str(), domain.is_named), ("default", false));
    assert_eq!(domain.topics().events.as_str(), "eu.pos.events.v1");
    assert_eq!(domain.local_log().dir, Path::new("/d/log"));
    assert!(settings.domain_named(Some("default")).is_ok());
    let error = settings.domain_named(Some("north")).unwrap_err();
    assert!(matches!(&error, UsageError::NoDomain { known, .. } if known == "default"), "{error}");
}

#[test]
fn a_domain_takes_the_log_of_the_top_level_or_has_its_own() {
    let settings = load(
        "data: /d
log: {partitions: 4, retention_days: 9}
domains:
  - {name: north, namespace: north, region: eu-north-1, retention_days: 30}
  - {name: south, data: /elsewhere, log: {partitions: 2}}
  - {name: east, log: {partitions: 3, kafka: {brokers: 'b:9092'}}}
",
        &[],
    );
    let [north, south, east] = <[_; 3]>::try_from(settings.domains()).unwrap();
    assert_eq!((north.log.partitions, north.log.retention_days), (4, 30));
    let kept_days = |domain: &Domain| {
        let journal = domain.topics().events;
        let spec = domain.topic_specs().into_iter().find(|spec| spec.topic == journal);
        match spec.map(|spec| spec.cleanup) {
            Some(Cleanup::Delete { retention_ms }) => retention_ms / 86_400_000,
            _ => 0,
        }
    };
    assert_eq!([&north, &south, &east].map(kept_days), [30, 14, 14]);
    assert_eq!(north.local_log().dir, Path::new("/d/north/log"));
    assert_eq!(north.log_name(), "local, in /d/north/log, namespace north, eu-north-1");
    assert_eq!(north.topics().events.as_str(), "north.pos.events.v1");
    assert_eq!((south.log.partitions, south.log.retention_days), (2, 14));
    assert_eq!(south.local_log().dir, Path::new("/elsewhere/log"));
    assert_eq!(east.log.kafka.unwrap().partitions, 3);
    let error = settings.domain_named(None).unwrap_err();
    let known = "north, south, east";
    assert!(matches!(&error, UsageError::WhichDomain { known: all } if all == known), "{error}");
    assert_eq!(settings.domain_named(Some("east")).unwrap().name, "east");
    assert_eq!(settings.domains_named(Some("south")).unwrap().len(), 1);
}

#[test]
fn all_that_keeps_domains_from_being_apart_is_told_at_once() {
    let (one, two) = (tenant("acme", "one"), tenant("acme", "two"));
    let (shared, other) = (tenant("zeta", "one"), tenant("beta", "three"));
    let files = |name: &str, folder: &str| {
        format!("{{name: {name}, to: {{kind: parquet, source: deltas, location: {folder}}}}}")
    };
    let yaml = format!(
        "\
namespace: x
tenants: [{other}]
domains:
  - name: north
    data: /d
    tenants: [{one}]
    sinks: [{}]
  - name: north
    data: /d/log
    retention_days: 0
    tenants: [{two}, {shared}]
    sinks: [{}]
  - {{name: West, data: /d/../d, namespace: a b, tenants: [{{id: w}}]}}
",
        files("lake", "/lake"),
        files("pond", "/lake/pond")
    );
    let errors = errors(&yaml);
    for expected in [
        "tillrace.yaml:13: domains[2].tenants[0].keys: is missing; add it",
        "tillrace.yaml:10: domains[1].retention_days: 0 is out of bounds; set it to at least 1",
        "tillrace.yaml:13: domains[2].namespace: cannot stand before the name of a topic; use at most 64 of a-z, A-Z, 0-9, '.', '_' and '-', as Kafka's topic names allow",
        "tillrace.yaml:1: namespace: stands beside `domains`, and belongs to none of them; move it into the domain that it belongs to",
        "tillrace.yaml:2: tenants: stands beside `domains`, and belongs to none of them; move it into the domain that it belongs to",
        "tillrace.yaml:13: domains[2].name: is no name of a domain; use 1 to 32 of a-z, 0-9, - and _",
        "tillrace.yaml:8: domains[1].name: is also the name of another domain; name each domain differently",
        "tillrace.yaml:9: domains[1].data: puts one log within another: that of north is in /d/log; give each domain a folder of its own",
        "tillrace.yaml:12: domains[1].sinks[0].to.location: holds or is held by that of sink lake of north; give the files of each domain a location of their own",
        "tillrace.yaml:13: domains[2].data: puts the log into the folder of north, /d/log; give each domain a folder of its own",
        "tillrace.yaml:6: domains[0].tenants[0].id: is a tenant of another domain too: what it sends to both would count twice; keep it in one of them",
        "tillrace.yaml:11: domains[1].tenants[0].id: is a tenant of another domain too: what it sends to both would count twice; keep it in one of them",
        "tillrace.yaml:6: domains[0].tenants[0].keys[0].hash: is a key of another domain too, and is good for neither; issue another key for one of them",
        "tillrace.yaml:11: domains[1].tenants[1].keys[0].hash: is a key of another domain too, and is good for neither; issue another key for one of them",
    ] {
        assert!(errors.iter().any(|error| error == expected), "{expected}\n{errors:#?}");
    }
    // West is also within the log of the second north.
    assert_eq!(errors.len(), 15, "{errors:#?}");
}

#[test]
fn no_log_lies_among_the_files_of_a_sink() {
    let files = |folder: &str| {
        format!("[{{name: lake, to: {{kind: parquet, source: deltas, location: {folder}}}}}]")
    };
    let remedy = "give the files a folder beside the log's";
    let two = |folder: &str| {
        errors(&format!(
            "domains:\n  - {{name: north, data: /n, sinks: {}}}\n  - {{name: south, data: /lake/s}}\n",
            files(folder)
        ))
    };
    for (folder, log) in [
        ("/lake", "of south, /lake/s/log"),
        ("/lake/s/log/files", "of south, /lake/s/log"),
        ("/n/log/../log", "of north, /n/log"),
    ] {
        let fault = format!("holds or is held by the folder of the log {log}");
        let expected =
            format!("tillrace.yaml:2: domains[0].sinks[0].to.location: {fault}; {remedy}");
        assert_eq!(two(folder), [expected], "{folder}");
    }
    assert_eq!(two("/n/files"), Vec::<String>::new());
    assert_eq!(two("/lake/s/logs"), Vec::<String>::new());
    // Where there are no domains, too.
    let fault = "holds or is held by the folder of the log, /d/log";
    let expected = format!("tillrace.yaml:2: sinks[0].to.location: {fault}; {remedy}");
    assert_eq!(errors(&format!("data: /d\nsinks: {}\n", files("/d"))), [expected]);
    let kafka = "log: {kafka: {brokers: 'b:9092'}}";
    let on_kafka = format!("data: /d\n{kafka}\nsinks: {}\n", files("/d"));
    assert_eq!(errors(&on_kafka), Vec::<String>::new());
}

#[test]
fn on_one_cluster_no_namespace_begins_another() {
    let two = |one: &str, other: &str, brokers: &str| {
        errors(&format!(
            "log: {{kafka: {{brokers: 'K1:9092,k2:9092'}}}}
domains:
  - {{name: one, namespace: '{one}'}}
  - {{name: other, namespace: '{other}', log: {{kafka: {{brokers: '{brokers}'}}}}}}
"
        ))
    };
    for (one, other, fault) in [
        ("eu", "eu", "is also that of one, on the same cluster"),
        ("eu", "", "is empty, and the empty one stands alone on its cluster: one is on it too"),
        ("", "eu", "shares a cluster with the empty one of one, which must stand alone"),
        (
            "eu",
            "eu.fr",
            "and \"eu\" of one, on the same cluster, begin alike: up to a dot one is the other",
        ),
        (
            "eu.fr",
            "eu",
            "and \"eu.fr\" of one, on the same cluster, begin alike: up to a dot one is the other",
        ),
    ] {
        let remedy = "give each domain on a cluster a namespace that begins no other's, such as its name, or a cluster of its own";
        let expected = format!("tillrace.yaml:4: domains[1].namespace: {fault}; {remedy}");
        assert_eq!(two(one, other, "k2:9092, k3:9092"), [expected]);
        assert_eq!(two(one, other, "k3:9092"), Vec::<String>::new(), "another cluster");
    }
    for (one, other) in [("eu", "us"), ("eu", "eur"), ("eu.fr", "eu.de")] {
        assert_eq!(two(one, other, "k1:9092"), Vec::<String>::new());
    }
}

#[test]
fn the_environment_reaches_a_domain_and_its_secrets_are_found() {
    let yaml = "domains:\n  - name: north\n    sinks: [{name: e, to: {kind: crm_points, backend: {url: 'http://x', token: 'env:NORTH'}}}]\n";
    let unset = "tillrace.yaml:3: domains[0].sinks[0].to.backend.token: environment variable NORTH is not set";
    assert!(errors(yaml)[0].starts_with(unset), "{:?}", errors(yaml));
    let variables = [("NORTH", "secret"), ("TILLRACE__DOMAINS__0__NAMESPACE", "n")];
    let domain = load(yaml, &variables).domain_named(None).unwrap();
    assert_eq!((domain.name.as_str(), domain.namespace.as_str()), ("north", "n"));
    let literal = yaml.replace("env:NORTH", "hunter2");
    let found = warnings(&literal);
    assert!(
        found[0].contains("domains[0].sinks[0].to.backend.token: is a secret written"),
        "{found:?}"
    );
    let empty = "domains[0].tenants: is empty: a gateway lets nobody in; add a tenant with a key";
    assert!(found[1].contains(empty), "{found:?}");
}

#[test]
fn what_a_gateway_holds_is_divided_and_each_part_must_do() {
    let domains = "domains: [{name: a}, {name: b}, {name: c}]\n";
    assert_eq!(errors(&format!("ingest: {{in_flight: 123MiB}}\n{domains}")), Vec::<String>::new());
    let few = errors(&format!("ingest: {{in_flight: 117MiB}}\n{domains}"));
    let fault =
        "tillrace.yaml:1: ingest.in_flight: leaves one key of one tenant less than the 10MiB";
    assert!(few.len() == 1 && few[0].starts_with(fault), "{few:?}");
}

#[test]
fn an_option_that_says_nothing_of_which_domain_is_refused() {
    use super::load;
    use crate::cli::{LogSource, Source};
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tillrace.yaml");
    std::fs::write(&config, "domains: [{name: north}]\n").unwrap();
    let log = LogSource {
        config: Some(config),
        kafka: Some("b:9092".to_owned()),
        data: Some("/d".into()),
        domain: None,
    };
    let (_, report) = load::examine(&Source::from(&log), &super::Surroundings::default()).unwrap();
    let fault =
        "says nothing of which of the `domains` it is for; set it in the configuration file";
    assert_eq!(lines(report.errors()), [format!("--kafka: {fault}"), format!("--data: {fault}")]);
    assert!(examine("domains: [{name: north}]\n", &[]).1.errors().is_empty());
}

#[test]
fn the_example_of_domains_is_sound_and_says_what_it_says() {
    let example = include_str!("../../../docs/domains.example.yaml");
    let domains = load(example, &[]).domains();
    let told =
        |domain: &Domain| (domain.name.clone(), domain.log.partitions, domain.log.retention_days);
    let told: Vec<_> = domains.iter().map(told).collect();
    assert_eq!(told, [("germany".to_owned(), 8, 30), ("franchise-north".to_owned(), 4, 7)]);
    assert_eq!(warnings(example), Vec::<String>::new());
}
