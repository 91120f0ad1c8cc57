//! Compares the aggregator's totals, as its checkpoints have them, with the recount.
//!
//! Between two kept checkpoints, each verdict must occur as often as the recount says. The last
//! checkpoint must be at the group's committed offset.

use tillrace_log::{LogError, Offset, Partition, Topic};

use super::check::{Check, Difference};
use super::coverage::Coverage;
use super::record::Checkpoint;
use super::report::VerdictCounts;
use super::scan::Scan;

const KEY_PREFIX: &[u8] = b"checkpoint/";

/// The kept checkpoints of one partition, with the counts of the recount at each.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// In rising order of their journal offset; several may share one.
    kept: Vec<(Offset, Checkpoint)>,
    /// Counts at each checkpoint that the recount has passed.
    counted: Vec<VerdictCounts>,
}

impl Checkpoints {
    /// Reads checkpoints from a scan of `state`.
    ///
    /// # Errors
    /// When the log fails.
    pub(super) fn read(
        &mut self,
        scan: &mut Scan,
        topic: &Topic,
        partition: Partition,
        check: &mut Check,
    ) -> Result<(), LogError> {
        while let Some(entry) = scan.next()? {
            if !entry.key.starts_with(KEY_PREFIX) {
                continue;
            }
            let Some(value) = entry.value.as_deref() else { continue };
            match serde_json::from_slice::<Checkpoint>(value) {
                Ok(checkpoint) => self.kept.push((entry.offset, checkpoint)),
                Err(_) => check.differs(
                    Difference::new(topic, partition, "a checkpoint cannot be read")
                        .at(entry.offset),
                ),
            }
        }
        self.kept.sort_by_key(|(offset, checkpoint)| (checkpoint.next_offset, *offset));
        Ok(())
    }

    /// Returns the journal offsets of all checkpoints, rising.
    pub(super) fn offsets(&self) -> impl Iterator<Item = Offset> + '_ {
        self.kept.iter().map(|(_, checkpoint)| checkpoint.next_offset)
    }

    /// The log generation that the latest checkpoint names.
    pub(super) fn generation(&self) -> Option<&str> {
        self.kept.last().map(|(_, checkpoint)| checkpoint.generation.as_str())
    }

    /// By which clock the latest checkpoint says that silent days were made.
    pub(super) fn silent_days_until_ms(&self) -> Option<i64> {
        self.kept.last().and_then(|(_, checkpoint)| checkpoint.silent_days_until_ms)
    }

    /// Drops checkpoints outside the coverage.
    pub(super) fn keep_within(&mut self, coverage: Coverage) {
        self.kept.retain(|(_, checkpoint)| {
            (coverage.from..=coverage.to).contains(&checkpoint.next_offset)
        });
    }

    /// Records the counts below `offset` for every checkpoint up to it.
    pub(super) fn pass(&mut self, offset: Offset, counts: &VerdictCounts) {
        while let Some((_, checkpoint)) = self.kept.get(self.counted.len())
            && checkpoint.next_offset <= offset
        {
            self.counted.push(*counts);
        }
    }

    /// Compares checkpoints with the recount, and returns the number of firsts before the coverage, if known.
    pub(super) fn compare(
        &self,
        topic: &Topic,
        partition: Partition,
        coverage: Coverage,
        check: &mut Check,
    ) -> Option<u64> {
        let mut base = (VerdictCounts::default(), VerdictCounts::default());
        let mut given = coverage.is_complete().then_some(0);
        for ((offset, checkpoint), counted) in self.kept.iter().zip(&self.counted) {
            if given.is_none() {
                given = checkpoint.totals.first.checked_sub(counted.first);
                base = (*counted, checkpoint.totals);
                continue;
            }
            let sides = counted.named().into_iter().zip(checkpoint.totals.named());
            let bases = base.0.named().into_iter().zip(base.1.named());
            for (((verdict, ours), (_, theirs)), ((_, our_base), (_, their_base))) in
                sides.zip(bases)
            {
                // A payload quarantined before the coverage may be released within it, unknown here.
                if verdict == "released" && !coverage.is_complete() {
                    continue;
                }
                // Whether a parked event repeats one from before the coverage is unknown.
                let is_parking = checkpoint.totals.parked > 0 && !coverage.is_complete();
                if is_parking && matches!(verdict, "parked" | "duplicate") {
                    continue;
                }
                if ours.wrapping_sub(our_base) != theirs.wrapping_sub(their_base) {
                    check.differs(
                        Difference::new(topic, partition, verdict)
                            .at(*offset)
                            .of(format!("checkpoint at {}", checkpoint.next_offset))
                            .between(
                                i128::from(ours) - i128::from(our_base),
                                i128::from(theirs) - i128::from(their_base),
                            ),
                    );
                }
            }
        }
        let last = self.offsets().last();
        if last != Some(coverage.to) && coverage.from < coverage.to {
            let what = "no checkpoint is at the aggregator's committed offset";
            let last = last.map_or_else(|| "none".to_owned(), |last| last.to_string());
            check.differs(Difference::new(topic, partition, what).between(coverage.to, last));
        }
        given
    }

    /// Returns what the aggregator counted within the coverage: its last totals, less those of the first
    /// checkpoint if the coverage is not complete.
    pub(super) fn since_first(&self, coverage: Coverage) -> VerdictCounts {
        let Some((_, last)) = self.kept.last() else { return VerdictCounts::default() };
        match self.kept.first() {
            Some((_, first)) if !coverage.is_complete() => last.totals.less(&first.totals),
            _ => last.totals,
        }
    }
}
