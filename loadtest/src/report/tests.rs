use std::time::Duration;

use super::*;
use crate::client::{self, ClientSettings};
use crate::fleet::{Fleet, FleetSettings};
use crate::mock_gateway::{Faults, serve};
use crate::text::WIDTH;

/// A short day at a mock gateway that accepts half of some requests, as far from its schedule as `elapsed` says.
async fn day(elapsed: Option<Duration>, verification: Option<Verification>) -> Report {
    let (addr, _backbone) = serve(Faults { half_every: 7, ..Faults::default() }).await;
    let profile =
        crate::schedule::Profile::BlackFriday { over: Duration::from_secs(1), outage: 0.5 };
    let settings = FleetSettings {
        stores: 8,
        skus: 50,
        rate: 600.0,
        profile,
        events: Some(400),
        ..FleetSettings::default()
    };
    let client = ClientSettings {
        target: format!("http://{addr}"),
        connections: 2,
        batch: 20,
        ..ClientSettings::default()
    };
    let source = Box::new(Fleet::new(settings));
    let mut outcome =
        client::run(source, &client, std::sync::Arc::default(), |_| {}).await.unwrap();
    outcome.elapsed = elapsed.unwrap_or_else(|| outcome.timeline.last_due());
    Report::new(&outcome, verification)
}

fn sound(report: &Report) -> Verification {
    let acknowledged = report.acknowledged;
    Verification { acknowledged, counted: acknowledged, ..Verification::default() }
}

fn first_line(report: &Report) -> String {
    report.to_string().lines().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_begins_with_its_verdict() {
    let report = day(None, None).await;
    let asked = crate::figures::rate(report.asked_events_per_s.unwrap());
    let at = format!("at {asked} of {asked} events/s");
    assert_eq!(first_line(&report), format!("PASSED {at}: conservation not verified"));
    assert_eq!((report.verdict, report.verdict.exit_code()), (Verdict::Passed, 0));
    let verified = Report { verification: Some(sound(&report)), ..report.clone() };
    assert_eq!(first_line(&verified), format!("PASSED {at}: conservation holds"));
    let failed = Report {
        verification: Some(Verification { lost: 1_204, altered: 2, ..sound(&report) }),
        unexpected: 3,
        unsettled: 4,
        aborted: Some("gave up".to_owned()),
        verdict: Verdict::Failed,
        ..report
    };
    let line = format!("FAILED {at}: ended early, 1,204 lost, 2 altered, and 2 more");
    assert_eq!(first_line(&failed), line);
    assert!(failed.to_string().contains("\n  The run ended early: gave up.\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_the_asked_rate_is_never_all_as_it_should_be() {
    let report = day(Some(Duration::from_secs(200)), None).await;
    assert_eq!((report.verdict, report.verdict.exit_code()), (Verdict::RateMissed, 3));
    let line = first_line(&report);
    assert!(line.starts_with("FAILED at ") && line.ends_with(" events/s: rate missed"), "{line}");
    let text = report.to_string();
    assert!(text.contains(" took 3:20."), "{text}");
    let retries = report.retries_by_status["503"];
    assert_eq!(retries, report.retries);
    assert!(retries > 0 && text.contains(&format!("Answered 503: {retries} requests.")), "{text}");
    assert!(report.holds(), "every event was treated as planned");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verdict"], "rate_missed");
    assert_eq!(json["p99_us"], report.p99_us, "programs read raw numbers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_is_wider_than_sixty_columns_and_figures_have_units() {
    let report = day(Some(Duration::from_secs(200)), None).await;
    let surprise = UnexpectedOutcome {
        store: "a-store-with-a-long-name-0123456789".to_owned(),
        terminal: "12".to_owned(),
        sequence: 7,
        expected: None,
        code: Some("refused for card_data".to_owned()),
    };
    let phases = report.phases.iter().map(|phase| PhaseReport {
        phase: "measured",
        from_s: 3_750.0,
        events: 1_234_567,
        held: 123_456,
        p50_us: 12_345,
        p99_us: 1_234,
        ..*phase
    });
    let report = Report {
        sent: 123_456_789,
        p50_us: 640,
        p99_us: 1_800,
        max_us: 2_100_000,
        phases: phases.collect(),
        unexpected_examples: vec![surprise],
        verification: Some(Verification {
            lost: 12_345,
            lost_examples: vec!["a-store-with-a-long-name-0123456789/12/1234567890123".to_owned()],
            delivered: [("a-sink-with-a-name-of-sixty-columns".to_owned(), 7)].into(),
            ..sound(&report)
        }),
        verdict: Verdict::RateMissed,
        ..report
    };
    let text = report.to_string();
    let (verdict, figures) = text.split_once('\n').unwrap();
    assert!(verdict.chars().count() <= 80, "{verdict}");
    for line in figures.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
    for figure in ["123,456,789", "640 µs", "1.8 ms", "2.1 s", "1:02:30", "3:20"] {
        assert!(text.contains(figure), "{figure} in {text}");
    }
    assert!(!text.contains("microseconds"));
}
