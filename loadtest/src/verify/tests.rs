use std::sync::Arc;

use super::*;
use crate::client::{self, ClientSettings};
use crate::fleet::{Fleet, FleetSettings};
use crate::mock_gateway::{Faults, Handle, MemoryReader, MockGateway, serve};
use crate::report::Report;
use crate::traffic::TrafficSettings;

async fn played() -> (Outcome, Handle) {
    played_with(0.0).await
}

/// Plays a day in which a share of the sales is parked.
async fn played_with(parked: f64) -> (Outcome, Handle) {
    let (addr, gateway) = serve(Faults { half_every: 4, ..Faults::default() }).await;
    (play(addr, "e1", parked).await, gateway)
}

/// Plays a day of 1,200 events against a gateway.
async fn play(addr: std::net::SocketAddr, epoch: &str, parked: f64) -> Outcome {
    let settings = ClientSettings {
        target: format!("http://{addr}"),
        traffic: TrafficSettings { duplicates: 0.05, disorder: 0.05, ..Default::default() },
        ..ClientSettings::default()
    };
    let source = Box::new(Fleet::new(FleetSettings {
        stores: 6,
        skus: 50,
        rate: 0.0,
        events: Some(1_200),
        gaps: 2,
        parked,
        epoch: Some(epoch.to_owned()),
        ..FleetSettings::default()
    }));
    client::run(source, &settings, Arc::default(), |_| {}).await.unwrap()
}

fn check(outcome: &Outcome, gateway: &Handle) -> Verification {
    let settings = VerifySettings { settle_for: Duration::ZERO, ..VerifySettings::default() };
    let mut reader = MemoryReader(Arc::clone(gateway));
    verify(outcome, &mut reader, &settings, |_| {}).unwrap()
}

/// Lets in what was parked, as an operator does with the fleet's mapping.
fn readmit(gateway: &Handle) {
    let mut gateway = gateway.lock();
    // A resent event has the key of the first.
    let parked: BTreeMap<String, String> =
        gateway.topics["pos.parked.v1"].iter().cloned().collect();
    for (key, value) in parked {
        let mended = value
            .replace("drone_delivery", "sale")
            .replace("locker_sale", "sale")
            .replace("currency_code", "currency")
            .replace("pos.parked", "pos.sale");
        let envelope: serde_json::Value = serde_json::from_str(&mended).unwrap();
        let (store, text) =
            (envelope["store"].as_str().unwrap(), &mended[mended.find("\"data\":").unwrap() + 7..]);
        gateway.count(store, &envelope["data"], text.strip_suffix('}').unwrap());
        records(&mut gateway, "pos.transactions.v1").push((store.to_owned(), mended.clone()));
        records(&mut gateway, "pos.parked.v1").push((key, String::new()));
    }
}

/// Spoils the topics of a good run in one way, and returns what is found.
async fn spoilt(spoil: impl FnOnce(&mut MockGateway)) -> Verification {
    let (outcome, gateway) = played().await;
    spoil(&mut gateway.lock());
    let verification = check(&outcome, &gateway);
    assert!(!verification.holds(), "{verification}");
    verification
}

fn records<'a>(gateway: &'a mut MockGateway, topic: &str) -> &'a mut Vec<(String, String)> {
    gateway.topics.get_mut(topic).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_run_holds_and_its_planted_gaps_are_found() {
    let (outcome, gateway) = played().await;
    let verification = check(&outcome, &gateway);
    assert!(verification.holds(), "{verification}");
    assert_eq!((verification.acknowledged, verification.counted), (1_200, 1_200));
    assert_eq!(verification.missing_ranges.len(), 2);
    assert!(verification.stock_keys > 100);
    let report = Report::new(&outcome, Some(verification));
    assert!(report.holds(), "{report}");
    let json = serde_json::to_value(&report).unwrap();
    for key in "sent acknowledged duplicates refused lost double_counted delivered dead \
                missing_ranges p50_us p99_us p999_us events_per_s elapsed_s"
        .split_whitespace()
    {
        assert!(!json[key].is_null(), "{key}");
    }
    assert_eq!((&json["lost"], &json["sent"]), (&0.into(), &1_200.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_record_is_missed() {
    let found = spoilt(|b| drop(records(b, "pos.transactions.v1").remove(700))).await;
    assert_eq!((found.lost, found.without_verdict, found.double_counted), (0, 1, 0));
    assert_eq!(found.lost_examples.len(), 1);
    let found = spoilt(|b| drop(records(b, "inventory.deltas.v1").remove(300))).await;
    assert_eq!((found.lost, found.stock_differing, found.stock_examples.len()), (0, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_missing_from_the_journal_is_lost() {
    let found = spoilt(|gateway| {
        let journal = records(gateway, "pos.events.v1");
        let victim = journal[10].1.clone();
        journal.retain(|(_, value)| *value != victim);
    })
    .await;
    assert_eq!((found.lost, found.without_verdict), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubled_record_is_noticed() {
    let found = spoilt(|gateway| {
        let transactions = records(gateway, "pos.transactions.v1");
        transactions.push(transactions[5].clone());
    })
    .await;
    assert_eq!((found.lost, found.double_counted), (0, 1));
    let found = spoilt(|gateway| {
        let deltas = records(gateway, "inventory.deltas.v1");
        deltas.push(deltas[5].clone());
    })
    .await;
    assert_eq!(found.stock_differing, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_record_is_noticed() {
    let found = spoilt(|gateway| {
        let value = &mut records(gateway, "pos.transactions.v1")[400].1;
        *value = value.replace("\"operator_id\":\"op-", "\"operator_id\":\"xx-");
    })
    .await;
    assert_eq!((found.altered, found.lost), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_sent_and_what_nobody_can_read_is_noticed() {
    let found = spoilt(|gateway| {
        let transactions = records(gateway, "pos.transactions.v1");
        let mut stranger = transactions[0].clone();
        let at = stranger.1.find("\"sequence\":\"").unwrap() + 12;
        stranger.1.insert_str(at, "99");
        transactions.push(stranger);
        transactions.push(("k".to_owned(), "{}".to_owned()));
    })
    .await;
    assert_eq!((found.strangers, found.unreadable), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overlooked_and_an_invented_gap_are_noticed() {
    let found = spoilt(|gateway| {
        let ledger = records(gateway, "terminal.ledger.v1");
        // The latest record of each terminal counts; disorder leaves gaps in earlier ones.
        let latest: BTreeMap<String, String> = ledger.iter().cloned().collect();
        let with_gap = latest.into_iter().find(|(_, value)| !value.contains(r#""missing":[]"#));
        let (key, value) = with_gap.unwrap();
        let start = value.find(r#""missing":["#).unwrap();
        let end = value[start..].find("]]").unwrap() + start + 2;
        let spoilt = format!("{}\"missing\":[[7777,7778]]{}", &value[..start], &value[end..]);
        ledger.push((key, spoilt));
    })
    .await;
    assert_eq!(found.wrong_ranges.len(), 2, "{:?}", found.wrong_ranges);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_set_aside_is_not_lost_but_not_counted_either() {
    let found = spoilt(|gateway| {
        let (_, value) = records(gateway, "pos.transactions.v1").remove(9);
        let envelope: serde_json::Value = serde_json::from_str(&value).unwrap();
        let conflict = serde_json::json!({
            "reason": "quarantined", "tenant": "demo", "store": envelope["store"],
            "terminal": envelope["terminal"], "epoch": "e1", "sequence": envelope["sequence"],
        });
        gateway.topics.insert("pos.conflicts.v1", vec![("k".to_owned(), conflict.to_string())]);
    })
    .await;
    assert_eq!((found.lost, found.without_verdict, found.not_counted), (0, 0, 1));
    assert_eq!(found.set_aside, [("quarantined".to_owned(), 1)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_event_waits_or_counts_once() {
    let (outcome, gateway) = played_with(0.05).await;
    let parked = outcome.parked_events.len() as u64;
    assert!(parked > 20, "{parked}");
    let waiting = check(&outcome, &gateway);
    assert!(waiting.holds(), "{waiting}");
    let places = |found: &Verification| [found.parked, found.parked_waiting, found.readmitted];
    assert_eq!(places(&waiting), [parked, parked, 0]);
    let lost = {
        // A till that sends it twice leaves two records of one key.
        let all = records(&mut gateway.lock(), "pos.parked.v1").clone();
        let (last, _) = all.last().unwrap();
        records(&mut gateway.lock(), "pos.parked.v1").retain(|(key, _)| key != last);
        let found = check(&outcome, &gateway);
        *records(&mut gateway.lock(), "pos.parked.v1") = all;
        found
    };
    assert_eq!((lost.parked_lost, lost.holds()), (1, false));
    readmit(&gateway);
    let counted = check(&outcome, &gateway);
    assert!(counted.holds(), "{counted}");
    assert_eq!(places(&counted), [parked, 0, parked]);
    assert_eq!(counted.moved.len() as u64, counted.stock_keys);
    assert!(counted.stock_keys >= waiting.stock_keys);
    let tombstone = records(&mut gateway.lock(), "pos.parked.v1").pop().unwrap();
    assert!(tombstone.1.is_empty());
    let twice = check(&outcome, &gateway);
    assert_eq!((twice.parked_twice, twice.holds()), (1, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_readmitted_must_count() {
    let (outcome, gateway) = played_with(0.05).await;
    let settings = VerifySettings {
        settle_for: Duration::ZERO,
        readmitted: true,
        ..VerifySettings::default()
    };
    let verify_readmitted = || {
        let mut reader = MemoryReader(Arc::clone(&gateway));
        verify(&outcome, &mut reader, &settings, |_| {}).unwrap()
    };
    assert_eq!(verify_readmitted().not_readmitted, outcome.parked_events.len() as u64);
    readmit(&gateway);
    assert!(verify_readmitted().holds());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_day_that_tells_other_sums_is_noticed() {
    let spoil = |from: &'static str, to: &'static str| {
        spoilt(move |gateway| {
            let (key, value) = records(gateway, "store.days.v1").pop().unwrap();
            assert!(value.contains(from), "{value}");
            records(gateway, "store.days.v1").push((key, value.replacen(from, to, 1)));
        })
    };
    for (from, to) in [
        ("\"sales\":\"", "\"sales\":\"9"),
        ("\"cash\":\"", "\"cash\":\"9"),
        ("\"sale\":", "\"sale\":9"),
        ("\"declared\":\"", "\"declared\":\"9"),
    ] {
        let found = spoil(from, to).await;
        assert_eq!((found.days_differing, found.day_examples.len()), (1, 1), "{from}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_counted_where_a_record_stands() {
    let (outcome, gateway) = played().await;
    let audit = |outcome: &str, topic: &str, offsets: &[(i64, i64)]| {
        let record = serde_json::json!({
            "sink": "erp", "topic": topic, "partition": 0, "offsets": offsets, "outcome": outcome,
        });
        ("k".to_owned(), record.to_string())
    };
    gateway.lock().topics.insert(
        "pos.audit.v1",
        vec![
            audit("delivered", "pos.transactions.v1", &[(0, 100), (50, 120)]),
            audit("delivered", "pos.transactions.v1", &[(1_190, 5_000)]),
            audit("delivered", "inventory.deltas.v1", &[(0, 7)]),
            audit("dead", "pos.transactions.v1", &[(120, 123)]),
        ],
    );
    let found = check(&outcome, &gateway);
    assert!(found.holds());
    assert_eq!(found.delivered, [("erp".to_owned(), 120 + 10 + 7)].into());
    assert_eq!(found.dead, [("erp".to_owned(), 3)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_leave_out_what_was_there_before() {
    let (addr, gateway) = serve(Faults::default()).await;
    play(addr, "e1", 0.0).await;
    let names = TopicNames::new("");
    let start = StartPositions::take(&mut MemoryReader(Arc::clone(&gateway)), &names).unwrap();
    let later = play(addr, "e2", 0.0).await;
    let settings =
        VerifySettings { settle_for: Duration::ZERO, start, ..VerifySettings::default() };
    let mut reader = MemoryReader(Arc::clone(&gateway));
    let found = verify(&later, &mut reader, &settings, |_| {}).unwrap();
    assert!(found.holds(), "{found}");
    let both = check(&later, &gateway);
    assert!(both.stock_differing > 0 && both.days_differing > 0, "both runs, read as one: {both}");
}
