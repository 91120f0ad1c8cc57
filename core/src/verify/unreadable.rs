//! Records of the journal that the aggregator kept aside because they cannot be read: whether that is so.

use serde::Deserialize;

use crate::envelope::{self, DATA_SCHEMA, TYPE_REFUSED, TYPE_RELEASE};
use crate::log::Entry;
use crate::record_size::EVENT_RECORD_BYTES;
use crate::topics;

use super::check::Difference;
use super::journal::{Checks, Claimed, Journal};
use super::record::{KeptAside, ReleaseOrder, UnreadableRecord};
use super::subject::Record;

/// Who ordered a release, where that is said.
#[derive(Deserialize)]
struct Operator {
    #[serde(default, rename = "operator")]
    _name: String,
}

/// Tells whether a record of `pos.conflicts` is about one that cannot be read.
pub(super) fn is_unreadable(kept: &Entry) -> bool {
    let value = kept.value.as_deref().unwrap_or_default();
    serde_json::from_slice::<KeptAside<'_>>(value).is_ok_and(|kept| kept.reason == "unreadable")
}

impl Journal<'_> {
    /// A record that was kept aside as unreadable is none that could have been counted, and nothing else comes of it.
    pub(super) fn unreadable(
        &mut self,
        entry: &Entry,
        kept: &Entry,
        claimed: &Claimed,
        checks: &mut Checks<'_>,
    ) {
        self.counts.unreadable += 1;
        let others = claimed.transactions.len() + claimed.conflicts.len() + claimed.counts.len();
        if others > 1 {
            let what = "kept aside as unreadable, and has other outputs too";
            checks.verdicts.differs(self.difference(entry, what));
        }
        if self.could_be_counted(entry) {
            let what = "kept aside as unreadable, but can be read";
            checks.verdicts.differs(self.difference(entry, what));
        }
        let value = kept.value.as_deref().unwrap_or_default();
        let bytes = serde_json::from_slice::<UnreadableRecord>(value).ok().map(|kept| kept.bytes);
        let length = entry.value.as_ref().map_or(0, |value| value.len() as u64);
        if bytes != Some(length) {
            let what = "does not say what the journal says";
            let difference = Difference::new(&self.topics.conflicts, self.partition, what);
            checks.verdicts.differs(difference.at(kept.offset));
        }
    }

    fn could_be_counted(&mut self, entry: &Entry) -> bool {
        let Some(record) = Record::read(entry) else { return false };
        let text = |member: &str| record.envelope.text(member).unwrap_or_default();
        let fits = entry.value.as_ref().is_some_and(|value| value.len() <= EVENT_RECORD_BYTES)
            && text("terminal").len() <= 64
            && text("epoch").len() <= 128;
        // Attributes in another order are an envelope, but none of ours: the reader of envelopes says so.
        let value = entry.value.as_deref().unwrap_or_default();
        let is_ours = text("dataschema") == DATA_SCHEMA
            && envelope::Envelope::parse(value).is_ok()
            && topics::key(&[&record.tenant, &text("store")]).as_bytes() == entry.key;
        if !fits || !is_ours {
            return false;
        }
        let data = record.envelope.data();
        match &*text("type") {
            TYPE_REFUSED => true,
            TYPE_RELEASE => {
                serde_json::from_str::<ReleaseOrder>(data).is_ok()
                    && serde_json::from_str::<Operator>(data).is_ok()
            }
            _ => self.decoder.decode(data.as_bytes()).is_ok(),
        }
    }
}
