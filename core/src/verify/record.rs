//! Record types of the recount, read with `serde_json` from the published contracts alone.
//!
//! Nothing here is shared with the code that writes the records. Members that the recount does not
//! use are not named, and new members do not disturb it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::VerdictCounts;
use super::fiscal::FiscalText;
use crate::text::Timestamp;

/// An envelope of `pos.events` or `pos.transactions`: its members as they stand in the text.
pub(super) struct Envelope<'a>(BTreeMap<&'a str, &'a RawValue>);

impl<'a> Envelope<'a> {
    /// Reads the members of the outermost object.
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(value).ok().map(Self)
    }

    /// Returns a member that is a string.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let member = self.0.get(name)?.get();
        if let Some(plain) = member.strip_prefix('"').and_then(|text| text.strip_suffix('"'))
            && !plain.contains('\\')
        {
            return Some(Cow::Borrowed(plain));
        }
        serde_json::from_str(member).ok().map(Cow::Owned)
    }

    /// Returns a member that is a whole number.
    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.get().parse().ok()
    }

    /// Returns the event's own text.
    pub(super) fn data(&self) -> &'a str {
        self.0.get("data").map_or("", |data| data.get())
    }

    /// Returns what happened: the type without its prefix.
    pub(super) fn kind(&self) -> Option<Cow<'a, str>> {
        match self.text("type")? {
            Cow::Borrowed(kind) => kind.strip_prefix("tillrace.pos.").map(Cow::Borrowed),
            Cow::Owned(kind) => {
                kind.strip_prefix("tillrace.pos.").map(|kind| Cow::Owned(kind.to_owned()))
            }
        }
    }

    /// Returns the first member, by name, that is not the same text in another envelope; members
    /// of `apart` may differ.
    pub(super) fn differs_from(&self, other: &Self, apart: &[&str]) -> Option<&'a str> {
        let names = self.0.keys().chain(other.0.keys());
        names.copied().find(|name| {
            let text = |envelope: &Self| envelope.0.get(name).map(|member| member.get());
            !apart.contains(name) && text(self) != text(other)
        })
    }
}

/// The event itself, as far as stock, tills and identity need it.
#[derive(Deserialize)]
pub(super) struct EventText<'a> {
    #[serde(borrow)]
    pub(super) store: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) terminal: Cow<'a, str>,
    pub(super) sequence: Option<u64>,
    #[serde(borrow)]
    pub(super) event_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) occurred_at: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) business_date: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) lines: Option<Vec<LineText<'a>>>,
    #[serde(borrow, default)]
    pub(super) currency: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) amount: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) operator_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) session: Option<SessionText<'a>>,
    #[serde(borrow, default)]
    pub(super) tenders: Option<Vec<TenderText<'a>>>,
    #[serde(borrow, default)]
    pub(super) declarations: Option<Vec<DeclarationText<'a>>>,
    #[serde(borrow, default)]
    pub(super) fiscal: Option<FiscalText<'a>>,
}

/// The drawer session of an event.
#[derive(Deserialize)]
pub(super) struct SessionText<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
}

/// One tender of an event.
#[derive(Deserialize)]
pub(super) struct TenderText<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) tender_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) amount: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) foreign: Option<ForeignText<'a>>,
}

/// What was handed over in another currency.
#[derive(Deserialize)]
pub(super) struct ForeignText<'a> {
    #[serde(borrow)]
    pub(super) currency: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) amount: Cow<'a, str>,
}

/// One declared amount.
#[derive(Deserialize)]
pub(super) struct DeclarationText<'a> {
    #[serde(borrow)]
    pub(super) tender: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) amount: Cow<'a, str>,
}

impl EventText<'_> {
    /// Returns its kind as the type in its envelope says it: kinds of the sender's own share one.
    pub(super) fn type_kind(&self) -> &str {
        if self.kind.starts_with("x-") { "x" } else { &self.kind }
    }

    /// Tells whether a text is the event's time, however many decimals either is written with.
    pub(super) fn happened_at(&self, time: &str) -> bool {
        let own = Timestamp::parse(self.occurred_at.as_bytes());
        own.is_some() && own == Timestamp::parse(time.as_bytes())
    }
}

/// One line of an event.
#[derive(Deserialize)]
pub(super) struct LineText<'a> {
    pub(super) line: u64,
    #[serde(borrow, rename = "type")]
    pub(super) line_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) sku: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) quantity: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) unit: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) disposition: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) location: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) to_location: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) void: Option<bool>,
}

/// A record of `inventory.deltas`.
#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) generation: Cow<'a, str>,
    pub(super) partition: u32,
    pub(super) from_offset: u64,
    pub(super) to_offset: u64,
    #[serde(borrow)]
    pub(super) tenant: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) store: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) sku: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) unit: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) location: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) window_start: Cow<'a, str>,
    pub(super) window_seconds: u64,
    #[serde(borrow)]
    pub(super) business_date: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) net: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) sold: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) returned: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) adjusted: Cow<'a, str>,
    pub(super) events: u64,
}

/// A record of `stock.counts`.
#[derive(Deserialize)]
pub(super) struct CountRecord<'a> {
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) line: u64,
    #[serde(borrow)]
    pub(super) tenant: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) store: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) sku: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) unit: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) location: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) quantity: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) counted_at: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) business_date: Cow<'a, str>,
}

/// A record of `pos.conflicts`.
#[derive(Deserialize)]
pub(super) struct ConflictRecord<'a> {
    #[serde(borrow)]
    pub(super) reason: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) tenant: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) store: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) terminal: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) eventid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) contenthash: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) known_hash: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) detail: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
}

/// The source and the reason of any record of `pos.conflicts`.
#[derive(Deserialize)]
pub(super) struct ConflictSource<'a> {
    #[serde(borrow)]
    pub(super) reason: Cow<'a, str>,
    pub(super) partition: u32,
    pub(super) offset: u64,
}

/// A record of `pos.conflicts` about one that cannot be read.
#[derive(Deserialize)]
pub(super) struct UnreadableRecord {
    pub(super) bytes: u64,
}

/// A release, as the `data` of a control record.
#[derive(Deserialize)]
pub(super) struct ReleaseOrder {
    pub(super) partition: u32,
    pub(super) offset: u64,
}

/// A record of `terminal.ledger`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct LedgerRecord {
    pub(super) tenant: String,
    pub(super) store: String,
    pub(super) terminal: String,
    #[serde(default)]
    pub(super) epoch: Option<String>,
    pub(super) scope: String,
    pub(super) baseline: Option<u64>,
    pub(super) high_water: Option<u64>,
    pub(super) firsts: u64,
    pub(super) refused: u64,
    pub(super) parked: u64,
    pub(super) dismissed: u64,
    pub(super) missing_count: u64,
    pub(super) missing: Vec<(u64, u64)>,
    pub(super) missing_truncated: bool,
    #[serde(default)]
    pub(super) jumps: Vec<(u64, u64)>,
    pub(super) partition: u32,
    pub(super) offset: u64,
}

/// A checkpoint of `state`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) generation: String,
    pub(super) next_offset: u64,
    pub(super) totals: VerdictCounts,
    /// By this clock of the journal each silent day that was over has a record.
    #[serde(default)]
    pub(super) silent_days_until_ms: Option<i64>,
}

/// A record of `pos.audit`.
#[derive(Deserialize)]
pub(super) struct AuditRecord {
    pub(super) sink: String,
    pub(super) topic: String,
    pub(super) partition: u32,
    pub(super) offsets: Vec<(u64, u64)>,
    pub(super) outcome: Outcome,
    pub(super) writer: String,
    pub(super) number: u64,
    pub(super) previous: String,
    pub(super) hash: String,
}

/// What became of the records of one delivery call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// The backend took them.
    Delivered,
    /// Given up, each written to the dead letters.
    Dead,
    /// Put aside with a stuck key, each written to the dead letters.
    Parked,
    /// Left out by the sink's declared filter.
    Filtered,
    /// Below the offset at which the sink began.
    Begun,
}

/// A record of a sink's dead letters.
#[derive(Deserialize)]
pub(super) struct DeadLetter<'a> {
    #[serde(borrow)]
    pub(super) sink: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) topic: Cow<'a, str>,
    pub(super) partition: u32,
    pub(super) offset: u64,
    #[serde(borrow)]
    pub(super) value: &'a RawValue,
    /// Digest of the record's value, where `value` is not that value byte for byte.
    #[serde(default)]
    pub(super) value_sha256: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_with_and_without_escapes() {
        let text =
            br#"{"type":"tillrace.pos.sale","store":"a\u002fb","sourceoffset":7,"data":{"x":1}}"#;
        let envelope = Envelope::parse(text).unwrap();
        assert_eq!(envelope.kind().as_deref(), Some("sale"));
        assert_eq!(envelope.text("store").as_deref(), Some("a/b"));
        assert_eq!(envelope.whole("sourceoffset"), Some(7));
        assert_eq!(envelope.data(), r#"{"x":1}"#);
        assert_eq!(envelope.text("missing"), None);
        assert_eq!(envelope.whole("store"), None);
    }

    #[test]
    fn a_difference_between_envelopes_is_named() {
        let one = Envelope::parse(br#"{"a":"1","b":"2","data":{}}"#).unwrap();
        let more = Envelope::parse(br#"{"a":"1","b":"2","c":3,"data":{}}"#).unwrap();
        assert_eq!(one.differs_from(&one, &[]), None);
        assert_eq!(one.differs_from(&more, &[]), Some("c"));
        assert_eq!(more.differs_from(&one, &[]), Some("c"));
        assert_eq!(one.differs_from(&more, &["c"]), None);
    }

    #[test]
    fn a_time_is_the_same_however_it_is_written() {
        let text = r#"{"store":"1","terminal":"1","event_id":"e","kind":"sale","business_date":"2025-11-28",
            "occurred_at":"2025-11-28T08:15:30.000+00:00"}"#;
        let event: EventText<'_> = serde_json::from_str(text).unwrap();
        assert!(event.happened_at("2025-11-28T08:15:30Z"));
        assert!(!event.happened_at("2025-11-28T08:15:31Z"));
        assert!(
            !event.happened_at("2025-11-28T09:15:30+01:00"),
            "the offset is part of what was said"
        );
        assert!(!event.happened_at("soon"));
    }
}
