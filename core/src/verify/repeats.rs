//! Repeats of an identity: a duplicate must have the content of its first, a conflict another.
//!
//! The pass over the journal keeps the few repeats instead of the hashes of all firsts. A second pass
//! over the firsts looks up those that were repeated.

use std::collections::HashMap;

use tillrace_log::Offset;

/// The repeats of one partition, by identity.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    by_identity: HashMap<u128, Vec<Repeat>>,
}

/// One record that repeats an identity.
#[derive(Debug)]
struct Repeat {
    offset: Offset,
    hash: Option<u128>,
    verdict: RepeatVerdict,
    /// Hash of the last first before it, once that was looked up.
    first: Option<u128>,
}

/// The aggregator's verdict on a repeat.
#[derive(Debug, Clone, Copy)]
enum RepeatVerdict {
    /// The same content.
    Duplicate,
    /// Different content; with the prefix of the first's hash, if the record names it.
    Conflict(Option<HashPrefix>),
}

/// The leading digits of a content hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HashPrefix {
    digits: u128,
    bits: u32,
}

impl HashPrefix {
    /// Reads `h2:` and up to 32 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("h2:")?;
        let bits = u32::try_from(digits.len()).ok()?.checked_mul(4)?;
        let digits = u128::from_str_radix(digits, 16).ok()?;
        (1..=u128::BITS).contains(&bits).then_some(Self { digits, bits })
    }

    fn begins(self, hash: u128) -> bool {
        hash >> (u128::BITS - self.bits) == self.digits
    }
}

impl Repeats {
    /// Adds a record that counts as a duplicate.
    pub(super) fn duplicate(&mut self, identity: u128, offset: Offset, hash: Option<u128>) {
        self.add(identity, Repeat { offset, hash, verdict: RepeatVerdict::Duplicate, first: None });
    }

    /// Adds a record that counts as a conflict with a first whose hash has the prefix `known`.
    pub(super) fn conflict(
        &mut self,
        identity: u128,
        offset: Offset,
        hash: Option<u128>,
        known: Option<HashPrefix>,
    ) {
        self.add(
            identity,
            Repeat { offset, hash, verdict: RepeatVerdict::Conflict(known), first: None },
        );
    }

    /// Tells whether there is nothing to look up.
    pub(super) fn is_empty(&self) -> bool {
        self.by_identity.is_empty()
    }

    /// Records a first. Called in the order of the journal, so that a number that wrapped around is
    /// compared with the first of its own round.
    pub(super) fn first(&mut self, identity: u128, offset: Offset, hash: Option<u128>) {
        for repeat in self.by_identity.get_mut(&identity).into_iter().flatten() {
            if repeat.offset > offset {
                repeat.first = hash;
            }
        }
    }

    /// Lists the offsets of repeats with a wrong verdict, and the reason.
    pub(super) fn wrong(&self) -> Vec<(Offset, &'static str)> {
        let mut wrong: Vec<_> = self
            .by_identity
            .values()
            .flatten()
            .filter_map(|repeat| Some((repeat.offset, repeat.flaw()?)))
            .collect();
        wrong.sort_unstable();
        wrong
    }

    fn add(&mut self, identity: u128, repeat: Repeat) {
        self.by_identity.entry(identity).or_default().push(repeat);
    }
}

impl Repeat {
    /// A repeat without a known first cannot be checked here; another check reports it.
    fn flaw(&self) -> Option<&'static str> {
        let first = self.first?;
        match self.verdict {
            RepeatVerdict::Duplicate if self.hash != Some(first) => {
                Some("called a duplicate, but its content differs from its first")
            }
            RepeatVerdict::Conflict(_) if self.hash == Some(first) => {
                Some("called a conflict, but its content equals its first")
            }
            RepeatVerdict::Conflict(Some(known)) if !known.begins(first) => {
                Some("the conflict names a hash that is not its first's")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_compared_with_the_last_first_before_them() {
        let mut repeats = Repeats::default();
        assert!(repeats.is_empty());
        repeats.duplicate(1, 10, Some(7));
        repeats.duplicate(1, 30, Some(7));
        repeats.conflict(1, 31, Some(8), None);
        repeats.conflict(2, 40, Some(5), None);
        repeats.duplicate(3, 50, Some(1));
        repeats.first(1, 5, Some(7));
        repeats.first(1, 20, Some(8));
        repeats.first(2, 21, Some(6));
        let wrong: Vec<u64> = repeats.wrong().into_iter().map(|(offset, _)| offset).collect();
        assert_eq!(wrong, [30, 31]);
    }

    #[test]
    fn a_conflict_names_how_the_first_hash_begins() {
        let first = 0xabcd_ef01 << 96 | 5;
        for (known, is_wrong) in [("h2:abcdef01", false), ("h2:abcdef02", true), ("h2:abcd", false)]
        {
            let mut repeats = Repeats::default();
            repeats.conflict(1, 10, Some(3), HashPrefix::parse(known));
            repeats.first(1, 5, Some(first));
            assert_eq!(!repeats.wrong().is_empty(), is_wrong, "{known}");
        }
        for text in ["", "h2:", "h1:ab", "h2:xy", &format!("h2:{}", "0".repeat(33))] {
            assert_eq!(HashPrefix::parse(text), None, "{text}");
        }
    }
}
