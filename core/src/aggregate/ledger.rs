//! The ledger of one terminal and epoch: a number and a hash in, a verdict out.
//!
//! A number is taken once, by the first good event in log order. Nothing here reads a clock: `now`
//! is the append time of the record, so the same log gives the same verdicts, whenever it is read.
//! Dates and event ids are judged before, in [`super::fold`].

use super::hashes::{ContentHashes, ShortHash};
use super::sequence_set::{SequencePosition, SequenceSet};
use super::verdict::{QuarantineReason, Verdict};
use crate::envelope::Scope;

/// Conflicts in a row after which a terminal is suspected of a reset sequence.
const RESET_STREAK: u32 = 8;

/// The ledger of one terminal and epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) scope: Scope,
    /// Absent until the first event with a number.
    pub(super) sequences: Option<SequenceSet>,
    pub(super) hashes: ContentHashes,
    /// Conflicts since the last first or duplicate.
    pub(super) streak: u32,
}

/// The append time of a record, and how long hashes are kept from then.
#[derive(Debug, Clone, Copy)]
pub(super) struct LedgerClock {
    pub(super) now_ms: i64,
    pub(super) horizon_ms: i64,
}

/// What the next flush writes of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PendingWrites {
    pub(super) blocks: usize,
    pub(super) bytes: usize,
}

/// The decision of a ledger on an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    /// The number as the ledger counts it: under a wrapping scope, laps included.
    pub(super) number: Option<u64>,
    /// The number is more than 10,000 above the mark.
    pub(super) jumped: bool,
    /// The number changed what lacks below the mark.
    pub(super) filled: bool,
    /// With this event the terminal is suspected of a reset sequence.
    pub(super) reset: bool,
}

impl Ledger {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, sequences: None, hashes: ContentHashes::default(), streak: 0 }
    }

    /// Decides on a good event. `recent` says that by its own clock it happened within the horizon,
    /// so that it cannot be a repeat of something older.
    pub(super) fn decide(
        &mut self,
        sequence: u64,
        hash: ShortHash,
        recent: bool,
        moment: LedgerClock,
    ) -> Decision {
        let number = match self.unwrap(sequence) {
            Ok(number) => number,
            Err(reason) => return Decision::quarantine(reason),
        };
        let position = self
            .sequences
            .as_ref()
            .map_or(SequencePosition::Above { jump: false }, |n| n.position(number));
        let suspected = self.reset_suspected();
        let verdict = match position {
            SequencePosition::TooLow => {
                return Decision::quarantine(QuarantineReason::BelowBaseline);
            }
            SequencePosition::Untracked => {
                return Decision::quarantine(QuarantineReason::GapGivenUp);
            }
            SequencePosition::Open(_)
            | SequencePosition::Above { .. }
            | SequencePosition::Below => {
                let Some(sequences) = self.open(number) else {
                    return Decision::quarantine(QuarantineReason::BelowBaseline);
                };
                sequences.fill(number);
                self.hashes.insert(number, hash, moment.now_ms, moment.horizon_ms);
                self.streak = 0;
                Verdict::First
            }
            SequencePosition::Known => self.decide_known(number, hash, recent, moment),
        };
        Decision {
            verdict,
            number: Some(number),
            jumped: position == (SequencePosition::Above { jump: true }),
            filled: matches!(position, SequencePosition::Open(_) | SequencePosition::Below),
            reset: !suspected && self.reset_suspected(),
        }
    }

    /// Bytes that its numbers take as JSON, blocks apart, or as lists on a ledger, at most.
    pub(super) fn written_bytes(&self) -> usize {
        self.sequences.as_ref().map_or(0, SequenceSet::written_bytes)
    }

    /// What the next flush writes of it: blocks as records, and bytes without keys, those of its terminal's two records included.
    pub(super) fn pending(&self) -> PendingWrites {
        let (hashes, sequences) =
            (self.hashes.changed(), self.sequences.as_ref().map_or(0, SequenceSet::changed));
        let bytes = 160 * hashes + 1_552 * sequences + 2 * self.written_bytes();
        PendingWrites { blocks: hashes + sequences, bytes }
    }

    /// Records a refused event. It moves the mark as a good one would, and a good one can still take its number.
    /// Returns the number as the ledger counts it, `None` if it is outside of the ledger.
    pub(super) fn refuse(&mut self, sequence: u64) -> Option<u64> {
        self.hold(sequence, SequenceSet::refuse)
    }

    /// Records a parked event, as [`Ledger::refuse`] does a refused one.
    pub(super) fn park(&mut self, sequence: u64) -> Option<u64> {
        self.hold(sequence, SequenceSet::park)
    }

    fn hold(&mut self, sequence: u64, hold: fn(&mut SequenceSet, u64)) -> Option<u64> {
        let number = self.unwrap(sequence).ok()?;
        let sequences = self.open(number)?;
        let outside = [SequencePosition::TooLow, SequencePosition::Untracked];
        if outside.contains(&sequences.position(number)) {
            return None;
        }
        hold(sequences, number);
        Some(number)
    }

    /// Returns the number of a sequence that had its first.
    pub(super) fn known_number(&self, sequence: u64, scope: Scope) -> Option<u64> {
        let number = self.tracked_number(sequence).filter(|_| scope == self.scope)?;
        let position = self.sequences.as_ref()?.position(number);
        (position == SequencePosition::Known).then_some(number)
    }

    /// Returns the number of a sequence as the ledger counts it.
    pub(super) fn tracked_number(&self, sequence: u64) -> Option<u64> {
        self.unwrap(sequence).ok()
    }

    fn decide_known(
        &mut self,
        number: u64,
        hash: ShortHash,
        recent: bool,
        moment: LedgerClock,
    ) -> Verdict {
        let verdict = match self.hashes.get(number, moment.now_ms, moment.horizon_ms) {
            Some(known) if known == hash => {
                self.streak = 0;
                return Verdict::Duplicate;
            }
            Some(known) => Verdict::Conflict(known),
            None if recent => Verdict::DuplicateUnverified,
            None => return Verdict::DuplicateUnverified,
        };
        self.streak = self.streak.saturating_add(1);
        if self.streak > RESET_STREAK {
            return Verdict::Quarantined(QuarantineReason::ResetSuspected);
        }
        verdict
    }

    /// Tells whether conflicts in a row suggest that the terminal's sequence was reset.
    pub(super) fn reset_suspected(&self) -> bool {
        self.streak >= RESET_STREAK
    }

    /// Returns the sequence set, opened at this number if there is none yet; `None` if it cannot open with it.
    fn open(&mut self, number: u64) -> Option<&mut SequenceSet> {
        if self.sequences.is_none() {
            self.sequences = Some(match self.scope {
                Scope::BusinessDate if number == 0 => return None,
                Scope::BusinessDate => SequenceSet::open_from(1, number),
                Scope::Terminal | Scope::Wrapping(_) => SequenceSet::open_at(number),
            });
        }
        self.sequences.as_mut()
    }

    /// Turns a sequence into a number that never wraps. The first lap seen is lap 1, so that what
    /// came before the first number seen has room below.
    fn unwrap(&self, sequence: u64) -> Result<u64, QuarantineReason> {
        let Scope::Wrapping(modulus) = self.scope else { return Ok(sequence) };
        if sequence >= modulus {
            return Err(QuarantineReason::BeyondModulus);
        }
        let Some(sequences) = &self.sequences else { return Ok(modulus + sequence) };
        let high = sequences.high();
        let ahead = (sequence + modulus - high % modulus) % modulus;
        let behind = modulus - ahead;
        if ahead <= modulus / 4 {
            high.checked_add(ahead).ok_or(QuarantineReason::WrappedFar)
        } else if behind <= modulus / 4 {
            high.checked_sub(behind).ok_or(QuarantineReason::WrappedFar)
        } else {
            Err(QuarantineReason::WrappedFar)
        }
    }
}

impl Decision {
    pub(super) fn quarantine(reason: QuarantineReason) -> Self {
        Self {
            verdict: Verdict::Quarantined(reason),
            number: None,
            jumped: false,
            filled: false,
            reset: false,
        }
    }
}

#[cfg(test)]
mod tests;
