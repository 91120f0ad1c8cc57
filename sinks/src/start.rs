//! Where a new sink begins: now, at the earliest record, or at an instant.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tillrace_core::text::Timestamp;
use tillrace_log::{Bounds, LogError, LogView, Offset, Partition, Topic};

/// Longest wait for a record that is known to exist.
const READ_WAIT: Duration = Duration::from_secs(10);

/// Where a sink begins that has never committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub enum Start {
    /// With the oldest record that the topic keeps.
    #[default]
    Earliest,
    /// With the records that are appended after its first start.
    Now,
    /// With the first record that was appended at or after this instant, in milliseconds since the Unix epoch.
    At(i64),
}

/// Why a text says no start.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no start; write `earliest`, `now` or an instant such as 2026-12-01T00:00:00Z")]
pub struct StartTextError {
    text: String,
}

impl TryFrom<String> for Start {
    type Error = StartTextError;

    fn try_from(text: String) -> Result<Self, StartTextError> {
        match text.as_str() {
            "earliest" => Ok(Self::Earliest),
            "now" => Ok(Self::Now),
            _ => match Timestamp::parse(text.as_bytes()) {
                Some(at) => Ok(Self::At(at.millis())),
                None => Err(StartTextError { text }),
            },
        }
    }
}

impl Start {
    /// Returns the offset at which a partition begins.
    pub(crate) fn offset(
        self,
        view: &dyn LogView,
        topic: &Topic,
        partition: Partition,
    ) -> Result<Offset, LogError> {
        let bounds = view.bounds(topic, partition)?;
        match self {
            Self::Earliest => Ok(bounds.start),
            Self::Now => Ok(bounds.stable_end),
            Self::At(millis) => first_since(view, topic, partition, bounds, millis),
        }
    }
}

/// Searches for the first record appended at or after an instant. The log appends in the order of its clock.
fn first_since(
    view: &dyn LogView,
    topic: &Topic,
    partition: Partition,
    bounds: Bounds,
    millis: i64,
) -> Result<Offset, LogError> {
    let (mut low, mut high) = (bounds.start, bounds.stable_end);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut reader = view.reader(topic, partition, middle)?;
        let record = reader.read(1, READ_WAIT)?.into_iter().next();
        match record.filter(|record| record.offset < high) {
            Some(record) if record.appended_ms < millis => low = record.offset + 1,
            None if reader.position() < high => {
                return Err(LogError::TimedOut { action: "search a topic for an instant" });
            }
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn a_text_says_where_and_another_is_refused() {
        let start = |text: &str| Start::try_from(text.to_owned());
        assert_eq!(start("now").unwrap(), Start::Now);
        assert_eq!(start("earliest").unwrap(), Start::Earliest);
        assert_eq!(start("1970-01-01T00:00:01.5Z").unwrap(), Start::At(1_500));
        let error = start("yesterday").unwrap_err().to_string();
        assert!(error.starts_with("`yesterday` is no start"), "{error}");
    }

    #[test]
    fn an_instant_is_found_wherever_it_lies() {
        let fixture = Fixture::new(1, &[]);
        let topic = fixture.topics.transactions.clone();
        let offset = |start: Start| start.offset(&*fixture.log, &topic, 0).unwrap();
        for start in [Start::Now, Start::Earliest, Start::At(0)] {
            assert_eq!(offset(start), 0, "an empty topic has one place");
        }
        let offsets = fixture.sales("1", 50);
        let end = offsets.last().unwrap() + 1;
        assert_eq!((offset(Start::Earliest), offset(Start::Now)), (0, end));
        assert_eq!((offset(Start::At(0)), offset(Start::At(i64::MAX))), (0, end));
        let records = fixture.entries(&topic);
        for record in &records {
            let first =
                records.iter().find(|other| other.appended_ms >= record.appended_ms).unwrap();
            assert_eq!(offset(Start::At(record.appended_ms)), first.offset);
        }
    }
}
