//! Inventory deltas and counts.

use std::borrow::Cow;

use serde::Deserialize;
use tillrace_log::ConsumerRecord;

use super::FoldError;
use super::text::{millionths, utc};
use crate::change::Batch;

#[derive(Deserialize)]
struct Delta<'a> {
    from_offset: u64,
    to_offset: u64,
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    store: Cow<'a, str>,
    sku: Cow<'a, str>,
    unit: Cow<'a, str>,
    reason: Option<Cow<'a, str>>,
    location: Option<Cow<'a, str>>,
    window_start: Cow<'a, str>,
    window_seconds: u32,
    business_date: Cow<'a, str>,
    net: Cow<'a, str>,
    sold: Cow<'a, str>,
    returned: Cow<'a, str>,
    adjusted: Cow<'a, str>,
    events: u64,
}

pub(super) fn add_delta(
    record: &ConsumerRecord,
    value: &[u8],
    batch: &mut Batch,
) -> Result<(), FoldError> {
    let delta: Delta<'_> = serde_json::from_slice(value)?;
    batch.insert(
        "stock_deltas",
        &[
            "partition",
            "delta_offset",
            "from_offset",
            "to_offset",
            "tenant",
            "store",
            "sku",
            "unit",
            "reason",
            "location",
            "window_start",
            "window_seconds",
            "business_date",
            "net_millionths",
            "sold_millionths",
            "returned_millionths",
            "adjusted_millionths",
            "events",
        ],
        [
            record.partition.into(),
            record.offset.into(),
            delta.from_offset.into(),
            delta.to_offset.into(),
            delta.tenant.as_ref().into(),
            delta.store.as_ref().into(),
            delta.sku.as_ref().into(),
            delta.unit.as_ref().into(),
            delta.reason.as_deref().unwrap_or("").into(),
            delta.location.as_deref().unwrap_or("").into(),
            utc("window_start", &delta.window_start)?,
            delta.window_seconds.into(),
            delta.business_date.as_ref().into(),
            millionths("net", &delta.net)?,
            millionths("sold", &delta.sold)?,
            millionths("returned", &delta.returned)?,
            millionths("adjusted", &delta.adjusted)?,
            delta.events.into(),
        ],
    );
    Ok(())
}

#[derive(Deserialize)]
struct Count<'a> {
    offset: u64,
    line: u32,
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    store: Cow<'a, str>,
    sku: Cow<'a, str>,
    unit: Cow<'a, str>,
    location: Option<Cow<'a, str>>,
    quantity: Cow<'a, str>,
    counted_at: Cow<'a, str>,
    business_date: Cow<'a, str>,
}

pub(super) fn add_count(
    record: &ConsumerRecord,
    value: &[u8],
    batch: &mut Batch,
) -> Result<(), FoldError> {
    let count: Count<'_> = serde_json::from_slice(value)?;
    batch.insert(
        "stock_counts",
        &[
            "partition",
            "count_offset",
            "journal_offset",
            "line",
            "tenant",
            "store",
            "sku",
            "unit",
            "location",
            "quantity_millionths",
            "counted_at",
            "business_date",
        ],
        [
            record.partition.into(),
            record.offset.into(),
            count.offset.into(),
            count.line.into(),
            count.tenant.as_ref().into(),
            count.store.as_ref().into(),
            count.sku.as_ref().into(),
            count.unit.as_ref().into(),
            count.location.as_deref().unwrap_or("").into(),
            millionths("quantity", &count.quantity)?,
            utc("counted_at", &count.counted_at)?,
            count.business_date.as_ref().into(),
        ],
    );
    Ok(())
}
