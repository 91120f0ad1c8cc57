//! `tillrace sample`: a sample event of this minute.
//!
//! The files in docs/samples have dates of their own, by which they would be kept aside. Here a sample happens now, under
//! an identity that no one had before, so that it is counted however often samples are sent.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use tillrace_core::text::Timestamp;
use uuid::Uuid;

use crate::usage::UsageError;

macro_rules! samples {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../docs/samples/", $name, ".json")))),*]
    };
}

/// Every sample by its name.
const SAMPLES: [(&str, &str); 55] = samples![
    "bank-deposit" "close" "correction" "exchange" "goods-receipt" "inventory-adjustment" "inventory-count"
    "layaway-cancelled" "layaway-handed-over" "layaway-paid" "layaway-placed" "loan" "no-sale" "open"
    "order-cancelled" "order-handed-over" "order-paid" "order-picked" "order-placed" "paid-in" "paid-out" "pickup"
    "post-void" "resume" "return" "return-blind" "sale" "sale-after-midnight" "sale-cash-rounding"
    "sale-cash-rounding-tender" "sale-exclusive-tax" "sale-fiscal" "sale-foreign-currency" "sale-gift-card"
    "sale-jpy" "sale-kwd" "sale-line-details" "sale-minimal" "sale-stored-value" "sale-tip" "sale-weighed"
    "sale-with-negative-void-line" "sale-with-return" "sale-with-unknown-members" "stock-move" "suspend"
    "till-declaration" "tip-adjustment" "training" "transfer-in" "transfer-out" "vendor-return" "void"
    "void-negative" "x-own"
];

/// Prints the sample of that name.
pub(crate) fn run(name: &str) -> anyhow::Result<ExitCode> {
    let Some((_, sample)) = SAMPLES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = SAMPLES.iter().map(|(name, _)| *name).collect();
        return Err(UsageError::NoSample { name: name.to_owned(), known: known.join(", ") }.into());
    };
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
    let now = Timestamp::from_millis(i64::try_from(now).unwrap_or(i64::MAX)).to_string();
    let event = stamped(sample, &now, &Uuid::new_v4().simple().to_string());
    io::stdout().lock().write_all(event.as_bytes()).context("print the sample")?;
    Ok(ExitCode::SUCCESS)
}

/// Puts time and identity into a sample and leaves the rest of its text alone. The epoch makes its terminal a new one,
/// whose numbers begin with this event.
fn stamped(sample: &str, now: &str, identity: &str) -> String {
    let date = now.get(..10).unwrap_or(now);
    let sample = with(sample, "occurred_at", now);
    let sample = with(&sample, "business_date", date);
    let sample = with(&sample, "event_id", &format!("sample-{identity}"));
    let epoch = format!("sample-{}", identity.get(..12).unwrap_or(identity));
    if sample.contains("\"epoch\":") {
        return with(&sample, "epoch", &epoch);
    }
    sample.replacen("\"sequence\":", &format!("\"epoch\": \"{epoch}\", \"sequence\":"), 1)
}

/// Replaces the value of the first member of that name, which is a string without escapes.
fn with(text: &str, member: &str, value: &str) -> String {
    let replaced = text.split_once(&format!("\"{member}\":")).and_then(|(before, rest)| {
        let (space, rest) = rest.split_once('"')?;
        let (_, after) = rest.split_once('"')?;
        Some(format!("{before}\"{member}\":{space}\"{value}\"{after}"))
    });
    replaced.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    const NOW: &str = "2036-05-01T08:00:00.000Z";

    fn docs() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
    }

    #[test]
    fn every_sample_is_there_and_stays_a_valid_event() {
        let schema = docs().join("schemas/event.v1.schema.json");
        let schema: Value =
            serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for (name, sample) in SAMPLES {
            let event: Value =
                serde_json::from_str(&stamped(sample, NOW, "0123456789abcdef")).unwrap();
            assert!(validator.is_valid(&event), "{name}");
            assert_eq!(event["occurred_at"], NOW, "{name}");
            assert_eq!(event["business_date"], "2036-05-01", "{name}");
            assert_eq!(event["event_id"], "sample-0123456789abcdef", "{name}");
            let epoch = event.get("epoch").and_then(Value::as_str);
            assert_eq!(epoch.is_some(), event.get("sequence").is_some(), "{name}");
            assert!(epoch.is_none_or(|epoch| epoch == "sample-0123456789ab"), "{name}");
        }
        let files = std::fs::read_dir(docs().join("samples")).unwrap();
        let files: BTreeSet<String> = files
            .filter_map(|file| {
                file.unwrap()
                    .file_name()
                    .into_string()
                    .unwrap()
                    .strip_suffix(".json")
                    .map(str::to_owned)
            })
            .collect();
        assert_eq!(files, SAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect());
    }
}
