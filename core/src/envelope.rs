//! The `CloudEvents` 1.0 envelope that every record of `pos.events` and `pos.transactions` carries as its value.
//!
//! Attributes have one fixed order without white space, `data` last, so that the parser makes one pass over what we wrote
//! ourselves. The envelope includes what a tenant's settings decide for later stages, so that only the gateway reads those.
//!
//! The parser does not check `data`, and returns it unchanged. The gateway writes envelopes, between the token buckets and
//! the log; the aggregator, sinks and `verify` read them.

mod parse;
mod write;

use std::borrow::Cow;
use std::fmt;

pub use parse::EnvelopeError;

/// The schema that `data` follows; another major stops a consumer.
pub const DATA_SCHEMA: &str = "urn:tillrace:event:v1";
/// The prefix of the kind in the type of an event.
pub const TYPE_PREFIX: &str = "tillrace.pos.";
/// The type of a rejected event's marker.
pub const TYPE_REFUSED: &str = "tillrace.pos.refused";
/// The type of an operator's release.
pub const TYPE_RELEASE: &str = "tillrace.pos.release";
/// The type of an event that is kept aside because its text breaks a rule: [`Envelope::parked`] says which.
pub const TYPE_PARKED: &str = "tillrace.pos.parked";
/// The type of an operator's dismissal of a parked or refused event.
pub const TYPE_DISMISS: &str = "tillrace.pos.dismiss";
/// The type of an operator's readmission of parked events: who orders it, and the mapping that mends them. The events follow.
pub const TYPE_READMIT: &str = "tillrace.pos.readmit";
/// The type of a part of a store's register ([`crate::register::part`]).
pub const TYPE_REGISTER: &str = "tillrace.pos.register";
/// The type of a record that the aggregator writes where nothing else is written, so that time passes.
pub const TYPE_TICK: &str = "tillrace.pos.tick";

/// One envelope; text without an escape borrows from the record. The default is empty, and is only to be completed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope<'a> {
    /// The sequence number in decimal, or `id:` and the percent-encoded event id.
    pub id: Cow<'a, str>,
    /// `/tenant/store/terminal[/epoch]`, each percent-encoded.
    pub source: Cow<'a, str>,
    /// `tillrace.pos.` and the kind, or one of the types of this module.
    pub event_type: Cow<'a, str>,
    /// `occurred_at` as sent; absent where it could not be read.
    pub time: Option<Cow<'a, str>>,
    /// Tenant of the API key.
    pub tenant: Cow<'a, str>,
    /// Store id.
    pub store: Cow<'a, str>,
    /// Terminal id; absent on a release.
    pub terminal: Option<Cow<'a, str>>,
    /// The ledger's epoch: the event's, or the business date, or both, by the tenant's scope.
    pub epoch: Option<Cow<'a, str>>,
    /// The terminal's number.
    pub sequence: Option<u64>,
    /// The sender's id.
    pub event_id: Option<Cow<'a, str>>,
    /// Business date as `YYYY-MM-DD`.
    pub business_date: Option<Cow<'a, str>>,
    /// When the gateway received it, RFC 3339 UTC.
    pub received_time: Cow<'a, str>,
    /// Content hash, version h2; absent on markers, parked events and control records.
    pub content_hash: Option<u128>,
    /// XXH3-128 of `data`, byte by byte; absent on markers and control records.
    pub data_hash: Option<u128>,
    /// How the tenant numbers events.
    pub scope: Scope,
    /// Revision of the policies that the gateway applied.
    pub policy_revision: Cow<'a, str>,
    /// Validation flags, comma separated.
    pub flags: Option<Cow<'a, str>>,
    /// Admission class.
    pub admission: Admission,
    /// Name of the gateway.
    pub gateway: Cow<'a, str>,
    /// W3C trace context, where the client sent one.
    pub traceparent: Option<Cow<'a, str>>,
    /// Why the event is parked; on parked events only.
    pub parked: Option<ParkedMark<'a>>,
    /// The parked event that this one is the readmission of.
    pub readmission: Option<Readmission>,
    /// Transforms that were applied to `data`, comma separated.
    pub transforms: Option<Cow<'a, str>>,
    /// Verdict and source position, on `pos.transactions` only.
    pub source_verdict: Option<SourceVerdict>,
    /// The event's JSON text.
    pub data: &'a [u8],
}

/// Largest modulus of numbers that wrap: one more than the largest sequence that JSON carries exactly (RFC 8259, section 6).
pub(crate) const MAX_MODULUS: u64 = 1 << 53;

/// How a tenant's terminals number their events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// One rising number for the terminal's life.
    #[default]
    Terminal,
    /// Numbers begin at 1 on each business date.
    BusinessDate,
    /// Numbers wrap to 0 at the modulus.
    Wrapping(u64),
}

impl Scope {
    /// Reads a scope as it is written: `terminal`, `business_date` or `wrapping:<modulus>`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "terminal" => Some(Self::Terminal),
            "business_date" => Some(Self::BusinessDate),
            _ => text
                .strip_prefix("wrapping:")?
                .parse()
                .ok()
                .filter(|modulus| (1..=MAX_MODULUS).contains(modulus))
                .map(Self::Wrapping),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terminal => formatter.write_str("terminal"),
            Self::BusinessDate => formatter.write_str("business_date"),
            Self::Wrapping(modulus) => write!(formatter, "wrapping:{modulus}"),
        }
    }
}

/// Whether an event is live or part of a backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Admission {
    /// From a terminal that is online.
    #[default]
    Live,
    /// From a terminal that was offline and catches up.
    Flood,
}

/// The verdict and the position on `pos.events`, which the aggregator adds on `pos.transactions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceVerdict {
    /// `first` or `released`.
    pub verdict: VerdictKind,
    /// Partition of `pos.events`.
    pub partition: u32,
    /// Offset on `pos.events`.
    pub offset: u64,
}

/// The rule that a parked event breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedMark<'a> {
    /// A [`RejectCode`](crate::decode::RejectCode) as text.
    pub code: Cow<'a, str>,
    /// Where: a JSON pointer (RFC 6901); empty where the whole text is meant.
    pub pointer: Cow<'a, str>,
}

/// Names the parked event that is readmitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readmission {
    /// Its offset on `pos.events`, in the same partition.
    pub offset: u64,
    /// Its `data_hash`.
    pub text_hash: u128,
}

/// The verdicts that reach `pos.transactions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictKind {
    /// The first event under its identity.
    First,
    /// Released by an operator under a new identity.
    Released,
    /// Kept aside; on `pos.parked` only.
    Parked,
}

#[cfg(test)]
mod tests;
