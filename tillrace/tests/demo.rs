//! The demo, as a newcomer runs it, only smaller: it ends by itself, holds, and says so in JSON.

use std::process::Command;

use serde_json::Value;
use tillrace_loadtest::text::WIDTH;

#[test]
fn a_small_demo_loses_nothing_and_counts_nothing_twice() {
    let output = Command::new(env!("CARGO_BIN_EXE_tillrace"))
        .args(["demo", "--stores", "20", "--events", "3000", "--seed", "7", "--json", "-"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}\n{told}");
    let verdict = "PASSED: nothing was lost, nothing was counted twice.\n";
    let (_logged, text) = told.split_at(told.find(verdict).expect(&told));
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report["lost"], 0);
    assert_eq!(report["double_counted"], 0);
    assert_eq!(report["sent"], 3_000);
    let [parked, refused] = ["parked", "refused"].map(|name| {
        let codes = report[name].as_object().unwrap().values();
        codes.filter_map(Value::as_u64).sum::<u64>()
    });
    assert!(parked > 0 && refused > 0);
    let readmitted = report["readmitted"].as_u64().unwrap();
    assert!((1..parked).contains(&readmitted), "{readmitted} of {parked}");
    let found = &report["verification"];
    assert_eq!([&found["readmitted"], &found["parked"]], [readmitted, parked]);
    assert_eq!(found["parked_waiting"], parked - readmitted);
    assert!(found["days"].as_u64().unwrap() > 0);
    assert!(found["books"]["EUR"]["liabilities_issued"].is_string(), "{}", found["books"]);
    for row in ["parked", "liabilities issued, EUR", "liabilities redeemed, EUR"] {
        assert!(text.contains(&format!("  {row} ")), "{row}");
    }
    assert_eq!(report["acknowledged"], 3_000 - parked - refused);
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
