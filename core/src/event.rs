//! The canonical event: one point-of-sale transaction, decoded into typed, borrowed fields.
//!
//! This file holds types only. [`crate::decode`] makes them from bytes; the JSON names are those of
//! `docs/schemas/event.v1.schema.json`.

#[macro_use]
mod wire_names;

mod details;
mod kind;

use std::num::NonZeroU16;

pub use details::{Declaration, EventDetails, Fiscal, Foreign, LineDetails};
pub use kind::Kind;

use crate::text::{Currency, Date, Decimal, Timestamp};

/// One canonical POS event. Text fields borrow from the decoder's buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct Event<'a> {
    /// Tenant as the sender names it; the API key decides, a different name is refused.
    pub tenant: Option<&'a str>,
    /// Store id, 1 to 64 bytes.
    pub store: &'a str,
    /// Terminal id within the store, 1 to 64 bytes.
    pub terminal: &'a str,
    /// Terminal reset marker.
    pub epoch: Option<&'a str>,
    /// Per-terminal number, rising by one, control kinds included; at most 2^53 − 1.
    pub sequence: Option<u64>,
    /// The sender's id of this event, 1 to 64 bytes.
    pub event_id: &'a str,
    /// What happened.
    pub kind: Kind,
    /// When it happened, by the terminal's clock.
    pub occurred_at: Timestamp,
    /// The trading day it belongs to, as the terminal asserts it.
    pub business_date: Date,
    /// Currency of every amount; required when there is one.
    pub currency: Option<Currency>,
    /// Who operated the terminal.
    pub operator_id: Option<&'a str>,
    /// Loyalty account, if the customer gave one.
    pub loyalty_id: Option<&'a str>,
    /// The transaction this one reverses, resumes or answers.
    pub reference: Option<Reference<'a>>,
    /// A return without a receipt.
    pub blind: bool,
    /// Lines in the order sent.
    pub lines: Vec<Line<'a>>,
    /// Tenders in the order sent.
    pub tenders: Vec<Tender<'a>>,
    /// Totals as the terminal printed them.
    pub totals: Option<Totals>,
    /// Amount of a movement of money (`paid_in`, `paid_out`, `loan`, `pickup`, `open`, `close`, `bank_deposit`) or the change of a
    /// tip (`tip_adjustment`), minor units.
    pub amount: Option<i64>,
    /// What a drawer or a bag was declared to hold, in the order sent.
    pub declarations: Vec<Declaration<'a>>,
    /// Details of those lines that have any: see [`Self::details_of`].
    pub(crate) line_details: Vec<LineDetails<'a>>,
    /// The event's own details, one at most; a list, so that its memory is used again.
    pub(crate) details: Vec<EventDetails<'a>>,
    /// 128-bit content hash, version `h2`.
    pub hash: u128,
}

/// The first instant at which trade may have happened: 1990-01-01T00:00:00Z, and the first after: 9999-12-31T00:00:00Z.
const TRADE_MICROS: std::ops::Range<i64> = 631_152_000_000_000..253_402_214_400_000_000;
/// The same of business dates.
const TRADE_DAYS: std::ops::Range<i32> = 7_305..2_932_896;

impl Event<'_> {
    /// Tells whether the event's time and business date can be those of trade. They can not if a clock was never set: programs
    /// then say year 1, 1601, 1900, 1970 or 1980. Both are compared in UTC, offset included, so that every derived time has a year
    /// of four digits.
    pub fn is_time_of_trade(&self) -> bool {
        TRADE_MICROS.contains(&self.occurred_at.micros)
            && TRADE_DAYS.contains(&self.business_date.0)
    }

    /// Returns the details of one of its lines; all of them are absent on most lines.
    pub fn details_of(&self, line: &Line<'_>) -> LineDetails<'_> {
        let index = line.details.map(|number| usize::from(number.get()) - 1);
        index.and_then(|index| self.line_details.get(index)).copied().unwrap_or_default()
    }

    /// Returns what few events have: reason, channel, session, order and fiscal block.
    pub fn details(&self) -> EventDetails<'_> {
        self.details.first().copied().unwrap_or_default()
    }

    /// Returns the memory of the lists, empty, for [`Decoder::reuse`](crate::decode::Decoder::reuse).
    pub fn into_buffers(self) -> EventBuffers {
        EventBuffers {
            lines: emptied(self.lines),
            tenders: emptied(self.tenders),
            declarations: emptied(self.declarations),
            line_details: emptied(self.line_details),
            details: emptied(self.details),
        }
    }
}

/// The lists of an event, emptied, for the next event to fill.
#[derive(Debug, Default)]
pub struct EventBuffers {
    pub(crate) lines: Vec<Line<'static>>,
    pub(crate) tenders: Vec<Tender<'static>>,
    pub(crate) declarations: Vec<Declaration<'static>>,
    pub(crate) line_details: Vec<LineDetails<'static>>,
    pub(crate) details: Vec<EventDetails<'static>>,
}

/// Empties a list and gives its elements another lifetime. Collecting from a vector's own elements
/// keeps its memory where both are laid out alike, as a test asserts.
fn emptied<T, U>(list: Vec<T>) -> Vec<U> {
    list.into_iter().filter_map(|_| None).collect()
}

/// One line of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    /// Line number, unique in the event, from 1.
    pub line: u32,
    /// What the line is.
    pub line_type: LineType,
    /// What kind of money its amount is.
    pub class: LineClass,
    /// Stock-keeping unit, 1 to 64 bytes.
    pub sku: &'a str,
    /// GS1 trade item number, check digit verified.
    pub gtin: Option<&'a str>,
    /// Quantity in `unit`, scale 10^-6.
    pub quantity: Decimal,
    /// UN/ECE Recommendation 20 code; `C62` (one) where absent.
    pub unit: &'a str,
    /// Pieces of a weighed line, scale 10^-6.
    pub pieces: Option<Decimal>,
    /// Unit price before discounts in minor units, scale 10^-4.
    pub regular_unit_price: Option<i64>,
    /// Unit price charged, minor units, scale 10^-4.
    pub unit_price: Option<i64>,
    /// Extended amount before `discounts`, minor units; the line's type says which way it counts.
    pub amount: Option<i64>,
    /// Discounts on this line, minor units, summed.
    pub discount: i64,
    /// Taxes added to the amount (not contained in it), minor units, summed.
    pub tax_exclusive: i64,
    /// Taxes contained in the amount, minor units, summed.
    pub tax_inclusive: i64,
    /// What becomes of returned goods.
    pub disposition: Disposition,
    /// Struck from the transaction: contributes nothing, whatever its sign.
    pub void: bool,
    /// Where its details stand among those of the event, counted from 1.
    pub(crate) details: Option<NonZeroU16>,
}

impl Line<'_> {
    /// Tells whether it has any of the details that [`Event::details_of`] returns.
    #[inline]
    pub fn has_details(&self) -> bool {
        self.details.is_some()
    }
}

/// Types of line: what becomes of the goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineType {
    /// Goods sold.
    Sale,
    /// Goods brought back.
    Return,
    /// Charged but not stocked: services, deposits, gift cards, fees.
    Service,
    /// A signed correction of stock.
    Adjustment,
    /// An absolute count of stock.
    Count,
    /// Goods moved: between stores, between places in a store, from or to a vendor.
    Transfer,
}

wire_names!(LineType {
    Sale = "sale",
    Return = "return",
    Service = "service",
    Adjustment = "adjustment",
    Count = "count",
    Transfer = "transfer",
});

/// Classes of line: what kind of money its amount is. [`crate::money`] says what each adds to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the words of the trade")]
pub enum LineClass {
    Merchandise,
    Service,
    Deposit,
    Fee,
    Tip,
    Donation,
    GiftCard,
    PaymentOnAccount,
}

wire_names!(LineClass {
    Merchandise = "merchandise",
    Service = "service",
    Deposit = "deposit",
    Fee = "fee",
    Tip = "tip",
    Donation = "donation",
    GiftCard = "gift_card",
    PaymentOnAccount = "payment_on_account",
});

impl LineClass {
    /// Returns the class of a line that states none.
    #[inline]
    pub fn default_of(line_type: LineType) -> Self {
        if line_type == LineType::Service { Self::Service } else { Self::Merchandise }
    }
}

/// What becomes of returned goods; only `Restock` adds to stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the words of the trade")]
pub enum Disposition {
    Restock,
    Damaged,
    Vendor,
    None,
}

wire_names!(Disposition {
    Restock = "restock",
    Damaged = "damaged",
    Vendor = "vendor",
    None = "none",
});

/// Another transaction, by its identity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields are those of the event they point to")]
pub struct Reference<'a> {
    pub store: Option<&'a str>,
    pub terminal: Option<&'a str>,
    pub epoch: Option<&'a str>,
    pub sequence: Option<u64>,
    pub event_id: Option<&'a str>,
    pub business_date: Option<Date>,
    /// Shared number of the two events of a transfer.
    pub transfer_id: Option<&'a str>,
}

/// One tender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tender<'a> {
    /// `cash`, `card`, `gift_card`, `voucher`, `change`, … : the sender's word, 1 to 64 bytes.
    pub tender_type: &'a str,
    /// Minor units; change and refunds are negative.
    pub amount: i64,
    /// Token of the payment provider.
    pub token: Option<&'a str>,
    /// Last four digits of a card.
    pub last_four: Option<&'a str>,
    /// Token of the account, where it is stored value: a gift card, a store credit, a wallet of the retailer's own.
    pub stored_value: Option<&'a str>,
    /// What was handed over, where it is money of another currency than the event's.
    pub foreign: Option<Foreign>,
}

/// Totals as the terminal printed them; amounts in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields are the words of the trade")]
pub struct Totals {
    pub lines: Option<i64>,
    pub discounts: Option<i64>,
    pub taxes: Option<i64>,
    pub total: Option<i64>,
    pub line_count: Option<u32>,
    /// The tip that is no line; it is not in `total`.
    pub tip: Option<i64>,
    /// What rounding of cash added to the sum due; it is not in `total`.
    pub rounding: Option<i64>,
}
