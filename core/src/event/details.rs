//! What only some events, lines and tenders say.
//!
//! It stands apart from [`Event`](super::Event) and [`Line`](super::Line), so that those that say none of it are no larger for it.

use crate::text::{Currency, Date, Decimal, Timestamp};

/// What few events have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventDetails<'a> {
    /// Why: of a `no_sale`, a `paid_out`, a `void`; the sender's code.
    pub reason: Option<&'a str>,
    /// Where the customer bought: `store`, `web`, `app`, `phone`; the sender's word.
    pub channel: Option<&'a str>,
    /// Session of the drawer that the money went into or came from.
    pub session_id: Option<&'a str>,
    /// Customer order, layaway or purchase order that it belongs to.
    pub order_id: Option<&'a str>,
    /// What the law's recorder said.
    pub fiscal: Option<Fiscal<'a>>,
}

/// What a fiscal device or service recorded of an event. It is kept as it came, and never transformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fiscal<'a> {
    /// The law's scheme: `kassensichv`, `rksv`, `nf525`, `rt`, …
    pub scheme: &'a str,
    /// Device, recorder or certificate.
    pub device: &'a str,
    /// Its number for this event, rising by one.
    pub counter: Option<u64>,
    /// When it began to record.
    pub start: Option<Timestamp>,
    /// When it ended.
    pub end: Option<Timestamp>,
    /// Its signature, as text.
    pub signature: Option<&'a str>,
}

/// What few lines have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineDetails<'a> {
    /// Why: of an adjustment, a return, a mark-down; the sender's code.
    pub reason: Option<&'a str>,
    /// Stock location within the store, that goods come to or leave.
    pub location: Option<&'a str>,
    /// Stock location that a `stock_move` brings them to.
    pub to_location: Option<&'a str>,
    /// Serial number.
    pub serial: Option<&'a str>,
    /// Lot or batch.
    pub lot: Option<&'a str>,
    /// Last day on which the goods may be sold or used.
    pub expiry: Option<Date>,
    /// Who approved the line.
    pub approver: Option<&'a str>,
}

/// An amount that was counted, by tender and denomination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration<'a> {
    /// Type of the tender, as [`Tender::tender_type`](super::Tender::tender_type).
    pub tender: &'a str,
    /// Value of one note or coin, minor units.
    pub denomination: Option<i64>,
    /// How many of them.
    pub count: Option<u64>,
    /// Value of all of them, minor units.
    pub amount: i64,
}

/// Money of another currency than the event's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// Its currency.
    pub currency: Currency,
    /// How much of it, in its own minor units.
    pub amount: i64,
    /// What one unit of it was taken for, in the event's currency.
    pub rate: Option<Decimal>,
}
