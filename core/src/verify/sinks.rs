//! Check (d): every record below a sink's committed offset is delivered, dead, parked or filtered,
//! from where the sink began.
//!
//! Reads the audit and the group's offsets, and for what was given up the dead letters: nothing of
//! the sink's own. A record delivered more than once counts once; the surplus is reported.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use tillrace_log::{ConsumerRecord, LogError, LogView, Offset, Partition, Topic};
use xxhash_rust::xxh3::xxh3_128;

use crate::topics::Topics;

use super::chains::Chains;
use super::check::{Amount, Check, Difference};
use super::flush_boundaries::clamp_committed;
use super::ranges::Ranges;
use super::record::{AuditRecord, DeadLetter, Outcome};
use super::report::SinkCounts;
use super::scan::Scan;

/// A sink whose deliveries are recounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkUnderTest {
    /// The sink's name, as audit records and the dead-letter topic have it.
    pub name: String,
    /// The topic it reads.
    pub topic: Topic,
    /// Its consumer group.
    pub group: String,
    /// Whether it is in the configuration; otherwise the audit alone knows of it.
    pub is_configured: bool,
}

/// Lists every sink that the audit knows, with the topic that it read.
///
/// # Errors
/// When the log cannot be read.
pub fn audited_sinks(
    view: &dyn LogView,
    topics: &Topics,
) -> Result<BTreeSet<(String, String)>, LogError> {
    let mut sinks = BTreeSet::new();
    for partition in 0..view.partitions() {
        let mut scan = Scan::whole(view, &topics.audit, partition)?;
        while let Some(entry) = scan.next()? {
            let value = entry.value.as_deref().unwrap_or_default();
            // The recount itself reports records that cannot be read.
            if let Ok(record) = serde_json::from_slice::<AuditRecord>(value) {
                sinks.insert((record.sink, record.topic));
            }
        }
    }
    Ok(sinks)
}

/// The offsets that one sink settled in one partition, according to the audit.
#[derive(Default)]
struct SettledRanges {
    /// Offsets delivered at least once, at least twice, and so on.
    delivered: Vec<Ranges>,
    dead: Ranges,
    parked: Ranges,
    filtered: Ranges,
    /// Where the sink began; the lowest of several, so that a group which lost its offsets is not taken for a new one.
    begun: Option<Offset>,
}

impl SettledRanges {
    fn add(&mut self, record: &AuditRecord) {
        for &(from, end) in &record.offsets {
            let Some(to) = end.checked_sub(1).filter(|&to| to >= from) else { continue };
            match record.outcome {
                Outcome::Delivered => self.deliver(0, (from, to)),
                Outcome::Dead => drop(self.dead.insert_span(from, to)),
                Outcome::Parked => drop(self.parked.insert_span(from, to)),
                Outcome::Filtered => drop(self.filtered.insert_span(from, to)),
                Outcome::Begun => self.begun = Some(self.begun.map_or(end, |begun| begun.min(end))),
            }
        }
    }
}

impl SettledRanges {
    fn deliver(&mut self, before: usize, (from, to): (Offset, Offset)) {
        if self.delivered.len() == before {
            self.delivered.push(Ranges::default());
        }
        for again in self.delivered[before].insert_span(from, to) {
            self.deliver(before + 1, again);
        }
    }

    fn deliveries(&self, offset: Offset) -> u64 {
        self.delivered.iter().take_while(|ranges| ranges.contains(offset)).count() as u64
    }
}

/// One sink's recount.
pub(super) struct SinkRecount<'a> {
    under_test: &'a SinkUnderTest,
    /// Its group's offsets, read once.
    committed: Vec<Option<Offset>>,
    pub(super) counts: SinkCounts,
    pub(super) check: Check,
}

impl<'a> SinkRecount<'a> {
    /// Reads a sink's committed offsets.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn open(
        view: &dyn LogView,
        under_test: &'a SinkUnderTest,
    ) -> Result<Self, LogError> {
        let committed = (0..view.partitions())
            .map(|partition| {
                let committed = view.committed(&under_test.group, &under_test.topic, partition)?;
                Ok(committed.map(|committed| committed.offset))
            })
            .collect::<Result<_, LogError>>()?;
        Ok(Self {
            under_test,
            committed,
            counts: SinkCounts { sink: under_test.name.clone(), ..SinkCounts::default() },
            check: Check::new(if under_test.is_configured {
                format!("(d) sink {}", under_test.name)
            } else {
                format!("(d) sink {}, not in the configuration", under_test.name)
            }),
        })
    }

    fn reads(&self, record: &AuditRecord) -> bool {
        record.sink == self.under_test.name && record.topic == self.under_test.topic.as_str()
    }

    fn differs(
        &mut self,
        topics: &Topics,
        partition: Partition,
        entry: &ConsumerRecord,
        what: &'static str,
    ) {
        self.check.differs(Difference::new(&topics.audit, partition, what).at(entry.offset));
    }

    /// Writes the figures.
    fn figures(&mut self) {
        let counts = &self.counts;
        let settled = counts.delivered
            + counts.dead
            + counts.parked
            + counts.filtered
            + counts.given
            + counts.begun;
        let figures = [
            ("records below its offsets, settled", counts.records, Amount::Count(settled)),
            ("delivered", counts.delivered, Amount::Unknown),
            ("dead", counts.dead, Amount::Unknown),
            ("parked", counts.parked, Amount::Unknown),
            ("filtered", counts.filtered, Amount::Unknown),
            ("before its start", counts.begun, Amount::Unknown),
            ("redelivered", counts.redelivered, Amount::Unknown),
        ];
        for (what, recounted, recorded) in figures {
            self.check.figure(what, Amount::Count(recounted), recorded);
        }
        if self.counts.given > 0 {
            let note = format!("{} records are older than the kept audit", self.counts.given);
            self.check.notes.push(note);
        }
    }

    /// Compares every record of a partition below the committed offset with the audit.
    fn compare(
        &mut self,
        view: &dyn LogView,
        topics: &Topics,
        partition: Partition,
        settled: &SettledRanges,
        given_before_ms: i64,
    ) -> Result<(), LogError> {
        let committed = self.committed.get(partition as usize).copied().flatten();
        let topic = &self.under_test.topic;
        let bounds = view.bounds(topic, partition)?;
        let end = clamp_committed(bounds, committed, topic, partition, &mut self.check);
        let mut letters = self.dead_letters(view, topics, partition)?;
        let mut scan = Scan::open(view, topic, partition, bounds.start, end)?;
        while let Some(entry) = scan.next()? {
            let offset = entry.offset;
            self.counts.records += 1;
            let deliveries = settled.deliveries(offset);
            if deliveries > 0 {
                self.counts.delivered += 1;
                self.counts.redelivered += deliveries - 1;
            } else if settled.dead.contains(offset) {
                self.counts.dead += 1;
            } else if settled.parked.contains(offset) {
                self.counts.parked += 1;
            } else if settled.filtered.contains(offset) {
                self.counts.filtered += 1;
            } else if settled.begun.is_some_and(|begun| offset < begun) {
                self.counts.begun += 1;
            } else if entry.appended_ms < given_before_ms {
                self.counts.given += 1;
            } else {
                let what = "below the committed offset, but neither delivered, dead nor filtered";
                self.check.differs(Difference::new(topic, partition, what).at(offset));
            }
            let given_up = settled.dead.contains(offset) || settled.parked.contains(offset);
            self.compare_letter(topics, partition, &entry, given_up, letters.remove(&offset));
        }
        Ok(())
    }

    /// Checks that a record which was given up is among the dead letters, unchanged.
    fn compare_letter(
        &mut self,
        topics: &Topics,
        partition: Partition,
        entry: &ConsumerRecord,
        given_up: bool,
        letter: Option<DeadLetterEntry>,
    ) {
        match letter {
            None if given_up => {
                let what = "given up, but not among the dead letters";
                let topic = &self.under_test.topic;
                self.check.differs(Difference::new(topic, partition, what).at(entry.offset));
            }
            Some(letter) if !letter.content.is_of(entry.value.as_deref().unwrap_or_default()) => {
                let what = "a dead letter does not hold its record";
                let topic = topics.dead(&self.under_test.name);
                self.check.differs(Difference::new(&topic, partition, what).at(letter.offset));
            }
            _ => {}
        }
    }

    fn dead_letters(
        &mut self,
        view: &dyn LogView,
        topics: &Topics,
        partition: Partition,
    ) -> Result<BTreeMap<Offset, DeadLetterEntry>, LogError> {
        let topic = topics.dead(&self.under_test.name);
        let mut letters = BTreeMap::new();
        let mut scan = Scan::whole(view, &topic, partition)?;
        while let Some(entry) = scan.next()? {
            let value = entry.value.as_deref().unwrap_or_default();
            let Ok(letter) = serde_json::from_slice::<DeadLetter<'_>>(value) else {
                self.check
                    .differs(Difference::new(&topic, partition, "cannot be read").at(entry.offset));
                continue;
            };
            let here = letter.sink == self.under_test.name
                && letter.topic == self.under_test.topic.as_str()
                && letter.partition == partition;
            if here {
                let whole = || ContentProof::Whole(xxh3_128(letter.value.get().as_bytes()));
                let content = letter.value_sha256.map_or_else(whole, ContentProof::Digest);
                letters.insert(letter.offset, DeadLetterEntry { offset: entry.offset, content });
            } else {
                let what = "a dead letter of another sink, topic or partition";
                self.check.differs(Difference::new(&topic, partition, what).at(entry.offset));
            }
        }
        Ok(letters)
    }
}

/// A dead letter: its offset, and what identifies the value of its record.
struct DeadLetterEntry {
    offset: Offset,
    content: ContentProof,
}

/// What identifies the value of a record.
enum ContentProof {
    /// A hash of the value, which the letter holds.
    Whole(u128),
    /// Its SHA-256 as the letter gives it, in hexadecimal digits: the letter holds a part of it.
    Digest(String),
}

impl ContentProof {
    fn is_of(&self, value: &[u8]) -> bool {
        match self {
            Self::Whole(hash) => *hash == xxh3_128(value),
            Self::Digest(digits) => {
                let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
                let digest = Sha256::digest(value);
                let is_byte =
                    |(pair, byte): (&[u8; 2], &u8)| *pair == *format!("{byte:02x}").as_bytes();
                rest.is_empty()
                    && pairs.len() == digest.len()
                    && pairs.iter().zip(&digest).all(is_byte)
            }
        }
    }
}

/// Recounts all sinks, partition by partition.
///
/// # Errors
/// When the log fails.
pub(super) fn recount(
    view: &dyn LogView,
    topics: &Topics,
    sinks: &mut [SinkRecount<'_>],
    kept_since_ms: i64,
    progress: &mut dyn FnMut(Partition),
) -> Result<(), LogError> {
    let mut chains = Chains::default();
    let (mut at_work, mut truncated) = (false, false);
    for partition in 0..view.partitions() {
        let bounds = view.bounds(&topics.audit, partition)?;
        let mut settled: BTreeMap<&str, SettledRanges> = BTreeMap::new();
        let mut audited_since_ms = i64::MIN;
        let mut scan = Scan::open(view, &topics.audit, partition, bounds.start, bounds.end)?;
        while let Some(entry) = scan.next()? {
            if bounds.start > 0 && audited_since_ms == i64::MIN {
                audited_since_ms = entry.appended_ms;
            }
            let value = entry.value.as_deref().unwrap_or_default();
            let Ok(record) = serde_json::from_slice::<AuditRecord>(value) else {
                for sink in &mut *sinks {
                    sink.differs(topics, partition, &entry, "cannot be read");
                }
                continue;
            };
            let Some(sink) = sinks.iter_mut().find(|sink| sink.reads(&record)) else { continue };
            if !Chains::is_whole(&entry, &record) {
                sink.differs(topics, partition, &entry, "its hash does not match its text");
            } else if record.partition != partition {
                sink.differs(topics, partition, &entry, "comes from another partition");
            } else if chains.add(&record) {
                settled.entry(&sink.under_test.name).or_default().add(&record);
            }
        }
        for sink in &mut *sinks {
            let nothing = SettledRanges::default();
            let settled = settled.get(sink.under_test.name.as_str()).unwrap_or(&nothing);
            // Retention cannot have deleted audit records written since then.
            let given_before_ms = audited_since_ms.min(kept_since_ms);
            sink.compare(view, topics, partition, settled, given_before_ms)?;
        }
        at_work |= view.bounds(&topics.audit, partition)?.end > bounds.end;
        truncated |= bounds.start > 0;
        progress(partition);
    }
    for sink in sinks {
        let repeated = chains.repeated(&sink.under_test.name);
        if repeated > 0 {
            let note = format!("{repeated} audit records were written twice, and count once");
            sink.check.notes.push(note);
        }
        chains.compare(&sink.under_test.name, &topics.audit, at_work, truncated, &mut sink.check);
        sink.figures();
    }
    Ok(())
}
