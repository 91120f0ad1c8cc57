//! The books of a simulated backend.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};
use tillrace_core::text::Decimal;

/// Everything a simulated backend holds.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// Ids of documents, movements and points booked.
    pub booked: HashSet<String>,
    /// Items that came again after they had been booked, and were not booked again.
    pub duplicates: u64,
    /// Items refused for good.
    pub rejected: u64,
    /// Calls that reached it, with any outcome.
    pub calls: u64,
    /// Stock by movements.
    pub stock: BTreeMap<StockKey, StockTotals>,
    /// Points by loyalty account.
    pub points: BTreeMap<String, i64>,
    /// Source offsets in the order of their first booking, by tenant and store, for documents and
    /// points; by tenant, store and SKU for movements.
    pub order: HashMap<String, Vec<u64>>,
    pub(super) rejecting: BTreeSet<String>,
    pub(super) lacking: BTreeSet<String>,
}

/// The key of a stock total.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the fields are those of a delta")]
pub struct StockKey {
    pub tenant: String,
    pub store: String,
    pub sku: String,
    pub unit: String,
}

/// Sums of movements, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields are those of a delta")]
pub struct StockTotals {
    pub net: i64,
    pub sold: i64,
    pub returned: i64,
    pub adjusted: i64,
}

/// The result of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BookingOutcome {
    Booked,
    Duplicate,
    Rejected,
    DependencyMissing,
}

/// The fields that a simulated backend reads of an item of any shape.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    id: String,
    tenant: String,
    store: String,
    /// Offset of a document or of points.
    offset: Option<u64>,
    /// End offset of a movement.
    to_offset: Option<u64>,
    sku: Option<String>,
    unit: Option<String>,
    net: Option<String>,
    sold: Option<String>,
    returned: Option<String>,
    adjusted: Option<String>,
    loyalty_id: Option<String>,
    points: Option<i64>,
}

impl Books {
    /// Books an item once.
    pub(super) fn book(&mut self, item: &Item) -> BookingOutcome {
        if self.booked.contains(&item.id) {
            self.duplicates += 1;
            return BookingOutcome::Duplicate;
        }
        if self.rejecting.contains(&item.id) {
            self.rejected += 1;
            return BookingOutcome::Rejected;
        }
        if self.lacking.contains(&item.id) {
            return BookingOutcome::DependencyMissing;
        }
        self.booked.insert(item.id.clone());
        let mut key = format!("{}/{}", item.tenant, item.store);
        if let Some(sku) = &item.sku {
            key.push('/');
            key.push_str(sku);
        }
        self.order.entry(key).or_default().extend(item.offset.or(item.to_offset));
        if let (Some(account), Some(points)) = (&item.loyalty_id, item.points) {
            *self.points.entry(account.clone()).or_default() += points;
        }
        if let (Some(sku), Some(unit)) = (&item.sku, &item.unit) {
            let key = StockKey {
                tenant: item.tenant.clone(),
                store: item.store.clone(),
                sku: sku.clone(),
                unit: unit.clone(),
            };
            self.stock.entry(key).or_default().add(item);
        }
        BookingOutcome::Booked
    }
}

impl StockTotals {
    fn add(&mut self, item: &Item) {
        let millionths = |text: &Option<String>| {
            text.as_ref().and_then(|text| Decimal::parse(text.as_bytes())).unwrap_or_default().0
        };
        self.net += millionths(&item.net);
        self.sold += millionths(&item.sold);
        self.returned += millionths(&item.returned);
        self.adjusted += millionths(&item.adjusted);
    }
}

impl BookingOutcome {
    /// Writes the result of an item as the answer to a batch has it.
    pub(super) fn result(self, item: &Item) -> Value {
        match self {
            Self::Booked => json!({"id": item.id, "status": "booked"}),
            Self::Duplicate => json!({"id": item.id, "status": "duplicate"}),
            Self::DependencyMissing => json!({"id": item.id, "status": "dependency_missing"}),
            Self::Rejected => json!({
                "id": item.id, "status": "rejected", "code": "unbookable",
                "detail": "the simulation was told to reject it",
            }),
        }
    }
}
