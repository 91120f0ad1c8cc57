//! Dead letters: what could not be delivered, with the reason, as it stood on its topic.
//!
//! Nothing here decides that a record is dead; it only writes it down so that people can read it
//! and send it again.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tillrace_core::log::{Offset, Partition};

use crate::record::Record;

/// Longest explanation, in characters.
const LONGEST_ERROR: usize = 1_000;
/// Longest value that is not JSON, in characters; what lies beyond is cut.
const LONGEST_FOREIGN: usize = 65_536;

/// Why a record is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// The backend refused it for good.
    Rejected,
    /// It failed as often as it may.
    Exhausted,
    /// Its key was stuck too long.
    Parked,
}

/// What is known about the last attempt.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) reason: Reason,
    pub(crate) error: String,
    pub(crate) attempts: u32,
}

#[derive(Serialize)]
struct DeadLetter<'a> {
    sink: &'a str,
    topic: &'a str,
    partition: Partition,
    offset: Offset,
    reason: Reason,
    error: &'a str,
    attempts: u32,
    key: Cow<'a, str>,
    value: Box<RawValue>,
}

/// A dead letter as it is read back.
#[derive(Deserialize)]
pub(crate) struct Letter<'a> {
    pub(crate) offset: Offset,
    #[serde(borrow)]
    pub(crate) reason: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) error: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) key: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) value: &'a RawValue,
}

/// Writes the dead letter of a record.
pub(crate) fn write(
    sink: &str,
    topic: &str,
    partition: Partition,
    record: &Record,
    cause: &Cause,
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&DeadLetter {
        sink,
        topic,
        partition,
        offset: record.offset,
        reason: cause.reason,
        error: cut(&cause.error, LONGEST_ERROR),
        attempts: cause.attempts,
        key: String::from_utf8_lossy(&record.key),
        value: as_json(&record.value)?,
    })
}

/// Returns a value as it stands if it is JSON, else as a JSON string.
fn as_json(value: &[u8]) -> Result<Box<RawValue>, serde_json::Error> {
    match serde_json::from_slice::<Box<RawValue>>(value) {
        Ok(value) => Ok(value),
        Err(_not_json) => {
            let text = String::from_utf8_lossy(value);
            serde_json::value::to_raw_value(cut(&text, LONGEST_FOREIGN))
        }
    }
}

/// Cuts text to so many characters.
pub(crate) fn cut(text: &str, characters: usize) -> &str {
    let end = text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn letter(value: &'static [u8]) -> Value {
        let record = Record::new(7, 0, "acme/1", value);
        let cause = Cause { reason: Reason::Rejected, error: "é".repeat(2_000), attempts: 3 };
        let text = write("erp", "pos.transactions.v1", 1, &record, &cause).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn the_original_stands_in_it_unchanged() {
        let letter = letter(br#"{"a":"1.10"}"#);
        assert_eq!(letter["value"], json!({"a": "1.10"}));
        assert_eq!(letter["offset"], json!(7));
        assert_eq!(letter["reason"], json!("rejected"));
        assert_eq!(letter["error"].as_str().unwrap().chars().count(), LONGEST_ERROR);
    }

    #[test]
    fn what_is_not_json_is_kept_as_text() {
        assert_eq!(letter(b"\xff{")["value"], json!("\u{fffd}{"));
    }
}
