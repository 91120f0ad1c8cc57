//! The time zone of a store, by its name in the IANA database that this binary brings along.
//!
//! The system's own database is not asked: two nodes would otherwise disagree on when a day ends.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize, Serializer};

use crate::text::Date;

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Zone {
    name: Box<str>,
    rules: TimeZone,
}

/// A name that the database does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no time zone of the IANA database")]
pub struct UnknownZone;

impl Zone {
    /// Finds a zone by its name, such as `Europe/Zurich`.
    ///
    /// # Errors
    /// When the database has no zone of exactly this name.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        let rules = DATABASE.get(name).map_err(|_absent| UnknownZone)?;
        let is_exact = rules.iana_name().is_some_and(|known| known == name);
        if is_exact { Ok(Self { name: name.into(), rules }) } else { Err(UnknownZone) }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the date that it is in the zone at a time in milliseconds since the Unix epoch; `None` outside of the years of
    /// the calendar.
    pub fn date_at(&self, at_ms: i64) -> Option<Date> {
        let there = self.rules.to_datetime(Timestamp::from_millisecond(at_ms).ok()?).date();
        let days = (there - civil::Date::constant(1970, 1, 1)).get_days();
        Some(Date(days))
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl TryFrom<String> for Zone {
    type Error = UnknownZone;

    fn try_from(name: String) -> Result<Self, UnknownZone> {
        Self::named(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_where_the_store_is() {
        // 2026-11-27T23:30:00Z.
        let at_ms = 1_795_822_200_000;
        let day = |zone: &str| Zone::named(zone).unwrap().date_at(at_ms).unwrap().to_string();
        assert_eq!(day("UTC"), "2026-11-27");
        assert_eq!(day("Europe/Zurich"), "2026-11-28");
        assert_eq!(day("Pacific/Kiritimati"), "2026-11-28");
        assert_eq!(day("America/New_York"), "2026-11-27");
        // In summer Zurich is two hours ahead.
        let summer = Zone::named("Europe/Zurich").unwrap().date_at(1_782_856_800_000).unwrap();
        assert_eq!(summer.to_string(), "2026-07-01");
        assert_eq!(Zone::named("UTC").unwrap().date_at(i64::MAX), None);
    }

    #[test]
    fn only_names_of_the_database_are_zones() {
        for name in ["", "Europe/Nowhere", "europe/zurich", "+01:00"] {
            assert_eq!(Zone::named(name), Err(UnknownZone), "{name}");
        }
    }
}
