//! Recounts a conflicting or quarantined event, by its copy on `pos.conflicts`.

use tillrace_log::ConsumerRecord;

use super::{Checks, Journal};
use crate::verify::check::Difference;
use crate::verify::journal_record::{JournalRecord, hash_of};
use crate::verify::record::ConflictRecord;
use crate::verify::repeats::HashPrefix;

impl Journal<'_> {
    /// Compares the copy with its source, and counts the verdict that it gives.
    pub(in crate::verify) fn conflict(
        &mut self,
        record: &JournalRecord<'_>,
        kept: &ConsumerRecord,
        checks: &mut Checks<'_>,
    ) {
        let value = kept.value.as_deref().unwrap_or_default();
        let Ok(conflict) = serde_json::from_slice::<ConflictRecord<'_>>(value) else {
            let what = "cannot be read";
            let place = Difference::new(&self.topics.conflicts, self.partition, what);
            checks.verdicts.differs(place.at(kept.offset).of(record.name()));
            return;
        };
        let same = conflict.data.get() == record.envelope.data()
            && record.has_text("tenant", &conflict.tenant)
            && record.has_text("store", &conflict.store)
            && record.has_text("terminal", &conflict.terminal)
            && record.envelope.text("eventid") == conflict.eventid
            && record.envelope.text("contenthash") == conflict.contenthash
            && kept.key == record.entry.key;
        let difference = |what| {
            Difference::new(&self.topics.conflicts, self.partition, what)
                .at(kept.offset)
                .of(record.name())
        };
        if !same {
            checks.verdicts.differs(difference("does not match the journal"));
        }
        // Events without a plausible time cannot be released.
        if conflict.detail != "time_implausible" {
            self.kept.insert(record.entry.offset, record.entry.key.clone());
        }
        match conflict.reason.as_ref() {
            "conflict" => {
                self.counts.conflict += 1;
                let known = conflict.known_hash.as_deref().and_then(HashPrefix::parse);
                self.repeats.conflict(
                    record.identity,
                    record.entry.offset,
                    hash_of(&record.envelope),
                    known,
                );
                self.known(record, checks);
            }
            "duplicate_unverified" => {
                self.counts.duplicate_unverified += 1;
                self.known(record, checks);
            }
            "quarantined" => self.counts.quarantined += 1,
            _ => checks.verdicts.differs(difference("an unknown reason")),
        }
    }
}
