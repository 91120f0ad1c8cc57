//! Open numbers as spans: in the order of numbers, none touching an equal neighbour.

use serde::{Deserialize, Serialize};

use super::Class;

/// Consecutive open numbers of one class, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) class: Class,
}

/// The spans of one terminal and epoch that stand in no block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The spans, lowest first.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Span> {
        self.0.iter()
    }

    /// Returns why a number is open, `None` if no span holds it.
    pub(super) fn class_of(&self, number: u64) -> Option<Class> {
        let after = self.0.partition_point(|span| span.from <= number);
        let span = self.0.get(after.checked_sub(1)?)?;
        (number <= span.to).then_some(span.class)
    }

    /// Counts the missing numbers from `from` to `to`, both included.
    pub(super) fn missing_between(&self, from: u64, to: u64) -> u64 {
        let missing = self.0.iter().filter(|span| span.class != Class::Refused);
        let within = missing.map(|span| {
            let (low, high) = (span.from.max(from), span.to.min(to));
            if low <= high { high - low + 1 } else { 0 }
        });
        within.sum()
    }

    /// Inserts a span, joined with equal neighbours.
    pub(super) fn insert(&mut self, mut span: Span) {
        let mut place = self.0.partition_point(|other| other.from < span.from);
        if let Some(next) = self.0.get(place)
            && next.class == span.class
            && span.to + 1 == next.from
        {
            span.to = next.to;
            self.0.remove(place);
        }
        if let Some(before) = place.checked_sub(1).and_then(|place| self.0.get(place))
            && before.class == span.class
            && before.to + 1 == span.from
        {
            span.from = before.from;
            place -= 1;
            self.0.remove(place);
        }
        self.0.insert(place, span);
    }

    /// Takes out a number that a span holds.
    pub(super) fn close(&mut self, number: u64) {
        let place = self.0.partition_point(|span| span.from <= number) - 1;
        let span = self.0.remove(place);
        if number < span.to {
            self.0.insert(place, Span { from: number + 1, ..span });
        }
        if span.from < number {
            self.0.insert(place, Span { to: number - 1, ..span });
        }
    }

    /// Takes out what stands from `first` to `last`, both included, and gives it piece by piece.
    pub(super) fn take_between(&mut self, first: u64, last: u64, mut each: impl FnMut(Span)) {
        let mut kept = Vec::with_capacity(self.0.len());
        for span in self.0.drain(..) {
            if span.to < first || span.from > last {
                kept.push(span);
                continue;
            }
            each(Span { from: span.from.max(first), to: span.to.min(last), ..span });
            if span.from < first {
                kept.push(Span { to: first - 1, ..span });
            }
            if span.to > last {
                kept.push(Span { from: last + 1, ..span });
            }
        }
        self.0 = kept;
    }

    /// Forgets what stands below a number.
    pub(super) fn give_up_below(&mut self, floor: u64) {
        self.0.retain_mut(|span| {
            span.from = span.from.max(floor);
            span.from <= span.to
        });
    }
}
