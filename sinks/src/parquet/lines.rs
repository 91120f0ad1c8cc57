//! The rows of transactions.

use tillrace_core::log::{Offset, Partition};
use tillrace_core::text::{Date, Timestamp};

use super::body::{BodyError, Column, date, place, text, time};
use crate::record::{Record, Transaction};

/// Arranges transactions in columns.
pub(super) fn columns(
    topic: &str,
    partition: Partition,
    records: &[Record],
) -> Result<Vec<Column>, BodyError> {
    let mut rows: Vec<(Offset, Transaction<'_>)> = Vec::with_capacity(records.len());
    for record in records {
        let offset = record.offset;
        let transaction =
            Transaction::read(record).map_err(|source| BodyError::Unreadable { offset, source })?;
        rows.push((offset, transaction));
    }
    let times: Vec<Timestamp> = rows
        .iter()
        .map(|(offset, row)| {
            row.envelope
                .time
                .as_deref()
                .and_then(|time| Timestamp::parse(time.as_bytes()))
                .ok_or(BodyError::Value { offset: *offset, column: "occurred_at" })
        })
        .collect::<Result<_, _>>()?;
    let dates: Vec<Date> = rows
        .iter()
        .map(|(offset, row)| {
            row.envelope
                .business_date
                .as_deref()
                .and_then(|date| Date::parse(date.as_bytes()))
                .ok_or(BodyError::Value { offset: *offset, column: "business_date" })
        })
        .collect::<Result<_, _>>()?;
    let mut columns = place(topic, partition, rows.iter().map(|&(offset, _)| offset));
    columns.extend([
        text("tenant", rows.iter().map(|(_, row)| Some(&*row.envelope.tenant)), false),
        text("store", rows.iter().map(|(_, row)| Some(&*row.envelope.store)), false),
        text("terminal", rows.iter().map(|(_, row)| row.envelope.terminal.as_deref()), true),
        text("event_id", rows.iter().map(|(_, row)| row.envelope.event_id.as_deref()), true),
        text("kind", rows.iter().map(|(_, row)| Some(row.kind())), false),
        time("occurred_at", times.into_iter()),
        date("business_date", dates.into_iter()),
    ]);
    Ok(columns)
}
