//! The hash chains of audit records: each carries its number, its hash and the hash of the previous one.
//!
//! A writer's records lie in several partitions, so that they are not met in order. Numbers are
//! kept as ranges; the links are compared by sums of hashes over (number, hash) and (number − 1,
//! previous), which are equal, but for both ends, when every link is whole.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use tillrace_log::{ConsumerRecord, Topic};

use super::check::{Check, Difference};
use super::ranges::Ranges;
use super::record::AuditRecord;

/// What closes an audit record: `,"hash":"` and 64 digits and `"}`.
const HASH_MEMBER: &str = ",\"hash\":\"";

/// Latest numbers of an active writer that are not compared: its records are in several partitions, and
/// some may be read before others.
const UNSETTLED: u64 = 1_024;

/// All writers' chains.
#[derive(Debug, Default)]
pub(super) struct Chains {
    writers: BTreeMap<String, Writer>,
}

#[derive(Debug, Default)]
struct Writer {
    numbers: Ranges,
    hashes: u64,
    previous: u64,
    sink: String,
    repeated: u64,
    /// Hash of (number, previous) of the lowest and (number, hash) of the highest number.
    lowest: Option<(u64, u64)>,
    highest: Option<(u64, u64)>,
}

impl Chains {
    /// Adds a record. Returns false if its writer's number was seen before: the record was written twice,
    /// and counts once.
    pub(super) fn add(&mut self, record: &AuditRecord) -> bool {
        let writer = self.writers.entry(record.writer.clone()).or_default();
        if !writer.numbers.insert(record.number) {
            writer.repeated += 1;
            return false;
        }
        writer.sink.clone_from(&record.sink);
        let own = xxh3_64_with_seed(record.hash.as_bytes(), record.number);
        let before = xxh3_64_with_seed(record.previous.as_bytes(), record.number.wrapping_sub(1));
        writer.hashes = writer.hashes.wrapping_add(own);
        writer.previous = writer.previous.wrapping_add(before);
        if writer.lowest.is_none_or(|(number, _)| record.number < number) {
            writer.lowest = Some((record.number, before));
        }
        if writer.highest.is_none_or(|(number, _)| record.number > number) {
            writer.highest = Some((record.number, own));
        }
        true
    }

    /// Tells whether a record's hash matches its text.
    pub(super) fn is_whole(entry: &ConsumerRecord, record: &AuditRecord) -> bool {
        let Some(text) = entry.value.as_deref().and_then(|value| str::from_utf8(value).ok()) else {
            return false;
        };
        let Some((without, _)) = text.rsplit_once(HASH_MEMBER) else { return false };
        let digest = Sha256::new().chain_update(without).chain_update("}").finalize();
        let (pairs, rest) = record.hash.as_bytes().as_chunks::<2>();
        rest.is_empty() && pairs.len() == digest.len() && pairs.iter().zip(digest).all(is_byte)
    }

    /// Reports records that are missing from a sink's chains. `at_work` tells that sinks wrote during the
    /// recount, `truncated` that old audit records are deleted already.
    pub(super) fn compare(
        &self,
        sink: &str,
        topic: &Topic,
        at_work: bool,
        truncated: bool,
        check: &mut Check,
    ) {
        for (name, writer) in self.writers.iter().filter(|(_, writer)| writer.sink == sink) {
            let (Some((lowest, before)), Some((highest, last))) = (writer.lowest, writer.highest)
            else {
                continue;
            };
            let judged = if at_work { highest.saturating_sub(UNSETTLED) } else { highest };
            let gaps = writer.numbers.gaps(if truncated { lowest } else { 0 }, judged);
            for (from, to) in &gaps {
                let what = "audit records are missing from a writer's chain";
                let place = Difference::new(topic, None, what).of(name.as_str());
                check.differs(place.between(format_args!("{from} to {to}"), "none of them"));
            }
            let linked = writer.hashes.wrapping_sub(last) == writer.previous.wrapping_sub(before);
            if gaps.is_empty() && judged == highest && !linked {
                let what = "a link of a writer's chain does not match the previous record";
                check.differs(Difference::new(topic, None, what).of(name.as_str()));
            }
        }
    }

    /// How many records of a sink were met twice.
    pub(super) fn repeated(&self, sink: &str) -> u64 {
        let writers = self.writers.values().filter(|writer| writer.sink == sink);
        writers.map(|writer| writer.repeated).sum()
    }
}

/// Tells whether two hexadecimal digits write a byte.
fn is_byte((digits, byte): (&[u8; 2], u8)) -> bool {
    let digits = str::from_utf8(digits).ok();
    digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) == Some(byte)
}
