//! The roles as processes of their own on a real Kafka, two of each kind that can share, some of them killed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot read an answer has failed"
)]

#[path = "../../log/tests/kafka_cluster/mod.rs"]
mod kafka_cluster;
mod process;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use process::{CommandLine, sale_in, until};
use serde_json::{Value, json};
use tillrace_sinks::simulate::{Faults, SimulatedBackend};
use tokio::runtime::Runtime;

/// Enough for every partition to have one.
const STORES: u64 = 24;
/// Events of a store before and after some roles are killed.
const ROUNDS: u64 = 20;

fn sinks(backend: &SimulatedBackend, lake: &Path) -> String {
    let batch = json!({"max_records": 40, "max_bytes": "1MiB", "linger": "200ms"});
    json!([
        {
            "name": "erp",
            "to": {"kind": "erp_documents", "backend": {"url": backend.documents_url()}, "form": "batch"},
            "flow": {"concurrency": 4, "commit_every": "100ms"},
        },
        {
            "name": "lake",
            "to": {"kind": "parquet", "source": "transactions", "location": lake},
            "flow": {"batch": batch, "commit_every": "100ms"},
        },
    ])
    .to_string()
}

/// Place on `pos.transactions` of every row of every published file.
fn rows(files: &Path) -> Vec<(i64, i64)> {
    let whole = |field: &Field| match field {
        Field::Int(number) => i64::from(*number),
        Field::Long(number) => *number,
        other => panic!("{other} is no place"),
    };
    let files = fs::read_dir(files).unwrap();
    let files = files.map(|file| file.unwrap().path());
    // A file beside them says whose the folder is.
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "parquet"));
    files
        .flat_map(|path| {
            let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
            let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
            rows
        })
        .map(|row| {
            let column = |wanted| {
                let mut columns = row.get_column_iter();
                whole(columns.find(|(name, _)| *name == wanted).unwrap().1)
            };
            (column("partition"), column("offset"))
        })
        .collect()
}

/// Recounts until both sinks have settled every event; returns the report.
fn recount(command_line: &CommandLine, path: &Path, events: u64) -> Value {
    until("both sinks have settled everything", || {
        let output = command_line.run(&["verify", "--json", path.to_str().unwrap()]);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let report: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let done = report["sinks"].as_array()?.iter().all(|sink| sink["records"] == events);
        if done {
            assert!(output.status.success(), "{printed}");
        }
        done.then_some(report)
    })
}

#[test]
fn killed_roles_leave_nothing_undelivered_and_nothing_counted_twice() {
    let Some(brokers) = kafka_cluster::shared("the roles as separate processes") else { return };
    let runtime = Runtime::new().unwrap();
    let faults = Faults { latency: Duration::from_millis(20), ..Faults::default() };
    let backend = runtime.block_on(SimulatedBackend::start(faults)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let namespace = format!("roles-{}", std::process::id());
    let command_line = CommandLine::new(folder.path(), &["--kafka", brokers])
        .with("TILLRACE__NAMESPACE", &namespace)
        .with("TILLRACE__SINKS", &sinks(&backend, &lake))
        .with("TILLRACE__LOG__KAFKA__SESSION_TIMEOUT", "6s");
    let ingest = command_line.start("ingest");
    let aggregates = [(); 2].map(|()| command_line.start("aggregate"));
    let delivers = [(); 2].map(|()| command_line.start("deliver"));

    let mut last = 0;
    let mut send = |rounds: u64| {
        for sequence in last + 1..=last + rounds {
            for store in 1..=STORES {
                let sale = sale_in(&store.to_string(), sequence, "apples", "1");
                let (status, answer) = ingest.post("/v1/events", &sale);
                assert_eq!(status, 202, "{answer}");
            }
        }
        last += rounds;
        STORES * last
    };
    // A member that joins late finds work too, however fast the first one is.
    until("all four have work", || {
        send(1);
        let folds = |role: &process::Tillrace| {
            role.metric("tillrace_aggregate_records_total{verdict=\"first\"}") > 0.0
        };
        let delivers_some = |role: &process::Tillrace| {
            ["erp", "lake"].iter().all(|sink| {
                let series = format!("tillrace_deliver_records_total{{sink=\"{sink}\"");
                role.metric(&series) > 0.0
            })
        };
        (aggregates.iter().all(folds) && delivers.iter().all(delivers_some)).then_some(())
    });
    let [aggregate, doomed_aggregate] = aggregates;
    let [deliver, doomed_deliver] = delivers;
    let posted = send(ROUNDS);
    doomed_aggregate.kill_9();
    doomed_deliver.kill_9();
    let early = backend.read(|books| books.booked.len());
    assert!((early as u64) < posted, "they were killed with work in hand, at {early}");
    let events = send(ROUNDS);

    let report = recount(&command_line, &folder.path().join("report.json"), events);
    assert_eq!(report["verdicts"]["first"], events);
    for sink in report["sinks"].as_array().unwrap() {
        assert_eq!((&sink["delivered"], &sink["dead"]), (&json!(events), &json!(0)), "{sink}");
    }
    for role in [ingest, aggregate, deliver] {
        assert!(role.terminate().success());
    }
    command_line.assert_verified();
    backend.read(|books| {
        assert_eq!(books.booked.len() as u64, events);
        assert_eq!(books.order.len() as u64, STORES);
        for (store, offsets) in &books.order {
            assert!(offsets.is_sorted(), "store {store}: {offsets:?}");
        }
    });
    let rows = rows(&lake.join(format!("{namespace}.pos.transactions.v1")));
    assert_eq!(rows.len() as u64, events, "each line stands in the files once");
    assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len());
    let net = |delta: &Value| delta["value"]["net"].as_str().unwrap().parse::<i64>().unwrap();
    let sold: i64 = command_line.tap("inventory.deltas.v1").iter().map(net).sum();
    assert_eq!(sold.unsigned_abs(), events);
}
