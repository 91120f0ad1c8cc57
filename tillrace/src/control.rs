//! Control records: an operator's orders on the journal, beside the events of their store.
//!
//! They stay there as the record of who ordered what, when and why; the aggregator follows them in the order of the journal.

use std::time::SystemTime;

use anyhow::Context;
use serde::Serialize;
use tillrace_core::envelope::{Admission, Envelope, Scope};
use tillrace_core::text::Timestamp;
use tillrace_core::topics;
use tillrace_log::{Offset, Producer, ProducerRecord};
use uuid::Uuid;

use crate::usage::UsageError;

/// Longest name of an operator, and longest reason, in bytes: an order is a record, and records fit the log by construction.
const LONGEST_OPERATOR: usize = 256;
const LONGEST_REASON: usize = 1_024;

/// Checks what an order says of its author.
pub(crate) fn hold(operator: &str, reason: Option<&str>) -> Result<(), UsageError> {
    let texts = [
        ("--operator", operator, LONGEST_OPERATOR),
        ("--reason", reason.unwrap_or_default(), LONGEST_REASON),
    ];
    for (option, value, most) in texts {
        if value.len() > most {
            return Err(UsageError::TooLong { option, most });
        }
    }
    Ok(())
}

/// Writes a control record.
pub(crate) fn record(
    event_type: &str,
    command: &str,
    [tenant, store]: [&str; 2],
    order: &impl Serialize,
) -> anyhow::Result<Vec<u8>> {
    let data = serde_json::to_vec(order).context("write the order")?;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
    let now = Timestamp::from_millis(i64::try_from(now).unwrap_or(i64::MAX)).to_string();
    let name = event_type.rsplit('.').next().unwrap_or_default();
    let envelope = Envelope {
        id: format!("{name}:{}", Uuid::new_v4()).into(),
        source: format!("/{}", topics::key(&[tenant, store])).into(),
        event_type: event_type.into(),
        time: Some(now.as_str().into()),
        tenant: tenant.into(),
        store: store.into(),
        received_time: now.as_str().into(),
        scope: Scope::Terminal,
        policy_revision: "0".into(),
        admission: Admission::Live,
        gateway: command.into(),
        data: &data,
        ..Envelope::default()
    };
    let mut value = Vec::new();
    envelope.write(&mut value);
    Ok(value)
}

/// Publishes rows in their order, and returns their offsets when all are durable.
pub(crate) fn publish(
    producer: &dyn Producer,
    rows: Vec<ProducerRecord>,
) -> anyhow::Result<Vec<Offset>> {
    tillrace_log::publish(producer, rows).context("write to the journal")
}
