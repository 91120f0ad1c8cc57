//! Repeats of an identity: whether a duplicate has the content of its first, a conflict another.
//!
//! The hash of a first is not kept while passing the journal, because nobody knows yet whether it
//! will be repeated. Repeats are few; they are kept, and the firsts are looked through once more.

use std::collections::HashMap;

use crate::log::Offset;

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
    claim: Claim,
    /// Hash of the last first before it, once that was looked up.
    first: Option<u128>,
}

/// What the aggregator said of a repeat.
#[derive(Debug, Clone, Copy)]
enum Claim {
    /// The same content.
    Duplicate,
    /// Other content, than a hash that begins like this if the record names one.
    Conflict(Option<HashStart>),
}

/// The leading digits of a content hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HashStart {
    digits: u128,
    bits: u32,
}

impl HashStart {
    /// Reads `h1:` and up to 32 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("h1:")?;
        let bits = u32::try_from(digits.len()).ok()?.checked_mul(4)?;
        let digits = u128::from_str_radix(digits, 16).ok()?;
        (1..=u128::BITS).contains(&bits).then_some(Self { digits, bits })
    }

    fn begins(self, hash: u128) -> bool {
        hash >> (u128::BITS - self.bits) == self.digits
    }
}

impl Repeats {
    /// Notes a record that counts as a duplicate.
    pub(super) fn duplicate(&mut self, identity: u128, offset: Offset, hash: Option<u128>) {
        self.add(identity, Repeat { offset, hash, claim: Claim::Duplicate, first: None });
    }

    /// Notes a record that counts as a conflict with a first whose hash begins with `known`.
    pub(super) fn conflict(
        &mut self,
        identity: u128,
        offset: Offset,
        hash: Option<u128>,
        known: Option<HashStart>,
    ) {
        self.add(identity, Repeat { offset, hash, claim: Claim::Conflict(known), first: None });
    }

    /// Tells whether there is nothing to look up.
    pub(super) fn is_empty(&self) -> bool {
        self.by_identity.is_empty()
    }

    /// Takes note of a first. Called in the order of the journal, so that a number that came round
    /// again is compared with the first of its own round.
    pub(super) fn first(&mut self, identity: u128, offset: Offset, hash: Option<u128>) {
        for repeat in self.by_identity.get_mut(&identity).into_iter().flatten() {
            if repeat.offset > offset {
                repeat.first = hash;
            }
        }
    }

    /// Lists the offsets of repeats that are not what the aggregator said, and what is wrong.
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
    /// Without its first, a repeat cannot be judged: that there is one is checked elsewhere.
    fn flaw(&self) -> Option<&'static str> {
        let first = self.first?;
        match self.claim {
            Claim::Duplicate if self.hash != Some(first) => {
                Some("passed over as a duplicate, but its content is not that of its first")
            }
            Claim::Conflict(_) if self.hash == Some(first) => {
                Some("called a conflict, but its content is that of its first")
            }
            Claim::Conflict(Some(known)) if !known.begins(first) => {
                Some("the conflict names another hash than that of its first")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_held_against_the_last_first_before_them() {
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
        for (known, is_wrong) in [("h1:abcdef01", false), ("h1:abcdef02", true), ("h1:abcd", false)]
        {
            let mut repeats = Repeats::default();
            repeats.conflict(1, 10, Some(3), HashStart::parse(known));
            repeats.first(1, 5, Some(first));
            assert_eq!(!repeats.wrong().is_empty(), is_wrong, "{known}");
        }
        for text in ["", "h1:", "h2:ab", "h1:xy", &format!("h1:{}", "0".repeat(33))] {
            assert_eq!(HashStart::parse(text), None, "{text}");
        }
    }
}
