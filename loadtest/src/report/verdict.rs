//! The verdict on a run, with which every form of the report begins, and its reasons.

use std::fmt::Write as _;

use serde::Serialize;

use super::Report;
use crate::client::NO_ANSWER;
use crate::figures::{count, rate, time};

/// Faults that the line of the verdict names; the others are in the tables.
const NAMED: usize = 3;

/// CPU seconds a second from which the sender itself may be what held the rate back.
const BUSY_SENDER: f64 = 0.8;

/// The verdict on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All went as planned, at the rate that was asked.
    Passed,
    /// An event was not treated as it must be, or the run ended early.
    Failed,
    /// Every event was treated as it must be, but later than asked: less than 95 % of the rate was reached.
    RateMissed,
}

impl Verdict {
    /// Returns its exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::RateMissed => 3,
        }
    }
}

impl Report {
    /// Returns one line: whether the run passed, at which rate, and what failed.
    pub fn verdict_line(&self) -> String {
        let mut line = match self.verdict {
            Verdict::Passed => "PASSED",
            Verdict::Failed | Verdict::RateMissed => "FAILED",
        }
        .to_owned();
        // Writing to a `String` does not fail.
        let _written = match self.asked_events_per_s {
            Some(asked) => {
                write!(line, " at {} of {} events/s", rate(self.reached_events_per_s), rate(asked))
            }
            None => write!(line, " at {} events/s", rate(self.reached_events_per_s)),
        };
        let faults = self.faults();
        let findings = match (faults.is_empty(), &self.verification) {
            (false, _) => faults.join(", "),
            (true, Some(_)) => "conservation holds".to_owned(),
            (true, None) => "conservation not verified".to_owned(),
        };
        line + ": " + &findings
    }

    /// Returns explanations of the verdict, a sentence or two each.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(aborted) = &self.aborted {
            reasons.push(format!("The run ended early: {aborted}."));
        }
        if let (true, Some(due_within_s)) = (self.is_rate_missed, self.due_within_s) {
            let (due, took) = (time(due_within_s), time(self.elapsed_s));
            reasons.push(format!("What was due within {due} took {took}."));
            reasons.extend(self.retries_by_status.iter().map(|(status, n)| answered(status, *n)));
            if self.retries == 0 {
                reasons.push(ALL_CONNECTIONS_WAITED.to_owned());
            }
            if let Some(cpu_s) = self.sender_cpu_s.filter(|cpu| *cpu > BUSY_SENDER * self.elapsed_s)
            {
                let cpu = time(cpu_s);
                reasons.push(format!(
                    "The load test took {cpu} of CPU time: it may itself be too slow."
                ));
            }
        }
        reasons
    }

    /// Names what failed, the worst first.
    fn faults(&self) -> Vec<String> {
        let found = self.verification.as_ref();
        let of = |number: fn(&crate::verify::Verification) -> u64| found.map_or(0, number);
        let counted = [
            (of(|found| found.lost), "lost"),
            (of(|found| found.without_verdict), "without a verdict"),
            (of(|found| found.double_counted), "double-counted"),
            (of(|found| found.altered), "altered"),
            (of(|found| found.strangers), "counted unacknowledged"),
            (of(|found| found.not_counted), "not counted"),
            (of(|found| found.unreadable), "unreadable"),
            (of(|found| found.parked_lost), "parked and lost"),
            (of(|found| found.parked_twice), "parked and counted"),
            (of(|found| found.not_readmitted), "readmitted, not counted"),
            (of(|found| found.stock_differing), "stock sums wrong"),
            (of(|found| found.days_differing), "store-days wrong"),
            (of(|found| found.wrong_ranges.len() as u64), "missing ranges wrong"),
            (self.unexpected, "not treated as planned"),
            (self.unsettled, "of unknown fate"),
        ];
        let mut faults: Vec<String> = counted
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{} {what}", count(number)))
            .collect();
        if found.is_some_and(|found| !found.holds()) && faults.is_empty() {
            faults.push("conservation does not hold".to_owned());
        }
        if self.aborted.is_some() {
            faults.insert(0, "ended early".to_owned());
        }
        if self.is_rate_missed {
            faults.push("rate missed".to_owned());
        }
        if let Some(more) = faults.len().checked_sub(NAMED).filter(|more| *more > 0) {
            faults.truncate(NAMED);
            faults.push(format!("and {more} more"));
        }
        faults
    }
}

const ALL_CONNECTIONS_WAITED: &str = "No request had to be sent again: all connections waited for \
    replies. Try more --connections or a larger --batch; if that changes nothing, the gateway, or this \
    machine, is at its limit.";

/// Explains the status of requests that were sent again.
fn answered(status: &str, requests: u64) -> String {
    let requests = count(requests);
    match status {
        NO_ANSWER => format!(
            "Sent again without an answer: {requests} requests. The gateway was away, or slower than --timeout."
        ),
        "429" => format!(
            "Answered 429: {requests} requests. A rate limit of the tenant or the stores held them back."
        ),
        "503" => format!(
            "Answered 503: {requests} requests. The gateway or its log had no room, or was not ready."
        ),
        _ => format!("Answered {status} and sent again: {requests} requests."),
    }
}
