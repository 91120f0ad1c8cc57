//! `tillrace sample`: a sample event of this minute.
//!
//! The files in docs/samples have dates of their own, by which they would be kept aside. Here a sample happens now, with every
//! time and date in it as far from now as it was from the sample's own, under an identity that no one had before, so that it is
//! counted however often samples are sent.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use tillrace_core::text::{Date, Timestamp};
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
    let sample = moved(sample, now, date).unwrap_or_else(|| sample.to_owned());
    let sample = with(&sample, "occurred_at", now);
    let sample = with(&sample, "business_date", date);
    let sample = with(&sample, "event_id", &format!("sample-{identity}"));
    let epoch = format!("sample-{}", identity.get(..12).unwrap_or(identity));
    if sample.contains("\"epoch\":") {
        return with(&sample, "epoch", &epoch);
    }
    sample.replacen("\"sequence\":", &format!("\"epoch\": \"{epoch}\", \"sequence\":"), 1)
}

/// Moves every time and date of a sample by what its own is away from now: those of its fiscal device, its session, the sale it
/// refers to, when goods expire. `None` if the sample has no time of its own.
fn moved(sample: &str, now: &str, date: &str) -> Option<String> {
    let time = |text: &str| Timestamp::parse(text.as_bytes()).map(Timestamp::millis);
    let day = |text: &str| Date::parse(text.as_bytes()).map(|date| date.0);
    let later_ms = time(now)? - time(value_of(sample, "occurred_at")?)?;
    let later_days = day(date)? - day(value_of(sample, "business_date")?)?;
    let (mut moved, mut rest) = (String::with_capacity(sample.len()), sample);
    while let Some(place) = place_of_date(rest) {
        let (before, from) = rest.split_at(place);
        moved.push_str(before);
        let (date, _) = from.split_at(10);
        let (whole, _) = from.split_at(from.find('"').unwrap_or(from.len()));
        let (known, text) = match (time(whole), day(date)) {
            (Some(time), _) => (whole, Timestamp::from_millis(time + later_ms).to_string()),
            (None, Some(day)) => (date, Date(day + later_days).to_string()),
            (None, None) => (date, date.to_owned()),
        };
        moved.push_str(&text);
        rest = from.get(known.len()..)?;
    }
    moved.push_str(rest);
    Some(moved)
}

/// Finds what is written as a date: `2026-11-27`, and no digit before or behind it.
fn place_of_date(text: &str) -> Option<usize> {
    let is_digit = |place: Option<usize>| {
        place.and_then(|place| text.as_bytes().get(place)).is_some_and(u8::is_ascii_digit)
    };
    let is_date = |window: &[u8]| {
        window.iter().enumerate().all(|(place, byte)| match place {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
    };
    text.as_bytes().windows(10).enumerate().find_map(|(place, window)| {
        let stands_alone = !is_digit(place.checked_sub(1)) && !is_digit(Some(place + 10));
        (is_date(window) && stands_alone).then_some(place)
    })
}

/// Returns the value of the first member of that name, which is a string without escapes.
fn value_of<'a>(text: &'a str, member: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("\"{member}\":"))?;
    let (_, rest) = rest.split_once('"')?;
    rest.split_once('"').map(|(value, _)| value)
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
    fn what_a_sample_says_of_its_time_and_date_moves_with_it() {
        let sample = |name: &str| {
            let (_, text) = SAMPLES.iter().find(|(known, _)| *known == name).unwrap();
            let event: Value =
                serde_json::from_str(&stamped(text, NOW, "0123456789abcdef")).unwrap();
            event
        };
        let fiscal = sample("sale-fiscal");
        assert_eq!(fiscal["session"]["id"], "s-2036-05-01-03-1");
        assert_eq!(fiscal["fiscal"]["start"], "2036-05-01T07:59:31Z");
        assert_eq!(fiscal["fiscal"]["end"], "2036-05-01T08:00:00Z");
        let returned = sample("return");
        assert_eq!(returned["reference"]["business_date"], "2036-05-01");
        assert_eq!(sample("transfer-out")["reference"]["transfer_id"], "T-2026-118");
        for (name, text) in SAMPLES {
            let stamped = stamped(text, NOW, "0123456789abcdef");
            assert!(!stamped.contains("2026-11-2"), "{name}: {stamped}");
        }
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
