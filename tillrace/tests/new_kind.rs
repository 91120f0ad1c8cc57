//! A release of the tills' software adds words that no version knows, in every store at once.
//!
//! Everything is answered 202 and nothing is lost; the books say what is lacking; an operator lets the parked sales in by a
//! mapping. The books are then those of a second world, which knew the words from the start. Twelve stores, or as many as
//! `TILLRACE_NEW_KIND_STORES` says: a thousand take some minutes.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]

mod process;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use process::{CommandLine, KEY};
use serde_json::Value;
use tillrace_loadtest::acks::fingerprint;
use tillrace_loadtest::client::{self, ClientSettings, Outcome};
use tillrace_loadtest::fleet::{Fleet, FleetSettings, MAPPING};
use tillrace_loadtest::schedule::Schedule;
use tillrace_loadtest::source::{
    Directory, ExpectedOutcome, Gap, PlannedEvent, Source, StockEffect,
};
use tillrace_loadtest::topics::tap::TapReader;
use tillrace_loadtest::traffic::TrafficSettings;
use tillrace_loadtest::verify::{Verification, VerifySettings, verify};

/// Events that each store sends, and how many of its sales are of the new release.
const EVENTS_OF_A_STORE: u64 = 100;
const NEW_SALES: f64 = 0.1;

/// What the new release says, and what it means by that.
const WORDS: [(&str, &str); 3] = [
    (r#""kind":"drone_delivery""#, r#""kind":"sale""#),
    (r#""type":"locker_sale""#, r#""type":"sale""#),
    (r#""currency_code":"#, r#""currency":"#),
];

/// A fleet whose new words everybody knows.
struct Understood(Fleet);

impl Source for Understood {
    fn next(&mut self, text: &mut Vec<u8>, effects: &mut Vec<StockEffect>) -> Option<PlannedEvent> {
        let start = text.len();
        let planned = self.0.next(text, effects)?;
        let ExpectedOutcome::Parked { mended, .. } = planned.expected else { return Some(planned) };
        let new = String::from_utf8(text.split_off(start)).unwrap();
        let old = WORDS.iter().fold(new, |text, (new, old)| text.replace(new, old));
        assert_eq!(mended, Some(fingerprint(old.as_bytes())));
        text.extend_from_slice(old.as_bytes());
        Some(PlannedEvent { expected: ExpectedOutcome::Accepted, ..planned })
    }

    fn wind_down(&mut self) {
        self.0.wind_down();
    }

    fn schedule(&self) -> &Schedule {
        self.0.schedule()
    }

    fn directory(&self) -> Arc<Directory> {
        self.0.directory()
    }

    fn planted_gaps(&self) -> Vec<Gap> {
        self.0.planted_gaps()
    }
}

/// A world: a folder, and what was sent there.
struct World {
    command_line: CommandLine,
    tap: String,
    outcome: Option<Outcome>,
}

impl World {
    fn new(folder: &Path) -> Self {
        let tap = format!("{} tap --data {}", env!("CARGO_BIN_EXE_tillrace"), folder.display());
        Self { command_line: CommandLine::new(folder, &[]), tap, outcome: None }
    }

    /// Sends a fleet's day with copies and disorder.
    fn send(&mut self, address: &str, source: Box<dyn Source>) {
        let settings = ClientSettings {
            target: format!("http://{address}"),
            key: KEY.to_owned(),
            traffic: TrafficSettings { duplicates: 0.03, disorder: 0.03, ..Default::default() },
            ..ClientSettings::default()
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let run = client::run(source, &settings, Arc::default(), |_| {});
        self.outcome = Some(runtime.block_on(run).unwrap());
    }

    fn outcome(&self) -> &Outcome {
        self.outcome.as_ref().unwrap()
    }

    /// Holds the topics to what was sent.
    fn judge(&self, readmitted: bool) -> Verification {
        let settings = VerifySettings {
            settle_for: Duration::from_mins(1),
            readmitted,
            ..VerifySettings::default()
        };
        let mut reader = TapReader::new(&self.tap);
        let found = verify(self.outcome(), &mut reader, &settings, |_| {}).unwrap();
        assert!(found.holds(), "{found}");
        found
    }

    /// The latest record of each store-day and of each further part of its terminals.
    fn days(&self) -> BTreeMap<String, Value> {
        let records = self.command_line.tap("store.days.v1").into_iter();
        records
            .map(|line| (line["key"].as_str().unwrap().to_owned(), line["value"].clone()))
            .collect()
    }
}

/// What a store-day says of its trade and of what it lacks; its terminals stand in the order in which they came.
fn said(days: &BTreeMap<String, Value>) -> BTreeMap<String, Vec<Value>> {
    let members = [
        "status",
        "transactions",
        "totals",
        "tenders",
        "terminal_count",
        "closed_count",
        "missing_count",
        "refused_count",
        "parked_count",
        "terminals",
    ];
    let said = |day: &Value| {
        let mut day = day.clone();
        if let Some(terminals) = day["terminals"].as_array_mut() {
            terminals.sort_by_key(|terminal| terminal["terminal"].to_string());
        }
        members.map(|member| day[member].take()).to_vec()
    };
    days.iter().map(|(key, day)| (key.clone(), said(day))).collect()
}

fn fleet(now_ms: i64, stores: u32) -> Fleet {
    Fleet::new(FleetSettings {
        stores,
        terminals: 3,
        skus: 500,
        rate: 0.0,
        events: Some(EVENTS_OF_A_STORE * u64::from(stores)),
        starts_at_ms: now_ms,
        parked: NEW_SALES,
        ..FleetSettings::default()
    })
}

#[test]
fn books_are_those_of_a_world_that_knew_the_new_kind_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let stores = std::env::var_os("TILLRACE_NEW_KIND_STORES")
        .map_or(12, |text| text.to_str().unwrap().parse().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now_ms = i64::try_from(now.as_millis()).unwrap();
    let mapping = folder.path().join("mapping.yaml");
    std::fs::write(&mapping, MAPPING).unwrap();

    let mut surprised = World::new(&folder.path().join("surprised"));
    let tillrace = surprised.command_line.up();
    surprised.send(tillrace.gateway(), Box::new(fleet(now_ms, stores)));
    let outcome = surprised.outcome();
    assert_eq!((outcome.surprise_count, outcome.refused.len()), (0, 0), "{:?}", outcome.surprises);
    let parked = outcome.parked_events.len() as u64;
    assert!(parked >= u64::from(stores), "{parked}");
    let lacking = surprised.judge(false);
    assert_eq!((lacking.parked_waiting, lacking.readmitted), (parked, 0));
    let days = surprised.days();
    let count = |day: &Value| day["parked_count"].as_u64().unwrap_or(0);
    assert_eq!(days.values().map(count).sum::<u64>(), parked);
    assert!(days.values().all(|day| count(day) == 0 || day["status"] == "open"));

    let words = ["parked", "readmit", "--all", "--yes", "--mapping", mapping.to_str().unwrap()];
    let output = surprised.command_line.run(&words);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains(&format!("{parked} readmitted, 0 stay parked")), "{printed}");
    let mended = surprised.judge(true);
    assert_eq!((mended.parked_waiting, mended.readmitted), (0, parked));
    assert!(tillrace.terminate().success());
    surprised.command_line.assert_verified();

    let mut knowing = World::new(&folder.path().join("knowing"));
    let tillrace = knowing.command_line.up();
    knowing.send(tillrace.gateway(), Box::new(Understood(fleet(now_ms, stores))));
    let known = knowing.judge(false);
    assert_eq!((known.parked, known.acknowledged), (0, lacking.acknowledged + parked));
    assert!(tillrace.terminate().success());
    assert_eq!(mended.books, known.books);
    assert_eq!(mended.moved, known.moved);
    assert_eq!(said(&surprised.days()), said(&knowing.days()));
}
