//! The days that a terminal and epoch took part in, and how far its numbers reached on each.
//!
//! They are part of the terminal, because an event concerns one day of one terminal, however many others the day has. A day
//! has only the slots of its terminals, in the order of their first events, and writes them in parts (`super::days`).

use super::sequence_set::{Lacking, SequenceSet};
use crate::event::Kind;
use crate::text::Date;

/// What one terminal and epoch did on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TerminalDay {
    /// Index among the day's terminals.
    pub(super) index: u32,
    pub(super) opened: bool,
    pub(super) closed: bool,
    /// Number of the highest close.
    pub(super) close: Option<u64>,
    /// Highest number of the day.
    pub(super) last: Option<u64>,
}

/// The days of one terminal that are not sealed, in order; some 40 at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TerminalDays {
    days: Vec<(Date, TerminalDay)>,
}

/// The move of a terminal's close from one number to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CloseMove {
    from: Option<u64>,
    to: u64,
}

impl TerminalDay {
    /// Where stretches of numbers end that belong to this day or an earlier one: at its close, and at its highest number where that
    /// comes behind the close, or there is none.
    fn ends(&self) -> impl Iterator<Item = u64> {
        let behind = self.last.filter(|_| self.last > self.close);
        [self.close, behind].into_iter().flatten()
    }

    fn record(&mut self, kind: Kind, number: Option<u64>) -> Option<CloseMove> {
        self.last = self.last.max(number);
        self.opened |= kind == Kind::Open;
        if kind != Kind::Close {
            return None;
        }
        self.closed = true;
        let from = self.close;
        self.close = from.max(number);
        let to = self.close.filter(|_| self.close != from)?;
        Some(CloseMove { from, to })
    }
}

impl TerminalDays {
    /// Returns what the terminal did on a day.
    pub(super) fn on(&self, date: Date) -> Option<&TerminalDay> {
        let index = self.index(date).ok()?;
        self.days.get(index).map(|(_, seen)| seen)
    }

    /// Records an event; a terminal that is new on that day gets the index `next`. Returns its index, and how its close moved.
    pub(super) fn record(
        &mut self,
        date: Date,
        next: u32,
        kind: Kind,
        number: Option<u64>,
    ) -> (u32, Option<CloseMove>) {
        let at = self.find_or_add(date, next);
        match self.days.get_mut(at) {
            Some((_, seen)) => (seen.index, seen.record(kind, number)),
            None => (next, None),
        }
    }

    /// Records that a parked event had this number on a day: up to there numbers belong to it. Returns the terminal's index.
    pub(super) fn reach(&mut self, date: Date, next: u32, number: u64) -> u32 {
        let at = self.find_or_add(date, next);
        match self.days.get_mut(at) {
            Some((_, seen)) => {
                seen.last = seen.last.max(Some(number));
                seen.index
            }
            None => next,
        }
    }

    fn find_or_add(&mut self, date: Date, next: u32) -> usize {
        self.index(date).unwrap_or_else(|at| {
            self.days.insert(at, (date, TerminalDay { index: next, ..TerminalDay::default() }));
            at
        })
    }

    /// Restores a day.
    pub(super) fn restore(&mut self, date: Date, seen: TerminalDay) {
        match self.index(date) {
            Ok(at) => self.days[at].1 = seen,
            Err(at) => self.days.insert(at, (date, seen)),
        }
    }

    /// Removes a day that is sealed.
    pub(super) fn forget(&mut self, date: Date) {
        if let Ok(at) = self.index(date) {
            self.days.remove(at);
        }
    }

    /// Returns how many numbers lack a good event on a day: those up to its close, and up to its highest number where that comes
    /// behind the close, or there is none; each time only those above the last close before, whichever day's that is.
    pub(super) fn lacking_on(&self, date: Date, sequences: &SequenceSet) -> Lacking {
        let mut lacking = Lacking::default();
        for upto in self.on(date).into_iter().flat_map(TerminalDay::ends) {
            let closes = self.days.iter().filter_map(|(_, seen)| seen.close);
            let before = closes.filter(|&close| close < upto).max();
            let from = before.map_or(sequences.baseline(), |close| close + 1);
            lacking += sequences.lacking_between(from, upto);
        }
        lacking
    }

    /// Returns the days that a number counts for: one of their stretches reaches it, with no close between.
    pub(super) fn of(&self, number: u64) -> impl Iterator<Item = Date> {
        let closes = self.days.iter().filter_map(|(_, seen)| seen.close);
        let next_close = closes.filter(|&close| close >= number).min().unwrap_or(u64::MAX);
        self.reaching(number..=next_close)
    }

    /// Returns the days that lose numbers to a close that moved, or get some back.
    pub(super) fn behind(&self, moved: CloseMove) -> impl Iterator<Item = Date> {
        self.reaching(moved.from.map_or(moved.to, |from| from.min(moved.to))..=u64::MAX)
    }

    fn reaching(&self, ends: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = Date> {
        let within = move |seen: &TerminalDay| seen.ends().any(|end| ends.contains(&end));
        self.days.iter().filter(move |(_, seen)| within(seen)).map(|&(date, _)| date)
    }

    /// Finds the index of a day, or where to insert it. Most look-ups are for the last day.
    fn index(&self, date: Date) -> Result<usize, usize> {
        match self.days.last() {
            Some(&(last, _)) if last == date => Ok(self.days.len() - 1),
            Some(&(last, _)) if last > date => {
                self.days.binary_search_by_key(&date, |&(date, _)| date)
            }
            _ => Err(self.days.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(acts: &[(i32, Kind, u64)]) -> TerminalDays {
        let mut days = TerminalDays::default();
        for &(date, kind, number) in acts {
            days.record(Date(date), 0, kind, Some(number));
        }
        days
    }

    #[test]
    fn a_missing_number_counts_against_the_day_it_belongs_to() {
        let mut sequences = SequenceSet::open_at(1);
        for number in [1, 3, 4, 6] {
            sequences.fill(number);
        }
        let days = change(&[
            (1, Kind::Open, 1),
            (1, Kind::Close, 3),
            (2, Kind::Open, 4),
            (2, Kind::Close, 6),
        ]);
        assert_eq!(
            (
                days.lacking_on(Date(1), &sequences).missing,
                days.lacking_on(Date(2), &sequences).missing
            ),
            (1, 1)
        );
        let of = |number| days.of(number).collect::<Vec<_>>();
        assert_eq!([of(2), of(5), of(7)], [vec![Date(1)], vec![Date(2)], vec![]]);
    }

    #[test]
    fn what_lacks_behind_the_close_counts_against_the_day_whose_number_is_behind_it() {
        let mut sequences = SequenceSet::open_at(1);
        for number in [1, 3, 6, 7, 9] {
            sequences.fill(number);
        }
        sequences.park(12);
        let mut days = change(&[(1, Kind::Close, 3), (1, Kind::Sale, 6), (2, Kind::Close, 9)]);
        let missing = |days: &TerminalDays, date| days.lacking_on(Date(date), &sequences).missing;
        // 2 is below the first close, 4 and 5 between it and the sale behind it, which the second day counts too, and 8.
        assert_eq!((missing(&days, 1), missing(&days, 2)), (3, 3));
        days.reach(Date(1), 0, 12);
        let lacking = days.lacking_on(Date(1), &sequences);
        assert_eq!((lacking.missing, lacking.parked), (3, 1), "10 and 11 instead of 4 and 5");
        assert_eq!(days.of(11).collect::<Vec<_>>(), [Date(1)]);
    }

    #[test]
    fn without_a_close_a_number_counts_for_every_day_that_reaches_it() {
        let days = change(&[(1, Kind::Sale, 3), (2, Kind::Sale, 6)]);
        assert_eq!(days.of(2).collect::<Vec<_>>(), [Date(1), Date(2)]);
        assert_eq!(days.of(5).collect::<Vec<_>>(), [Date(2)]);
    }

    #[test]
    fn an_index_is_that_of_the_first_event_on_a_day() {
        let mut days = TerminalDays::default();
        assert_eq!(days.record(Date(3), 7, Kind::Open, Some(1)), (7, None));
        assert_eq!(days.record(Date(1), 9, Kind::Sale, None), (9, None));
        let moved = Some(CloseMove { from: None, to: 5 });
        assert_eq!(days.record(Date(3), 8, Kind::Close, Some(5)), (7, moved));
        assert_eq!(days.record(Date(3), 8, Kind::Close, Some(4)), (7, None));
        let closed =
            TerminalDay { index: 7, opened: true, closed: true, close: Some(5), last: Some(5) };
        assert_eq!(days.on(Date(3)), Some(&closed));
        days.forget(Date(3));
        assert_eq!((days.on(Date(3)), days.on(Date(1)).map(|seen| seen.index)), (None, Some(9)));
    }

    proptest! {
        /// Every change of what lacks on a day names that day, so that it is written.
        #[test]
        fn every_day_whose_lacking_numbers_change_is_named(
            acts in prop::collection::vec((0..5_i32, 0..5_u8, 0..60_u64), 1..60),
        ) {
            let mut days = TerminalDays::default();
            let mut sequences = SequenceSet::open_at(acts[0].2);
            for (date, act, number) in acts {
                let lacking = |days: &TerminalDays, sequences: &SequenceSet| -> Vec<Lacking> {
                    (0..5).map(|date| days.lacking_on(Date(date), sequences)).collect()
                };
                let before = lacking(&days, &sequences);
                match act {
                    0 => sequences.refuse(number),
                    1 => sequences.park(number),
                    _ => sequences.fill(number),
                }
                let mut named: Vec<Date> = days.of(number).collect();
                if act > 1 {
                    let kind = if act == 2 { Kind::Close } else { Kind::Sale };
                    let (_, moved) = days.record(Date(date), 0, kind, Some(number));
                    named.push(Date(date));
                    named.extend(moved.into_iter().flat_map(|moved| days.behind(moved)));
                } else if act == 1 {
                    days.reach(Date(date), 0, number);
                    named.push(Date(date));
                }
                for (date, (before, after)) in (0..).zip(before.iter().zip(lacking(&days, &sequences))) {
                    prop_assert!(*before == after || named.contains(&Date(date)), "day {date}: {before:?} to {after:?}");
                }
            }
        }
    }
}
