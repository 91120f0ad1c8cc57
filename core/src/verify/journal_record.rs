//! One journal record: its terminal, its number, its content.

use tillrace_log::ConsumerRecord;
use xxhash_rust::xxh3::xxh3_128;

use crate::topics;

use super::record::{Envelope, EventText};
use super::terminals::Scope;

/// A journal record with the fields of its envelope.
pub(super) struct JournalRecord<'a> {
    pub(super) entry: &'a ConsumerRecord,
    pub(super) envelope: Envelope<'a>,
    /// Key of its terminal's ledger.
    pub(super) terminal: String,
    pub(super) tenant: String,
    pub(super) sequence: Option<u64>,
    /// Hash of terminal and number, or of terminal and event id.
    pub(super) identity: u128,
}

impl<'a> JournalRecord<'a> {
    /// Reads a record of the journal.
    pub(super) fn read(entry: &'a ConsumerRecord) -> Option<Self> {
        let envelope = Envelope::parse(entry.value.as_deref()?)?;
        let tenant = envelope.text("tenant")?.into_owned();
        let terminal = terminal_of(&envelope)?;
        let sequence = match envelope.text("sequence") {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        let identity = identity_of(&envelope)?;
        Some(Self { entry, envelope, terminal, tenant, sequence, identity })
    }

    /// Returns the record's name for people.
    pub(super) fn name(&self) -> String {
        match self.sequence {
            Some(sequence) => format!("{}#{sequence}", self.terminal),
            None => format!(
                "{}#{}",
                self.terminal,
                self.envelope.text("eventid").as_deref().unwrap_or("")
            ),
        }
    }

    /// Returns the key of its store.
    pub(super) fn store_key(&self) -> String {
        topics::key(&[&self.tenant, &self.envelope.text("store").unwrap_or_default()])
    }

    /// Tells whether a member of the envelope has this text.
    pub(super) fn has_text(&self, member: &str, text: &str) -> bool {
        self.envelope.text(member).is_some_and(|member| member == text)
    }

    /// Tells whether the attributes of the envelope match the event.
    pub(super) fn describes(&self, event: &EventText<'_>) -> bool {
        self.has_text("store", &event.store)
            && self.has_text("terminal", &event.terminal)
            && self.has_text("eventid", &event.event_id)
            && self.envelope.text("time").is_some_and(|time| event.happened_at(&time))
            && self.has_text("businessdate", &event.business_date)
            && self.envelope.kind().is_some_and(|kind| kind == event.type_kind())
            && self.sequence == event.sequence
    }

    /// How its terminal's numbers run.
    pub(super) fn scope(&self) -> Option<Scope> {
        Scope::parse(&self.envelope.text("scope")?)
    }
}

/// Reads a content hash, `h2:` and 32 hexadecimal digits.
fn parse_hash(text: &str) -> Option<u128> {
    u128::from_str_radix(text.strip_prefix("h2:")?, 16).ok()
}

/// Returns the content hash that an envelope names.
pub(super) fn hash_of(envelope: &Envelope<'_>) -> Option<u128> {
    parse_hash(&envelope.text("contenthash")?)
}

/// Returns the key of the ledger that an envelope's terminal has.
fn terminal_of(envelope: &Envelope<'_>) -> Option<String> {
    Some(topics::key(&[
        &envelope.text("tenant")?,
        &envelope.text("store")?,
        envelope.text("terminal").as_deref().unwrap_or(""),
        envelope.text("epoch").as_deref().unwrap_or(""),
    ]))
}

/// Hashes the identity of an event: its terminal and number, or its terminal and event id.
pub(super) fn identity_of(envelope: &Envelope<'_>) -> Option<u128> {
    let mut name = terminal_of(envelope)?;
    if let Some(sequence) = envelope.text("sequence") {
        name.push('#');
        name.push_str(&sequence);
    } else {
        name.push_str("#id:");
        name.push_str(envelope.text("eventid").as_deref().unwrap_or(""));
    }
    Some(xxh3_128(name.as_bytes()))
}
