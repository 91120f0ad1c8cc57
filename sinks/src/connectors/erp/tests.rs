//! The ERP connector against a simulated ERP, and its bodies against their schemas.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tillrace_core::decode::Decoder;
use tillrace_core::event::Kind;
use tillrace_core::money::{self, MoneyEffect};
use tillrace_core::stock;

use super::body::{self, Item};
use super::{DocumentSettings, Erp, Form, MovementSettings};
use crate::connector::{CallError, Connector as _, DeliveryBatch, MAX_RETRY_AFTER, RecordOutcome};
use crate::engine::SinkSpec;
use crate::filter::Filter;
use crate::fixture::{Fixture, assert_valid, envelope, until};
use crate::http::BackendSettings;
use crate::record::{Record, SourceTopic, Transaction};
use crate::settings::{BreakerSettings, CallRateSettings, FlowSettings, RetrySettings};
use crate::simulate::{Faults, SimulatedBackend, StockKey};

const SALE: &str =
    r#"{"kind":"sale","lines":[{"line":1,"type":"sale","sku":"4711","quantity":"1"}]}"#;

fn settings(url: &str, form: Form) -> DocumentSettings {
    DocumentSettings { backend: BackendSettings::new(url), form }
}

fn sale(store: &str, sequence: u64) -> Record {
    Record::new(sequence, 0, format!("acme/{store}"), envelope(store, "sale", sequence, SALE))
}

fn batch(records: Vec<Record>) -> DeliveryBatch {
    DeliveryBatch { partition: 3, delivered_to: 0, records }
}

fn delta(number: u64, sku: &str) -> String {
    json!({
        "id": format!("g:0:{number}:{}:w:d:acme/1/{sku}/C62", number + 1), "generation": "g",
        "partition": 0, "from_offset": number, "to_offset": number + 1, "tenant": "acme",
        "store": "1", "sku": sku, "unit": "C62", "window_start": "2026-11-27T08:15:00Z",
        "window_seconds": 60, "business_date": "2026-11-27", "net": "-1.5", "sold": "2",
        "returned": "0.5", "adjusted": "0", "events": 3,
    })
    .to_string()
}

#[test]
fn bodies_are_what_their_schemas_say() {
    let items = [sale("12", 7), sale("1/2", 8)].map(|record| body::document(&record, 3).unwrap());
    assert_eq!(items[0].id, "/acme/12/1#7");
    assert_eq!(items[1].id, "/acme/1%2F2/1#8", "an id cannot reach into its neighbour");
    let documents = body::batch("documents", &items);
    assert_valid("erp-documents.v1", &documents);
    let documents: Value = serde_json::from_slice(&documents).unwrap();
    assert_eq!(documents["documents"][0]["event"], serde_json::from_str::<Value>(SALE).unwrap());
    assert_eq!(documents["documents"][0]["offset"], 7);

    let record = Record::new(4, 0, "acme/1/4711", delta(4, "4711"));
    let movement = body::movement(&record).unwrap();
    assert_valid("erp-stock-movements.v1", &body::batch("movements", &[movement]));
}

#[test]
fn the_key_of_a_batch_follows_from_what_is_in_it() {
    let items = |sequences: [u64; 2]| {
        sequences.map(|sequence| body::document(&sale("1", sequence), 0).unwrap())
    };
    let key = body::batch_key(&items([1, 2]));
    assert_eq!(key, body::batch_key(&items([1, 2])));
    assert_ne!(key, body::batch_key(&items([2, 1])));
    assert_ne!(key, body::batch_key(&items([1, 3])));
    assert_eq!(key.len(), "batch-".len() + 32);
}

fn read_doc(file: &str) -> String {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    std::fs::read_to_string(docs.join(file)).unwrap()
}

#[test]
fn the_schema_names_every_kind_that_is_sent_and_no_other() {
    let erp = Erp::documents(&settings("http://127.0.0.1:1/", Form::Batch)).unwrap();
    let sent = Kind::ALL.into_iter().filter(|kind| {
        erp.accepts(&Record::new(0, 0, "acme/1", envelope("1", kind.as_str(), 1, "{}"))).unwrap()
    });
    let schema: Value =
        serde_json::from_str(&read_doc("schemas/erp-documents.v1.schema.json")).unwrap();
    let kind = &schema["$defs"]["document"]["properties"]["kind"];
    let names = |list: &Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&kind["enum"]), sent.map(|kind| kind.as_str().to_owned()).collect());
    // Each kind that is not sent is left out by a rule that the description states; those of stock are in the movements.
    let description = kind["description"].as_str().unwrap();
    for kind in Kind::ALL {
        let is_stock = stock::TABLE.iter().any(|rule| rule.kind == kind);
        let name = kind.as_str();
        let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
        let mut words = description.split(|letter| !is_name(letter));
        let is_told = is_stock || kind == Kind::X || words.any(|word| word == name);
        assert!(is_told, "the schema does not say what becomes of {name}");
    }
}

/// Sums of the day as an ERP would make them: each document booked once, by its own event.
fn booked_sums(documents: &[(String, Vec<u8>)], booked: &HashSet<String>) -> MoneyEffect {
    let mut sums = MoneyEffect::default();
    for (id, json) in documents.iter().filter(|(id, _)| booked.contains(id)) {
        let document: Value = serde_json::from_slice(json).unwrap();
        let text = document["event"].to_string();
        let mut decoder = Decoder::new();
        let event = decoder.decode(text.as_bytes()).unwrap();
        assert_eq!(document["kind"], event.kind.as_str(), "{id}");
        let mut effect = money::effect(&event);
        for ((_, sum), (_, more)) in members(&mut sums).into_iter().zip(members(&mut effect)) {
            *sum += *more;
        }
    }
    sums
}

fn members(effect: &mut MoneyEffect) -> [(&'static str, &mut i128); 9] {
    [
        ("sales", &mut effect.sales),
        ("returns", &mut effect.returns),
        ("discounts", &mut effect.discounts),
        ("taxes", &mut effect.taxes),
        ("liabilities_issued", &mut effect.liabilities_issued),
        ("liabilities_redeemed", &mut effect.liabilities_redeemed),
        ("pass_through", &mut effect.pass_through),
        ("tips", &mut effect.tips),
        ("rounding", &mut effect.rounding),
    ]
}

/// Gift cards, payments on orders and layaways, tips: all of a store's day, to a back end that loses replies.
#[tokio::test(flavor = "multi_thread")]
async fn documents_of_a_day_add_up_to_its_books() {
    let fixture = Fixture::new(1, &["erp"]);
    let backend = SimulatedBackend::start(rough()).await.unwrap();
    for text in read_doc("samples/day/events.ndjson").lines() {
        let kind = Decoder::new().decode(text.as_bytes()).unwrap().kind;
        fixture.transaction("zh-07", kind.as_str(), text);
    }
    let erp = Erp::documents(&settings(&backend.documents_url(), Form::Batch)).unwrap();
    let mut documents = Vec::new();
    let mut left_out = BTreeSet::new();
    for entry in fixture.entries(&fixture.topics.transactions) {
        let record = Record::from_entry(entry);
        if erp.accepts(&record).unwrap() {
            let Item { id, json } = body::document(&record, 0).unwrap();
            assert_valid(
                "erp-documents.v1",
                &body::batch("documents", &[Item { id: id.clone(), json: json.clone() }]),
            );
            documents.push((id, json));
        } else {
            left_out.insert(Transaction::read(&record).unwrap().kind);
        }
    }
    let spec = SinkSpec {
        name: "erp".into(),
        source: SourceTopic::Transactions,
        filter: Filter::default(),
        flow: quick(),
        connector: Arc::new(erp),
    };
    let delivery = fixture.start(&spec).await;
    let topic = &fixture.topics.transactions;
    let end = fixture.entries(topic).len() as u64;
    until("all is committed", || fixture.committed("erp", topic) == end).await;
    delivery.drain().await;

    let booked = backend.read(|books| books.booked.clone());
    let sent: HashSet<String> = documents.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(booked, sent);
    let books: Value = serde_json::from_str(&read_doc("samples/day/books.json")).unwrap();
    for (name, sum) in members(&mut booked_sums(&documents, &booked)) {
        let of_books = books["totals"][name].as_str().unwrap().replace('.', "");
        assert_eq!(*sum, of_books.parse::<i128>().unwrap(), "{name}");
    }
    let of_books: u64 = books["transactions"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(kind, _)| !left_out.contains(&Kind::parse(kind).unwrap()))
        .map(|(_, events)| events.as_u64().unwrap())
        .sum();
    assert_eq!(sent.len() as u64, of_books);
    assert_eq!(fixture.audited("filtered").len() as u64, end - of_books);
}

#[tokio::test]
async fn each_item_of_a_batch_gets_its_own_outcome() {
    let backend = SimulatedBackend::start(Faults::default()).await.unwrap();
    let erp = Erp::documents(&settings(&backend.documents_url(), Form::Batch)).unwrap();
    backend.reject("/acme/1/1#2");
    backend.set_lacking("/acme/1/1#3", true);
    let batch = batch(vec![sale("1", 1), sale("1", 2), sale("1", 3)]);
    let answer = erp.deliver(&batch).await.unwrap();
    let rejected = RecordOutcome::Rejected {
        code: "unbookable".into(),
        detail: "the simulation was told to reject it".into(),
    };
    assert_eq!(
        answer.outcomes,
        [RecordOutcome::Delivered, rejected, RecordOutcome::DependencyMissing]
    );
    // Sent again, what was booked is a duplicate there, and delivered to us.
    assert_eq!(erp.deliver(&batch).await.unwrap().outcomes[0], RecordOutcome::Delivered);
    backend.read(|books| assert_eq!((books.booked.len(), books.duplicates), (1, 1)));
}

#[tokio::test]
async fn an_item_that_cannot_be_made_keeps_its_place_and_hinders_no_other() {
    let backend = SimulatedBackend::start(Faults::default()).await.unwrap();
    for form in [Form::Batch, Form::Single] {
        let erp = Erp::documents(&settings(&backend.documents_url(), form)).unwrap();
        let broken = Record::new(2, 0, "acme/1", envelope("1", "sale", 2, "{no json"));
        let batch = batch(vec![sale("1", 1), broken.clone(), sale("1", 3)]);
        let outcomes = erp.deliver(&batch).await.unwrap().outcomes;
        assert!(
            matches!(
                &outcomes[..],
                [
                    RecordOutcome::Delivered,
                    RecordOutcome::Unreadable { .. },
                    RecordOutcome::Delivered
                ]
            ),
            "{outcomes:?}"
        );
        let alone = DeliveryBatch { partition: 3, delivered_to: 0, records: vec![broken] };
        let answer = erp.deliver(&alone).await.unwrap();
        assert_eq!((answer.status, answer.outcomes.len()), (None, 1), "no call was made");
    }
    backend.read(|books| assert_eq!(books.booked.len(), 2));
}

#[tokio::test]
async fn a_single_item_is_judged_by_the_status() {
    let backend = SimulatedBackend::start(Faults::default()).await.unwrap();
    let erp = Erp::documents(&settings(&backend.documents_url(), Form::Single)).unwrap();
    assert_eq!(erp.max_records(), Some(1));
    backend.reject("/acme/1/1#2");
    backend.set_lacking("/acme/1/1#3", true);
    let outcome = async |sequence| {
        erp.deliver(&batch(vec![sale("1", sequence)])).await.map(|answer| answer.outcomes)
    };
    assert_eq!(outcome(1).await.unwrap(), [RecordOutcome::Delivered]);
    assert!(matches!(outcome(2).await, Err(CallError::Refused { status: 422, .. })));
    assert_eq!(outcome(3).await.unwrap(), [RecordOutcome::DependencyMissing]);
}

#[tokio::test]
async fn what_an_answer_leaves_out_is_sent_again() {
    let reply: body::BatchReply = serde_json::from_value(json!({"results": [
        {"id": "/acme/1/1#2", "status": "retry", "code": "locked", "retry_after_seconds": 7},
    ]}))
    .unwrap();
    let items = [1, 2].map(|sequence| body::document(&sale("1", sequence), 0).unwrap());
    assert_eq!(
        reply.outcomes(&items),
        [
            RecordOutcome::Retry { code: "left_out".into(), after: None },
            RecordOutcome::Retry { code: "locked".into(), after: Some(Duration::from_secs(7)) },
        ]
    );
}

#[test]
fn a_foreign_number_or_word_harms_only_its_own_item() {
    let answer = |rest: &str| format!(r#"{{"results":[{{"id":"/acme/1/1#2",{rest}}}]}}"#);
    let items = [body::document(&sale("1", 2), 0).unwrap()];
    let outcome = |rest: &str| {
        let reply: body::BatchReply = serde_json::from_str(&answer(rest)).unwrap();
        reply.outcomes(&items).remove(0)
    };
    for (seconds, expected) in [
        ("7", Some(Duration::from_secs(7))),
        ("0.5", Some(Duration::from_millis(500))),
        ("9223372036854775807", Some(MAX_RETRY_AFTER)),
        ("18446744073709551616", Some(MAX_RETRY_AFTER)),
        ("1e999", Some(MAX_RETRY_AFTER)),
        ("-1", None),
        ("\"soon\"", None),
        ("null", None),
    ] {
        let rest = format!(r#""status":"retry","retry_after_seconds":{seconds}"#);
        let after = expected;
        assert_eq!(
            outcome(&rest),
            RecordOutcome::Retry { code: "retry".into(), after },
            "{seconds}"
        );
    }
    let unknown = RecordOutcome::Retry { code: "unknown_status".into(), after: None };
    assert_eq!(outcome(r#""status":"filed""#), unknown);
}

fn rough() -> Faults {
    Faults {
        jitter: Duration::from_millis(2),
        server_errors: 0.1,
        resets: 0.1,
        lost_replies: 0.2,
        ..Faults::default()
    }
}

fn quick() -> FlowSettings {
    FlowSettings {
        rate: Some(CallRateSettings { calls_per_second: 2_000, burst_calls: 50 }),
        retry: RetrySettings {
            initial: Duration::from_millis(1),
            longest: Duration::from_millis(5),
            attempts: Some(1_000),
        },
        breaker: BreakerSettings { failures: 6, open_for: Duration::from_millis(5) },
        commit_every: Duration::from_millis(3),
        ..FlowSettings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_replies_and_crashes_book_each_document_once_and_in_order() {
    let fixture = Fixture::new(1, &["erp"]);
    let backend = SimulatedBackend::start(rough()).await.unwrap();
    for _ in 0..30 {
        for store in 0..10 {
            fixture.transaction(&store.to_string(), "sale", SALE);
        }
    }
    let batch = crate::settings::BatchSettings {
        max_records: 7,
        max_bytes: bytesize::ByteSize::mib(1),
        linger: Duration::from_millis(1),
    };
    let erp = Erp::documents(&settings(&backend.documents_url(), Form::Batch)).unwrap();
    let spec = SinkSpec {
        name: "erp".into(),
        source: SourceTopic::Transactions,
        filter: Filter::default(),
        flow: FlowSettings { batch: Some(batch), ..quick() },
        connector: Arc::new(erp),
    };
    for crash in 1..=4 {
        let delivery = fixture.start(&spec).await;
        until("it has got somewhat further", || {
            backend.read(|books| books.booked.len() >= crash * 50)
        })
        .await;
        delivery.abandon();
    }
    let delivery = fixture.start(&spec).await;
    let topic = &fixture.topics.transactions;
    until("all is committed", || fixture.committed("erp", topic) == 300).await;
    for (_, health) in delivery.drain().await {
        assert!(health.is_healthy(), "{health}");
    }
    backend.read(|books| {
        assert_eq!(books.booked.len(), 300);
        assert!(books.duplicates > 0, "the simulation lost no reply: the test shows nothing");
        for (store, offsets) in &books.order {
            assert_eq!(offsets.len(), 30, "{store}");
            assert!(offsets.is_sorted(), "{store}: {offsets:?}");
        }
    });
    assert!(fixture.dead("erp").is_empty());
    for record in fixture.entries(&fixture.topics.audit) {
        assert_valid("audit.v1", &record.value.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_at_the_erp_is_the_sum_of_the_deltas() {
    let fixture = Fixture::new(1, &["erp-stock"]);
    let backend = SimulatedBackend::start(rough()).await.unwrap();
    for number in 0..200 {
        let sku = format!("sku-{}", number % 7);
        let key = format!("acme/1/{sku}");
        fixture.append(&fixture.topics.deltas, 0, &key, delta(number, &sku).as_bytes());
    }
    backend.reject("g:0:70:71:w:d:acme/1/sku-0/C62");
    let erp = Erp::stock_movements(&MovementSettings {
        backend: BackendSettings::new(&backend.movements_url()),
        form: Form::Batch,
    })
    .unwrap();
    let spec = SinkSpec {
        name: "erp-stock".into(),
        source: SourceTopic::Deltas,
        filter: Filter::default(),
        flow: quick(),
        connector: Arc::new(erp),
    };
    let delivery = fixture.start(&spec).await;
    let topic = &fixture.topics.deltas;
    until("all is committed", || fixture.committed("erp-stock", topic) == 200).await;
    delivery.drain().await;
    backend.read(|books| {
        let key = |sku: &str| StockKey {
            tenant: "acme".into(),
            store: "1".into(),
            sku: sku.into(),
            unit: "C62".into(),
        };
        let totals = |sku| {
            let totals = books.stock[&key(sku)];
            (totals.net, totals.sold, totals.returned, totals.adjusted)
        };
        // 29 deltas of sku-0 less the one rejected; 28 of sku-6.
        assert_eq!(totals("sku-0"), (-42_000_000, 56_000_000, 14_000_000, 0));
        assert_eq!(totals("sku-6"), (-42_000_000, 56_000_000, 14_000_000, 0));
    });
    let letters = fixture.entries(&fixture.topics.dead("erp-stock"));
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].key, "acme/1/sku-0");
    assert_valid("dead-letter.v1", letters[0].value.as_ref().unwrap());
}
