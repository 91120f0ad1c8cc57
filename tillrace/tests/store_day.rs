//! The day of a store in `docs/samples/day` through the executable, in any order of arrival, with copies and SIGKILL on the way,
//! against its books, which were made by hand; on either log.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]

mod data_store;
#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;
mod process;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_store::{DataStore, amount, quantity};
use process::{CommandLine, Tillrace, answer, until};
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use tillrace_core::text::{Date, Decimal};

/// Columns of a delta, which add up.
const COLUMNS: [&str; 4] = ["sold", "returned", "adjusted", "net"];
/// Most events of one request.
const MOST_EVENTS: usize = 4;

/// How a process dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// Right after an answer, before anything was flushed since its start.
    Unflushed,
    /// So many microseconds after a request was sent whose answer was not read.
    Unanswered(u64),
    /// So many microseconds after an answer, while one flush follows on the other.
    Flushing(u64),
}

/// Deaths of one process after the other; a seed shuffles them. A flush takes about a millisecond on the local log and some tens on
/// Kafka, so that some die before it, some in it and some behind it.
const DEATHS: [Death; 11] = [
    Death::Unflushed,
    Death::Unflushed,
    Death::Unanswered(0),
    Death::Unanswered(1_000),
    Death::Unanswered(10_000),
    Death::Flushing(0),
    Death::Flushing(300),
    Death::Flushing(1_000),
    Death::Flushing(4_000),
    Death::Flushing(12_000),
    Death::Flushing(40_000),
];

impl Death {
    fn flush_interval(self) -> &'static str {
        if matches!(self, Self::Unflushed) { "1m" } else { "1ms" }
    }
}

/// Events of the day that wait to be sent, and what is known of those that were.
struct Till {
    waiting: VecDeque<Value>,
    /// Identities that were acknowledged.
    acknowledged: BTreeSet<String>,
    random: Xoshiro256PlusPlus,
}

impl Till {
    /// Shuffles the day, every third event of it with a copy.
    fn new(seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let day = day();
        let mut waiting: Vec<_> = day.iter().chain(day.iter().step_by(3)).cloned().collect();
        waiting.shuffle(&mut random);
        Self { waiting: waiting.into(), acknowledged: BTreeSet::new(), random }
    }

    /// Takes the events of the next request: one, or a batch.
    fn next(&mut self) -> Vec<Value> {
        let events = self.random.random_range(1..=MOST_EVENTS).min(self.waiting.len());
        self.waiting.drain(..events).collect()
    }

    fn send(&mut self, tillrace: &Tillrace) {
        let events = self.next();
        let (path, body) = request(&events);
        self.answered(&events, &tillrace.post(path, &body));
    }

    fn answered(&mut self, events: &[Value], (status, body): &(u16, String)) {
        let reply: Value = serde_json::from_str(body).unwrap();
        let count = |name: &str| reply[name].as_u64().unwrap();
        let settled = if events.len() == 1 {
            matches!(reply["outcome"].as_str(), Some("accepted" | "duplicate"))
        } else {
            count("accepted") + count("duplicate") == events.len() as u64
        };
        assert!(*status == 202 && settled, "{status} {reply}: {events:?}");
        self.acknowledged.extend(events.iter().map(identity));
    }

    /// Sends to a process until it is killed.
    fn send_until(&mut self, death: Death, command_line: &CommandLine) {
        let tillrace = command_line
            .clone()
            .with("TILLRACE__AGGREGATE__FLUSH_INTERVAL", death.flush_interval())
            .up();
        self.send(&tillrace);
        match death {
            Death::Unflushed => tillrace.kill_9(),
            Death::Unanswered(after_us) => {
                let events = self.next();
                let (path, body) = request(&events);
                let stream = tillrace.send(path, &body);
                thread::sleep(Duration::from_micros(after_us));
                tillrace.kill_9();
                match answer(stream) {
                    Some(reply) => self.answered(&events, &reply),
                    // What had no answer is sent again, as a till does.
                    None => self.waiting.extend(events),
                }
            }
            Death::Flushing(after_us) => {
                until("the aggregator has flushed what came before", || {
                    let flushed = tillrace.metric("tillrace_aggregate_flushes_total") > 0.0;
                    flushed.then_some(())
                });
                self.send(&tillrace);
                thread::sleep(Duration::from_micros(after_us));
                tillrace.kill_9();
            }
        }
    }
}

/// Path and body of a request: one event by itself, more as a batch.
fn request(events: &[Value]) -> (&'static str, String) {
    match events {
        [event] => ("/v1/events", event.to_string()),
        _ => ("/v1/events:batch", json!(events).to_string()),
    }
}

fn identity(event: &Value) -> String {
    format!("{}/{}", event["terminal"], event["sequence"])
}

fn read(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/samples/day");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// Yesterday in UTC, the same throughout the test.
static YESTERDAY: LazyLock<i32> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    i32::try_from(now / 86_400).unwrap() - 1
});

/// Moves every date so that the day of the books is yesterday's: a log of today seals days that are long over, and takes none that are
/// far ahead.
fn to_yesterday(value: &mut Value) {
    match value {
        Value::String(text) => {
            let Some(date) = text.as_bytes().get(..10).and_then(Date::parse) else { return };
            let of_books = Date::parse(b"2026-11-27").unwrap();
            let moved = Date(date.0 - of_books.0 + *YESTERDAY).to_string();
            text.replace_range(..10, &moved);
        }
        Value::Array(values) => values.iter_mut().for_each(to_yesterday),
        Value::Object(members) => members.values_mut().for_each(to_yesterday),
        _ => {}
    }
}

fn day() -> Vec<Value> {
    let text = read("events.ndjson");
    let mut events: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    events.iter_mut().for_each(to_yesterday);
    events
}

fn books() -> Value {
    let mut books = serde_json::from_str(&read("books.json")).unwrap();
    to_yesterday(&mut books);
    books
}

fn values(command_line: &CommandLine, topic: &str) -> Vec<Value> {
    command_line.tap(topic).into_iter().map(|mut record| record["value"].take()).collect()
}

/// The members of `found` that `expected` has.
fn project(found: &Value, expected: &Value) -> Value {
    let names = expected.as_object().unwrap().keys();
    Value::Object(names.map(|name| (name.clone(), found[name].clone())).collect())
}

/// Adds up the deltas by the members that the rows of a table have beside its columns.
fn stock(deltas: &[Value], table: &Value) -> Value {
    let row = table[0].as_object().unwrap();
    let by: Vec<_> = row.keys().filter(|name| !COLUMNS.contains(&name.as_str())).collect();
    let mut sums: BTreeMap<Vec<&str>, [i64; 4]> = BTreeMap::new();
    for delta in deltas {
        let key = by.iter().map(|name| delta[name.as_str()].as_str().unwrap_or("")).collect();
        for (sum, column) in sums.entry(key).or_default().iter_mut().zip(COLUMNS) {
            *sum += Decimal::parse(delta[column].as_str().unwrap().as_bytes()).unwrap().0;
        }
    }
    let row = |(key, sums): (Vec<&str>, [i64; 4])| {
        let key = by.iter().map(|name| name.as_str()).zip(key.into_iter().map(str::to_owned));
        let sums = COLUMNS.into_iter().zip(sums.map(|sum| Decimal(sum).to_string()));
        let members = key.chain(sums).map(|(name, text)| (name.to_owned(), json!(text)));
        Value::Object(members.collect::<Map<_, _>>())
    };
    let rows: Vec<Value> = sums.into_iter().map(row).collect();
    sorted(&json!(rows))
}

/// The rows of a table in an order that both sides have.
fn sorted(table: &Value) -> Value {
    let mut rows = table.as_array().unwrap().clone();
    rows.sort_by_key(Value::to_string);
    json!(rows)
}

/// The latest records of the store-day by their keys: its own, and further ones behind it.
fn store_day(command_line: &CommandLine, books: &Value) -> BTreeMap<String, Value> {
    let records = command_line.tap("store.days.v1").into_iter();
    let days: BTreeMap<_, _> = records
        .map(|mut record| (record["key"].as_str().unwrap().to_owned(), record["value"].take()))
        .collect();
    let key = day_key(books);
    assert!(days.contains_key(&key), "{key}: {days:?}");
    assert!(days.keys().all(|other| other.starts_with(&key)), "{key}: {days:?}");
    days
}

fn day_key(books: &Value) -> String {
    let text = |name: &str| books[name].as_str().unwrap();
    format!("demo/{}/{}", text("store"), text("business_date"))
}

/// What the executable published, in the form of one part of the books. What has no form of its own there is the store-day's member of
/// that name: a table is in its records one after the other, sums are in the currency of the books.
fn published(command_line: &CommandLine, books: &Value, part: &str) -> Value {
    let expected = &books[part];
    let records = store_day(command_line, books);
    let day = &records[&day_key(books)];
    match part {
        "stock" | "locations" => stock(&values(command_line, "inventory.deltas.v1"), expected),
        "counts" => table(&values(command_line, "stock.counts.v1"), expected),
        "completeness" => project(day, expected),
        "drawers" => drawers(&records),
        "till_balance" => balances(&day["till_balance"]["currencies"]),
        "drawer_counts" => project(&day["till_balance"], expected),
        "register" => {
            // The engine's own test has one; here none is applied.
            assert_eq!(day["completeness"], json!({"expected": "unknown"}));
            expected.clone()
        }
        "currency" => {
            let currencies: Vec<_> = day["totals"].as_object().unwrap().keys().collect();
            assert_eq!(currencies.len(), 1, "{currencies:?}");
            json!(currencies[0])
        }
        _ if expected.is_array() => {
            let rows = records.values().filter_map(|record| record[part].as_array());
            table(&rows.flatten().cloned().collect::<Vec<_>>(), expected)
        }
        _ => {
            let currency = books["currency"].as_str().unwrap();
            day[part].get(currency).unwrap_or(&day[part]).clone()
        }
    }
}

/// The drawers as rows, one for each tender.
fn drawers(records: &BTreeMap<String, Value>) -> Value {
    let mut rows = Vec::new();
    for drawer in records.values().filter_map(|record| record.get("drawer")) {
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
    sorted(&json!(rows))
}

/// Sums by currency as rows that name theirs.
fn balances(currencies: &Value) -> Value {
    let rows = currencies.as_object().unwrap().iter().map(|(currency, sums)| {
        let mut row = sums.clone();
        row["currency"] = json!(currency);
        row
    });
    sorted(&rows.collect())
}

/// The rows of a table, with the members that those of the books have.
fn table(rows: &[Value], expected: &Value) -> Value {
    let rows: Vec<_> = rows.iter().map(|row| project(row, &expected[0])).collect();
    sorted(&json!(rows))
}

fn assert_books(command_line: &CommandLine, what: &str) {
    let books = books();
    for (part, expected) in books.as_object().unwrap() {
        let expected = if expected.is_array() { sorted(expected) } else { expected.clone() };
        assert_eq!(published(command_line, &books, part), expected, "{what}: {part}");
    }
    for topic in ["pos.conflicts.v1", "pos.rejected.v1", "pos.parked.v1"] {
        assert_eq!(values(command_line, topic), [Value::Null; 0], "{what}: {topic}");
    }
    command_line.assert_verified();
}

fn identities(command_line: &CommandLine, topic: &str) -> Vec<String> {
    values(command_line, topic).iter().map(|envelope| identity(&envelope["data"])).collect()
}

/// Sends the day in the order of a seed to processes that die, and the rest of it to one that lives.
fn the_day_comes_to_its_books(command_line: &CommandLine, folder: &Path, seed: u64) {
    let mut till = Till::new(seed);
    let mut deaths = DEATHS;
    deaths.shuffle(&mut till.random);
    let mut deaths_with_loss = 0;
    for death in deaths {
        till.send_until(death, command_line);
        assert!(!till.waiting.is_empty(), "seed {seed}: the day was over before {death:?}");
        let journal = identities(command_line, "pos.events.v1").into_iter().collect();
        let lost: Vec<_> = till.acknowledged.difference(&journal).collect();
        assert!(lost.is_empty(), "seed {seed}, {death:?}: acknowledged and lost: {lost:?}");
        let counted = identities(command_line, "pos.transactions.v1").len();
        deaths_with_loss += usize::from(counted < journal.len());
    }
    assert!(
        deaths_with_loss > 0,
        "seed {seed}: no process died with events that it had not flushed"
    );

    let tillrace = command_line.up();
    while !till.waiting.is_empty() {
        till.send(&tillrace);
    }
    let events = day().len();
    assert_eq!(till.acknowledged.len(), events);
    assert_eq!(tillrace.wait_for("pos.transactions.v1", events).len(), events);
    until("all of the journal is counted", || {
        (tillrace.metric("tillrace_aggregate_lag_records") < 1.0).then_some(())
    });
    assert!(tillrace.terminate().success());
    assert_books(command_line, &format!("seed {seed}"));
    assert_data_store(command_line, folder, &format!("seed {seed}"));
}

/// The answers of docs/sql are the books, and a store made anew from the log is the one that lived through the deaths.
fn assert_data_store(command_line: &CommandLine, folder: &Path, what: &str) {
    let path = folder.join("books.sqlite");
    let (store, books) = (DataStore::open(&path), books());
    for question in DataStore::questions() {
        store.ask(&question);
    }
    for (part, answer) in answers(&store) {
        let expected =
            if books[part].is_array() { sorted(&books[part]) } else { books[part].clone() };
        assert_eq!(answer, expected, "{what}: {part}");
    }
    let taxes: i64 =
        store.ask("06-taxes-by-code").iter().map(|row| row["taxes"].as_i64().unwrap()).sum();
    assert_eq!(amount(&json!(taxes)), books["totals"]["taxes"], "{what}");
    let check = command_line.run(&["books", "check"]);
    assert!(check.status.success(), "{what}: {}", String::from_utf8_lossy(&check.stdout));
    let trail = command_line.run(&[
        "trail",
        "--store",
        "zh-07",
        "--terminal",
        "till-1",
        "--sequence",
        "3",
        "--output",
        "json",
    ]);
    let trail: Value = serde_json::from_slice(&trail.stdout).unwrap();
    let sale = &trail["transactions"][0];
    assert_eq!(sale["event_id"], "zh-07.till-1.3", "{what}");
    drop(store);
    // What sinks audit while they end may be read with the next start.
    assert!(command_line.up().terminate().success());
    let lived = DataStore::open(&path).tables();
    let rebuilt = command_line.run(&["books", "rebuild"]);
    assert!(rebuilt.status.success(), "{what}: {}", String::from_utf8_lossy(&rebuilt.stderr));
    let anew = DataStore::open(&path).tables();
    for (table, rows) in &lived {
        assert_eq!(anew[table], *rows, "{what}: {table}");
    }
}

/// What the questions answer, in the form of the books.
fn answers(store: &DataStore) -> Vec<(&'static str, Value)> {
    let as_table =
        |question: &str, write: fn(&Value) -> Value, columns: &[&str], expected: &[&str]| {
            let row = |row: &Value| {
                let plain = expected.iter().map(|name| ((*name).to_owned(), row[*name].clone()));
                let written = columns.iter().map(|name| ((*name).to_owned(), write(&row[*name])));
                Value::Object(plain.chain(written).collect())
            };
            sorted(&store.ask(question).iter().map(row).collect())
        };
    let sums = [
        "sales",
        "returns",
        "discounts",
        "taxes",
        "liabilities_issued",
        "liabilities_redeemed",
        "pass_through",
        "tips",
        "rounding",
    ];
    let tenders = store.ask("05-tenders");
    let tenders = tenders
        .iter()
        .map(|row| (row["tender"].as_str().unwrap().to_owned(), amount(&row["amount"])));
    let tills = ["expected", "declared", "short", "undeclared", "loans", "pickups", "bank", "safe"];
    let balances = store.ask("14-till-balance");
    let balance = |row: &Value| {
        let mut balance: Map<_, _> =
            tills.iter().map(|name| ((*name).to_owned(), amount(&row[*name]))).collect();
        balance.insert("over".to_owned(), amount(&row["over_"]));
        balance.insert("currency".to_owned(), row["currency"].clone());
        Value::Object(balance)
    };
    let drawers = ["terminal", "session", "operator", "currency", "tender"];
    let day = &store.ask("15-completeness")[0];
    vec![
        ("totals", as_table("01-sales-by-store-and-day", amount, &sums, &[])[0].clone()),
        ("tenders", Value::Object(tenders.collect())),
        ("stock", as_table("09-stock-changes", quantity, &COLUMNS, &["sku", "unit"])),
        (
            "locations",
            as_table("10-stock-by-location", quantity, &COLUMNS, &["sku", "location", "reason"]),
        ),
        ("counts", as_table("12-counts", quantity, &["quantity"], &["sku", "location"])),
        (
            "drawers",
            as_table(
                "13-over-and-short",
                amount,
                &["expected", "declared", "over_short"],
                &drawers,
            ),
        ),
        ("till_balance", sorted(&balances.iter().map(balance).collect())),
        (
            "completeness",
            json!({
                "status": day["status"], "terminal_count": day["terminals"], "closed_count": day["closed"],
                "missing_count": day["missing"], "refused_count": day["refused"], "parked_count": day["parked"],
            }),
        ),
    ]
}

#[test]
fn in_any_order_with_copies_and_kill_9_the_day_comes_to_its_books_on_the_local_log() {
    for seed in 1..=3 {
        let folder = tempfile::tempdir().unwrap();
        the_day_comes_to_its_books(&CommandLine::new(folder.path(), &[]), folder.path(), seed);
    }
}

#[test]
fn in_any_order_with_copies_and_kill_9_the_day_comes_to_its_books_on_kafka() {
    let folder = tempfile::tempdir().unwrap();
    let Some(brokers) = kafka_cluster::shared("the day of a store on Kafka") else { return };
    let namespace = format!("day-{}", std::process::id());
    let command_line = CommandLine::new(folder.path(), &["--kafka", brokers])
        .with("TILLRACE__NAMESPACE", &namespace)
        .with("TILLRACE__LOG__KAFKA__SESSION_TIMEOUT", "6s");
    the_day_comes_to_its_books(&command_line, folder.path(), 4);
}
