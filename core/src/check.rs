//! The rules that compare one part of an event with another, each named, each a tenant's to set.
//!
//! Terminals round, discount and tax in their own ways, so a mismatch is a flag unless a tenant wants it
//! refused. A rule is checked only where the event states what it compares.
//!
//! Stands after the decoder, in the gateway. It does not look at stock or at other events.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decode::{RejectCode, Rejection};
use crate::event::{Event, Kind};
use crate::money;

/// The action when an event breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// The event is not accepted: it is parked, or rejected where its tenant has `invalid_events: reject`.
    Reject,
    /// The event is accepted, and its envelope says which rule it breaks.
    #[default]
    Flag,
    /// The rule is not checked.
    Ignore,
}

/// A tenant's settings of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckRules {
    /// `totals.total` is the sum of what the lines say.
    pub totals: RuleAction,
    /// The tenders add up to `totals.total`, or where that is missing to the lines, with tip and rounding.
    pub tenders: RuleAction,
    /// `totals.line_count` is the number of lines, void ones included.
    pub line_count: RuleAction,
}

impl Default for CheckRules {
    fn default() -> Self {
        let flag = RuleAction::default();
        Self { totals: flag, tenders: flag, line_count: flag }
    }
}

/// The rules that an event breaks. Displayed as in the envelope: names, separated by commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckFlags {
    broken: u8,
}

/// The rules in the order in which they are checked and printed.
const RULES: [RejectCode; 3] =
    [RejectCode::TotalsMismatch, RejectCode::TendersMismatch, RejectCode::LineCountMismatch];

impl CheckFlags {
    /// Tells whether no rule is broken.
    pub fn is_empty(self) -> bool {
        self.broken == 0
    }

    /// Tells whether a rule is broken.
    pub fn contains(self, rule: RejectCode) -> bool {
        RULES.iter().enumerate().any(|(index, known)| *known == rule && self.has(index))
    }

    fn has(self, index: usize) -> bool {
        self.broken & (1 << index) != 0
    }
}

impl fmt::Display for CheckFlags {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (index, rule) in RULES.iter().enumerate() {
            if self.has(index) {
                write!(formatter, "{comma}{rule}")?;
                comma = ",";
            }
        }
        Ok(())
    }
}

type Comparison = fn(&Event<'_>) -> bool;

/// Checks an event by a tenant's rules.
///
/// # Errors
/// The first broken rule for which the tenant wants rejection, with the pointer of the total.
pub fn check(event: &Event<'_>, rules: &CheckRules) -> Result<CheckFlags, Rejection> {
    let checks: [(RuleAction, Comparison, &str); RULES.len()] = [
        (rules.totals, totals_agree, "total"),
        (rules.tenders, tenders_agree, "total"),
        (rules.line_count, line_count_agrees, "line_count"),
    ];
    let mut flags = CheckFlags::default();
    for (index, ((action, agrees, name), rule)) in checks.into_iter().zip(RULES).enumerate() {
        if action == RuleAction::Ignore || agrees(event) {
            continue;
        }
        if action == RuleAction::Reject {
            return Err(Rejection::in_totals(rule, name));
        }
        flags.broken |= 1 << index;
    }
    Ok(flags)
}

/// Compares the total with the lines that count. True where an amount is missing.
fn totals_agree(event: &Event<'_>) -> bool {
    let Some(total) = event.totals.and_then(|totals| totals.total) else { return true };
    event.lines.is_empty() || money::due(event).is_none_or(|due| due == i128::from(total))
}

/// Compares the tenders with the total and what is not in it: tip and rounding. True where either is missing.
///
/// A tender `rounding` says the opposite of `totals.rounding`, and makes up for itself.
fn tenders_agree(event: &Event<'_>) -> bool {
    let totals = event.totals.unwrap_or_default();
    let due = match totals.total {
        Some(total) => Some(i128::from(total)),
        None if event.lines.is_empty() && event.kind != Kind::TipAdjustment => None,
        None => money::due(event),
    };
    let Some(due) = due else { return true };
    let more = [totals.tip, totals.rounding].into_iter().flatten().map(i128::from).sum::<i128>();
    let sum: i128 = event.tenders.iter().map(|tender| i128::from(tender.amount)).sum();
    event.tenders.is_empty() || sum == due + more
}

/// Compares the line count with the lines sent, void ones included.
fn line_count_agrees(event: &Event<'_>) -> bool {
    let stated = event.totals.and_then(|totals| totals.line_count);
    stated.is_none_or(|stated| stated as usize == event.lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Decoder;

    fn checked(kind: &str, more: &str, rules: CheckRules) -> Result<String, (RejectCode, String)> {
        let text = format!(
            r#"{{"store":"1","terminal":"2","event_id":"3","kind":"{kind}","occurred_at":"2026-11-27T08:15:30Z",
            "business_date":"2026-11-27","currency":"EUR","reference":{{"sequence":1}},{more}}}"#
        );
        let mut decoder = Decoder::new();
        let event = decoder.decode(text.as_bytes()).unwrap();
        check(&event, &rules)
            .map(|flags| flags.to_string())
            .map_err(|rejection| (rejection.code, rejection.pointer))
    }

    const LINES: &str = r#""lines":[
        {"line":1,"type":"sale","sku":"a","quantity":"1","amount":"10","discounts":[{"reason":"r","amount":"1.5"}],
         "taxes":[{"code":"x","amount":"0.85"},{"code":"y","amount":"9","inclusive":true}]},
        {"line":2,"type":"return","sku":"b","quantity":"1","amount":"4"},
        {"line":3,"type":"sale","sku":"c","quantity":"1","void":true}]"#;

    fn flagged(kind: &str, rest: &str) -> String {
        checked(kind, &format!("{LINES},{rest}"), CheckRules::default()).unwrap()
    }

    #[test]
    fn sums_that_agree_raise_nothing() {
        let good = r#""totals":{"total":"5.35","line_count":3},"tenders":[{"type":"cash","amount":"10"},{"type":"change","amount":"-4.65"}]"#;
        assert_eq!(flagged("sale", good), "");
        assert_eq!(flagged("post_void", r#""totals":{"total":"-5.35"}"#), "");
        assert_eq!(flagged("sale", r#""totals":{"line_count":3}"#), "");
        assert_eq!(
            checked("close", r#""totals":{"total":"9000"}"#, CheckRules::default()),
            Ok(String::new())
        );
    }

    #[test]
    fn each_broken_rule_is_named() {
        assert_eq!(flagged("sale", r#""totals":{"total":"5.36"}"#), "totals_mismatch");
        assert_eq!(flagged("post_void", r#""totals":{"total":"5.35"}"#), "totals_mismatch");
        assert_eq!(
            flagged(
                "sale",
                r#""totals":{"total":"5.35"},"tenders":[{"type":"cash","amount":"5"}]"#
            ),
            "tenders_mismatch"
        );
        assert_eq!(flagged("sale", r#""totals":{"line_count":2}"#), "line_count_mismatch");
        assert_eq!(
            flagged(
                "sale",
                r#""totals":{"total":"1","line_count":0},"tenders":[{"type":"cash","amount":"5"}]"#
            ),
            "totals_mismatch,tenders_mismatch,line_count_mismatch"
        );
    }

    #[test]
    fn rounding_and_tips_are_no_mismatch() {
        for (totals, tenders) in [
            (
                r#"{"total":"5.35"}"#,
                r#"{"type":"cash","amount":"5.40"},{"type":"rounding","amount":"-0.05"}"#,
            ),
            (r#"{"total":"5.35","rounding":"0.05"}"#, r#"{"type":"cash","amount":"5.40"}"#),
            (r#"{"total":"5.35","tip":"1"}"#, r#"{"type":"card","amount":"6.35"}"#),
            (r#"{"tip":"1","rounding":"-0.05"}"#, r#"{"type":"cash","amount":"6.30"}"#),
            (
                r#"{"total":"5.35"}"#,
                r#"{"type":"cash","amount":"5.35","foreign":{"currency":"USD","amount":"6.00","rate":"0.8917"}}"#,
            ),
        ] {
            let rest = format!(r#""totals":{totals},"tenders":[{tenders}]"#);
            assert_eq!(flagged("sale", &rest), "", "{rest}");
        }
        let short = r#""totals":{"tip":"1"},"tenders":[{"type":"cash","amount":"5.35"}]"#;
        assert_eq!(flagged("sale", short), "tenders_mismatch");
    }

    #[test]
    fn what_is_paid_before_a_hand_over_is_compared_with_the_lines_that_take_it() {
        let paid = |amount: &str| {
            let more = format!(
                r#""order":{{"id":"o"}},"lines":[{{"line":1,"type":"sale","sku":"a","quantity":"1","amount":"90"}},
                {{"line":2,"type":"service","class":"payment_on_account","sku":"p","quantity":"1","amount":"20"}}],
                "totals":{{"total":"20"}},"tenders":[{{"type":"card","amount":"{amount}"}}]"#
            );
            checked("order_placed", &more, CheckRules::default()).unwrap()
        };
        assert_eq!(paid("20"), "");
        assert_eq!(paid("90"), "tenders_mismatch");
        let tip = |tender: &str| {
            let more = format!(r#""amount":"3","tenders":[{{"type":"card","amount":"{tender}"}}]"#);
            checked("tip_adjustment", &more, CheckRules::default()).unwrap()
        };
        assert_eq!((&*tip("3"), &*tip("2")), ("", "tenders_mismatch"));
    }

    #[test]
    fn an_amount_that_is_missing_leaves_the_total_unchecked() {
        let more =
            r#""lines":[{"line":1,"type":"sale","sku":"a","quantity":"1"}],"totals":{"total":"1"}"#;
        assert_eq!(checked("sale", more, CheckRules::default()), Ok(String::new()));
    }

    #[test]
    fn a_tenant_decides_what_follows() {
        let bad = format!(r#"{LINES},"totals":{{"total":"1","line_count":2}}"#);
        let rules = CheckRules { totals: RuleAction::Ignore, ..CheckRules::default() };
        assert_eq!(checked("sale", &bad, rules), Ok("line_count_mismatch".to_owned()));
        let rules = CheckRules { line_count: RuleAction::Reject, ..rules };
        let refused = (RejectCode::LineCountMismatch, "/totals/line_count".to_owned());
        assert_eq!(checked("sale", &bad, rules), Err(refused));
        let rules = CheckRules { totals: RuleAction::Reject, ..rules };
        let refused = (RejectCode::TotalsMismatch, "/totals/total".to_owned());
        assert_eq!(checked("sale", &bad, rules), Err(refused));
    }

    #[test]
    fn flags_can_be_asked_for() {
        let flags = CheckFlags { broken: 0b101 };
        assert!(
            flags.contains(RejectCode::TotalsMismatch)
                && flags.contains(RejectCode::LineCountMismatch)
        );
        assert!(!flags.contains(RejectCode::TendersMismatch) && !flags.is_empty());
    }
}
