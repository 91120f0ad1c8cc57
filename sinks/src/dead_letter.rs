//! Dead letters: records that could not be delivered, unchanged, each with the reason.
//!
//! This module encodes and reads dead letters, so that operators can inspect and redrive them. The
//! engine decides which records become dead letters.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tillrace_core::text::Timestamp;
use tillrace_log::{Offset, Partition};

use crate::audit::hex;
use crate::record::Record;

/// Longest error text, in characters.
const MAX_ERROR_CHARS: usize = 1_000;
/// Largest value that is kept whole: a letter with it stays below the megabyte that every topic accepts.
const MAX_VALUE_BYTES: usize = 960 << 10;
/// Longest text that is kept of a value which is not kept whole, in characters; the rest is cut off.
const MAX_TEXT_CHARS: usize = 65_536;
/// Longest key that is kept, in bytes; the rest is cut off.
const MAX_KEY_BYTES: usize = 4_096;

/// Why a record is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeadLetterReason {
    /// The backend refused it for good.
    Rejected,
    /// It used up its attempts.
    Exhausted,
    /// Its key failed for too long.
    Parked,
    /// This version cannot read it, or the backend's format cannot hold it.
    Unreadable,
    /// The configuration names it.
    SetAside,
}

impl DeadLetterReason {
    pub(crate) const ALL: [Self; 5] =
        [Self::Rejected, Self::Exhausted, Self::Parked, Self::Unreadable, Self::SetAside];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Exhausted => "exhausted",
            Self::Parked => "parked",
            Self::Unreadable => "unreadable",
            Self::SetAside => "set_aside",
        }
    }
}

/// The reason, and what is known about the last attempt.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetterCause {
    pub(crate) reason: DeadLetterReason,
    pub(crate) error: String,
    pub(crate) attempts: u32,
}

#[derive(Serialize)]
struct DeadLetter<'a> {
    sink: &'a str,
    topic: &'a str,
    partition: Partition,
    offset: Offset,
    reason: DeadLetterReason,
    error: &'a str,
    attempts: u32,
    at: String,
    key: Cow<'a, str>,
    value: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_sha256: Option<String>,
}

/// A dead letter as it is read from its topic.
#[derive(Deserialize)]
pub(crate) struct StoredDeadLetter<'a> {
    pub(crate) offset: Offset,
    #[serde(borrow)]
    pub(crate) reason: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) error: Cow<'a, str>,
    /// When it became one; letters of earlier versions have no time.
    #[serde(borrow, default)]
    pub(crate) at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) key: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) value: &'a RawValue,
    /// Digest of the record's value; present if `value` is not that value byte for byte.
    #[serde(default)]
    pub(crate) value_sha256: Option<String>,
}

/// Encodes the dead letter of a record.
pub(crate) fn encode(
    sink: &str,
    topic: &str,
    partition: Partition,
    record: &Record,
    cause: &DeadLetterCause,
    at: Timestamp,
) -> Result<Vec<u8>, serde_json::Error> {
    let (value, whole) = as_json(&record.value)?;
    serde_json::to_vec(&DeadLetter {
        sink,
        topic,
        partition,
        offset: record.offset,
        reason: cause.reason,
        error: truncate(&cause.error, MAX_ERROR_CHARS),
        attempts: cause.attempts,
        at: at.to_string(),
        key: String::from_utf8_lossy(key(record)),
        value,
        value_sha256: (!whole).then(|| digest(&record.value)),
    })
}

/// Returns the key of a record's letter: the record's own key, truncated if too long.
pub(crate) fn key(record: &Record) -> &[u8] {
    record.key.get(..MAX_KEY_BYTES).unwrap_or(&record.key)
}

/// Returns the digest by which a letter identifies its record.
pub(crate) fn digest(value: &[u8]) -> String {
    hex(&Sha256::digest(value))
}

/// Returns a value unchanged if it is JSON, otherwise as a JSON string, and whether all of it is kept.
fn as_json(value: &[u8]) -> Result<(Box<RawValue>, bool), serde_json::Error> {
    let json = serde_json::from_slice::<Box<RawValue>>(value);
    // The parser drops whitespace around the value.
    if let Some(json) = json.ok().filter(|json| json.get().len() <= MAX_VALUE_BYTES) {
        let whole = json.get().len() == value.len();
        return Ok((json, whole));
    }
    let text = String::from_utf8_lossy(value);
    Ok((serde_json::value::to_raw_value(truncate(&text, MAX_TEXT_CHARS))?, false))
}

/// Truncates text to a number of characters.
pub(crate) fn truncate(text: &str, characters: usize) -> &str {
    let end = text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn letter(value: &'static [u8]) -> Value {
        let record = Record::new(7, 0, "acme/1", value);
        let cause = DeadLetterCause {
            reason: DeadLetterReason::Rejected,
            error: "é".repeat(2_000),
            attempts: 3,
        };
        let text =
            encode("erp", "pos.transactions.v1", 1, &record, &cause, Timestamp::from_millis(0))
                .unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn the_original_stands_in_it_unchanged() {
        let letter = letter(br#"{"a":"1.10"}"#);
        assert_eq!(letter["value"], json!({"a": "1.10"}));
        assert_eq!(letter.get("value_sha256"), None);
        assert_eq!(letter["offset"], json!(7));
        assert_eq!(letter["at"], json!("1970-01-01T00:00:00Z"));
        assert_eq!(letter["reason"], json!("rejected"));
        assert_eq!(letter["error"].as_str().unwrap().chars().count(), MAX_ERROR_CHARS);
    }

    #[test]
    fn what_is_not_json_is_kept_as_text_with_its_digest() {
        let letter = letter(b"\xff{");
        assert_eq!(letter["value"], json!("\u{fffd}{"));
        assert_eq!(letter["value_sha256"], json!(digest(b"\xff{")));
    }

    #[test]
    fn the_largest_letter_fits_every_topic() {
        let cause = DeadLetterCause {
            reason: DeadLetterReason::Unreadable,
            error: "\u{1}".repeat(2_000),
            attempts: u32::MAX,
        };
        let json = format!("\"{}\"", "x".repeat(MAX_VALUE_BYTES - 2));
        for value in [json.into_bytes(), vec![1; 1 << 20], b"\xf0\x9f\x92\xb0".repeat(1 << 18)] {
            let record = Record::new(u64::MAX, 0, vec![1; 1 << 20], value);
            let (sink, topic) = ("s".repeat(40), "t".repeat(249));
            let text = encode(&sink, &topic, u32::MAX, &record, &cause, Timestamp::from_millis(0))
                .unwrap();
            assert!(text.len() + key(&record).len() < 1 << 20, "{}", text.len());
        }
    }
}
