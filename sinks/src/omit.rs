//! Members of the event that a sink does not get, such as the loyalty id.
//!
//! A connector that is wrapped gets copies of the records without them; what the engine keeps, audits and puts into the dead
//! letters is the record as its topic has it. All other text stays byte for byte.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::connector::{Connector, DeliveryBatch, DeliveryFuture, Ordering, RecordOutcome};
use crate::flow::BatchSettings;
use crate::record::{Record, RecordError, read};

/// Members of an event that can be left out: none that a count, an amount or an identity needs.
pub(crate) const OMITTABLE: &[&str] = &[
    "approvals",
    "channel",
    "fiscal",
    "loyalty_id",
    "operator_id",
    "order",
    "person",
    "reason",
    "reference",
    "session",
];

/// The member of an envelope that holds the event.
const DATA: &str = "data";

/// Gives a connector records without some members of the event.
#[derive(Debug)]
pub(crate) struct Omitting {
    connector: Arc<dyn Connector>,
    names: BTreeSet<String>,
}

impl Omitting {
    /// Wraps a connector, unless there is nothing to omit.
    pub(crate) fn wrap(
        connector: Arc<dyn Connector>,
        names: &BTreeSet<String>,
    ) -> Arc<dyn Connector> {
        if names.is_empty() {
            connector
        } else {
            Arc::new(Self { connector, names: names.clone() })
        }
    }
}

impl Connector for Omitting {
    fn ordering(&self) -> Ordering {
        self.connector.ordering()
    }

    fn default_batch(&self) -> BatchSettings {
        self.connector.default_batch()
    }

    fn max_records(&self) -> Option<usize> {
        self.connector.max_records()
    }

    fn accepts(&self, record: &Record) -> Result<bool, RecordError> {
        self.connector.accepts(record)
    }

    fn deliver<'a>(&'a self, batch: &'a DeliveryBatch) -> DeliveryFuture<'a> {
        Box::pin(async move {
            let mut records = Vec::with_capacity(batch.records.len());
            let mut unreadable = Vec::new();
            for (index, record) in batch.records.iter().enumerate() {
                match without(record, &self.names) {
                    Ok(record) => records.push(record),
                    // The record itself must not go out in its place.
                    Err(error) => unreadable.push((index, RecordOutcome::unreadable(&error))),
                }
            }
            let (partition, delivered_to) = (batch.partition, batch.delivered_to);
            let projected = DeliveryBatch { partition, delivered_to, records };
            let mut answer = self.connector.deliver(&projected).await?;
            for (index, outcome) in unreadable {
                // An answer that is too short stays so: the engine calls again.
                answer.outcomes.insert(index.min(answer.outcomes.len()), outcome);
            }
            Ok(answer)
        })
    }
}

fn without(record: &Record, names: &BTreeSet<String>) -> Result<Record, RecordError> {
    let mut envelope: Members<'_> = read(&record.value)?;
    let data = envelope.0.iter_mut().find(|(name, _)| name == DATA);
    let Some((_, text)) = data else { return Ok(record.clone()) };
    let mut event: Members<'_> = serde_json::from_str(text.get())?;
    event.0.retain(|(name, _)| !names.contains(name));
    let shortened = serde_json::value::to_raw_value(&event)?;
    *text = &shortened;
    let value = serde_json::to_vec(&envelope)?;
    Ok(Record::new(record.offset, record.appended_ms, record.key.clone(), value))
}

/// The members of a JSON object in their order, values unread.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(InOrder).map(Members)
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::envelope;

    #[test]
    fn only_the_named_members_go_and_the_rest_stays_as_it_was_written() {
        let data = r#"{"kind":"sale", "loyalty_id":"L1", "lines":[{"amount":"1.10",  "loyalty_id":"x"}],"loyalty_id":"L2"}"#;
        let record = Record::new(7, 1, "acme/1", envelope("1", "sale", 7, data));
        let names = BTreeSet::from(["loyalty_id".to_owned()]);
        let shortened = without(&record, &names).unwrap();
        let expected = r#"{"kind":"sale","lines":[{"amount":"1.10",  "loyalty_id":"x"}]}"#;
        assert_eq!(shortened.value, envelope("1", "sale", 7, expected));
        assert_eq!((shortened.offset, shortened.key), (7, record.key));
    }

    #[test]
    fn what_cannot_be_read_does_not_go_out_unshortened() {
        let record = Record::new(7, 1, "acme/1", "{\"data\":7}");
        without(&record, &BTreeSet::new()).unwrap_err();
    }
}
