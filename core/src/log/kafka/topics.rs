//! Makes the topics and compares those that exist with what the promises need.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::error::RDKafkaErrorCode;

use super::answer::wait_for;
use super::client::{Diagnostics, Isolation, asking, create};
use super::fault::{KafkaFault, failure};
use super::promise::{TopicPromise, offsets_kept, weaker_offsets};
use super::settings::{Durability, KafkaSettings, PROMISED_REPLICATION};
use super::view::View;
use crate::log::{LogError, Topic, TopicSpec};

/// Pause between looks at a topic that was just made.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes what is missing, compares the rest; one sentence for each weaker setting.
pub(super) fn ensure(view: &View, specs: &[TopicSpec]) -> Result<Vec<String>, LogError> {
    let admin: AdminClient<Diagnostics> =
        create(&asking(&view.settings, Isolation::Committed), Diagnostics)?;
    // All are looked at before any is made: what is made with a wrong number of partitions would be in the way of the
    // right one.
    let mut missing: Vec<&TopicSpec> = Vec::new();
    for spec in specs {
        if view.layout(&spec.topic)?.is_some() {
            view.know(&spec.topic)?;
        } else if !missing.contains(&spec) {
            missing.push(spec);
        }
    }
    let settings = within_reach(view)?;
    if !missing.is_empty() {
        make(&admin, &settings, &missing)?;
    }
    let mut weaker = Vec::new();
    for spec in specs {
        let replicas = await_topic(view, spec)?;
        if replicas < usize::from(PROMISED_REPLICATION) {
            let topic = &spec.topic;
            weaker.push(format!(
                "topic {topic} has {replicas} replicas; {PROMISED_REPLICATION} are promised"
            ));
        }
    }
    compare_topics(&admin, view, &settings, specs, &mut weaker)?;
    compare_brokers(&admin, view, specs, &mut weaker)?;
    Ok(weaker)
}

/// In development a topic has at most as many replicas as there are brokers; otherwise the settings stand as they are.
fn within_reach(view: &View) -> Result<KafkaSettings, LogError> {
    let mut settings = KafkaSettings::clone(&view.settings);
    if settings.durability == Durability::Development {
        let brokers = u16::try_from(view.brokers()?.len()).unwrap_or(u16::MAX);
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
    let promises: Vec<_> = missing.iter().map(|spec| TopicPromise::new(spec, settings)).collect();
    let fresh: Vec<NewTopic<'_>> = missing
        .iter()
        .zip(&promises)
        .map(|(spec, promise)| {
            let count = i32::try_from(settings.partitions).unwrap_or(i32::MAX);
            let replicas = TopicReplication::Fixed(i32::from(settings.replication));
            let topic = NewTopic::new(spec.topic.as_str(), count, replicas);
            promise.configured().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let outcomes = wait_for(admin.create_topics(&fresh, &options(settings)))
        .map_err(|error| failure(ACTION, error))?;
    for outcome in outcomes {
        match outcome {
            Ok(topic) => tracing::info!(topic, "made a topic"),
            // Another process was faster; its settings are compared as anyone's.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                let fault = KafkaFault::Topic { topic: Topic::new(&topic), code };
                return Err(fault.refusing(ACTION));
            }
        }
    }
    Ok(())
}

/// Waits until a topic is known; returns its replicas.
fn await_topic(view: &View, spec: &TopicSpec) -> Result<usize, LogError> {
    let until = Instant::now() + view.settings.request_timeout;
    loop {
        match view.layout(&spec.topic)? {
            Some(layout) => {
                view.know(&spec.topic)?;
                return Ok(layout.replicas);
            }
            None if Instant::now() < until => std::thread::sleep(PAUSE),
            None => return Err(LogError::UnknownTopic { topic: spec.topic.clone() }),
        }
    }
}

fn compare_topics(
    admin: &AdminClient<Diagnostics>,
    view: &View,
    settings: &KafkaSettings,
    specs: &[TopicSpec],
    weaker: &mut Vec<String>,
) -> Result<(), LogError> {
    let names: Vec<_> =
        specs.iter().map(|spec| ResourceSpecifier::Topic(spec.topic.as_str())).collect();
    let described = wait_for(admin.describe_configs(&names, &options(settings)))
        .map_err(|error| failure("describe the topics' settings", error))?;
    // Answers come in any order, and a refused one does not say whose it is.
    let found: HashMap<String, ConfigResource> =
        described.into_iter().flatten().filter_map(named).collect();
    for spec in specs {
        let topic = &spec.topic;
        match found.get(topic.as_str()) {
            Some(resource) => {
                let found = |key: &str| resource.get(key).and_then(|entry| entry.value.as_deref());
                if let Some(replicas) = found("min.insync.replicas").and_then(|n| n.parse().ok()) {
                    view.note_least_in_sync(topic, replicas);
                }
                TopicPromise::new(spec, settings).compare(topic, found, weaker);
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

fn compare_brokers(
    admin: &AdminClient<Diagnostics>,
    view: &View,
    specs: &[TopicSpec],
    weaker: &mut Vec<String>,
) -> Result<(), LogError> {
    let needed_minutes = offsets_kept(specs);
    for broker in view.brokers()? {
        // Each broker answers for itself.
        let described = wait_for(
            admin.describe_configs(&[ResourceSpecifier::Broker(broker)], &options(&view.settings)),
        )
        .map_err(|error| failure("describe a broker's settings", error))?;
        for described in described {
            match described {
                Ok(resource) => {
                    let found = resource.get("offsets.retention.minutes");
                    let found = found.and_then(|entry| entry.value.as_deref());
                    weaker.extend(weaker_offsets(broker, found, needed_minutes));
                }
                Err(code) => weaker
                    .push(format!("the settings of broker {broker} cannot be checked: {code}")),
            }
        }
    }
    Ok(())
}
