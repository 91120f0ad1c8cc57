//! The numbers of each terminal as recounted, kept as ranges.
//!
//! The topics tell which record is a first; this module tells whether that is possible.

use std::collections::BTreeSet;
use std::fmt;

use super::ranges::Ranges;

/// Most by which a ledger lowers its baseline.
const MAX_BASELINE_STEP: u64 = 10_000;

/// The numbers of one terminal, as recounted.
#[derive(Debug, Default)]
pub(super) struct TerminalNumbers {
    scope: Scope,
    firsts: Ranges,
    /// Numbers that only refused, parked or dismissed events had, some perhaps before their first.
    refused: Ranges,
    parked: BTreeSet<u64>,
    dismissed: BTreeSet<u64>,
    /// The number it opened with, and the highest.
    opened: Option<u64>,
    mark: Option<u64>,
    /// Firsts without a number.
    unnumbered: u64,
}

/// The sequence of a terminal's numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Scope {
    /// Rising by one without end.
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
                modulus.parse().ok().filter(|of| (1..=1 << 53).contains(of)).map(Self::Wrapping)
            }
            _ => None,
        }
    }
}

impl TerminalNumbers {
    /// Opens a terminal with the scope its first record names.
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, ..Self::default() }
    }

    /// Counts a first; returns false if its number had one before.
    pub(super) fn first(&mut self, sequence: u64) -> bool {
        let number = self.unwrapped(sequence).unwrap_or(sequence);
        self.reach(number);
        self.parked.remove(&number);
        self.dismissed.remove(&number);
        self.firsts.insert(number)
    }

    /// Counts a first that has no number.
    pub(super) fn unnumbered(&mut self) {
        self.unnumbered += 1;
    }

    /// Counts a refused number, unless it is so far off that no ledger accepts it.
    pub(super) fn refuse(&mut self, sequence: u64) {
        if let Some(number) = self.see(sequence)
            && !self.parked.contains(&number)
        {
            self.dismissed.remove(&number);
        }
    }

    /// Counts a parked number; returns it as it is counted, `None` where [`Self::refuse`] counts none.
    pub(super) fn park(&mut self, sequence: u64) -> Option<u64> {
        let number = self.see(sequence)?;
        if !self.firsts.contains(number) {
            self.dismissed.remove(&number);
            self.parked.insert(number);
        }
        Some(number)
    }

    /// Counts a parked number as dismissed.
    pub(super) fn dismiss_parked(&mut self, number: u64) {
        if self.parked.remove(&number) {
            self.dismissed.insert(number);
        }
    }

    /// Counts a refused number as dismissed.
    pub(super) fn dismiss_refused(&mut self, sequence: u64) {
        let Some(number) = self.unwrapped(sequence) else { return };
        let is_refused = self.refused.contains(number)
            && !self.firsts.contains(number)
            && !self.parked.contains(&number);
        if is_refused {
            self.dismissed.insert(number);
        }
    }

    /// Returns a number as it is counted.
    pub(super) fn number_of(&self, sequence: u64) -> Option<u64> {
        self.unwrapped(sequence)
    }

    /// How many numbers are parked, and how many dismissed.
    pub(super) fn kept_aside(&self) -> (u64, u64) {
        (self.parked.len() as u64, self.dismissed.len() as u64)
    }

    fn see(&mut self, sequence: u64) -> Option<u64> {
        let number = self.unwrapped(sequence)?;
        let lowest = match (self.scope, self.opened) {
            (Scope::BusinessDate, _) => 1,
            (_, Some(opened)) => opened.saturating_sub(MAX_BASELINE_STEP),
            (_, None) => 0,
        };
        if number < lowest {
            return None;
        }
        self.reach(number);
        self.refused.insert(number);
        Some(number)
    }

    /// Tells whether a number had a first.
    pub(super) fn has_first(&self, sequence: u64) -> bool {
        self.unwrapped(sequence).is_some_and(|number| self.firsts.contains(number))
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

    /// How many numbers behind a close, or from the lowest, up to `upto` have neither a first nor a dismissal.
    pub(super) fn lacking(&self, close: Option<u64>, upto: u64) -> u64 {
        let lowest = match self.scope {
            Scope::BusinessDate => Some(1),
            _ => self.seen().first(),
        };
        let Some(from) = close.map(|close| close.saturating_add(1)).or(lowest) else { return 0 };
        let gaps = self.firsts.gaps(from, upto);
        let open: u64 = gaps.iter().map(|(from, to)| to - from + 1).sum();
        let dismissed = self.dismissed.iter().filter(|number| (from..=upto).contains(*number));
        open.saturating_sub(dismissed.count() as u64)
    }

    /// How many firsts had no number.
    pub(super) fn without_number(&self) -> u64 {
        self.unnumbered
    }

    /// How many numbers were refused and never had a first.
    pub(super) fn refused_only(&self) -> u64 {
        let (parked, dismissed) = self.kept_aside();
        self.seen().count() - self.firsts.count() - parked - dismissed
    }

    /// How its numbers run.
    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    fn reach(&mut self, number: u64) {
        self.opened.get_or_insert(number);
        self.mark = self.mark.max(Some(number));
    }

    /// Puts a wrapping number into the lap that brings it nearest to the highest so far; the first
    /// lap seen is lap 1. `None` where it is more than a quarter of the modulus away.
    fn unwrapped(&self, sequence: u64) -> Option<u64> {
        let Scope::Wrapping(modulus) = self.scope else { return Some(sequence) };
        let Some(mark) = self.mark else {
            return modulus.checked_add(sequence).filter(|_| sequence < modulus);
        };
        let lap = mark - mark % modulus;
        let laps = [lap.checked_sub(modulus), Some(lap), lap.checked_add(modulus)];
        laps.into_iter()
            .flatten()
            .filter_map(|start| start.checked_add(sequence))
            .find(|number| sequence < modulus && number.abs_diff(mark) <= modulus / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_first_and_a_refused_one_may_still_get_it() {
        let mut terminal = TerminalNumbers::new(Scope::Terminal);
        terminal.refuse(7);
        assert!(!terminal.has_first(7));
        assert!(terminal.first(7));
        assert!(!terminal.first(7));
        assert_eq!(terminal.refused_only(), 0);
        assert_eq!(terminal.seen().spans().collect::<Vec<_>>(), [(7, 7)]);
    }

    #[test]
    fn wrapping_numbers_go_into_the_nearest_round() {
        let mut terminal = TerminalNumbers::new(Scope::Wrapping(1_000));
        for sequence in [998, 999, 0, 1] {
            assert!(terminal.first(sequence));
        }
        assert!(terminal.has_first(999));
        assert!(!terminal.first(0));
        assert!(terminal.first(997));
        assert_eq!(terminal.seen().spans().collect::<Vec<_>>(), [(1_997, 2_001)]);
        terminal.refuse(500);
        assert_eq!(terminal.refused_only(), 0);
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
