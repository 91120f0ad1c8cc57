//! The members of an event, by their place in the schema.

use super::fields::Fields;

/// Members in the order of the schema, which is the order of checks and of the content hash.
pub(super) const NAMES: [&str; 28] = [
    "tenant",
    "store",
    "terminal",
    "sequence",
    "epoch",
    "event_id",
    "kind",
    "occurred_at",
    "business_date",
    "currency",
    "operator_id",
    "loyalty_id",
    "reference",
    "blind",
    "amount",
    "lines",
    "tenders",
    "totals",
    "sent_at",
    "attempt",
    "reason",
    "channel",
    "session",
    "order",
    "fiscal",
    "approvals",
    "declarations",
    "person",
];
pub(super) const TENANT: usize = 0;
pub(super) const STORE: usize = 1;
pub(super) const TERMINAL: usize = 2;
pub(super) const SEQUENCE: usize = 3;
pub(super) const EPOCH: usize = 4;
pub(super) const EVENT_ID: usize = 5;
pub(super) const KIND: usize = 6;
pub(super) const OCCURRED_AT: usize = 7;
pub(super) const BUSINESS_DATE: usize = 8;
pub(super) const CURRENCY: usize = 9;
pub(super) const OPERATOR_ID: usize = 10;
pub(super) const LOYALTY_ID: usize = 11;
pub(super) const REFERENCE: usize = 12;
pub(super) const BLIND: usize = 13;
pub(super) const AMOUNT: usize = 14;
pub(super) const LINES: usize = 15;
pub(super) const TENDERS: usize = 16;
pub(super) const TOTALS: usize = 17;
pub(super) const SENT_AT: usize = 18;
pub(super) const ATTEMPT: usize = 19;
pub(super) const REASON: usize = 20;
pub(super) const CHANNEL: usize = 21;
pub(super) const SESSION: usize = 22;
pub(super) const ORDER: usize = 23;
pub(super) const FISCAL: usize = 24;
pub(super) const APPROVALS: usize = 25;
pub(super) const DECLARATIONS: usize = 26;
pub(super) const PERSON: usize = 27;

pub(super) type EventFields<'r, 's, 'd, E> = Fields<'r, 's, 'd, E, { NAMES.len() }>;
