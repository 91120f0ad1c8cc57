//! Audit records: one for each outcome of each delivery call, linked by a hash chain.
//!
//! An audit record names every offset that a sink settles before the group's commit covers it; the
//! conservation check of sinks reads these records. Each carries the hash of its writer's previous
//! record, so that the removal or alteration of a record is detected.

use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tillrace_core::text::Timestamp;
use tillrace_log::{Offset, Partition};
use uuid::Uuid;

/// Most ranges, and most exceptions, in one record; an entry with more makes further records. The largest record fits
/// every topic even if JSON escapes each character of a backend's codes.
pub(crate) const MAX_ITEMS: usize = 1_024;
/// Longest code of an exception, in characters.
const MAX_CODE_CHARS: usize = 64;

/// The outcome of the offsets of an audit record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuditOutcome {
    /// The backend has them.
    Delivered,
    /// Each is in the dead letters, for the reason of its exception.
    Dead,
    /// The filter or the connector does not want them.
    Filtered,
    /// The sink began above them.
    Begun,
    /// They are in the dead letters because their key failed for too long.
    Parked,
}

/// The offsets of one call with one outcome, before they become audit records.
#[derive(Debug, Clone)]
pub(crate) struct AuditEntry {
    pub(crate) outcome: AuditOutcome,
    pub(crate) status: Option<u16>,
    pub(crate) attempts: u32,
    pub(crate) started: Timestamp,
    pub(crate) elapsed: Duration,
    /// Rising, each with a code if it is an exception.
    pub(crate) offsets: Vec<(Offset, Option<String>)>,
}

/// The hash chain of one writer.
#[derive(Debug)]
pub(crate) struct HashChain {
    sink: String,
    topic: String,
    writer: String,
    number: u64,
    previous: String,
    redriven: bool,
}

#[derive(Serialize)]
struct AuditRecord<'a> {
    sink: &'a str,
    topic: &'a str,
    partition: Partition,
    offsets: Vec<[Offset; 2]>,
    outcome: AuditOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    attempts: u32,
    started: String,
    elapsed_ms: u64,
    exceptions: Vec<AuditException<'a>>,
    redriven: bool,
    writer: &'a str,
    number: u64,
    previous: &'a str,
}

#[derive(Serialize)]
struct AuditException<'a> {
    offset: Offset,
    code: &'a str,
}

impl HashChain {
    /// Starts the chain of a new writer, whose id must be unique.
    pub(crate) fn new(sink: &str, topic: &str, writer: Uuid) -> Self {
        Self {
            sink: sink.to_owned(),
            topic: topic.to_owned(),
            writer: writer.to_string(),
            number: 0,
            previous: String::new(),
            redriven: false,
        }
    }

    /// Marks each record as one about redriven dead letters.
    pub(crate) fn redriven(self) -> Self {
        Self { redriven: true, ..self }
    }

    /// Encodes the records of an entry, several if it is too large for one.
    pub(crate) fn append(
        &mut self,
        partition: Partition,
        entry: &AuditEntry,
    ) -> Result<Vec<Vec<u8>>, serde_json::Error> {
        entry.offsets.chunks(MAX_ITEMS).map(|part| self.link(partition, entry, part)).collect()
    }

    /// Encodes the one record of a chain that says where a partition begins.
    pub(crate) fn begun(
        &mut self,
        partition: Partition,
        offset: Offset,
        started: Timestamp,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let outcome = AuditOutcome::Begun;
        let (offsets, elapsed) = (Vec::new(), Duration::ZERO);
        let entry = AuditEntry { outcome, status: None, attempts: 0, started, elapsed, offsets };
        self.seal(partition, &entry, vec![[0, offset]], Vec::new())
    }

    fn link(
        &mut self,
        partition: Partition,
        entry: &AuditEntry,
        part: &[(Offset, Option<String>)],
    ) -> Result<Vec<u8>, serde_json::Error> {
        let exceptions = part
            .iter()
            .filter_map(|(offset, code)| {
                let code = code.as_deref()?;
                let end = code.char_indices().nth(MAX_CODE_CHARS).map_or(code.len(), |(at, _)| at);
                Some(AuditException { offset: *offset, code: code.get(..end)? })
            })
            .collect();
        let offsets = ranges(part.iter().map(|&(offset, _)| offset));
        self.seal(partition, entry, offsets, exceptions)
    }

    fn seal(
        &mut self,
        partition: Partition,
        entry: &AuditEntry,
        offsets: Vec<[Offset; 2]>,
        exceptions: Vec<AuditException<'_>>,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let record = AuditRecord {
            sink: &self.sink,
            topic: &self.topic,
            partition,
            offsets,
            outcome: entry.outcome,
            status: entry.status,
            attempts: entry.attempts,
            started: entry.started.to_string(),
            elapsed_ms: u64::try_from(entry.elapsed.as_millis()).unwrap_or(u64::MAX),
            exceptions,
            redriven: self.redriven,
            writer: &self.writer,
            number: self.number,
            previous: &self.previous,
        };
        let mut text = serde_json::to_vec(&record)?;
        let hash = hex(&Sha256::digest(&text));
        // The hash covers the record without the hash, which is appended as the last member.
        text.pop();
        text.extend_from_slice(b",\"hash\":\"");
        text.extend_from_slice(hash.as_bytes());
        text.extend_from_slice(b"\"}");
        self.number += 1;
        self.previous = hash;
        Ok(text)
    }
}

/// Merges rising offsets into `[from, to)` ranges.
fn ranges(offsets: impl Iterator<Item = Offset>) -> Vec<[Offset; 2]> {
    let mut ranges: Vec<[Offset; 2]> = Vec::new();
    for offset in offsets {
        match ranges.last_mut() {
            Some([_, to]) if *to == offset => *to = offset + 1,
            _ => ranges.push([offset, offset + 1]),
        }
    }
    ranges
}

/// Encodes bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(offsets: Vec<(Offset, Option<String>)>) -> AuditEntry {
        AuditEntry {
            outcome: AuditOutcome::Delivered,
            status: Some(200),
            attempts: 1,
            started: Timestamp::from_millis(0),
            elapsed: Duration::from_millis(12),
            offsets,
        }
    }

    fn chain() -> HashChain {
        HashChain::new("erp", "pos.transactions.v1", Uuid::from_u128(7))
    }

    #[test]
    fn offsets_become_ranges() {
        assert_eq!(ranges([1, 2, 3, 7, 9, 10].into_iter()), [[1, 4], [7, 8], [9, 11]]);
        assert!(ranges(std::iter::empty()).is_empty());
    }

    #[test]
    fn each_record_carries_the_hash_of_the_one_before() {
        let mut chain = chain();
        let mut previous = String::new();
        for number in 0..3 {
            let texts = chain.append(2, &entry(vec![(number, None)])).unwrap();
            let text = String::from_utf8(texts.into_iter().next().unwrap()).unwrap();
            let record: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(record["number"], json!(number));
            assert_eq!(record["previous"], json!(previous));
            let (without, _) = text.rsplit_once(",\"hash\":").unwrap();
            let hash = hex(&Sha256::digest(format!("{without}}}")));
            assert_eq!(record["hash"], json!(hash));
            previous = hash;
        }
    }

    #[test]
    fn the_largest_record_fits_its_kind() {
        let from = u64::MAX - 4 * MAX_ITEMS as u64;
        let code = |offset: u64| (from + 2 * offset, Some("\u{1}".repeat(100)));
        let entry = entry((0..MAX_ITEMS as u64).map(code).collect());
        let name = "s".repeat(128);
        let texts =
            HashChain::new(&name, &name, Uuid::from_u128(7)).append(u32::MAX, &entry).unwrap();
        let largest = tillrace_core::record_size::largest("pos.audit.v1", "audit record");
        assert_eq!(texts.len(), 1);
        assert!(texts[0].len() < largest, "{} bytes", texts[0].len());
    }

    #[test]
    fn an_entry_too_large_for_one_record_makes_several() {
        let offsets: Vec<_> =
            (0..10_000).map(|offset| (offset * 2, Some("c".repeat(100)))).collect();
        let texts = chain().append(0, &entry(offsets)).unwrap();
        assert_eq!(texts.len(), 10);
        let last: Value = serde_json::from_slice(&texts[9]).unwrap();
        assert_eq!(last["offsets"][0], json!([18_432, 18_433]));
        assert_eq!(last["exceptions"][0]["code"], json!("c".repeat(64)));
        let ranges: usize = texts
            .iter()
            .map(|text| serde_json::from_slice::<Value>(text).unwrap())
            .map(|record| record["offsets"].as_array().unwrap().len())
            .sum();
        assert_eq!(ranges, 10_000);
    }
}
