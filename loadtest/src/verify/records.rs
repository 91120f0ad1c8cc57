//! Record types of the verifier. Members that are not named are ignored.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::source::QUANTITY_SCALE;

/// The value of a record of `pos.events` and `pos.transactions`: a `CloudEvents` envelope.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) tenant: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) store: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) terminal: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) epoch: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) sequence: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) verdict: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
}

impl Envelope<'_> {
    /// Tells whether the record is an event that broke a rule.
    pub(super) fn is_parked(&self) -> bool {
        self.kind == "tillrace.pos.parked"
    }

    /// Tells whether the record is an event that may count: no marker, parked event or operator's order.
    pub(super) fn is_event(&self) -> bool {
        !matches!(
            &*self.kind,
            "tillrace.pos.refused"
                | "tillrace.pos.parked"
                | "tillrace.pos.release"
                | "tillrace.pos.dismiss"
                | "tillrace.pos.readmit"
                | "tillrace.pos.register"
                | "tillrace.pos.tick"
        )
    }
}

/// A record of `pos.conflicts`.
#[derive(Debug, Deserialize)]
pub(super) struct Conflict<'a> {
    #[serde(borrow)]
    pub(super) reason: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) tenant: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) store: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) terminal: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) epoch: Option<Cow<'a, str>>,
    pub(super) sequence: Option<Number<'a>>,
}

/// A number written as a number or as a string of digits.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Number<'a> {
    Plain(u64),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

impl Number<'_> {
    pub(super) fn value(&self) -> Option<u64> {
        match self {
            Self::Plain(value) => Some(*value),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

/// A record of `inventory.deltas`.
#[derive(Debug, Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    pub(super) tenant: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) store: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) sku: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) unit: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) location: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) net: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) sold: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) returned: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) adjusted: Cow<'a, str>,
}

/// A record of `terminal.ledger`.
#[derive(Debug, Deserialize)]
pub(super) struct Ledger<'a> {
    #[serde(borrow)]
    pub(super) tenant: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) store: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) terminal: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) epoch: Option<Cow<'a, str>>,
    pub(super) missing: Vec<(u64, u64)>,
}

/// A record of `pos.audit`.
#[derive(Debug, Deserialize)]
pub(super) struct Audit {
    pub(super) sink: String,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offsets: Vec<(i64, i64)>,
    pub(super) outcome: String,
}

/// What sinks have settled: ranges of offsets by outcome and sink, then topic and partition.
pub(super) type SettledRanges =
    BTreeMap<(String, String), BTreeMap<(String, i32), Vec<(i64, i64)>>>;

/// Reads a decimal string as millionths; `None` if it is not a decimal, or is out of range.
pub(crate) fn micro(decimal: &str) -> Option<i64> {
    let (negative, digits) = match decimal.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, decimal),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part = part.trim_end_matches('0');
    let scale = u32::try_from(part.len()).ok().filter(|&scale| scale <= QUANTITY_SCALE)?;
    let mut value = 0_i64;
    for byte in whole.bytes().chain(part.bytes()) {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit <= 9)?;
        value = value.checked_mul(10)?.checked_add(digit.into())?;
    }
    let value = value.checked_mul(10_i64.pow(QUANTITY_SCALE - scale))?;
    (!whole.is_empty()).then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly() {
        assert_eq!(micro("0"), Some(0));
        assert_eq!(micro("-0.5"), Some(-500_000));
        assert_eq!(micro("12.345678"), Some(12_345_678));
        assert_eq!(micro("3.000000000"), Some(3_000_000));
        for wrong in ["", "-", ".5", "1e3", "1.2345678", "+1", "99999999999999999"] {
            assert_eq!(micro(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_envelope_is_read_with_its_data_untouched() {
        let text = br#"{"specversion":"1.0","type":"tillrace.pos.sale","tenant":"demo","store":"s\u0031","terminal":"t1","sequence":"7","data":{"b": 1, "a":2}}"#;
        let envelope: Envelope<'_> = serde_json::from_slice(text).unwrap();
        assert_eq!((&*envelope.store, envelope.sequence.as_deref()), ("s1", Some("7")));
        assert_eq!(envelope.data.get(), r#"{"b": 1, "a":2}"#);
        assert!(envelope.is_event() && envelope.epoch.is_none());
        for no_event in ["refused", "parked", "register", "tick"] {
            let kind = format!("tillrace.pos.{no_event}").into();
            assert!(
                !Envelope { kind, data: envelope.data, ..serde_json::from_slice(text).unwrap() }
                    .is_event()
            );
        }
    }
}
