//! When a store is open: days of the week, and dates that differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::Date;

/// A day of the week, in the order of ISO 8601.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is the day of that name")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// All days.
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    /// Returns the weekday of a date; 1970-01-01 was a Thursday.
    pub fn of(date: Date) -> Self {
        let index = (i64::from(date.0) + 3).rem_euclid(7);
        usize::try_from(index)
            .ok()
            .and_then(|index| Self::ALL.get(index).copied())
            .unwrap_or(Self::Monday)
    }

    /// Reads a name such as `monday`.
    pub fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }
}

/// Whether a store is open on a date that differs from its week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants say it")]
pub enum Opening {
    Open,
    Closed,
}

/// A calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    /// Days of the week on which the store is open, rising.
    pub weekdays: Vec<Weekday>,
    /// Dates that differ.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        serialize_with = "write_dates",
        deserialize_with = "read_dates"
    )]
    pub exceptions: BTreeMap<Date, Opening>,
}

impl Calendar {
    /// Tells whether the store is open on a date.
    pub fn is_open(&self, date: Date) -> bool {
        match self.exceptions.get(&date) {
            Some(opening) => *opening == Opening::Open,
            None => self.weekdays.contains(&Weekday::of(date)),
        }
    }
}

fn write_dates<S: Serializer>(
    dates: &BTreeMap<Date, Opening>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(dates.iter().map(|(date, opening)| (date.to_string(), opening)))
}

fn read_dates<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Date, Opening>, D::Error> {
    let named: BTreeMap<String, Opening> = BTreeMap::deserialize(deserializer)?;
    let dated =
        named.into_iter().map(|(date, opening)| Some((Date::parse(date.as_bytes())?, opening)));
    dated.collect::<Option<_>>().ok_or_else(|| serde::de::Error::custom("an exception has no date"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_outrank_the_week() {
        let text =
            r#"{"weekdays":["friday"],"exceptions":{"2026-11-27":"closed","2026-11-29":"open"}}"#;
        let calendar: Calendar = serde_json::from_str(text).unwrap();
        let open = ["2026-11-20", "2026-11-27", "2026-11-28", "2026-11-29"]
            .map(|date| calendar.is_open(Date::parse(date.as_bytes()).unwrap()));
        assert_eq!(open, [true, false, false, true]);
        assert_eq!(serde_json::to_string(&calendar).unwrap(), text);
        assert_eq!(Weekday::of(Date(-4)), Weekday::Sunday);
        assert!(
            serde_json::from_str::<Calendar>(r#"{"weekdays":[],"exceptions":{"soon":"open"}}"#)
                .is_err()
        );
    }
}
