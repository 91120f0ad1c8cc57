//! A set of whole numbers kept as ranges, such as a terminal's numbers or the offsets that a sink settled.
//!
//! Memory follows the number of ranges, not of members.

use std::collections::BTreeMap;

/// A set of numbers, as disjoint ranges that never touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// First member of a range to its last.
    spans: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds one number; returns false if it was in the set already.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        self.insert_span(number, number).is_empty()
    }

    /// Adds `from` to `to`, both included, and returns the parts that were in the set already.
    pub(super) fn insert_span(&mut self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut overlaps = Vec::new();
        let (mut merged_from, mut merged_to) = (from, to);
        while let Some((start, end)) = self.last_span_from(to.saturating_add(1)) {
            if end.saturating_add(1) < from {
                break;
            }
            if start <= to && end >= from {
                overlaps.push((start.max(from), end.min(to)));
            }
            merged_from = merged_from.min(start);
            merged_to = merged_to.max(end);
            self.spans.remove(&start);
        }
        self.spans.insert(merged_from, merged_to);
        overlaps.reverse();
        overlaps
    }

    /// Tells whether a number is in the set.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.last_span_from(number).is_some_and(|(_, end)| end >= number)
    }

    /// Smallest member.
    pub(super) fn first(&self) -> Option<u64> {
        self.spans.first_key_value().map(|(&start, _)| start)
    }

    /// Largest member.
    pub(super) fn last(&self) -> Option<u64> {
        self.spans.last_key_value().map(|(_, &end)| end)
    }

    /// Number of members.
    pub(super) fn count(&self) -> u64 {
        self.spans().map(|(start, end)| end - start + 1).sum()
    }

    /// Lists the ranges in rising order, both ends included.
    pub(super) fn spans(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.spans.iter().map(|(&start, &end)| (start, end))
    }

    /// Returns the numbers from `from` to `to` that are not in the set.
    pub(super) fn gaps(&self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut next = from;
        for (start, end) in self.spans() {
            if start > to {
                break;
            }
            if start > next {
                gaps.push((next, start - 1));
            }
            next = next.max(end.saturating_add(1));
        }
        if next <= to {
            gaps.push((next, to));
        }
        gaps
    }

    /// The range that starts last among those starting at or before `limit`.
    fn last_span_from(&self, limit: u64) -> Option<(u64, u64)> {
        self.spans.range(..=limit).next_back().map(|(&start, &end)| (start, end))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_become_one_range_and_overlaps_are_told() {
        let mut ranges = Ranges::default();
        assert!(ranges.insert(5));
        assert!(ranges.insert(7));
        assert!(ranges.insert(6));
        assert!(!ranges.insert(6));
        assert_eq!(ranges.spans().collect::<Vec<_>>(), [(5, 7)]);
        assert_eq!(ranges.insert_span(1, 5), [(5, 5)]);
        assert_eq!(ranges.insert_span(10, 12), []);
        assert_eq!(ranges.insert_span(0, 20), [(1, 7), (10, 12)]);
        assert_eq!(ranges.count(), 21);
    }

    #[test]
    fn gaps_are_what_is_not_there() {
        let mut ranges = Ranges::default();
        for number in [3, 4, 8] {
            ranges.insert(number);
        }
        assert_eq!(ranges.gaps(1, 10), [(1, 2), (5, 7), (9, 10)]);
        assert_eq!(ranges.gaps(3, 4), []);
        assert_eq!(Ranges::default().gaps(2, 2), [(2, 2)]);
        assert_eq!(ranges.gaps(5, 2), []);
    }

    proptest! {
        #[test]
        fn it_is_a_set(spans in prop::collection::vec((0_u64..60, 0_u64..6), 0..40)) {
            let mut ranges = Ranges::default();
            let mut naive = BTreeSet::new();
            for (from, more) in spans {
                let known: u64 = ranges
                    .insert_span(from, from + more)
                    .into_iter()
                    .map(|(start, end)| end - start + 1)
                    .sum();
                let mut expected = 0;
                for number in from..=from + more {
                    expected += u64::from(!naive.insert(number));
                }
                prop_assert_eq!(known, expected);
            }
            prop_assert_eq!(ranges.count(), naive.len() as u64);
            prop_assert_eq!(ranges.first(), naive.first().copied());
            prop_assert_eq!(ranges.last(), naive.last().copied());
            let missing: Vec<u64> =
                ranges.gaps(0, 70).into_iter().flat_map(|(start, end)| start..=end).collect();
            let expected: Vec<u64> = (0..=70).filter(|number| !naive.contains(number)).collect();
            prop_assert_eq!(missing, expected);
            for number in 0..70 {
                prop_assert_eq!(ranges.contains(number), naive.contains(&number));
            }
        }
    }
}
