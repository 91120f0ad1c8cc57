//! Counted events: the transaction with its sums, lines, taxes, discounts and tenders.
//!
//! What a line counts as is decided by the tables of `core`, which the store-days are made by too.

use std::borrow::Cow;

use serde::Deserialize;
use tillrace_core::decode::Decoder;
use tillrace_core::envelope::{Admission, Envelope, VerdictKind};
use tillrace_core::event::{Event, Line, LineType};
use tillrace_core::text::Currency;
use tillrace_core::{money, stock};
use tillrace_log::{ConsumerRecord, Offset, Partition};

use super::FoldError;
use super::text::{local, minor, utc, utc_of};
use crate::change::{Batch, Value};

/// Offsets that a partition's ids have room for.
const ID_OFFSETS: u64 = 1 << 44;

/// Returns the id of a record of `pos.transactions.v1`: the same in every store that is made from the log.
fn transaction_id(partition: Partition, offset: Offset) -> u64 {
    u64::from(partition) * ID_OFFSETS + offset
}

/// What the decoder adds up, and the tables need one by one.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow, default)]
    lines: Option<Vec<LineParts<'a>>>,
}

#[derive(Deserialize)]
struct LineParts<'a> {
    #[serde(borrow, default)]
    taxes: Option<Vec<Tax<'a>>>,
    #[serde(default)]
    discounts: Option<Vec<Discount<'a>>>,
}

#[derive(Deserialize)]
struct Tax<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    rate: Option<Cow<'a, str>>,
    amount: Cow<'a, str>,
    inclusive: Option<bool>,
}

#[derive(Deserialize)]
struct Discount<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    amount: Cow<'a, str>,
}

pub(super) fn add(
    decoder: &mut Decoder,
    record: &ConsumerRecord,
    value: &[u8],
    batch: &mut Batch,
) -> Result<(), FoldError> {
    let envelope =
        Envelope::parse(value).map_err(|error| FoldError::Envelope(error.to_string()))?;
    let event = decoder
        .decode_unhashed(envelope.data)
        .map_err(|rejection| FoldError::Event(format!("{rejection:?}")))?;
    let parts: Parts<'_> = serde_json::from_slice(envelope.data)?;
    add_transaction(record, &envelope, &event, batch)?;
    let id = transaction_id(record.partition, record.offset);
    let parts = parts.lines.unwrap_or_default();
    for (line, parts) in event.lines.iter().zip(&parts) {
        add_line(id, &event, line, batch);
        if let Some(currency) = event.currency {
            add_parts(id, (&event, line), parts, currency, batch)?;
        }
    }
    add_tenders(id, &event, batch);
    let buffers = event.into_buffers();
    decoder.reuse(buffers);
    Ok(())
}

fn add_transaction(
    record: &ConsumerRecord,
    envelope: &Envelope<'_>,
    event: &Event<'_>,
    batch: &mut Batch,
) -> Result<(), FoldError> {
    let source = envelope.source_verdict.ok_or(FoldError::Member("sourceoffset"))?;
    let (details, sums) = (event.details(), money::effect(event));
    let reference = event.reference.as_ref();
    let (local_date, local_hour) = local(event.occurred_at);
    batch.insert(
        "transactions",
        TRANSACTION_COLUMNS,
        [
            transaction_id(record.partition, record.offset).into(),
            record.partition.into(),
            record.offset.into(),
            source.offset.into(),
            envelope.tenant.as_ref().into(),
            event.store.into(),
            event.terminal.into(),
            envelope.epoch.as_deref().unwrap_or("").into(),
            event.sequence.into(),
            event.event_id.into(),
            event.kind.as_str().into(),
            event.business_date.to_string().into(),
            utc_of(event.occurred_at).into(),
            local_date.into(),
            local_hour.into(),
            utc("receivedtime", &envelope.received_time)?,
            envelope.gateway.as_ref().into(),
            admission(envelope.admission).into(),
            verdict(source.verdict).into(),
            envelope.flags.as_deref().into(),
            envelope.readmission.map(|parked| parked.offset).into(),
            envelope.transforms.as_deref().into(),
            envelope.content_hash.map(|hash| format!("h2:{hash:032x}")).into(),
            envelope.traceparent.as_deref().into(),
            event.currency.as_ref().map(Currency::code).into(),
            event.operator_id.into(),
            details.channel.into(),
            details.session_id.into(),
            details.order_id.into(),
            details.reason.into(),
            details.fiscal.map(|fiscal| fiscal.device).into(),
            details.fiscal.and_then(|fiscal| fiscal.counter).into(),
            reference.and_then(|reference| reference.store).into(),
            reference.and_then(|reference| reference.terminal).into(),
            reference.and_then(|reference| reference.sequence).into(),
            reference.and_then(|reference| reference.event_id).into(),
            reference.and_then(|reference| reference.transfer_id).into(),
            event.blind.into(),
            event.loyalty_id.is_some().into(),
            sums.sales.into(),
            sums.returns.into(),
            sums.discounts.into(),
            sums.taxes.into(),
            sums.liabilities_issued.into(),
            sums.liabilities_redeemed.into(),
            sums.pass_through.into(),
            sums.tips.into(),
            sums.rounding.into(),
        ],
    );
    Ok(())
}

fn admission(admission: Admission) -> &'static str {
    match admission {
        Admission::Live => "live",
        Admission::Flood => "flood",
    }
}

fn verdict(verdict: VerdictKind) -> &'static str {
    match verdict {
        VerdictKind::First => "first",
        VerdictKind::Released => "released",
        VerdictKind::Parked => "parked",
    }
}

const TRANSACTION_COLUMNS: &[&str; 48] = &[
    "transaction_id",
    "partition",
    "transaction_offset",
    "journal_offset",
    "tenant",
    "store",
    "terminal",
    "epoch",
    "sequence",
    "event_id",
    "kind",
    "business_date",
    "occurred_at",
    "local_date",
    "local_hour",
    "received_at",
    "gateway",
    "admission",
    "verdict",
    "flags",
    "parked_offset",
    "transforms",
    "content_hash",
    "traceparent",
    "currency",
    "operator",
    "channel",
    "session",
    "order_id",
    "reason",
    "fiscal_device",
    "fiscal_counter",
    "reference_store",
    "reference_terminal",
    "reference_sequence",
    "reference_event_id",
    "transfer_id",
    "is_blind",
    "has_loyalty",
    "sales_minor",
    "returns_minor",
    "discounts_minor",
    "taxes_minor",
    "liabilities_issued_minor",
    "liabilities_redeemed_minor",
    "pass_through_minor",
    "tips_minor",
    "rounding_minor",
];

fn add_line(id: u64, event: &Event<'_>, line: &Line<'_>, batch: &mut Batch) {
    let (details, sums) = (event.details_of(line), money::line_effect(event.kind, line));
    let moves = stock::effect(event.kind, line);
    let relocated = stock::relocation(event.kind, line).map_or(0, |effect| effect.stock);
    batch.insert(
        "transaction_lines",
        &[
            "transaction_id",
            "line",
            "line_type",
            "line_class",
            "sku",
            "quantity_millionths",
            "unit",
            "amount_minor",
            "is_void",
            "disposition",
            "reason",
            "location",
            "to_location",
            "approver",
            "sales_minor",
            "returns_minor",
            "discounts_minor",
            "taxes_minor",
            "stock_millionths",
            "sold_millionths",
            "returned_millionths",
            "adjusted_millionths",
            "moved_millionths",
        ],
        [
            id.into(),
            line.line.into(),
            line.line_type.as_str().into(),
            line.class.as_str().into(),
            line.sku.into(),
            line.quantity.0.into(),
            line.unit.into(),
            line.amount.into(),
            line.void.into(),
            line.disposition.as_str().into(),
            details.reason.into(),
            details.location.into(),
            details.to_location.into(),
            details.approver.into(),
            sums.sales.into(),
            sums.returns.into(),
            sums.discounts.into(),
            sums.taxes.into(),
            moves.stock.into(),
            moves.sold.into(),
            moves.returned.into(),
            moves.adjusted.into(),
            relocated.into(),
        ],
    );
}

/// Adds a line's taxes and discounts one by one, each with the sign that the line's sums have.
fn add_parts(
    id: u64,
    (event, line): (&Event<'_>, &Line<'_>),
    parts: &LineParts<'_>,
    currency: Currency,
    batch: &mut Batch,
) -> Result<(), FoldError> {
    let sign = deduction_sign(event, line);
    for (number, tax) in (1_u64..).zip(parts.taxes.iter().flatten()) {
        let amount = minor("taxes", &tax.amount, currency)?;
        batch.insert(
            "line_taxes",
            &["transaction_id", "line", "number", "code", "rate", "is_inclusive", "taxes_minor"],
            [
                id.into(),
                line.line.into(),
                number.into(),
                tax.code.as_ref().into(),
                tax.rate.as_deref().into(),
                tax.inclusive.unwrap_or(false).into(),
                (sign * amount).into(),
            ],
        );
    }
    for (number, discount) in (1_u64..).zip(parts.discounts.iter().flatten()) {
        let amount = minor("discounts", &discount.amount, currency)?;
        batch.insert(
            "line_discounts",
            &["transaction_id", "line", "number", "reason", "discounts_minor"],
            [
                id.into(),
                line.line.into(),
                number.into(),
                discount.reason.as_ref().into(),
                (sign * amount).into(),
            ],
        );
    }
    Ok(())
}

/// Returns the sign by which taxes and discounts of a line count; 0 where they do not.
fn deduction_sign(event: &Event<'_>, line: &Line<'_>) -> i64 {
    if line.void || money::counts_as(event.kind, line.class).is_none() {
        return 0;
    }
    let sign = money::sign(event.kind);
    if line.line_type == LineType::Return { -sign } else { sign }
}

fn add_tenders(id: u64, event: &Event<'_>, batch: &mut Batch) {
    let is_counted = money::sign(event.kind) != 0;
    for (number, tender) in (1_u64..).zip(&event.tenders) {
        let counted = if is_counted && !money::is_rounding(tender) { tender.amount } else { 0 };
        let foreign = tender.foreign.as_ref();
        batch.insert(
            "tenders",
            &[
                "transaction_id",
                "number",
                "tender",
                "amount_minor",
                "counted_minor",
                "foreign_currency",
                "foreign_minor",
            ],
            [
                id.into(),
                number.into(),
                tender.tender_type.into(),
                tender.amount.into(),
                counted.into(),
                foreign.map(|foreign| Value::from(foreign.currency.code())).into(),
                foreign.map(|foreign| foreign.amount).into(),
            ],
        );
    }
}
