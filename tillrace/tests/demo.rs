//! The demo, as a newcomer runs it, only smaller: it ends by itself, holds, and says so in JSON.

use std::process::Command;

use serde_json::Value;

#[test]
fn a_small_demo_loses_nothing_and_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_tillrace"))
        .args(["demo", "--stores", "20", "--events", "3000", "--seed", "7", "--json"])
        .arg(&path)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}\n{complained}");
    assert!(printed.contains("Nothing was lost, and nothing was counted twice."), "{printed}");
    let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(report["lost"], 0);
    assert_eq!(report["double_counted"], 0);
    assert_eq!(report["sent"], 3_000);
    let refused: u64 =
        report["refused"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert!(refused > 0);
    assert_eq!(report["acknowledged"], 3_000 - refused);
    assert!(report["duplicates"].as_u64().unwrap() > 0);
    assert_eq!(report["missing_ranges"].as_array().unwrap().len(), 12);
    for sink in ["erp", "erp-stock", "crm", "analytics", "analytics-stock"] {
        assert!(report["delivered"][sink].as_u64().unwrap() > 0, "{sink}");
    }
    for member in ["dead", "p50_us", "p99_us", "p999_us", "events_per_s", "elapsed_s"] {
        assert!(!report[member].is_null(), "{member}");
    }
    assert_eq!(report["holds"], true);
}
