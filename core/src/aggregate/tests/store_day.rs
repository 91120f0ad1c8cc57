//! The day of a store in `docs/samples/day`, with every kind of event, against its books, which were made by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::super::fixture::{DAY_MS, FRIDAY_MS, Rig};
use crate::check::{CheckRules, RuleAction, check};
use crate::decode::Decoder;
use crate::envelope::{Admission, Envelope, Scope, TYPE_REGISTER};
use crate::event::Kind;
use crate::register::part::RegisterPart;
use crate::text::Decimal;
use crate::topics::key;
use crate::verify::verify;

const STORE: &str = "zh-07";
/// When all of it is appended: 21:00, after the day's end.
const EVENING_MS: i64 = FRIDAY_MS + 20 * DAY_MS / 24;
const ORDERS: u64 = 20;
/// What a day says by the register of its store, in the table of the books.
const BY_REGISTER: [&str; 5] =
    ["expected", "silent_count", "unclosed_count", "unexpected_count", "other_currency_count"];
/// Columns of the tables of stock.
const COLUMNS: [&str; 4] = ["sold", "returned", "adjusted", "net"];

fn read(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

fn books() -> Value {
    serde_json::from_str(&read("samples/day/books.json")).unwrap()
}

/// The journal record of an event, as a gateway writes it.
fn accepted(text: &str) -> Vec<u8> {
    let event: Value = serde_json::from_str(text).unwrap();
    let of = |member: &str| event[member].as_str().unwrap().to_owned();
    let mut reader = Decoder::new();
    let decoded = reader.decode(text.as_bytes()).unwrap();
    let mut value = Vec::new();
    Envelope {
        id: event["sequence"].to_string().into(),
        source: format!("/demo/{STORE}/{}", of("terminal")).into(),
        event_type: format!("tillrace.pos.{}", decoded.kind.as_str()).into(),
        time: Some(of("occurred_at").into()),
        tenant: "demo".into(),
        store: STORE.into(),
        terminal: Some(of("terminal").into()),
        sequence: event["sequence"].as_u64(),
        event_id: Some(of("event_id").into()),
        business_date: Some(of("business_date").into()),
        received_time: "2026-11-27T20:00:00.000Z".into(),
        content_hash: Some(decoded.hash),
        scope: Scope::Terminal,
        policy_revision: "1".into(),
        admission: Admission::Live,
        gateway: "gw".into(),
        data: text.as_bytes(),
        ..Envelope::default()
    }
    .write(&mut value);
    value
}

fn append(rig: &Rig, record: Vec<u8>) {
    let key = key(&["demo", STORE]);
    rig.log.append(&rig.topics.events, 0, &key, record, EVENING_MS);
}

fn rig() -> Rig {
    let mut rig = Rig::new(1);
    rig.settings.flush_records = 9;
    rig
}

/// Adds up the deltas by some of their members.
fn stock(rig: &Rig, by: &[&str]) -> Value {
    let mut sums: BTreeMap<Vec<String>, [i64; 4]> = BTreeMap::new();
    for delta in rig.read(&rig.topics.deltas) {
        let key = by.iter().map(|name| delta[name].as_str().unwrap_or("").to_owned()).collect();
        for (sum, column) in sums.entry(key).or_default().iter_mut().zip(COLUMNS) {
            *sum += Decimal::parse(delta[column].as_str().unwrap().as_bytes()).unwrap().0;
        }
    }
    let row = |(key, sums): (Vec<String>, [i64; 4])| {
        let names = by.iter().map(|name| (*name).to_owned()).zip(key);
        let sums = COLUMNS.iter().map(|name| (*name).to_owned()).zip(sums.map(Decimal));
        let sums = sums.map(|(name, sum)| (name, sum.to_string()));
        Value::Object(names.chain(sums).map(|(name, text)| (name, json!(text))).collect())
    };
    sums.into_iter().map(row).collect()
}

/// The drawers, a row for each tender, by their keys.
fn drawers(days: &BTreeMap<String, Value>) -> Value {
    let mut rows = Vec::new();
    for (key, record) in days.iter().filter(|(key, _)| key.contains("/drawer/")) {
        let drawer = &record["drawer"];
        assert!(key.contains(drawer["terminal"].as_str().unwrap()), "{key}: {record}");
        for (currency, tenders) in drawer["tenders"].as_object().unwrap() {
            for (tender, sums) in tenders.as_object().unwrap() {
                let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
                rows.push(json!({
                    "terminal": drawer["terminal"], "session": text(&drawer["session"]), "operator": text(&drawer["operator"]),
                    "currency": currency, "tender": tender, "expected": sums["expected"],
                    "declared": text(&sums["declared"]), "over_short": text(&sums["over_short"]),
                }));
            }
        }
    }
    Value::Array(rows)
}

/// Sums by currency as rows that name theirs.
fn by_currency(sums: &Value) -> Value {
    let rows = sums.as_object().unwrap().iter().map(|(currency, sums)| {
        let mut row = sums.clone();
        row["currency"] = json!(currency);
        row
    });
    rows.collect()
}

fn drawer_counts(balance: &Value) -> Value {
    json!({"declared_count": balance["declared_count"], "undeclared_count": balance["undeclared_count"]})
}

/// Who belongs to the store, and what came of each.
fn terminals(day: &Value) -> Value {
    let register: Value = serde_json::from_str(&read("samples/day/register.json")).unwrap();
    let spoke = day["terminals"].as_array().unwrap();
    let row = |expected: &Value| {
        let seen = spoke.iter().find(|seen| seen["terminal"] == expected["terminal"]);
        let of_day = match seen {
            None => "silent",
            Some(seen) if seen["closed"] == true => "spoke and closed",
            Some(_) => "spoke",
        };
        json!({"terminal": expected["terminal"], "kind": expected["kind"], "day": of_day})
    };
    register["stores"][0]["terminals"].as_array().unwrap().iter().map(row).collect()
}

/// The records by which the store's register comes in.
fn register() -> Vec<Vec<u8>> {
    let file = serde_json::from_str(&read("samples/day/register.json")).unwrap();
    let file = crate::register::read::read(&file).unwrap();
    let parts = RegisterPart::of(&file.stores[0].1, "ada");
    let record = |part: &RegisterPart| {
        let data = serde_json::to_vec(part).unwrap();
        let mut value = Vec::new();
        Envelope {
            id: "register:1".into(),
            source: format!("/demo/{STORE}").into(),
            event_type: TYPE_REGISTER.into(),
            tenant: "demo".into(),
            store: STORE.into(),
            received_time: "2026-11-27T20:00:00.000Z".into(),
            policy_revision: "0".into(),
            gateway: "tillrace-register".into(),
            data: &data,
            ..Envelope::default()
        }
        .write(&mut value);
        value
    };
    parts.iter().map(record).collect()
}

/// What the engine published, in the form of the books.
fn published(rig: &Rig) -> Value {
    let days = rig.latest(&rig.topics.days);
    let keys: Vec<_> = days.keys().filter(|key| !key.contains("/drawer/")).collect();
    assert_eq!(keys, ["demo/zh-07/2026-11-27"]);
    let day = &days["demo/zh-07/2026-11-27"];
    assert_eq!(day["till_balance"]["truncated"], false);
    for sums in ["totals", "tenders"] {
        assert_eq!(day[sums].as_object().unwrap().len(), 1, "one currency: {}", day[sums]);
    }
    let mut counts: Vec<Value> = rig.read(&rig.topics.counts);
    counts.sort_by_key(|count| count["sku"].as_str().unwrap().to_owned());
    let counts = counts.iter().map(|count| {
        json!({"sku": count["sku"], "location": count["location"], "quantity": count["quantity"]})
    });
    let completeness = [
        "status",
        "terminal_count",
        "closed_count",
        "missing_count",
        "refused_count",
        "parked_count",
    ];
    let completeness = completeness.map(|name| (name.to_owned(), day[name].clone()));
    let lacking = BY_REGISTER.map(|name| (name.to_owned(), day["completeness"][name].clone()));
    json!({
        "store": day["store"],
        "business_date": day["business_date"],
        "currency": "CHF",
        "totals": day["totals"]["CHF"],
        "tenders": day["tenders"]["CHF"],
        "drawers": drawers(&days),
        "till_balance": by_currency(&day["till_balance"]["currencies"]),
        "drawer_counts": drawer_counts(&day["till_balance"]),
        "stock": stock(rig, &["sku", "unit"]),
        "locations": stock(rig, &["sku", "location", "reason"]),
        "counts": counts.collect::<Vec<_>>(),
        "transactions": day["transactions"],
        "completeness": Map::from_iter(completeness),
        "register": {"day": Map::from_iter(lacking), "terminals": terminals(day)},
    })
}

fn assert_books(rig: &Rig, [first, duplicate]: [usize; 2], what: &str) {
    let (found, books) = (published(rig), books());
    for (part, expected) in books.as_object().unwrap() {
        assert_eq!(&found[part], expected, "{what}: {part}");
    }
    assert_eq!(found, books);
    let verdicts = &rig.checkpoints()[0]["totals"];
    assert_eq!((&verdicts["first"], &verdicts["duplicate"]), (&json!(first), &json!(duplicate)));
    assert!(rig.read(&rig.topics.conflicts).is_empty(), "{what}");
    let report = verify(&rig.log, &rig.topics, &[], i64::MAX, &mut |_| {}).unwrap();
    assert!(report.holds(), "{what}: {report}");
}

/// Splitmix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn below(state: &mut u64, bound: usize) -> usize {
    usize::try_from(random(state) % bound as u64).unwrap()
}

#[test]
fn every_event_follows_the_schema_and_raises_no_flag() {
    let schema = serde_json::from_str(&read("schemas/event.v1.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let reject = RuleAction::Reject;
    let rules = CheckRules { totals: reject, tenders: reject, line_count: reject };
    let (mut decoder, mut kinds) = (Decoder::new(), BTreeSet::new());
    for text in read("samples/day/events.ndjson").lines() {
        let json: Value = serde_json::from_str(text).unwrap();
        let errors: Vec<_> = schema.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}: {text}");
        let event = decoder
            .admit(text.as_bytes(), &crate::card::CardRules::default())
            .unwrap_or_else(|rejection| panic!("{rejection}: {text}"));
        check(&event, &rules).unwrap_or_else(|rejection| panic!("{rejection}: {text}"));
        kinds.insert(event.kind);
    }
    assert!(kinds.into_iter().eq(Kind::ALL), "every kind, in the order of their declaration");
}

#[test]
fn in_order_the_day_comes_to_its_books() {
    let (rig, events) = (rig(), read("samples/day/events.ndjson"));
    for part in register() {
        append(&rig, part);
    }
    for text in events.lines() {
        append(&rig, accepted(text));
    }
    rig.run();
    assert_books(&rig, [events.lines().count(), 0], "in order");
}

#[test]
fn in_any_order_with_copies_and_restarts_the_day_comes_to_its_books() {
    let events = read("samples/day/events.ndjson");
    let records: Vec<_> = events.lines().map(accepted).collect();
    let register = register();
    let copies = records.iter().step_by(3);
    let verdicts = [records.len(), copies.len()];
    let mut deaths_with_loss = 0;
    for seed in 0..ORDERS {
        let mut state = seed;
        let mut sent: Vec<_> = records.iter().chain(copies.clone()).chain(&register).collect();
        for end in (1..sent.len()).rev() {
            sent.swap(end, below(&mut state, end + 1));
        }
        let rig = rig();
        let mut rest = &sent[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at((1 + below(&mut state, 60)).min(rest.len()));
            rest = later;
            for &record in now {
                append(&rig, record.clone());
            }
            // One member dies between two steps, and what it had not committed is lost; the next restores and goes on.
            let mut dying = rig.join();
            (0..below(&mut state, 6)).for_each(|_| dying.step(rig.now).unwrap());
            deaths_with_loss += usize::from(dying.next_offset(0) > rig.log.group_offset(0));
            drop(dying);
            rig.run();
        }
        assert_books(&rig, verdicts, &format!("order {seed}"));
    }
    assert!(deaths_with_loss > 0, "no member died with events read and not committed");
}

/// A table of the README.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("\n| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    rows.for_each(|row| writeln!(text, "| {} |", row.join(" | ")).unwrap());
    text.push('\n');
    text
}

fn cell(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn the_readme_has_the_books() {
    // A table at the end of the page, too, has an empty line behind it.
    let readme = read("samples/day/README.md") + "\n";
    let books = books();
    let mut rows = 0;
    for (part, head) in [
        ("totals", &["sum", "CHF"][..]),
        ("tenders", &["tender", "CHF"]),
        (
            "drawers",
            &[
                "terminal",
                "session",
                "operator",
                "currency",
                "tender",
                "expected",
                "declared",
                "over_short",
            ],
        ),
        (
            "till_balance",
            &[
                "currency",
                "expected",
                "declared",
                "over",
                "short",
                "undeclared",
                "loans",
                "pickups",
                "bank",
                "safe",
            ],
        ),
        ("drawer_counts", &["drawers", "count"]),
        ("stock", &["SKU", "unit", "sold", "returned", "adjusted", "net"]),
        ("locations", &["SKU", "location", "reason", "sold", "returned", "adjusted", "net"]),
        ("counts", &["SKU", "location", "quantity"]),
        ("transactions", &["kind", "events"]),
        ("register/terminals", &["terminal", "kind", "day"]),
        ("register/day", &["by the register", "value"]),
        ("completeness", &["day", "value"]),
    ] {
        let names = head.iter().map(|name| if *name == "SKU" { "sku" } else { name });
        let cells = |row: &Value| names.clone().map(|name| cell(&row[name])).collect();
        let lines: Vec<Vec<String>> = match books.pointer(&format!("/{part}")).unwrap() {
            Value::Array(list) => list.iter().map(cells).collect(),
            Value::Object(members) => {
                // The order of lines is the reader's: totals as the store-day has them, all else by name.
                let mut of_readme: Vec<_> =
                    members.iter().map(|(name, value)| vec![name.clone(), cell(value)]).collect();
                let place = |row: &Vec<String>| readme.find(&format!("\n| {} | ", row[0]));
                of_readme.sort_by_key(place);
                of_readme
            }
            other => panic!("{part}: {other}"),
        };
        rows += lines.len();
        let expected = table(head, lines.into_iter());
        assert!(readme.contains(&expected), "docs/samples/day/README.md lacks {part}:{expected}");
    }
    let tables = readme.split("## Money").nth(1).unwrap();
    let found = tables.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(found, rows + 12, "rows that the books do not have");
}
