//! `docs/problems.md` says of every code what it means and what a till does; it is written from the code.

#![expect(clippy::unwrap_used, reason = "a page that cannot be written has failed the test")]

use std::fmt::Write as _;
use std::path::Path;

use tillrace_core::decode::RejectCode;
use tillrace_ingest::{Problem, Reason, Remedy};

const PAGE: &str = include_str!("../../docs/problems.md");

fn what_a_till_does(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Retry => "retry",
        Remedy::Correct => "correct",
        Remedy::SetAside => "set aside",
    }
}

/// Says what becomes of an event that breaks a rule, if its tenant has not set `invalid_events: reject`.
fn by_default(reason: Reason) -> &'static str {
    let Reason::Event(code) = reason else { return "refused" };
    if code.is_parkable() { "parked" } else { "refused" }
}

/// Rows of a table, by status and then in the order of the code.
fn rows(codes: impl Iterator<Item = (u16, &'static str, &'static str, Remedy)>) -> String {
    let mut codes: Vec<_> = codes.collect();
    codes.sort_by_key(|(status, ..)| *status);
    codes.iter().fold(String::new(), |mut rows, (status, code, detail, remedy)| {
        writeln!(rows, "| {status} | `{code}` | {detail} | {} |", what_a_till_does(*remedy))
            .unwrap();
        rows
    })
}

/// The page as it should be: its words, and the tables between the marks from the code.
fn expected() -> String {
    let problems = rows(Problem::ALL.into_iter().map(|problem| {
        (problem.status().as_u16(), problem.code(), problem.detail(), problem.remedy())
    }));
    let reasons =
        Reason::OWN.into_iter().chain(RejectCode::ALL.iter().map(|code| Reason::Event(*code)));
    let mut reasons: Vec<Reason> = reasons.collect();
    reasons.sort_by_key(|reason| reason.status());
    let reasons = reasons.into_iter().fold(String::new(), |mut rows, reason| {
        let (status, code) = (reason.status().as_u16(), reason.code());
        let (detail, refused) = (reason.detail(), what_a_till_does(reason.remedy()));
        let by_default = by_default(reason);
        writeln!(rows, "| `{code}` | {detail} | {by_default} | {status} | {refused} |").unwrap();
        rows
    });
    let mut page = PAGE.to_owned();
    let requests = "| status | code | meaning | a till does |\n|---|---|---|---|\n";
    let events = "| code | meaning | by default | status if refused | a till then does |\n|---|---|---|---|---|\n";
    for (name, head, table) in [("requests", requests, problems), ("events", events, reasons)] {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
        let from = page.find(&begin).unwrap() + begin.len();
        let to = page.find(&end).unwrap();
        page.replace_range(from..to, &format!("\n{head}{table}\n"));
    }
    page
}

#[test]
fn the_page_of_problems_is_that_of_the_code() {
    let expected = expected();
    let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("problems.md");
    std::fs::write(&written, &expected).unwrap();
    assert!(PAGE == expected, "the codes have changed: cp {} docs/problems.md", written.display());
}

/// A sender that looks at the status alone must not take for final what is not.
#[test]
fn nothing_but_an_event_of_its_own_fault_is_final() {
    for problem in Problem::ALL {
        assert_ne!(problem.remedy(), Remedy::SetAside, "{problem:?}");
        let comes_back = matches!(problem.status().as_u16(), 408 | 429 | 503);
        assert!(!comes_back || problem.remedy() == Remedy::Retry, "{problem:?}");
    }
    for code in RejectCode::ALL {
        let status = Reason::Event(*code).status().as_u16();
        assert!(matches!(status, 400 | 413 | 422), "{code:?} is answered with {status}");
    }
    assert_eq!(Reason::StoreNotAllowed.remedy(), Remedy::Correct);
}
