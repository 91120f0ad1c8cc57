//! Every kind through the real aggregator: the recount agrees, and deltas and totals are those that a shop manager expects.

use std::collections::BTreeMap;

use super::*;

/// Kinds that say more than a sale, with what they have besides their identity.
fn day() -> Vec<(&'static str, Value)> {
    let goods = json!({"line": 1, "type": "sale", "sku": "bike", "quantity": "1", "amount": "200.00", "location": "back"});
    let moved = |quantity: &str, more: Value| {
        let mut line = json!({"line": 1, "type": "transfer", "sku": "milk", "quantity": quantity});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "lines": [line] })
    };
    let on_account = |line_type: &str, amount: &str| json!({"line": 2, "type": line_type, "class": "payment_on_account", "sku": "paid", "quantity": "1", "amount": amount});
    let paid = |amount: &str| json!([{"type": "cash", "amount": amount}]);
    let order = json!({"id": "o-1"});
    vec![
        ("goods_receipt", moved("24", json!({"location": "back"}))),
        ("vendor_return", moved("2", json!({"location": "back", "reason": "damaged"}))),
        ("stock_move", moved("6", json!({"location": "back", "to_location": "floor"}))),
        (
            "order_placed",
            json!({"order": order, "lines": [goods, on_account("service", "50.00")], "tenders": paid("50.00")}),
        ),
        (
            "order_paid",
            json!({"order": order, "lines": [on_account("service", "30.00")], "tenders": paid("30.00")}),
        ),
        ("order_picked", json!({"order": order, "lines": [goods]})),
        (
            "order_handed_over",
            json!({"order": order, "lines": [goods], "tenders": [{"type": "prepaid", "amount": "80.00"}, {"type": "cash", "amount": "120.00"}]}),
        ),
        (
            "layaway_cancelled",
            json!({"order": {"id": "l-1"}, "lines": [on_account("return", "20.00")], "tenders": paid("-20.00")}),
        ),
        (
            "till_declaration",
            json!({"declarations": [{"tender": "cash", "denomination": "50.00", "count": 3, "amount": "150.00"}]}),
        ),
        ("bank_deposit", json!({"amount": "150.00"})),
        (
            "tip_adjustment",
            json!({"reference": {"sequence": 1}, "amount": "3.00", "tenders": [{"type": "card", "amount": "3.00"}]}),
        ),
        (
            "correction",
            json!({"reference": {"sequence": 7}, "lines": [
                {"line": 1, "type": "sale", "sku": "milk", "quantity": "-1", "amount": "-1.50"},
                {"line": 2, "type": "adjustment", "sku": "milk", "quantity": "1", "reason": "found"}]}),
        ),
        ("x-parking_ticket", json!({"ticket": {"id": "P-7"}})),
        (
            "inventory_count",
            json!({"lines": [{"line": 1, "type": "count", "sku": "milk", "quantity": "16", "location": "back"}]}),
        ),
    ]
}

/// The net of each SKU, reason and location of one store, over all deltas.
fn nets(log: &MemoryLog, topics: &Topics, store: &str) -> BTreeMap<String, i64> {
    let mut nets = BTreeMap::new();
    let partition = partition_of("acme", store, PARTITIONS);
    for entry in read(log, &topics.deltas, partition) {
        let delta: Value = serde_json::from_slice(&entry.value.unwrap()).unwrap();
        let word = |name: &str| delta[name].as_str().unwrap_or("-").to_owned();
        if delta["store"] == store {
            let key = [word("sku"), word("reason"), word("location")].join(" ");
            *nets.entry(key).or_default() += word("net").parse::<i64>().unwrap();
        }
    }
    nets
}

#[test]
fn the_recount_follows_every_kind() {
    let topics = Topics::new("");
    let log = MemoryLog::new(PARTITIONS);
    log.assign(&[0, 1], 0);
    let mut gateway = Gateway {
        topics: topics.clone(),
        log: log.clone(),
        decoder: Decoder::new(),
        now_ms: NOON_MS,
    };
    let mut events = Vec::new();
    for (sequence, (kind, more)) in (1..).zip(day()) {
        let mut event = gateway.sale("north", "1", sequence);
        event.as_object_mut().unwrap().remove("lines");
        event["kind"] = json!(kind);
        event["currency"] = json!("EUR");
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        events.push(event);
    }
    // Any order of arrival, and copies, make the same books.
    events.rotate_left(5);
    for event in events.iter().chain(&events[..4]) {
        gateway.event(event, Scope::Terminal, None);
    }
    aggregate(&log, &topics);
    let report = recount(&log, &topics);
    assert!(report.holds(), "{report}");
    assert_eq!((report.verdicts.first, report.verdicts.duplicate), (14, 4));
    let expected = [
        ("bike - back", -1),
        ("milk - -", 1),
        ("milk - back", 18),
        ("milk - floor", 6),
        ("milk damaged back", -2),
        ("milk found -", 1),
    ];
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(key, net)| (key.to_owned(), net)).collect();
    assert_eq!(nets(&log, &topics, "north"), expected);
    let partition = partition_of("acme", "north", PARTITIONS);
    let last = |topic: &Topic| -> Value {
        let entry = read(&log, topic, partition).pop().unwrap();
        serde_json::from_slice(&entry.value.unwrap()).unwrap()
    };
    let day = last(&topics.days);
    assert_eq!(
        day["totals"]["EUR"],
        json!({
            "sales": "198.50", "returns": "0.00", "discounts": "0.00", "taxes": "0.00", "liabilities_issued": "80.00",
            "liabilities_redeemed": "100.00", "pass_through": "0.00", "tips": "3.00", "rounding": "0.00"
        })
    );
    assert_eq!(
        day["tenders"]["EUR"],
        json!({"card": "3.00", "cash": "180.00", "prepaid": "80.00"})
    );
    assert_eq!(day["transactions"]["x"], 1);
    assert_eq!(last(&topics.counts)["location"], "back");
}
