//! What each actor does with the topics, groups and transactional ids of a domain, as Kafka's access control has it
//! (Kafka documentation, "Authorization and ACLs": operations and resources of each protocol).
//!
//! Names are literal, but for transactional ids of processes without `log.kafka.instance`: each run has another, so they are
//! named by their beginning, which is within the namespace.

use tillrace_log::Topic;
use tillrace_log::kafka::{READER_GROUP, TransactionalIds};

use super::quoted;
use crate::cli::Actor;
use crate::config::Domain;

/// An operation, by Kafka's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Create,
    Describe,
    DescribeConfigs,
    Read,
    Write,
}

impl Operation {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Describe => "Describe",
            Self::DescribeConfigs => "DescribeConfigs",
            Self::Read => "Read",
            Self::Write => "Write",
        }
    }
}

/// What an operation is done to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    Cluster,
    Topic(String),
    Group(String),
    TransactionalId(String),
    TransactionalIdsBeginning(String),
}

impl Resource {
    /// Writes the option of `kafka-acls.sh` that names it.
    pub(super) fn option(&self) -> String {
        match self {
            Self::Cluster => "--cluster".to_owned(),
            Self::Topic(name) => format!("--topic {}", quoted(name)),
            Self::Group(name) => format!("--group {}", quoted(name)),
            Self::TransactionalId(id) | Self::TransactionalIdsBeginning(id) => {
                format!("--transactional-id {}", quoted(id))
            }
        }
    }

    /// The option that says how its name is meant: literally where there is none.
    pub(super) fn pattern(&self) -> Option<&'static str> {
        matches!(self, Self::TransactionalIdsBeginning(_))
            .then_some("--resource-pattern-type prefixed")
    }
}

/// Operations on something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) resource: Resource,
    pub(super) operations: Vec<Operation>,
}

fn on(resource: Resource, operations: &[Operation]) -> Access {
    Access { resource, operations: operations.to_vec() }
}

fn topic(topic: &Topic, operations: &[Operation]) -> Access {
    on(Resource::Topic(topic.to_string()), operations)
}

/// Returns what an actor needs on the cluster of a domain.
pub(super) fn needs(domain: &Domain, actor: Actor) -> Vec<Access> {
    let topics = domain.topics();
    let mut needs = match actor {
        Actor::Operator => of_operator(domain),
        Actor::Ingest | Actor::Aggregate | Actor::Deliver => of_start(domain),
    };
    match actor {
        Actor::Ingest => {
            needs.extend(
                [&topics.events, &topics.rejected].map(|name| topic(name, &[Operation::Write])),
            );
            needs.push(topic(&topics.policy, &[Operation::Read]));
            needs.push(of_readers());
        }
        Actor::Aggregate => needs.extend(of_aggregate(domain)),
        Actor::Deliver => needs.extend(of_deliver(domain)),
        Actor::Operator => {}
    }
    needs
}

/// Every role makes the topics that are missing, and compares the settings of topics and brokers with what is promised.
fn of_start(domain: &Domain) -> Vec<Access> {
    const START: [Operation; 3] =
        [Operation::Create, Operation::Describe, Operation::DescribeConfigs];
    let topics = domain.topic_specs().into_iter().map(|spec| topic(&spec.topic, &START));
    topics.chain([on(Resource::Cluster, &[Operation::DescribeConfigs])]).collect()
}

fn of_aggregate(domain: &Domain) -> Vec<Access> {
    let topics = domain.topics();
    let group = topics.group("aggregate");
    let read = [&topics.events, &topics.conflicts, &topics.state];
    // Ticks of idle partitions go to the journal.
    let written = [
        &topics.events,
        &topics.transactions,
        &topics.conflicts,
        &topics.parked,
        &topics.deltas,
        &topics.counts,
        &topics.days,
        &topics.registers,
        &topics.ledger,
        &topics.state,
    ];
    let kafka = domain.log.kafka.as_ref();
    let ids = kafka.map(|kafka| match TransactionalIds::of(kafka, &group, &topics.events) {
        TransactionalIds::One(id) => Resource::TransactionalId(id),
        TransactionalIds::BeginningWith(id) => Resource::TransactionalIdsBeginning(id),
    });
    let mut needs: Vec<Access> = read.map(|name| topic(name, &[Operation::Read])).into();
    needs.extend(written.map(|name| topic(name, &[Operation::Write])));
    needs.extend(ids.map(|ids| on(ids, &[Operation::Describe, Operation::Write])));
    needs.push(on(Resource::Group(group), &[Operation::Read]));
    needs.push(of_readers());
    needs
}

fn of_deliver(domain: &Domain) -> Vec<Access> {
    let topics = domain.topics();
    let mut needs = vec![
        of_readers(),
        topic(&topics.audit, &[Operation::Write]),
        // Sinks of files read which generation of the log it is.
        topic(&topics.state, &[Operation::Read]),
    ];
    for sink in domain.sinks_under_test() {
        needs.push(topic(&sink.topic, &[Operation::Read]));
        needs.push(topic(&topics.dead(&sink.name), &[Operation::Write]));
        needs.push(on(Resource::Group(sink.group), &[Operation::Read]));
    }
    needs
}

/// Orders go to the journal; what was sent again stands in the audit.
fn of_operator(domain: &Domain) -> Vec<Access> {
    let topics = domain.topics();
    let mut needs: Vec<Access> = domain
        .topic_specs()
        .iter()
        .map(|spec| topic(&spec.topic, &[Operation::Describe, Operation::Read]))
        .collect();
    needs.extend(
        [&topics.events, &topics.audit, &topics.policy]
            .map(|name| topic(name, &[Operation::Write])),
    );
    let groups = domain.sinks_under_test().into_iter().map(|sink| sink.group);
    for group in groups.chain([topics.group("aggregate")]) {
        needs.push(on(Resource::Group(group), &[Operation::Describe]));
    }
    needs.push(of_readers());
    needs
}

/// Readers belong to no group; librdkafka asks for its coordinator all the same.
fn of_readers() -> Access {
    on(Resource::Group(READER_GROUP.to_owned()), &[Operation::Describe])
}

/// Names the group of a domain's data team.
pub(super) fn data_team_group(domain: &Domain) -> String {
    domain.topics().named("data-team").to_string()
}

/// Returns what a data team needs that reads what came of the events: not the journal, nor refused and parked events, which
/// were never counted, nor private state.
pub(super) fn of_data_team(domain: &Domain, group: &str) -> Vec<Access> {
    let topics = domain.topics();
    let read = [
        &topics.transactions,
        &topics.conflicts,
        &topics.deltas,
        &topics.counts,
        &topics.days,
        &topics.registers,
        &topics.ledger,
    ];
    let mut needs: Vec<Access> =
        read.map(|name| topic(name, &[Operation::Describe, Operation::Read])).into();
    needs.push(on(Resource::Group(group.to_owned()), &[Operation::Read]));
    needs
}
