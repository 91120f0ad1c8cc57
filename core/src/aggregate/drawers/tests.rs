use std::collections::BTreeMap;

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::aggregate::fixture::{DAY_MS, FRIDAY_MS, Rig, Sample};
use crate::aggregate::store::Store;
use crate::decode::Decoder;
use crate::envelope::Scope;
use crate::text::{Date, Timestamp};

const DAY: &str = "demo/1/2026-11-27";

/// An event of store 1 at 8 o'clock and so many minutes.
fn event(terminal: &str, sequence: u64, kind: &str, more: Value) -> Value {
    let minutes = i64::try_from(sequence).unwrap() * 60_000;
    let occurred_at = Timestamp::from_millis(FRIDAY_MS + DAY_MS / 3 + minutes).to_string();
    let mut event = json!({"store": "1", "terminal": terminal, "sequence": sequence, "event_id": format!("{terminal}-{sequence}"),
        "kind": kind, "occurred_at": occurred_at, "business_date": "2026-11-27", "currency": "EUR"});
    if let Value::Object(more) = more {
        event.as_object_mut().unwrap().extend(more);
    }
    event
}

fn sale(terminal: &str, sequence: u64, tenders: Value) -> Value {
    let mut more = json!({"lines": [{"line": 1, "type": "sale", "sku": "milk", "quantity": "1"}]});
    more["tenders"] = tenders;
    event(terminal, sequence, "sale", more)
}

fn cash(amount: &str) -> Value {
    json!([{"type": "cash", "amount": amount}])
}

fn declares(terminal: &str, sequence: u64, tender: &str, amount: &str) -> Value {
    let declarations = json!([{"tender": tender, "amount": amount}]);
    event(
        terminal,
        sequence,
        "till_declaration",
        json!({"declarations": declarations, "operator_id": format!("op-{sequence}")}),
    )
}

fn in_session(mut event: Value, id: &str) -> Value {
    event["session"] = json!({"id": id});
    event
}

fn accept(rig: &Rig, event: &Value) {
    let text = serde_json::to_vec(event).unwrap();
    let terminal = event["terminal"].as_str().unwrap();
    let sample = Sample::sale("1", terminal, event["sequence"].as_u64().unwrap());
    let hash = Decoder::new().decode(&text).unwrap().hash;
    let record = sample.written_as(event, hash, &text);
    rig.append(&sample, record, FRIDAY_MS + DAY_MS / 2);
}

fn published(rig: &Rig) -> BTreeMap<String, Value> {
    rig.latest(&rig.topics.days)
}

fn run(events: &[Value]) -> BTreeMap<String, Value> {
    let rig = Rig::new(1);
    for event in events {
        accept(&rig, event);
    }
    rig.run();
    let report = crate::verify::verify(&rig.log, &rig.topics, &[], 0, &mut |_| {}).unwrap();
    assert!(report.holds(), "{report}");
    published(&rig)
}

fn drawer<'a>(days: &'a BTreeMap<String, Value>, names: &str) -> &'a Value {
    &days[&format!("{DAY}/drawer/{names}")]["drawer"]
}

fn balance(days: &BTreeMap<String, Value>) -> &Value {
    &days[DAY]["till_balance"]
}

#[test]
fn a_drawer_is_balanced_by_tender_and_currency() {
    let foreign = json!([{"type": "cash", "amount": "5.20", "foreign": {"currency": "CHF", "amount": "5.50"}}, {"type": "change", "amount": "-0.20"}]);
    let days = run(&[
        event("1", 1, "open", json!({"amount": "100.00"})),
        event("1", 2, "loan", json!({"amount": "50.00"})),
        sale("1", 3, cash("10.00")),
        sale("1", 4, foreign),
        sale(
            "1",
            5,
            json!([{"type": "card", "amount": "7.00"}, {"type": "prepaid", "amount": "3.00"}]),
        ),
        event("1", 6, "paid_out", json!({"amount": "4.00"})),
        event("1", 7, "paid_in", json!({"amount": "1.00"})),
        event("1", 8, "pickup", json!({"amount": "80.00"})),
        event(
            "1",
            9,
            "tip_adjustment",
            json!({"reference": {"sequence": 5}, "amount": "2.00", "tenders": [{"type": "card", "amount": "2.00"}]}),
        ),
        declares("1", 10, "cash", "76.30"),
        event("office", 1, "bank_deposit", json!({"amount": "60.00"})),
    ]);
    let expected = json!({"terminal": "1", "epoch": "", "session": null, "operator": "op-10", "truncated": false, "tenders": {
        "CHF": {"cash": {"expected": "5.50", "declared": null, "over_short": null}},
        "EUR": {"card": {"expected": "9.00", "declared": null, "over_short": null},
            "cash": {"expected": "76.80", "declared": "76.30", "over_short": "-0.50"}}}});
    assert_eq!(*drawer(&days, "1//"), expected);
    assert_eq!(days.len(), 2, "an office without a drawer has none: {days:?}");
    let sums = |expected: &str,
                declared: &str,
                short: &str,
                undeclared: &str,
                [loans, pickups, bank, safe]: [&str; 4]| {
        json!({"expected": expected, "declared": declared, "over": "0.00", "short": short, "undeclared": undeclared,
            "loans": loans, "pickups": pickups, "bank": bank, "safe": safe})
    };
    assert_eq!(
        *balance(&days),
        json!({"declared_count": 1, "undeclared_count": 1, "truncated": false, "currencies": {
            "CHF": sums("0.00", "0.00", "0.00", "5.50", ["0.00"; 4]),
            "EUR": sums("76.80", "76.30", "0.50", "0.00", ["50.00", "80.00", "60.00", "-30.00"])}})
    );
}

#[test]
fn a_later_declaration_replaces_an_earlier_one_of_its_tender() {
    let days = run(&[
        declares("1", 9, "cash", "12.00"),
        sale(
            "1",
            1,
            json!([{"type": "cash", "amount": "10.00"}, {"type": "card", "amount": "5.00"}]),
        ),
        declares("1", 7, "cash", "11.00"),
        declares("1", 8, "card", "5.00"),
        event("1", 10, "close", json!({"amount": "99.00"})),
    ]);
    let tenders = &drawer(&days, "1//")["tenders"]["EUR"];
    assert_eq!(
        tenders["cash"],
        json!({"expected": "10.00", "declared": "12.00", "over_short": "2.00"})
    );
    assert_eq!(
        tenders["card"],
        json!({"expected": "5.00", "declared": "5.00", "over_short": "0.00"})
    );
    assert_eq!(balance(&days)["currencies"]["EUR"]["over"], "2.00");
}

#[test]
fn a_close_declares_cash_where_nothing_else_did_and_the_first_float_counts() {
    let days = run(&[
        event("1", 4, "open", json!({"amount": "30.00"})),
        event("1", 1, "open", json!({"amount": "20.00"})),
        sale("1", 2, cash("10.00")),
        event("1", 3, "close", json!({"amount": "30.00"})),
        sale("1", 5, cash("5.00")),
        event("1", 6, "close", json!({"amount": "34.00", "operator_id": "ann"})),
    ]);
    let drawer = drawer(&days, "1//");
    assert_eq!(
        drawer["tenders"]["EUR"]["cash"],
        json!({"expected": "35.00", "declared": "34.00", "over_short": "-1.00"})
    );
    assert_eq!(drawer["operator"], "ann");
}

#[test]
fn sessions_of_a_terminal_are_drawers_of_their_own_and_over_does_not_hide_short() {
    let days = run(&[
        in_session(sale("1", 1, cash("10.00")), "a/1"),
        in_session(sale("1", 2, cash("20.00")), "b"),
        sale("1", 3, cash("40.00")),
        in_session(declares("1", 4, "cash", "11.00"), "a/1"),
        in_session(declares("1", 5, "cash", "19.00"), "b"),
    ]);
    assert_eq!(drawer(&days, "1//a%2F1")["session"], "a/1");
    let sums = &balance(&days)["currencies"]["EUR"];
    assert_eq!([&sums["over"], &sums["short"], &sums["undeclared"]], ["1.00", "1.00", "40.00"]);
    assert!(!days.contains_key(&format!("{DAY}/drawer/1//")), "not declared, and its till is open");
    let counts = ["declared_count", "undeclared_count"].map(|name| balance(&days)[name].as_u64());
    assert_eq!(counts, [Some(2), Some(1)]);
}

#[test]
fn a_drawer_is_written_once_it_is_declared_or_closed_and_not_with_every_sale() {
    let rig = Rig::new(1);
    let drawers = || published(&rig).keys().filter(|key| key.contains("/drawer/")).count();
    let records = || {
        rig.log
            .entries(&rig.topics.days)
            .iter()
            .filter(|entry| entry.key.ends_with(b"/drawer/1//"))
            .count()
    };
    accept(&rig, &sale("1", 1, cash("10.00")));
    accept(&rig, &sale("2", 1, cash("10.00")));
    rig.run();
    assert_eq!(drawers(), 0);
    accept(&rig, &event("1", 2, "close", json!({})));
    rig.run();
    assert_eq!((drawers(), records()), (1, 1));
    accept(&rig, &sale("2", 2, cash("10.00")));
    rig.run();
    assert_eq!((drawers(), records()), (1, 1), "the other drawer did not change");
    accept(&rig, &sale("1", 3, cash("5.00")));
    rig.run();
    assert_eq!(records(), 2, "a late sale changes a closed drawer");
    assert_eq!(drawer(&published(&rig), "1//")["tenders"]["EUR"]["cash"]["expected"], "15.00");
}

#[test]
fn what_has_no_room_is_said() {
    let tenders: Vec<_> = (0..=drawer::MAX_TENDERS)
        .map(|number| json!({"type": format!("t{number}"), "amount": "1.00"}))
        .collect();
    let days = run(&[sale("1", 1, json!(tenders)), declares("1", 2, "t0", "1.00")]);
    assert_eq!(balance(&days)["truncated"], true);
    assert_eq!(drawer(&days, "1//")["truncated"], true);
    let mut full = DayBalance::default();
    let text = serde_json::to_vec(&sale("1", 1, cash("1.00"))).unwrap();
    let mut reader = Decoder::new();
    let decoded = reader.decode(&text).unwrap();
    let rank = Rank { number: 1, occurred_micros: 0, hash: 0 };
    for number in 0..=MAX_DRAWERS {
        assert!(!full.truncated, "{number}");
        let epoch = number.to_string();
        let till = Till { epoch: &epoch, slot: None, store_key: b"demo/1" };
        full.add(&decoded, till, || rank);
    }
    assert!(full.truncated && full.drawers().len() == MAX_DRAWERS);
    // Restored, it still says so: the mark is kept with the safe.
    let (drawers, is_safe_changed) = full.take_changed();
    assert_eq!((drawers.len(), is_safe_changed), (MAX_DRAWERS, true));
}

/// The drawer that a terminal used last is known by the terminal's slot, which another one may have later.
#[test]
fn a_terminal_that_gets_the_slot_of_another_has_a_drawer_of_its_own() {
    let mut store = Store::new("demo", "1");
    let [past, today] = [Date(1), Date(40)];
    let gone = store.add_terminal("a", "1", Scope::BusinessDate);
    store.terminals[gone as usize].expires = Some(past);
    let mut reader = Decoder::new();
    for (terminal, slot) in [("b", 1), ("c", 1)] {
        assert_eq!(store.add_terminal(terminal, "", Scope::Terminal), slot);
        let text = serde_json::to_vec(&sale(terminal, 1, cash("1.00"))).unwrap();
        let sold = reader.decode(&text).unwrap();
        let till = Till { epoch: "", slot: Some(slot), store_key: b"demo/1" };
        let rank = Rank { number: 1, occurred_micros: 0, hash: 0 };
        let balance = store.balances.entry(today).or_default();
        balance.add(&sold, till, || rank);
        balance.add(&sold, till, || rank);
        // The first terminal goes, and all others move up by one.
        store.retire(|terminal| terminal.expires == Some(past));
    }
    let drawers = store.balances[&today].drawers();
    let names: Vec<_> = drawers.iter().map(|named| &*named.terminal).collect();
    assert_eq!(names, ["b", "c"]);
    assert!(drawers.iter().all(|named| named.drawer.tenders()[0].expected() == 200));
}

#[test]
fn a_sealed_day_leaves_nothing_behind_and_balances_no_more() {
    let rig = Rig::new(1);
    accept(&rig, &sale("1", 1, cash("10.00")));
    accept(&rig, &event("1", 2, "loan", json!({"amount": "50.00"})));
    rig.run();
    let before = published(&rig)[DAY]["till_balance"].clone();
    let mut later = Sample::sale("1", "1", 3).date("2027-01-01");
    later.occurred_ms += 35 * DAY_MS;
    rig.accept(&later);
    let mut engine = rig.join();
    rig.drain(&mut engine).unwrap();
    engine.flush(rig.now).unwrap();
    let mut kept = BTreeMap::new();
    for entry in rig.log.entries(&rig.topics.state) {
        kept.insert(entry.key, entry.value);
    }
    let left = |prefix: &[u8]| {
        kept.iter().filter(|(key, value)| key.starts_with(prefix) && value.is_some()).count()
    };
    assert_eq!((left(b"drawer/"), left(b"safe/")), (0, 0));
    let amending = sale("1", 4, cash("5.00"));
    let text = serde_json::to_vec(&amending).unwrap();
    let hash = Decoder::new().decode(&text).unwrap().hash;
    let sample = Sample::sale("1", "1", 4);
    rig.append(&sample, sample.written_as(&amending, hash, &text), later.occurred_ms);
    rig.drain(&mut engine).unwrap();
    assert_eq!(published(&rig)[DAY]["till_balance"], before);
    let report = crate::verify::verify(&rig.log, &rig.topics, &[], 0, &mut |_| {}).unwrap();
    assert!(report.holds(), "{report}");
}

#[test]
fn of_events_without_a_number_the_later_one_stands() {
    let rank = |number, occurred_micros, hash| Rank { number, occurred_micros, hash };
    assert!(rank(0, 2, 0) > rank(0, 1, 9));
    assert!(rank(2, 1, 0) > rank(1, 2, 9));
    assert!(rank(2, 1, 1) > rank(2, 1, 0));
}

/// What moved, what closes say, what was declared.
type NaiveDrawer = (i64, Option<i64>, Option<i64>);

/// The naive balance of `EUR`: expected and declared of every session.
fn naive(acts: &[(u8, u8, i64)]) -> BTreeMap<(String, String), [i64; 2]> {
    let mut cash: BTreeMap<(String, String), NaiveDrawer> = BTreeMap::new();
    for &(till, act, amount) in acts {
        let session = if act % 2 == 0 { "" } else { "s" };
        let (moved, closed, declared) =
            cash.entry((format!("{till}"), session.into())).or_default();
        match act / 2 {
            0 => *moved += amount,
            1 => *moved -= amount,
            2 => *declared = Some(amount),
            _ => *closed = Some(amount),
        }
    }
    let of = |(moved, closed, declared): NaiveDrawer| {
        declared.or(closed).map(|counted| [moved, counted])
    };
    cash.into_iter().filter_map(|(names, sums)| Some((names, of(sums)?))).collect()
}

fn minor(text: &Value) -> i64 {
    text.as_str().unwrap().replace('.', "").parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_balance_is_that_of_the_set_of_events_in_any_order_with_restarts(
        acts in prop::collection::vec((0..3_u8, 0..8_u8, 1..900_i64), 1..40),
        order in any::<u64>(),
        flush_records in 4..40_usize,
        steps in 1..5_usize,
    ) {
        let mut events: Vec<_> = (1..).zip(&acts).map(|(sequence, &(till, act, minor))| {
            let (till, amount) = (till.to_string(), format!("{}.{:02}", minor / 100, minor % 100));
            let event = match act / 2 {
                0 => sale(&till, sequence, cash(&amount)),
                1 => event(&till, sequence, "pickup", json!({"amount": amount})),
                2 => declares(&till, sequence, "cash", &amount),
                _ => event(&till, sequence, "close", json!({"amount": amount})),
            };
            if act % 2 == 0 { event } else { in_session(event, "s") }
        }).collect();
        let in_order = run(&events);
        let length = events.len();
        for end in (1..length).rev() {
            events.swap(end, usize::try_from(order.rotate_left(u32::try_from(end).unwrap()) % (end as u64 + 1)).unwrap());
        }
        let mut rig = Rig::new(1);
        rig.settings.flush_records = flush_records;
        events.iter().chain(events.iter().step_by(3)).for_each(|event| accept(&rig, event));
        let mut engine = rig.join();
        (0..steps).for_each(|_| engine.step(rig.now).unwrap());
        drop(engine);
        rig.run();
        let found = published(&rig);
        let drawers = |days: &BTreeMap<String, Value>| -> BTreeMap<String, Value> {
            days.iter().filter(|(key, _)| key.contains("/drawer/")).map(|(key, day)| (key.clone(), day["drawer"].clone())).collect()
        };
        prop_assert_eq!(drawers(&found), drawers(&in_order));
        prop_assert_eq!(balance(&found), balance(&in_order));
        let expected = naive(&acts);
        let mut counted = BTreeMap::new();
        for drawer in drawers(&found).values() {
            let cash = &drawer["tenders"]["EUR"]["cash"];
            if !cash["declared"].is_null() {
                let names = (drawer["terminal"].as_str().unwrap().to_owned(), drawer["session"].as_str().unwrap_or("").to_owned());
                counted.insert(names, [minor(&cash["expected"]), minor(&cash["declared"])]);
            }
        }
        prop_assert_eq!(&counted, &expected);
        let sum = |of: fn(&[i64; 2]) -> i64| expected.values().map(of).sum::<i64>();
        if let Some(sums) = balance(&found)["currencies"].get("EUR") {
            prop_assert_eq!(minor(&sums["over"]), sum(|[expected, declared]| (declared - expected).max(0)));
            prop_assert_eq!(minor(&sums["short"]), sum(|[expected, declared]| (expected - declared).max(0)));
        }
    }
}

/// A balance of one drawer in which every name is as long as it can be, and every sum.
pub(in crate::aggregate) fn longest(currencies: &[Currency], name: &str) -> DayBalance {
    let long: String = name
        .chars()
        .cycle()
        .scan(0, |bytes, next| {
            *bytes += next.len_utf8();
            (*bytes <= 64).then_some(next)
        })
        .collect();
    let rank = Rank { number: u64::MAX, occurred_micros: i64::MIN, hash: u64::MAX };
    let stated = Some(drawer::Statement { rank, amount: i128::MIN / 4 });
    let tenders = currencies.iter().map(|&currency| drawer::DrawerTender {
        currency,
        tender: long.clone().into(),
        moved: i128::MIN / 4,
        opened: stated,
        closed: stated,
        declared: stated,
    });
    let declarer = Some(drawer::Declarer { rank, operator: long.clone().into() });
    let drawer = Drawer { tenders: tenders.collect(), declarer, truncated: true };
    let mut balance = DayBalance::default();
    assert!(balance.restore([&long, &long.repeat(2), &long], drawer));
    let totals = currencies.iter().map(|&currency| {
        let sum = i128::MIN / 4;
        safe::SafeTotals { currency, loans: sum, pickups: sum, bank: sum }
    });
    balance.restore_safe(Safe { totals: totals.collect() }, true);
    balance
}

/// A drawer with some of all that can be stated, as the state has it.
fn drawers() -> impl Strategy<Value = Drawer> {
    let statement = || {
        let parts = (any::<u64>(), any::<i64>(), any::<u64>(), any::<i64>());
        prop::option::of(parts.prop_map(|(number, occurred_micros, hash, amount)| {
            let rank = Rank { number, occurred_micros, hash };
            drawer::Statement { rank, amount: amount.into() }
        }))
    };
    let tender = ("\\PC{1,5}", any::<i64>(), statement(), statement(), statement());
    let tender = tender.prop_map(|(tender, moved, opened, closed, declared)| {
        let (currency, tender) = (Currency::parse(b"EUR").unwrap(), tender.into());
        drawer::DrawerTender { currency, tender, moved: moved.into(), opened, closed, declared }
    });
    let declarer = statement().prop_map(|statement| {
        statement.map(|drawer::Statement { rank, .. }| drawer::Declarer {
            rank,
            operator: "an\"n".into(),
        })
    });
    (prop::collection::vec(tender, 0..4), declarer, any::<bool>())
        .prop_map(|(tenders, declarer, truncated)| Drawer { tenders, declarer, truncated })
}

proptest! {
    #[test]
    fn what_is_kept_of_a_drawer_is_written_as_serde_writes_it(drawer in drawers()) {
        let mut text = BytesMut::new();
        drawer.write_state(&mut text);
        prop_assert_eq!(std::str::from_utf8(&text).unwrap(), serde_json::to_string(&drawer).unwrap());
        prop_assert_eq!(serde_json::from_slice::<Drawer>(&text).unwrap(), drawer);
    }
}

/// What is written by hand is what serde would write.
#[test]
fn a_balance_is_json_as_serde_writes_it() {
    let mut text = BytesMut::new();
    write_balance(&mut text, None);
    let value: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        value,
        json!({"currencies": {}, "declared_count": 0, "undeclared_count": 0, "truncated": false})
    );
}
