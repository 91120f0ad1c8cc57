//! Kinds of event by what they do with money, as `docs/samples/README.md` tells it.

/// Kinds that hand over goods or services, take them back, or correct that.
pub const TRADE: [&str; 7] = [
    "sale",
    "return",
    "exchange",
    "post_void",
    "order_handed_over",
    "layaway_handed_over",
    "correction",
];

/// Kinds that take or give back money before anything is handed over.
pub const ADVANCE: [&str; 7] = [
    "order_placed",
    "order_paid",
    "order_picked",
    "order_cancelled",
    "layaway_placed",
    "layaway_paid",
    "layaway_cancelled",
];
