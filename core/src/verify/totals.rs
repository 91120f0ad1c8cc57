//! The aggregator's own totals, as its checkpoints have them, against the recount.
//!
//! Every kept checkpoint is a place to compare: between two of them, each verdict must have been
//! given as often as the recount says. The last one stands where the group's offset stands.

use crate::log::{LogError, Offset, Partition, Topic};

use super::check::{Check, Difference};
use super::cut::Cut;
use super::record::Checkpoint;
use super::report::VerdictCounts;
use super::scan::Scan;

const KEY_PREFIX: &[u8] = b"checkpoint/";

/// The kept checkpoints of one partition, and what the recount had counted when it passed them.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// In rising order of their place in the journal; several may share one.
    kept: Vec<(Offset, Checkpoint)>,
    /// What was counted at each, as far as the recount came.
    counted: Vec<VerdictCounts>,
}

impl Checkpoints {
    /// Takes in what a scan of `state` brings.
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

    /// Places in the journal where a checkpoint stands, rising.
    pub(super) fn places(&self) -> impl Iterator<Item = Offset> + '_ {
        self.kept.iter().map(|(_, checkpoint)| checkpoint.next_offset)
    }

    /// The log generation that the latest checkpoint names.
    pub(super) fn generation(&self) -> Option<&str> {
        self.kept.last().map(|(_, checkpoint)| checkpoint.generation.as_str())
    }

    /// Forgets checkpoints outside of what is covered.
    pub(super) fn keep_within(&mut self, cut: Cut) {
        self.kept.retain(|(_, checkpoint)| (cut.from..=cut.to).contains(&checkpoint.next_offset));
    }

    /// Notes what was counted below `offset`, for every checkpoint up to there.
    pub(super) fn pass(&mut self, offset: Offset, counts: &VerdictCounts) {
        while let Some((_, checkpoint)) = self.kept.get(self.counted.len())
            && checkpoint.next_offset <= offset
        {
            self.counted.push(*counts);
        }
    }

    /// Compares, and returns how many firsts stand before the covered part, if that is known.
    pub(super) fn compare(
        &self,
        topic: &Topic,
        partition: Partition,
        cut: Cut,
        check: &mut Check,
    ) -> Option<u64> {
        let mut base = (VerdictCounts::default(), VerdictCounts::default());
        let mut given = cut.is_whole().then_some(0);
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
                // A payload kept before the covered part may be released in it, unseen here.
                if verdict == "released" && !cut.is_whole() {
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
        let last = self.places().last();
        if last != Some(cut.to) && cut.from < cut.to {
            let what = "no checkpoint stands where the aggregator's group stands";
            let last = last.map_or_else(|| "none".to_owned(), |last| last.to_string());
            check.differs(Difference::new(topic, partition, what).between(cut.to, last));
        }
        given
    }

    /// What the aggregator counted in the covered part: its last totals, less those of the first
    /// checkpoint where not everything is covered.
    pub(super) fn since_first(&self, cut: Cut) -> VerdictCounts {
        let Some((_, last)) = self.kept.last() else { return VerdictCounts::default() };
        match self.kept.first() {
            Some((_, first)) if !cut.is_whole() => last.totals.less(&first.totals),
            _ => last.totals,
        }
    }
}
