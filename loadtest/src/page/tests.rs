use std::sync::Arc;
use std::time::Duration;

use roxmltree::{Document, Node, ParsingOptions};

use super::*;
use crate::client::{self, ClientSettings, Outcome};
use crate::figures;
use crate::fleet::{Fleet, FleetSettings};
use crate::knee::{KneeSearch, StepMeasurement};
use crate::mock_gateway::{Faults, serve};
use crate::schedule::Profile;
use crate::verify::Verification;

fn about() -> RunDescription {
    RunDescription {
        target: "http://gateway:8080".to_owned(),
        at: "2026-11-27T06:00:00Z".to_owned(),
        parameters: vec![("replay of", "<b>\"Tom & Jerry's\"</b>".to_owned())],
    }
}

fn parsed(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap()
}

/// The words of an element and of all within it, in one line.
fn words(node: Node<'_, '_>) -> String {
    let texts: Vec<&str> =
        node.descendants().filter(Node::is_text).filter_map(|within| within.text()).collect();
    let words: Vec<&str> = texts.iter().flat_map(|text| text.split_whitespace()).collect();
    words.join(" ")
}

/// The rows of the tables, each as its cells.
fn rows(page: &Document<'_>) -> Vec<Vec<String>> {
    let rows =
        page.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/1999/xhtml", "tr")));
    rows.map(|row| row.children().filter(Node::is_element).map(words).collect()).collect()
}

fn cells(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

async fn black_friday() -> Outcome {
    let (addr, _backbone) = serve(Faults { half_every: 7, ..Faults::default() }).await;
    let over = Duration::from_secs(2);
    let profile = Profile::BlackFriday { over, outage: 0.5 };
    let settings = FleetSettings {
        stores: 8,
        skus: 50,
        rate: 600.0,
        profile,
        events: Some(1_000),
        bad: 0.05,
        ..FleetSettings::default()
    };
    let client = ClientSettings {
        target: format!("http://{addr}"),
        connections: 2,
        batch: 20,
        ..ClientSettings::default()
    };
    let source = Box::new(Fleet::new(settings));
    client::run(source, &client, Arc::default(), |_| {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_run_is_well_formed_and_shows_its_figures() {
    let outcome = black_friday().await;
    let report = Report::new(&outcome, None);
    let text = of_run(&report, &about());
    let page = parsed(&text);
    let rows = rows(&page);
    assert!(rows.contains(&cells(&["replay of", "<b>\"Tom & Jerry's\"</b>"])), "{rows:?}");
    assert!(words(page.root_element()).contains(&report.verdict_line()), "the verdict is told");
    assert!(rows.contains(&cells(&["events sent", "1,000"])), "{rows:?}");
    let held = figures::count(report.held);
    assert!(report.held > 0 && rows.contains(&vec!["held while cut off".to_owned(), held]));
    let acknowledged = figures::count(report.acknowledged);
    assert!(rows.contains(&vec!["acknowledged".to_owned(), acknowledged]));
    for (code, count) in &report.refused {
        assert!(rows.contains(&vec![code.clone(), figures::count(*count)]), "{code}");
    }
    let phases: Vec<&Vec<String>> = rows.iter().filter(|row| row.len() == 7).skip(1).collect();
    let seen: Vec<(String, String)> =
        phases.iter().map(|row| (row[0].clone(), row[2].clone())).collect();
    let expected: Vec<(String, String)> = report
        .phases
        .iter()
        .map(|phase| (phase.phase.to_owned(), figures::count(phase.events)))
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(report.phases.iter().map(|phase| phase.events).sum::<u64>(), 1_000);
    let drawings = page.descendants().filter(|node| node.tag_name().name() == "svg").count();
    assert_eq!(drawings, 6, "three plots, for desks and for telephones");
    assert!(text.contains(&figures::latency(f64::from(u32::try_from(report.p99_us).unwrap()))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_needs_nothing_from_elsewhere() {
    let text = of_run(&Report::new(&black_friday().await, None), &about());
    let page = parsed(&text);
    for node in page.descendants().filter(Node::is_element) {
        assert!(!["script", "link", "img", "iframe"].contains(&node.tag_name().name()));
        for attribute in node.attributes() {
            assert!(!["src", "href", "onload"].contains(&attribute.name()), "{}", attribute.name());
        }
    }
    assert!(!text.contains("url(") && !text.contains("@import"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conservation_is_shown_as_it_was_found() {
    let outcome = black_friday().await;
    let found = Verification { acknowledged: 1_234, counted: 1_230, lost: 4, ..Default::default() };
    let text = of_run(&Report::new(&outcome, Some(found)), &about());
    let rows = rows(&parsed(&text));
    assert!(rows.contains(&cells(&["conservation", "does NOT hold"])), "{rows:?}");
    assert!(rows.contains(&cells(&["lost", "4"])) && rows.contains(&cells(&["counted", "1,230"])));
    let good = Verification { acknowledged: 5, counted: 5, ..Default::default() };
    let text = of_run(&Report::new(&outcome, Some(good)), &about());
    assert!(self::rows(&parsed(&text)).contains(&cells(&["conservation", "holds"])));
}

#[test]
fn the_page_of_a_search_shows_its_steps_and_the_knee() {
    let mut search = KneeSearch::new(1_000.0, Duration::from_millis(50));
    while let Some(rate) = search.next_rate() {
        let p99_us = if rate > 3_000.0 { 90_000 } else { 2_500 };
        let (p50_us, max_us) = (p99_us / 10, p99_us * 2);
        search.note(StepMeasurement {
            rate,
            acknowledged_per_s: rate,
            p50_us,
            p99_us,
            max_us,
            errors: 0,
        });
    }
    let report = search.report(Duration::from_secs(5));
    let text = of_knee(&report, &about());
    let page = parsed(&text);
    let rows = rows(&page);
    let first = ["1,000", "1,000", "250 µs", "2.5 ms", "5 ms", "0", "held"];
    assert!(rows.contains(&cells(&first)), "{rows:?}");
    let broke = ["4,000", "4,000", "9 ms", "90 ms", "180 ms", "0", "p99 too high"];
    assert_eq!(rows.iter().filter(|row| **row == cells(&broke)).count(), 2, "tried once more");
    let knee = figures::rate(report.knee_events_per_s.unwrap());
    assert!(text.contains(&format!("held up to {knee} events/s")));
    assert!(text.contains("limit of p99: 50 ms"));
}

#[test]
fn a_search_without_any_measurement_still_makes_a_page() {
    let search = KneeSearch::new(5.0, Duration::from_millis(50));
    let text = of_knee(&search.report(Duration::from_secs(1)), &about());
    assert!(words(parsed(&text).root_element()).contains("Failed"));
}
