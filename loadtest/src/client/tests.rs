use super::*;
use crate::fleet::{Fleet, FleetSettings};
use crate::mock_gateway::{Faults, serve};

fn fleet(events: u64) -> FleetSettings {
    FleetSettings { stores: 8, skus: 100, rate: 0.0, events: Some(events), ..Default::default() }
}

async fn play(
    fleet: FleetSettings,
    faults: Faults,
    adapt: impl FnOnce(ClientSettings) -> ClientSettings,
) -> (Outcome, crate::mock_gateway::Handle) {
    let (addr, gateway) = serve(faults).await;
    let settings = adapt(ClientSettings {
        target: format!("http://{addr}"),
        key: "k1".to_owned(),
        connections: 3,
        batch: 40,
        timeout: Duration::from_secs(20),
        ..Default::default()
    });
    let source = Box::new(Fleet::new(fleet));
    let outcome = run(source, &settings, Arc::default(), |_| {}).await.unwrap();
    (outcome, gateway)
}

fn bad_network() -> TrafficSettings {
    TrafficSettings { duplicates: 0.05, disorder: 0.05, reach_events: 200, seed: 3 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_acknowledged_once_whatever_the_network_does() {
    let faults = Faults { half_every: 3, lose_reply_every: 5, proxy_every: 7, ..Faults::default() };
    let (outcome, gateway) = play(fleet(2_000), faults, |settings| ClientSettings {
        traffic: bad_network(),
        ..settings
    })
    .await;
    assert!(outcome.aborted.is_none(), "{:?}", outcome.aborted);
    assert_eq!((outcome.sent, outcome.acks.len()), (2_000, 2_000));
    assert_eq!(outcome.surprise_count, 0, "{:?}", outcome.surprises);
    assert!(outcome.copies > 50 && outcome.late > 50 && outcome.retries > 10);
    assert!(outcome.answered_duplicate >= outcome.copies, "lost replies make more of them");
    assert_eq!(
        outcome.timeline.latency_us().len(),
        2_000 + outcome.copies,
        "one latency an event sent"
    );
    let gateway = gateway.lock();
    assert_eq!(gateway.requests, outcome.requests);
    assert_eq!(gateway.topics["pos.transactions.v1"].len(), 2_000);
    assert_eq!(gateway.keys.iter().collect::<Vec<_>>(), ["Bearer k1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_events_are_posted_one_by_one() {
    let faults = Faults { lose_reply_every: 50, proxy_every: 70, ..Faults::default() };
    let (outcome, gateway) =
        play(fleet(300), faults, |settings| ClientSettings { batch: 1, ..settings }).await;
    assert_eq!(outcome.acks.len(), 300);
    assert!(gateway.lock().requests >= 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_carries_the_same() {
    let (outcome, _) =
        play(fleet(500), Faults::default(), |s| ClientSettings { http2: true, ..s }).await;
    assert_eq!(outcome.acks.len(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_terminals_events_arrive_in_their_order() {
    let faults = Faults { half_every: 2, ..Faults::default() };
    let (_, gateway) = play(fleet(1_000), faults, |settings| settings).await;
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for (_, value) in &gateway.lock().topics["pos.events.v1"] {
        let envelope: serde_json::Value = serde_json::from_str(value).unwrap();
        let terminal = format!("{}/{}", envelope["store"], envelope["terminal"]);
        let sequence = envelope["sequence"].as_str().unwrap().parse().unwrap();
        assert_eq!(last.insert(terminal, sequence).unwrap_or(0) + 1, sequence);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_counted_by_code_and_compared_with_the_plan() {
    let bad = FleetSettings { bad: 0.2, ..fleet(1_500) };
    let (outcome, _) = play(bad.clone(), Faults::default(), |settings| settings).await;
    let mut planned: BTreeMap<&str, u64> = BTreeMap::new();
    let mut fleet = Fleet::new(bad);
    let (mut text, mut effects) = (Vec::new(), Vec::new());
    while let Some(plan) = fleet.next(&mut text, &mut effects) {
        use crate::source::ExpectedOutcome::{Parked, Refused};
        if let Refused(code) | Parked { code, .. } = plan.expected {
            *planned.entry(code).or_default() += 1;
        }
    }
    assert_eq!(outcome.refused.keys().collect::<Vec<_>>(), ["invalid_json", "invalid_utf8"]);
    assert_eq!(outcome.parked.keys().collect::<Vec<_>>(), ["unknown_kind"]);
    let known = || outcome.refused.iter().chain(&outcome.parked);
    for (code, count) in known() {
        assert_eq!(*count, planned[code.as_str()], "{code}");
    }
    let all: u64 = planned.values().sum();
    let known: u64 = known().map(|(_, count)| count).sum();
    assert_eq!(outcome.surprise_count, all - known, "the test's gateway knows only three codes");
    assert_eq!(outcome.acks.len(), outcome.sent - all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_ends_the_run_at_once() {
    let faults = Faults { wrong_key: true, ..Faults::default() };
    let (outcome, _) = play(fleet(2_000), faults, |settings| settings).await;
    let aborted = outcome.aborted.unwrap();
    assert!(matches!(aborted, ClientError::Refused { status: 401, .. }), "{aborted}");
    assert!(outcome.acks.is_empty());
    assert_eq!(outcome.unsettled.len() as u64, outcome.sent + outcome.copies);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stays_away_is_given_up_within_the_limit() {
    let faults = Faults { away: true, ..Faults::default() };
    let (outcome, _) = play(fleet(500), faults, |settings| ClientSettings {
        give_up_after: Duration::from_millis(100),
        ..settings
    })
    .await;
    assert!(matches!(outcome.aborted, Some(ClientError::GaveUp { .. })), "{:?}", outcome.aborted);
    assert!(!outcome.unsettled.is_empty() && outcome.acks.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_closes_what_is_open() {
    let (addr, gateway) = serve(Faults::default()).await;
    let settings = ClientSettings { target: format!("http://{addr}"), ..ClientSettings::default() };
    let stop = Arc::new(AtomicBool::new(false));
    let source = Box::new(Fleet::new(FleetSettings { events: None, ..fleet(0) }));
    let seen = Arc::clone(&stop);
    let outcome = run(source, &settings, stop, |progress| {
        seen.store(progress.acknowledged > 500, std::sync::atomic::Ordering::Relaxed);
    })
    .await
    .unwrap();
    assert_eq!(outcome.acks.len(), outcome.sent);
    let count = |kind: &str| {
        let kind = format!(r#""kind":"{kind}""#);
        let topics = &gateway.lock().topics;
        topics["pos.transactions.v1"].iter().filter(|(_, value)| value.contains(&kind)).count()
    };
    assert_eq!(count("open"), count("close"));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let refused = async |settings: ClientSettings| {
        let source = Box::new(Fleet::new(fleet(1)));
        run(source, &settings, Arc::default(), |_| {}).await.unwrap_err().to_string()
    };
    let base = ClientSettings::default();
    let batch = refused(ClientSettings { batch: 1_001, ..base.clone() }).await;
    assert_eq!(batch, "a batch holds 1 to 1000 events, not 1001");
    let tls = refused(ClientSettings { target: "https://x:1".into(), ..base.clone() }).await;
    assert!(tls.contains("TLS is not supported"), "{tls}");
    let key = refused(ClientSettings { key: "a\nb".into(), ..base.clone() }).await;
    assert_eq!(key, "key is not valid in a header");
    let none = refused(ClientSettings { connections: 0, ..base }).await;
    assert_eq!(none, "at least one connection is needed");
}
