//! The access lists against the table of topics and the groups that roles join.

use std::path::PathBuf;

use serde_json::json;
use tillrace_log::kafka::KafkaSettings;
use tillrace_sinks::SinkSettings;

use super::access::{needs, of_data_team};
use super::*;
use crate::cli::LogSource;

fn domain() -> Domain {
    let mut domain = Settings::default().domain_named(None).unwrap();
    domain.namespace = "de".to_owned();
    domain.log.kafka = Some(KafkaSettings::new("k1:9092", 8));
    let sinks = json!([
        {"name": "erp", "to": {"kind": "erp_stock_movements", "backend": {"url": "http://x"}}},
        {"name": "lake", "to": {"kind": "parquet", "source": "transactions", "location": "/lake"}},
    ]);
    domain.sinks = serde_json::from_value::<Vec<SinkSettings>>(sinks).unwrap();
    domain
}

fn args() -> AclArgs {
    AclArgs {
        principal: None,
        role: Vec::new(),
        data_team: None,
        data_team_group: None,
        command_config: None,
        log: LogSource::default(),
    }
}

/// Names of the topics that actors may do something with.
fn topics(accesses: &[Access], operation: Operation) -> BTreeSet<String> {
    let of = |access: &Access| match &access.resource {
        Resource::Topic(name) if access.operations.contains(&operation) => Some(name.clone()),
        _ => None,
    };
    accesses.iter().filter_map(of).collect()
}

#[test]
fn every_topic_of_the_table_can_be_made_and_has_a_writer_and_a_reader() {
    let domain = domain();
    let all: BTreeSet<String> =
        domain.topic_specs().iter().map(|spec| spec.topic.to_string()).collect();
    assert!(all.contains("de.erp.dead.v1") && all.iter().all(|name| name.starts_with("de.")));
    let mut written = BTreeSet::new();
    for actor in [Actor::Ingest, Actor::Aggregate, Actor::Deliver] {
        let needs = needs(&domain, actor);
        for operation in [Operation::Create, Operation::Describe, Operation::DescribeConfigs] {
            assert_eq!(topics(&needs, operation), all, "{actor:?} {operation:?}");
        }
        written.extend(topics(&needs, Operation::Write));
    }
    let operator = needs(&domain, Actor::Operator);
    // The policy set is written by commands only.
    written.extend(topics(&operator, Operation::Write));
    assert_eq!(written, all);
    assert_eq!(topics(&operator, Operation::Read), all);
    assert!(topics(&operator, Operation::Create).is_empty());
}

#[test]
fn the_groups_are_those_that_roles_join() {
    let domain = domain();
    let topics = domain.topics();
    let groups = |actor| -> BTreeSet<(String, Vec<Operation>)> {
        let group = |access: Access| match access.resource {
            Resource::Group(name) => Some((name, access.operations)),
            _ => None,
        };
        needs(&domain, actor).into_iter().filter_map(group).collect()
    };
    let reader = ("tillrace.reader".to_owned(), vec![Operation::Describe]);
    let joined = |name: String| (name, vec![Operation::Read]);
    assert_eq!(groups(Actor::Ingest), [reader.clone()].into());
    let aggregate = [reader.clone(), joined(topics.group("aggregate"))];
    assert_eq!(groups(Actor::Aggregate), aggregate.into());
    let sinks = domain.sinks_under_test().into_iter().map(|sink| joined(sink.group));
    assert_eq!(groups(Actor::Deliver), sinks.chain([reader]).collect());
}

#[test]
fn a_data_team_reads_what_came_of_events_and_writes_nothing() {
    let domain = domain();
    let needs = of_data_team(&domain, "g");
    let expected = [
        "de.inventory.deltas.v1",
        "de.pos.conflicts.v1",
        "de.pos.transactions.v1",
        "de.stock.counts.v1",
        "de.store.days.v1",
        "de.store.registers.v1",
        "de.terminal.ledger.v1",
    ];
    assert_eq!(topics(&needs, Operation::Read), expected.map(str::to_owned).into());
    for operation in [Operation::Write, Operation::Create] {
        assert!(needs.iter().all(|access| !access.operations.contains(&operation)));
    }
}

#[test]
fn the_commands_name_literally_what_there_is() {
    let mut domain = domain();
    let mut wanted = AclArgs { role: vec![Actor::Ingest], ..args() };
    wanted.principal = Some("User:CN=O'Hara".to_owned());
    wanted.command_config = Some(PathBuf::from("admin.properties"));
    let text = commands(&domain, &wanted).unwrap();
    let begin = "kafka-acls.sh --bootstrap-server 'k1:9092' --command-config 'admin.properties' --add \
                 --allow-principal 'User:CN=O'\\''Hara' \\\n   ";
    let written = format!(
        "{begin} --operation Create --operation Describe --operation DescribeConfigs --operation Write \\\n    \
         --topic 'de.pos.events.v1' \\\n    --topic 'de.pos.rejected.v1'\n"
    );
    assert!(text.starts_with("# Domain default, ingest: User:CN=O'Hara\n"), "{text}");
    assert!(text.contains(&written), "{text}");
    assert!(
        text.contains(&format!("{begin} --operation DescribeConfigs \\\n    --cluster\n")),
        "{text}"
    );
    assert!(!text.contains("prefixed"), "{text}");

    let text = commands(&domain, &args()).unwrap();
    let ids = " --operation Describe --operation Write \\\n    --transactional-id 'de.tillrace.aggregate.' \\\n    \
               --resource-pattern-type prefixed\n";
    assert!(text.contains(ids), "{text}");
    assert_eq!(text.matches("prefixed").count(), 1, "all else is literal: {text}");
    domain.log.kafka.as_mut().unwrap().instance = Some("a1".to_owned());
    let text = commands(&domain, &args()).unwrap();
    assert!(
        text.contains("--transactional-id 'de.tillrace.aggregate.de.pos.events.v1.a1'\n"),
        "{text}"
    );
    assert!(!text.contains("prefixed"), "{text}");

    let team = AclArgs { data_team: Some("User:analysts".to_owned()), ..args() };
    let text = commands(&domain, &team).unwrap();
    assert!(text.contains("--allow-principal 'User:analysts' \\\n    --operation Read \\\n    --group 'de.data-team'\n"), "{text}");
    assert!(
        text.starts_with("# Domain default, ingest, aggregate, deliver, operator: User:tillrace\n"),
        "{text}"
    );
}

#[test]
fn a_local_log_has_no_access_lists() {
    let domain = Settings::default().domain_named(None).unwrap();
    let error = commands(&domain, &args()).unwrap_err();
    assert!(matches!(error, UsageError::NoAccessLists { .. }), "{error}");
}
