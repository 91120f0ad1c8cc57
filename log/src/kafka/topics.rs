//! Makes the topics and compares those that exist with what the promises need.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::{Isolation, asking, create};
use super::diagnostics::Diagnostics;
use super::error::{KafkaFault, failure, may_pass, passes};
use super::metadata::ClusterMetadata;
use super::settings::{Durability, KafkaSettings, PROMISED_REPLICATION};
use super::topic_requirements::{TopicRequirements, offsets_kept, weaker_offsets};
use crate::{LogError, Topic, TopicSpec, Weaknesses};

/// Pause between looks at a topic that was just made.
const PAUSE: Duration = Duration::from_millis(50);

/// Longest wait for what a broker says of itself; one that is away holds nothing up.
const BROKER_WAIT: Duration = Duration::from_secs(3);

/// Makes what is missing, compares the rest.
pub(super) fn ensure(
    cluster: &ClusterMetadata,
    specs: &[TopicSpec],
) -> Result<Weaknesses, LogError> {
    let admin = admin(cluster)?;
    // All are looked at before any is made: what is made with a wrong number of partitions would be in the way of the
    // right one.
    let mut missing: Vec<&TopicSpec> = Vec::new();
    for spec in specs {
        if let Some(layout) = cluster.layout(&spec.topic)? {
            cluster.accept(&spec.topic, layout)?;
        } else if !missing.contains(&spec) {
            missing.push(spec);
        }
    }
    let settings = within_reach(cluster)?;
    if !missing.is_empty() {
        make(&admin, &settings, &missing)?;
    }
    compare_all(&admin, cluster, &settings, specs)
}

/// Compares what must be there already.
pub(super) fn compare(
    cluster: &ClusterMetadata,
    specs: &[TopicSpec],
) -> Result<Weaknesses, LogError> {
    compare_all(&admin(cluster)?, cluster, &within_reach(cluster)?, specs)
}

fn admin(cluster: &ClusterMetadata) -> Result<AdminClient<Diagnostics>, LogError> {
    create(&asking(&cluster.settings, Isolation::Committed), Diagnostics::default())
}

fn compare_all(
    admin: &AdminClient<Diagnostics>,
    cluster: &ClusterMetadata,
    settings: &KafkaSettings,
    specs: &[TopicSpec],
) -> Result<Weaknesses, LogError> {
    let mut weaknesses = Weaknesses::default();
    for spec in specs {
        let replicas = await_topic(cluster, spec)?;
        if replicas < usize::from(PROMISED_REPLICATION) {
            let topic = &spec.topic;
            weaknesses.found.push(format!(
                "topic {topic} has {replicas} replicas; {PROMISED_REPLICATION} are promised"
            ));
        }
    }
    compare_topics(admin, cluster, settings, specs, &mut weaknesses.found)?;
    compare_brokers(admin, cluster, specs, &mut weaknesses)?;
    Ok(weaknesses)
}

/// In development a topic has at most as many replicas as there are brokers; otherwise the settings stand as they are.
fn within_reach(cluster: &ClusterMetadata) -> Result<KafkaSettings, LogError> {
    let mut settings = KafkaSettings::clone(&cluster.settings);
    if settings.durability == Durability::Development {
        let brokers = u16::try_from(cluster.brokers()?.len()).unwrap_or(u16::MAX);
        settings.replication = settings.replication.min(brokers);
    }
    Ok(settings)
}

fn options(settings: &KafkaSettings) -> AdminOptions {
    let wait = Some(settings.request_timeout);
    AdminOptions::new().request_timeout(wait).operation_timeout(wait)
}

fn make(
    admin: &AdminClient<Diagnostics>,
    settings: &KafkaSettings,
    missing: &[&TopicSpec],
) -> Result<(), LogError> {
    const ACTION: &str = "make topics";
    let requirements: Vec<_> =
        missing.iter().map(|spec| TopicRequirements::new(spec, settings)).collect();
    let fresh: Vec<NewTopic<'_>> = missing
        .iter()
        .zip(&requirements)
        .map(|(spec, requirements)| {
            let count = i32::try_from(settings.partitions).unwrap_or(i32::MAX);
            let replicas = TopicReplication::Fixed(i32::from(settings.replication));
            let topic = NewTopic::new(spec.topic.as_str(), count, replicas);
            requirements.configured().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let outcomes = pollster::block_on(admin.create_topics(&fresh, &options(settings)))
        .map_err(|error| failure(ACTION, error))?;
    for outcome in outcomes {
        match outcome {
            Ok(topic) => tracing::info!(topic, "made a topic"),
            // Another process was faster; its settings are compared as anyone's.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                let fault = KafkaFault::Topic { topic: Topic::new(&topic), code };
                return Err(if may_pass(code) {
                    fault.passing(ACTION)
                } else {
                    fault.refusing(ACTION)
                });
            }
        }
    }
    Ok(())
}

/// Waits until a topic is known; returns its replicas.
fn await_topic(cluster: &ClusterMetadata, spec: &TopicSpec) -> Result<usize, LogError> {
    let until = Instant::now() + cluster.settings.request_timeout;
    loop {
        match cluster.layout(&spec.topic)? {
            Some(layout) => {
                cluster.accept(&spec.topic, layout)?;
                return Ok(layout.replicas);
            }
            None if Instant::now() < until => std::thread::sleep(PAUSE),
            None => return Err(LogError::UnknownTopic { topic: spec.topic.clone() }),
        }
    }
}

fn compare_topics(
    admin: &AdminClient<Diagnostics>,
    cluster: &ClusterMetadata,
    settings: &KafkaSettings,
    specs: &[TopicSpec],
    weaker: &mut Vec<String>,
) -> Result<(), LogError> {
    const ACTION: &str = "describe the topics' settings";
    let names: Vec<_> =
        specs.iter().map(|spec| ResourceSpecifier::Topic(spec.topic.as_str())).collect();
    let described = pollster::block_on(admin.describe_configs(&names, &options(settings)))
        .map_err(|error| failure(ACTION, error))?;
    // A broker may not know a topic yet that was just made, or know no leader: it will.
    let passing =
        described.iter().filter_map(|one| one.as_ref().err()).find(|code| may_pass(**code));
    if let Some(code) = passing {
        return Err(KafkaFault::Answer(KafkaError::AdminOp(*code)).passing(ACTION));
    }
    // Answers come in any order, and a refused one does not say whose it is.
    let found: HashMap<String, ConfigResource> =
        described.into_iter().flatten().filter_map(named).collect();
    for spec in specs {
        let topic = &spec.topic;
        match found.get(topic.as_str()) {
            Some(resource) => {
                let found = |key: &str| resource.get(key).and_then(|entry| entry.value.as_deref());
                if let Some(replicas) = found("min.insync.replicas").and_then(|n| n.parse().ok()) {
                    cluster.note_least_in_sync(topic, replicas);
                }
                TopicRequirements::new(spec, settings).compare(topic, found, weaker);
            }
            None => weaker.push(format!("the settings of topic {topic} cannot be read")),
        }
    }
    Ok(())
}

fn named(resource: ConfigResource) -> Option<(String, ConfigResource)> {
    match &resource.specifier {
        OwnedResourceSpecifier::Topic(name) => Some((name.clone(), resource)),
        _ => None,
    }
}

/// Asks each broker, as each answers for itself. One that is away is no reason to wait: it is named, to be asked again.
fn compare_brokers(
    admin: &AdminClient<Diagnostics>,
    cluster: &ClusterMetadata,
    specs: &[TopicSpec],
    weaknesses: &mut Weaknesses,
) -> Result<(), LogError> {
    let needed_minutes = offsets_kept(specs);
    let wait = Some(cluster.settings.request_timeout.min(BROKER_WAIT));
    let options = AdminOptions::new().request_timeout(wait);
    let brokers = cluster.brokers()?;
    let questions: Vec<_> = brokers.iter().map(|&id| [ResourceSpecifier::Broker(id)]).collect();
    // All are asked before the first is waited for.
    let answers: Vec<_> =
        questions.iter().map(|one| admin.describe_configs(one, &options)).collect();
    for (broker, answer) in brokers.into_iter().zip(answers) {
        let described = match pollster::block_on(answer) {
            Ok(described) => described,
            Err(error) if passes(&error) => {
                weaknesses.unknown.push(unanswered(broker, &error));
                continue;
            }
            Err(error) => return Err(failure("describe a broker's settings", error)),
        };
        for described in described {
            match described {
                Ok(resource) => {
                    let found = resource.get("offsets.retention.minutes");
                    let found = found.and_then(|entry| entry.value.as_deref());
                    weaknesses.found.extend(weaker_offsets(broker, found, needed_minutes));
                }
                Err(code) if may_pass(code) => {
                    weaknesses.unknown.push(unanswered(broker, &code));
                }
                Err(code) => weaknesses
                    .found
                    .push(format!("the settings of broker {broker} cannot be checked: {code}")),
            }
        }
    }
    Ok(())
}

fn unanswered(broker: i32, error: &dyn std::error::Error) -> String {
    format!("broker {broker} did not say what its settings are: {error}")
}
