//! The time from which a key is taken no more.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tillrace_core::text::Timestamp;

/// A time, in settings written as RFC 3339 such as `2027-01-31T00:00:00Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    millis: i64,
}

impl Expiry {
    /// Makes one from milliseconds since the Unix epoch.
    pub fn from_millis(millis: i64) -> Self {
        Self { millis }
    }

    /// Returns milliseconds since the Unix epoch.
    pub fn millis(self) -> i64 {
        self.millis
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        Timestamp::from_millis(self.millis).push_to(&mut text);
        formatter.write_str(&text)
    }
}

impl fmt::Debug for Expiry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let time = Timestamp::parse(text.as_bytes())
            .ok_or_else(|| D::Error::custom("is no time; write it as 2027-01-31T00:00:00Z"))?;
        Ok(Self { millis: time.millis() })
    }
}

impl Serialize for Expiry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Expiry {
    fn schema_name() -> Cow<'static, str> {
        "Expiry".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "examples": ["2027-01-31T00:00:00Z"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_and_written_as_rfc_3339() {
        let read: Expiry = serde_json::from_str("\"2027-01-31T02:00:00+02:00\"").unwrap();
        assert_eq!(read, serde_json::from_str("\"2027-01-31T00:00:00Z\"").unwrap());
        assert_eq!(serde_json::to_string(&read).unwrap(), "\"2027-01-31T00:00:00Z\"");
        for wrong in ["\"2027-01-31\"", "\"tomorrow\"", "1795766400", "\"\""] {
            assert!(serde_json::from_str::<Expiry>(wrong).is_err(), "{wrong}");
        }
    }
}
