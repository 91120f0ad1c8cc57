//! Checks journal records that the aggregator set aside as unreadable.

use serde::Deserialize;
use tillrace_log::ConsumerRecord;

use crate::envelope::{
    self, DATA_SCHEMA, TYPE_DISMISS, TYPE_PARKED, TYPE_READMIT, TYPE_REFUSED, TYPE_REGISTER,
    TYPE_RELEASE, TYPE_TICK,
};
use crate::record_size::EVENT_RECORD_BYTES;
use crate::register::part::RegisterPart;
use crate::topics;

use super::parked::DismissOrder;
use super::{Checks, DerivedRecords, Journal};
use crate::verify::check::Difference;
use crate::verify::journal_record::JournalRecord;
use crate::verify::record::{ConflictSource, ReleaseOrder, UnreadableRecord};

/// The operator of a release order, if named.
#[derive(Deserialize)]
struct Operator {
    #[serde(default, rename = "operator")]
    _name: String,
}

/// Tells whether a record of `pos.conflicts` is about one that cannot be read.
pub(in crate::verify) fn is_unreadable(kept: &ConsumerRecord) -> bool {
    let value = kept.value.as_deref().unwrap_or_default();
    serde_json::from_slice::<ConflictSource<'_>>(value)
        .is_ok_and(|kept| kept.reason == "unreadable")
}

impl Journal<'_> {
    /// Checks that an unreadable record could not have been counted, and has no other outputs.
    pub(in crate::verify) fn unreadable(
        &mut self,
        entry: &ConsumerRecord,
        kept: &ConsumerRecord,
        derived: &DerivedRecords,
        checks: &mut Checks<'_>,
    ) {
        self.counts.unreadable += 1;
        let others = derived.transactions.len() + derived.conflicts.len() + derived.counts.len();
        if others > 1 {
            let what = "set aside as unreadable, but has other outputs too";
            checks.verdicts.differs(self.difference(entry, what));
        }
        if self.could_be_counted(entry) {
            let what = "set aside as unreadable, but can be read";
            checks.verdicts.differs(self.difference(entry, what));
        }
        let value = kept.value.as_deref().unwrap_or_default();
        let bytes = serde_json::from_slice::<UnreadableRecord>(value).ok().map(|kept| kept.bytes);
        let length = entry.value.as_ref().map_or(0, |value| value.len() as u64);
        if bytes != Some(length) {
            let what = "does not match the journal";
            let difference = Difference::new(&self.topics.conflicts, self.partition, what);
            checks.verdicts.differs(difference.at(kept.offset));
        }
    }

    fn could_be_counted(&mut self, entry: &ConsumerRecord) -> bool {
        let Some(record) = JournalRecord::read(entry) else { return false };
        let text = |member: &str| record.envelope.text(member).unwrap_or_default();
        let fits = entry.value.as_ref().is_some_and(|value| value.len() <= EVENT_RECORD_BYTES)
            && text("terminal").len() <= 64
            && text("epoch").len() <= 128;
        // The reader of envelopes rejects attributes in another order.
        let value = entry.value.as_deref().unwrap_or_default();
        let is_ours = text("dataschema") == DATA_SCHEMA
            && envelope::Envelope::parse(value).is_ok()
            && topics::key(&[&record.tenant, &text("store")]).as_bytes() == entry.key;
        if !fits || !is_ours {
            return false;
        }
        let data = record.envelope.data();
        match &*text("type") {
            TYPE_REFUSED | TYPE_READMIT | TYPE_TICK => true,
            TYPE_REGISTER => {
                serde_json::from_str::<RegisterPart>(data).is_ok_and(|part| part.is_sound())
            }
            TYPE_PARKED => {
                record.envelope.text("parkedcode").is_some()
                    && record.envelope.text("terminal").is_some()
                    && (record.sequence.is_some() || record.envelope.text("eventid").is_some())
            }
            TYPE_DISMISS => serde_json::from_str::<DismissOrder>(data).is_ok(),
            TYPE_RELEASE => {
                serde_json::from_str::<ReleaseOrder>(data).is_ok()
                    && serde_json::from_str::<Operator>(data).is_ok()
            }
            _ => self.decoder.decode(data.as_bytes()).is_ok(),
        }
    }
}
