//! What the days of a partition lack, summed up for operators: no label names a store.

/// What one day adds to the sums of its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct DayCompleteness {
    /// It is over and not complete.
    pub(super) is_incomplete: bool,
    /// Expected terminals that were silent all day.
    pub(super) silent: u64,
    /// Numbers that are missing below the marks of its terminals.
    pub(super) missing: u64,
    /// Parked events that are not settled.
    pub(super) parked: u64,
}

/// The sums over all days that are not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CompletenessTotals {
    pub(super) incomplete_days: u64,
    pub(super) silent_terminals: u64,
    pub(super) missing_numbers: u64,
    pub(super) parked_events: u64,
}

impl CompletenessTotals {
    /// Adds what a day lacks.
    pub(super) fn add(&mut self, day: DayCompleteness) {
        self.incomplete_days += u64::from(day.is_incomplete);
        self.silent_terminals = self.silent_terminals.saturating_add(day.silent);
        self.missing_numbers = self.missing_numbers.saturating_add(day.missing);
        self.parked_events = self.parked_events.saturating_add(day.parked);
    }

    /// Takes back what a day lacked.
    pub(super) fn remove(&mut self, day: DayCompleteness) {
        self.incomplete_days = self.incomplete_days.saturating_sub(day.is_incomplete.into());
        self.silent_terminals = self.silent_terminals.saturating_sub(day.silent);
        self.missing_numbers = self.missing_numbers.saturating_sub(day.missing);
        self.parked_events = self.parked_events.saturating_sub(day.parked);
    }
}
