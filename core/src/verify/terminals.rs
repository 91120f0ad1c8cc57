//! The numbers of each terminal as the recount sees them, kept as ranges.
//!
//! Whether a record is a first is not decided here: the topics say so, and this says whether that
//! can be.

use std::fmt;

use super::ranges::Ranges;

/// The numbers of one terminal, as recounted.
#[derive(Debug, Default)]
pub(super) struct Terminal {
    scope: Scope,
    firsts: Ranges,
    refused: Ranges,
    mark: Option<u64>,
    /// Firsts without a number.
    unnumbered: u64,
}

/// How a terminal's numbers run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Scope {
    /// Rising by one for ever.
    #[default]
    Terminal,
    /// From 1, every business date anew.
    BusinessDate,
    /// From the modulus back to 0.
    Wrapping(u64),
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terminal => formatter.write_str("terminal"),
            Self::BusinessDate => formatter.write_str("business_date"),
            Self::Wrapping(modulus) => write!(formatter, "wrapping:{modulus}"),
        }
    }
}

impl Scope {
    /// Reads a scope as envelopes and ledger records have it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "terminal" => Some(Self::Terminal),
            None if text == "business_date" => Some(Self::BusinessDate),
            Some(("wrapping", modulus)) => {
                modulus.parse().ok().filter(|&modulus| modulus > 0).map(Self::Wrapping)
            }
            _ => None,
        }
    }
}

impl Terminal {
    /// Opens a terminal with the scope its first record names.
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, ..Self::default() }
    }

    /// Counts a first; false if its number had one before.
    pub(super) fn first(&mut self, sequence: u64) -> bool {
        let number = self.unwrapped(sequence);
        self.mark = self.mark.max(Some(number));
        self.firsts.insert(number)
    }

    /// Counts a first that has no number.
    pub(super) fn unnumbered(&mut self) {
        self.unnumbered += 1;
    }

    /// Counts a number that was refused.
    pub(super) fn refuse(&mut self, sequence: u64) {
        let number = self.unwrapped(sequence);
        self.mark = self.mark.max(Some(number));
        self.refused.insert(number);
    }

    /// Tells whether a number had a first.
    pub(super) fn has_first(&self, sequence: u64) -> bool {
        self.firsts.contains(self.unwrapped(sequence))
    }

    /// Every number that was seen.
    pub(super) fn seen(&self) -> Ranges {
        let mut seen = self.firsts.clone();
        for (from, to) in self.refused.spans() {
            seen.insert_span(from, to);
        }
        seen
    }

    /// How many numbers had a first.
    pub(super) fn numbered(&self) -> u64 {
        self.firsts.count()
    }

    /// How many firsts had no number.
    pub(super) fn without_number(&self) -> u64 {
        self.unnumbered
    }

    /// How many numbers were refused and never had a first.
    pub(super) fn refused_only(&self) -> u64 {
        self.seen().count() - self.firsts.count()
    }

    /// How its numbers run.
    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    /// Puts a wrapping number into the round that brings it nearest to the highest so far.
    fn unwrapped(&self, sequence: u64) -> u64 {
        let (Scope::Wrapping(modulus), Some(mark)) = (self.scope, self.mark) else {
            return sequence;
        };
        let round = mark - mark % modulus;
        let candidates = [round.checked_sub(modulus), Some(round), round.checked_add(modulus)];
        candidates
            .into_iter()
            .flatten()
            .filter_map(|start| start.checked_add(sequence))
            .min_by_key(|number| number.abs_diff(mark))
            .unwrap_or(sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_first_and_a_refused_one_may_still_get_it() {
        let mut terminal = Terminal::new(Scope::Terminal);
        terminal.refuse(7);
        assert!(!terminal.has_first(7));
        assert!(terminal.first(7));
        assert!(!terminal.first(7));
        assert_eq!(terminal.refused_only(), 0);
        assert_eq!(terminal.seen().spans().collect::<Vec<_>>(), [(7, 7)]);
    }

    #[test]
    fn wrapping_numbers_go_into_the_nearest_round() {
        let mut terminal = Terminal::new(Scope::Wrapping(1_000));
        for sequence in [998, 999, 0, 1] {
            assert!(terminal.first(sequence));
        }
        assert!(terminal.has_first(999));
        assert!(!terminal.first(0));
        assert!(terminal.first(997));
        assert_eq!(terminal.seen().spans().collect::<Vec<_>>(), [(997, 1_001)]);
    }

    #[test]
    fn scopes_are_read_as_envelopes_have_them() {
        assert_eq!(Scope::parse("terminal"), Some(Scope::Terminal));
        assert_eq!(Scope::parse("business_date"), Some(Scope::BusinessDate));
        assert_eq!(Scope::parse("wrapping:10000"), Some(Scope::Wrapping(10_000)));
        for text in ["", "wrapping", "wrapping:0", "wrapping:x", "terminal:1"] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
    }
}
