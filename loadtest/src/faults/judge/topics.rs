//! The topics, read as an outsider does, and what they oblige the sinks to.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use tillrace_loadtest::kinds::{ADVANCE, TRADE};
use tillrace_loadtest::topics::kafka::KafkaReader;
use tillrace_loadtest::topics::tap::TapReader;
use tillrace_loadtest::topics::{Positions, TopicNames, TopicReader};

use crate::site::Site;

/// A place on a topic: partition and offset.
pub(super) type RecordPosition = (i32, i64);

/// What must have reached the sinks.
#[derive(Debug, Default)]
pub(super) struct Topics {
    /// Every transaction.
    pub(super) transactions: Vec<RecordPosition>,
    /// Events that are sales documents, as the till sent them.
    pub(super) documents: BTreeMap<RecordPosition, String>,
    /// Loyalty accounts of the events that earn points.
    pub(super) accounts: BTreeMap<RecordPosition, String>,
    /// Deltas by their ids.
    pub(super) movements: BTreeMap<String, String>,
    /// Records that do not read as their topic promises.
    pub(super) unreadable: u64,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Event {
    kind: String,
    loyalty_id: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    id: String,
}

/// Makes a reader of a site's topics.
pub(crate) fn reader(site: &Site) -> anyhow::Result<Box<dyn TopicReader>> {
    Ok(match &site.brokers {
        Some(brokers) => Box::new(KafkaReader::new(brokers, &[])?),
        None => Box::new(TapReader::new(&format!(
            "{} tap --config {}",
            site.program.display(),
            site.config().display()
        ))),
    })
}

impl Topics {
    /// Reads transactions and deltas from start to end.
    pub(super) fn read(site: &Site) -> anyhow::Result<Self> {
        let (names, mut reader) = (TopicNames::new(&site.namespace), reader(site)?);
        let mut topics = Self::default();
        reader.read(&names.transactions, &mut Positions::new(), &mut |record| {
            let place = (record.partition, record.offset);
            topics.transactions.push(place);
            let read = serde_json::from_slice::<Envelope<'_>>(record.value).ok();
            let read = read
                .and_then(|Envelope { data }| Some((data, serde_json::from_str(data.get()).ok()?)));
            match read {
                Some((data, event)) => topics.add(place, data.get(), event),
                None => topics.unreadable += 1,
            }
        })?;
        reader.read(&names.deltas, &mut Positions::new(), &mut |record| {
            let delta = serde_json::from_slice::<Delta>(record.value).ok();
            match delta.zip(std::str::from_utf8(record.value).ok()) {
                Some((Delta { id }, text)) => {
                    topics.movements.insert(id, text.to_owned());
                }
                None => topics.unreadable += 1,
            }
        })?;
        topics.transactions.sort_unstable();
        Ok(topics)
    }

    fn add(&mut self, place: RecordPosition, data: &str, event: Event) {
        let kind = event.kind.as_str();
        // What hands something over earns points where it names an account; every change of money is a document.
        let is_trade = TRADE.contains(&kind);
        if is_trade || ADVANCE.contains(&kind) || kind == "tip_adjustment" {
            self.documents.insert(place, data.to_owned());
        }
        if let Some(account) = event.loyalty_id.filter(|_| is_trade) {
            self.accounts.insert(place, account);
        }
    }

    /// How many records the back ends and the lake must hold together.
    pub(super) fn expected_records(&self) -> usize {
        self.documents.len() + self.accounts.len() + self.movements.len() + self.transactions.len()
    }
}
