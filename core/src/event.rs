//! The canonical event: one point-of-sale transaction, decoded into typed, borrowed fields.
//!
//! This file holds types only. [`crate::decode`] makes them from bytes; the JSON names are those of
//! `docs/schemas/event.v1.schema.json`.

use serde::{Deserialize, Serialize};

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
    /// Amount of a cash movement (`paid_in`, `paid_out`, `loan`, `pickup`, `open`, `close`), minor units.
    pub amount: Option<i64>,
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

    /// Returns the memory of the lists, empty, for [`Decoder::reuse`](crate::decode::Decoder::reuse).
    pub fn into_buffers(self) -> EventBuffers {
        EventBuffers { lines: emptied(self.lines), tenders: emptied(self.tenders) }
    }
}

/// The lists of an event, emptied, for the next event to fill.
#[derive(Debug, Default)]
pub struct EventBuffers {
    pub(crate) lines: Vec<Line<'static>>,
    pub(crate) tenders: Vec<Tender<'static>>,
}

/// Empties a list and gives its elements another lifetime. Collecting from a vector's own elements
/// keeps its memory where both are laid out alike, as a test asserts.
fn emptied<T, U>(list: Vec<T>) -> Vec<U> {
    list.into_iter().filter_map(|_| None).collect()
}

/// Gives an enum of the schema its names on the wire.
macro_rules! wire_names {
    ($enum:ident { $($variant:ident = $name:literal,)* }) => {
        impl $enum {
            /// All, in the order of the schema.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// Returns the name on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Reads the name on the wire.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

/// Kinds of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants are the words of the trade")]
pub enum Kind {
    Sale,
    Return,
    Exchange,
    Void,
    PostVoid,
    Suspend,
    Resume,
    NoSale,
    Training,
    Open,
    Close,
    PaidIn,
    PaidOut,
    Loan,
    Pickup,
    InventoryAdjustment,
    InventoryCount,
    TransferOut,
    TransferIn,
}

wire_names!(Kind {
    Sale = "sale",
    Return = "return",
    Exchange = "exchange",
    Void = "void",
    PostVoid = "post_void",
    Suspend = "suspend",
    Resume = "resume",
    NoSale = "no_sale",
    Training = "training",
    Open = "open",
    Close = "close",
    PaidIn = "paid_in",
    PaidOut = "paid_out",
    Loan = "loan",
    Pickup = "pickup",
    InventoryAdjustment = "inventory_adjustment",
    InventoryCount = "inventory_count",
    TransferOut = "transfer_out",
    TransferIn = "transfer_in",
});

/// One line of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    /// Line number, unique in the event, from 1.
    pub line: u32,
    /// What the line is.
    pub line_type: LineType,
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
}

/// Types of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineType {
    /// Goods sold.
    Sale,
    /// Goods brought back.
    Return,
    /// Sold but not stocked: services, deposits, gift cards, fees.
    Service,
    /// A signed correction of stock.
    Adjustment,
    /// An absolute count of stock.
    Count,
    /// Goods moved between stores.
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
}
