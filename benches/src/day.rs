//! A day of every kind of event, for as many stores as are asked for: `docs/samples/day` under their names.
//!
//! Its events are of all shapes there are, where those of [`crate::fleet`] are sales of one.

use tillrace_core::decode::Decoder;
use tillrace_core::envelope::{Admission, Envelope, Scope};
use tillrace_core::event::Event;
use tillrace_core::topics::{Topics, key};
use tillrace_log::ConsumerRecord;

/// Append time of each entry: the noon after the day.
const APPENDED_MS: i64 = 1_795_867_200_000;
const EVENTS: &str = include_str!("../../docs/samples/day/events.ndjson");
const STORE: &str = "zh-07";

/// Returns the events of one store's day, in their order.
pub fn events(store: &str) -> Vec<Vec<u8>> {
    EVENTS.lines().map(|line| line.replace(STORE, store).into_bytes()).collect()
}

/// Makes the journal of some stores' days: the first event of each, then the second, and so on.
///
/// # Panics
/// When a sample is no event.
#[expect(clippy::expect_used, reason = "a bench that cannot run should say why")]
pub fn journal(topics: &Topics, stores: usize) -> Vec<ConsumerRecord> {
    let names = (0..stores).map(|number| format!("s{number:04}"));
    let days: Vec<_> = names.map(|store| (events(&store), store)).collect();
    let in_a_day = EVENTS.lines().count();
    let mut decoder = Decoder::new();
    let mut entries = Vec::with_capacity(stores * in_a_day);
    for index in 0..in_a_day {
        for (events, store) in &days {
            let event = decoder.decode(&events[index]).expect("a sample is an event");
            let value = record(&event, &events[index]);
            let buffers = event.into_buffers();
            decoder.reuse(buffers);
            entries.push(ConsumerRecord {
                topic: topics.events.clone(),
                partition: 0,
                offset: entries.len() as u64,
                appended_ms: APPENDED_MS,
                key: key(&["demo", store]).into(),
                value: Some(value.into()),
            });
        }
    }
    entries
}

fn record(event: &Event<'_>, data: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(data.len() + 600);
    Envelope {
        id: event.event_id.into(),
        source: format!("/demo/{}/{}", event.store, event.terminal).into(),
        event_type: format!("tillrace.pos.{}", event.kind.as_str()).into(),
        time: Some(event.occurred_at.to_string().into()),
        tenant: "demo".into(),
        store: event.store.into(),
        terminal: Some(event.terminal.into()),
        sequence: event.sequence,
        event_id: Some(event.event_id.into()),
        business_date: Some(event.business_date.to_string().into()),
        received_time: "2026-11-27T07:15:31.002Z".into(),
        content_hash: Some(event.hash),
        scope: Scope::Terminal,
        policy_revision: "1".into(),
        admission: Admission::Live,
        gateway: "gw-1".into(),
        data,
        ..Envelope::default()
    }
    .write(&mut value);
    value
}
