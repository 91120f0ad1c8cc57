use std::fs::File;

use arrow_array::{
    ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use super::*;
use crate::source::{Movement, ONE};

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn ints<const N: usize>(values: [i64; N]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn optional<const N: usize>(values: [Option<i64>; N]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn dollars<const N: usize>(values: [f64; N]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

/// 2017-01-01T03:00:00Z: still the day before on the stores' clock.
const NIGHT_US: i64 = 1_483_239_600_000_000;

/// Three baskets of two stores, out of order: two lines, then one that coupons overpay, then none.
fn baskets(folder: &Path, sales: [f64; 4]) {
    let at = [NIGHT_US + 1_000_000, NIGHT_US, NIGHT_US + 1_000_000, NIGHT_US + 500_000];
    write(
        &folder.join("completejourney/transactions.parquet"),
        vec![
            ("household_id", ints([9, 8, 9, 7])),
            ("store_id", ints([330, 330, 330, 406])),
            ("basket_id", ints([101, 100, 101, 205])),
            ("product_id", ints([5_001, 5_001, 5_002, 5_003])),
            ("quantity", ints([2, 1, 3, 0])),
            ("sales_value", dollars(sales)),
            ("retail_disc", dollars([0.5, 0.0, 0.0, 0.0])),
            ("coupon_disc", dollars([0.0, 1.5, 0.25, 0.0])),
            ("coupon_match_disc", dollars([0.1, 0.0, 0.0, 0.0])),
            ("transaction_timestamp", Arc::new(TimestampMicrosecondArray::from(at.to_vec()))),
            ("week", ints([1, 1, 1, 1])),
        ],
    );
}

/// A whole return, one that knows almost nothing, and one that takes its sale's store and date.
fn returns(folder: &Path) {
    let days =
        |values: [Option<i32>; 3]| -> ArrayRef { Arc::new(Date32Array::from(values.to_vec())) };
    let known = |value: i64| optional([Some(value), None, None]);
    write(
        &folder.join("tpcds/returns.parquet"),
        vec![
            ("ticket", ints([41, 42, 45])),
            ("item_sk", ints([7, 8, 7])),
            ("store_sk", known(4)),
            ("sale_store_sk", optional([Some(2), None, Some(4)])),
            ("customer_sk", known(77)),
            ("returned_on", days([Some(11_016), None, None])),
            ("returned_second", known(28_799)),
            ("sold_on", days([Some(11_000), None, Some(10_999)])),
            ("quantity", optional([Some(64), None, Some(5)])),
            ("price_cents", known(6_074)),
            ("amount_cents", optional([Some(388_736), None, Some(100)])),
            ("tax_cents", optional([Some(27_211), Some(3), None])),
            ("cash_cents", known(116_620)),
            ("charge_cents", known(179_596)),
            ("credit_cents", known(92_520)),
        ],
    );
}

struct ReplayedEvents {
    events: Vec<(Value, PlannedEvent, Vec<StockEffect>)>,
    directory: Arc<Directory>,
    notes: Vec<(&'static str, u64)>,
}

fn play(folder: &Path, adapt: impl FnOnce(&mut ReplaySettings)) -> ReplayedEvents {
    let mut settings = ReplaySettings {
        sets: vec![DataSet::CompleteJourney, DataSet::Tpcds],
        rate: 0.0,
        events: None,
        epoch: None,
    };
    adapt(&mut settings);
    let mut replay = Replay::read(folder, &settings).unwrap();
    let mut events = Vec::new();
    loop {
        let (mut text, mut effects) = (Vec::new(), Vec::new());
        let Some(planned) = replay.next(&mut text, &mut effects) else { break };
        events.push((serde_json::from_slice(&text).unwrap(), planned, effects));
    }
    ReplayedEvents { events, directory: replay.directory(), notes: replay.notes() }
}

fn data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    baskets(folder.path(), [5.0, 1.0, 0.99, 0.0]);
    returns(folder.path());
    folder
}

#[test]
fn a_basket_becomes_a_sale_to_the_cent() {
    let folder = data();
    let played = play(folder.path(), |_| {});
    let (sale, planned, effects) = &played.events[2];
    assert_eq!(
        *sale,
        json!({
            "store": "cj-330", "terminal": "t2", "sequence": 1, "event_id": "cj-101",
            "kind": "sale", "occurred_at": "2016-12-31T22:00:01.000-05:00",
            "business_date": "2016-12-31", "currency": "USD", "loyalty_id": "cj-9",
            "lines": [
                {"line": 1, "type": "sale", "sku": "5001", "quantity": "2", "amount": "5.60",
                 "discounts": [{"reason": "loyalty_card", "amount": "0.50"},
                               {"reason": "coupon_match", "amount": "0.10"}]},
                {"line": 2, "type": "sale", "sku": "5002", "quantity": "3", "amount": "0.99"},
            ],
            "tenders": [{"type": "manufacturer_coupon", "amount": "0.25"},
                        {"type": "card", "amount": "5.74"}],
            "totals": {"lines": "6.59", "discounts": "0.60", "total": "5.99", "line_count": 2},
        })
    );
    assert_eq!(played.directory.terminals[planned.terminal as usize].name, "t2");
    let sold = |sku: u32, pieces: i64| StockEffect {
        sku,
        unit: "C62",
        movement: Movement { net: -pieces * ONE, sold: pieces * ONE, ..Movement::default() },
        ..StockEffect::default()
    };
    assert_eq!(*effects, [sold(0, 2), sold(1, 3)]);
}

#[test]
fn baskets_come_in_order_of_time_and_keep_lines_without_quantity() {
    let folder = data();
    let played = play(folder.path(), |settings| settings.sets.truncate(1));
    let ids: Vec<&Value> = played.events.iter().map(|(event, ..)| &event["event_id"]).collect();
    assert_eq!(ids, ["cj-100", "cj-205", "cj-101"]);
    let (nothing, _, effects) = &played.events[1];
    assert_eq!((&nothing["lines"][0]["quantity"], effects.len()), (&json!("0"), 0));
    let (overpaid, ..) = &played.events[0];
    assert_eq!(
        overpaid["tenders"],
        json!([{"type": "manufacturer_coupon", "amount": "1.50"},
               {"type": "change", "amount": "-0.50"}])
    );
    assert_eq!(played.notes.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [3, 4, 1, 1]);
}

#[test]
fn a_return_names_its_sale_and_restocks() {
    let folder = data();
    let played = play(folder.path(), |_| {});
    let (back, planned, effects) = &played.events[5];
    assert_eq!(
        *back,
        json!({
            "store": "tpcds-4", "terminal": "t2", "sequence": 2, "event_id": "tpcds-41-7",
            "kind": "return", "occurred_at": "2000-02-29T07:59:59.000-05:00",
            "business_date": "2000-02-29", "currency": "USD", "loyalty_id": "tpcds-77",
            "reference": {"store": "tpcds-2", "event_id": "tpcds-41", "business_date": "2000-02-13"},
            "lines": [{"line": 1, "type": "return", "sku": "7", "quantity": "64",
                       "unit_price": "60.74", "amount": "3887.36",
                       "taxes": [{"code": "sales-tax", "amount": "272.11"}],
                       "disposition": "restock"}],
            "tenders": [{"type": "cash", "amount": "-1438.31"}, {"type": "card", "amount": "-1795.96"},
                        {"type": "store_credit", "amount": "-925.20"}],
            "totals": {"lines": "-3887.36", "taxes": "-272.11", "total": "-4159.47", "line_count": 1},
        })
    );
    let store = played.directory.terminals[planned.terminal as usize].store;
    assert_eq!(
        played.directory.stores[store as usize], "tpcds-4",
        "indices go on after the baskets'"
    );
    assert_eq!(played.directory.skus[effects[0].sku as usize], "7");
    let moved = Movement { net: 64 * ONE, returned: 64 * ONE, ..Movement::default() };
    assert_eq!(effects[0].movement, moved);
}

#[test]
fn what_a_return_does_not_know_is_decided_and_counted() {
    let folder = data();
    let played = play(folder.path(), |settings| settings.sets = vec![DataSet::Tpcds]);
    let (unknown, _, effects) = &played.events[0];
    assert_eq!(
        *unknown,
        json!({
            "store": "tpcds-unknown", "terminal": "t3", "sequence": 1, "event_id": "tpcds-42-8",
            "kind": "return", "occurred_at": "1998-01-01T12:00:00.000-05:00",
            "business_date": "1998-01-01", "currency": "USD",
            "reference": {"event_id": "tpcds-42"},
            "lines": [{"line": 1, "type": "return", "sku": "8", "quantity": "0",
                       "taxes": [{"code": "sales-tax", "amount": "0.03"}],
                       "disposition": "restock"}],
        })
    );
    assert!(effects.is_empty());
    let (of_sale, ..) = &played.events[1];
    assert_eq!(of_sale["store"], "tpcds-4");
    assert_eq!(of_sale["business_date"], "2000-02-12");
    assert_eq!((&of_sale["tenders"], &of_sale["totals"]), (&Value::Null, &Value::Null));
    let counts: Vec<u64> = played.notes.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, [3, 1, 1, 1, 1, 2, 1, 2, 2]);
}

#[test]
fn a_replay_keeps_its_schedule_its_epoch_and_its_limit() {
    let folder = data();
    let played = play(folder.path(), |settings| {
        settings.rate = 4.0;
        settings.events = Some(4);
        settings.epoch = Some("again".to_owned());
    });
    assert_eq!(played.events.len(), 4);
    assert_eq!(played.events[3].1.due, std::time::Duration::from_millis(750));
    assert!(played.events.iter().all(|(event, ..)| event["epoch"] == "again"));
    assert_eq!(played.directory.epoch.as_deref(), Some("again"));
}

#[test]
fn what_the_data_set_never_was_ends_the_conversion() {
    let folder = data();
    baskets(folder.path(), [0.125, 1.0, 1.0, 1.0]);
    let settings = ReplaySettings {
        sets: vec![DataSet::CompleteJourney],
        rate: 0.0,
        events: None,
        epoch: None,
    };
    let refused = Replay::read(folder.path(), &settings).unwrap_err();
    assert!(
        matches!(refused, ReplayError::Cents { column: "sales_value", row: 0, .. }),
        "{refused}"
    );
    let absent = Replay::read(&folder.path().join("nowhere"), &settings).unwrap_err();
    assert!(matches!(absent, ReplayError::Open { .. }), "{absent}");
    let other = folder.path().join("completejourney/transactions.parquet");
    write(&other, vec![("basket_id", optional([None]))]);
    let column = Replay::read(folder.path(), &settings).unwrap_err();
    assert!(matches!(column, ReplayError::Column { column: "household_id" }), "{column}");
}
