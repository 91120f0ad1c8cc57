//! The page of a run: its figures, plots over time and by percentile, phases, outcomes, conservation.

use super::markup::Markup;
use super::plot::{Axis, Band, Hover, Plot, Series};
use super::scale::Scale;
use super::{head, row, section, tiles};
use crate::figures::{count, latency, latency_us, moment, rate, short};
use crate::report::{Report, Verdict};
use crate::timeline::{SpanLatency, TimelineSpan};
use crate::verify::Verification;

/// The phase in which stores are cut off, and the one in which they are back.
const MARKED_PHASES: [&str; 2] = ["outage", "flood"];

/// Percentiles that the distribution marks.
const MARKED_PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// Returns the class and the words of the badge.
pub(super) fn badge(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Passed => ("good", "Passed"),
        Verdict::Failed => ("bad", "Failed"),
        Verdict::RateMissed => ("bad", "Rate missed"),
    }
}

/// Writes everything but the frame.
pub(super) fn write(report: &Report, page: &mut Markup) {
    page.tag("p").with("class", "verdict").holding(report.verdict_line());
    for reason in report.reasons() {
        page.element("p", reason);
    }
    let reached = rate(report.reached_events_per_s);
    let reached = match report.asked_events_per_s {
        Some(asked) => format!("{reached} of {}", rate(asked)),
        None => reached,
    };
    tiles(
        page,
        &[
            ("events a second", reached),
            ("p50", latency_us(report.p50_us)),
            ("p99", latency_us(report.p99_us)),
            ("p99.9", latency_us(report.p999_us)),
            ("p99.99", latency_us(report.p9999_us)),
            ("longest", latency_us(report.max_us)),
        ],
    );
    section(page, "Throughput over time", "Events a second.");
    throughput(report).draw(page);
    page.close();
    let sentence =
        "From the moment an event was due, by that moment: a stall shows where it began.";
    section(page, "Latency over time", sentence);
    latencies(report).draw(page);
    page.close();
    let sentence = "How long all but the slowest took, from the moment each event was due.";
    section(page, "Latency by percentile", sentence);
    distribution(report).draw(page);
    page.close();
    if report.phases.len() > 1 {
        phases(report, page);
    }
    page.tag("div").with("class", "columns").open();
    counts(report, page);
    outcomes(report, page);
    page.close();
    conservation(report.verification.as_ref(), page);
}

fn time_axis(report: &Report) -> Axis {
    Axis::new("time", Scale::Linear { from: 0.0, to: report.elapsed_s.max(1e-3) }, moment)
}

fn bands(report: &Report) -> Vec<Band> {
    if report.phases.len() < 2 {
        return Vec::new();
    }
    let band = |phase: &crate::report::PhaseReport| Band {
        name: phase.phase.to_owned(),
        from: phase.from_s,
        until: phase.until_s,
        is_marked: MARKED_PHASES.contains(&phase.phase),
    };
    report.phases.iter().map(band).collect()
}

/// Draws a line through the middle of each span.
fn through(
    report: &Report,
    (class, name): (&'static str, &'static str),
    value: impl Fn(&TimelineSpan) -> Option<f64>,
) -> Series {
    let middle = |span: &TimelineSpan| f64::midpoint(span.from_s, span.until_s);
    let points = report.timeline.iter().map(|span| Some((middle(span), value(span)?))).collect();
    Series { class, name, points, is_filled: false, marks: Vec::new() }
}

fn throughput(report: &Report) -> Plot {
    let rates = |span: &TimelineSpan| {
        let scheduled = span.scheduled_per_s.unwrap_or(0.0);
        scheduled.max(span.sent_per_s).max(span.acknowledged_per_s)
    };
    let highest = report.timeline.iter().map(rates).fold(0.0, f64::max);
    let acknowledged =
        through(report, ("acknowledged", "acknowledged"), |span| Some(span.acknowledged_per_s));
    let mut series = vec![
        Series { is_filled: true, ..acknowledged },
        through(report, ("sent", "sent"), |span| Some(span.sent_per_s)),
    ];
    if report.timeline.iter().any(|span| span.scheduled_per_s.is_some()) {
        series.push(through(report, ("due", "by the schedule"), |span| span.scheduled_per_s));
    }
    let hover = |span: &TimelineSpan| {
        let scheduled =
            span.scheduled_per_s.map(|per_s| format!("by the schedule {}\n", rate(per_s)));
        let (sent, acknowledged) = (rate(span.sent_per_s), rate(span.acknowledged_per_s));
        let scheduled = scheduled.unwrap_or_default();
        format!("{scheduled}sent {sent}\nacknowledged {acknowledged}")
    };
    Plot {
        title: "Events sent and acknowledged a second over the run",
        x: time_axis(report),
        y: Axis::new("events/s", Scale::up_to(highest), short),
        bands: bands(report),
        rules: Vec::new(),
        series,
        hovers: hovers(report, hover),
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn latencies(report: &Report) -> Plot {
    let seen: Vec<SpanLatency> = report.timeline.iter().filter_map(|span| span.latency).collect();
    let lowest = seen.iter().map(|latency| latency.p50_us).min().unwrap_or(1);
    let highest = seen.iter().map(|latency| latency.max_us).max().unwrap_or(10);
    let hover = |span: &TimelineSpan| {
        span.latency.map_or("nothing was due".to_owned(), |latency| {
            let SpanLatency { p50_us, p99_us, max_us } = latency;
            let [p50, p99, max] = [p50_us, p99_us, max_us].map(latency_us);
            format!("p50 {p50}\np99 {p99}\nlongest {max}")
        })
    };
    let of = |latency: fn(SpanLatency) -> u64| {
        move |span: &TimelineSpan| span.latency.map(|found| latency(found) as f64)
    };
    Plot {
        title: "Median, 99th percentile and longest latency over the run",
        x: time_axis(report),
        y: Axis::new("latency", Scale::spanning(lowest as f64, highest as f64), latency),
        bands: bands(report),
        rules: Vec::new(),
        series: vec![
            through(report, ("longest", "longest"), of(|latency| latency.max_us)),
            through(report, ("p99", "p99"), of(|latency| latency.p99_us)),
            through(report, ("p50", "p50"), of(|latency| latency.p50_us)),
        ],
        hovers: hovers(report, hover),
    }
}

fn hovers(report: &Report, text: impl Fn(&TimelineSpan) -> String) -> Vec<Hover> {
    let hover = |span: &TimelineSpan| {
        let (from, until) = (span.from_s, span.until_s);
        let text = format!("{} to {}\n{}", moment(from), moment(until), text(span));
        Hover { from, until, text }
    };
    report.timeline.iter().map(hover).collect()
}

/// One event in so many is slower than a percentile: the measure of an axis on which 90, 99 and 99.9
/// stand at equal distances.
fn one_in(percentile: f64) -> f64 {
    100.0 / (100.0 - percentile).max(1e-9)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn distribution(report: &Report) -> Plot {
    let curve = &report.latency_by_percentile;
    let (lowest, highest) = curve
        .iter()
        .fold((u64::MAX, 1), |(low, high), at| (low.min(at.latency_us), high.max(at.latency_us)));
    let last = curve.last().map_or(99.0, |at| at.percentile);
    let x = Scale::Log { from: 1.0, to: one_in(last).max(10.0) };
    let marks = [(0.0, "0"), (50.0, "50"), (90.0, "90"), (99.0, "99"), (99.9, "99.9")]
        .into_iter()
        .chain([(99.99, "99.99"), (99.999, "99.999"), (99.9999, "99.9999")])
        .filter(|(percentile, _)| *percentile <= last + 1e-9)
        .map(|(percentile, text)| (one_in(percentile), text.to_owned()))
        .collect();
    let known = [report.p50_us, report.p90_us, report.p99_us, report.p999_us, report.p9999_us];
    let points = curve.iter().map(|at| Some((one_in(at.percentile), at.latency_us as f64)));
    let series = Series {
        class: "all",
        name: "all settled events",
        points: points.collect(),
        is_filled: true,
        marks: MARKED_PERCENTILES
            .into_iter()
            .zip(known)
            .filter(|(percentile, _)| *percentile <= last + 1e-9)
            .map(|(percentile, us)| (one_in(percentile), us as f64, latency_us(us)))
            .collect(),
    };
    Plot {
        title: "Latency by percentile",
        x: Axis { scale: x, name: "percentile", marks },
        y: Axis::new("latency", Scale::spanning(lowest as f64, highest as f64), latency),
        bands: Vec::new(),
        rules: Vec::new(),
        series: vec![series],
        hovers: Vec::new(),
    }
}

fn phases(report: &Report, page: &mut Markup) {
    let sentence = "Events and latencies by when they were due. Held: what terminals that had been cut \
                    off sent when they were back.";
    section(page, "Phases", sentence);
    page.tag("div").with("class", "scroll").open();
    page.tag("table").open();
    head(page, &["phase", "from", "events", "held", "p50", "p99", "longest"]);
    for phase in &report.phases {
        page.tag("tr").open();
        page.element("td", phase.phase);
        page.element("td", moment(phase.from_s));
        page.element("td", count(phase.events));
        page.element("td", count(phase.held));
        for latency in [phase.p50_us, phase.p99_us, phase.max_us] {
            page.element("td", latency_us(latency));
        }
        page.close();
    }
    page.close();
    page.close();
    page.close();
}

fn counts(report: &Report, page: &mut Markup) {
    section(page, "Counts", "");
    page.tag("table").open();
    for (name, value, is_fault) in [
        ("events sent", report.sent, false),
        ("copies of them", report.duplicates, false),
        ("of them after later ones", report.late, false),
        ("held while cut off", report.held, false),
        ("known before, said the gateway", report.answered_duplicate, false),
        ("requests", report.requests, false),
        ("requests sent again", report.retries, false),
        ("not treated as planned", report.unexpected, report.unexpected > 0),
        ("of unknown fate", report.unsettled, report.unsettled > 0),
    ] {
        row(page, name, (if is_fault { "bad" } else { "" }, count(value)));
    }
    if let Some(cpu_s) = report.sender_cpu_s {
        row(page, "CPU time of the load test", ("", format_args!("{cpu_s:.1} s")));
    }
    page.close();
    for surprise in &report.unexpected_examples {
        page.element("p", surprise);
    }
    page.close();
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn outcomes(report: &Report, page: &mut Markup) {
    let not_counted = || report.parked.iter().chain(&report.refused);
    let all = report.acknowledged + not_counted().map(|(_, events)| events).sum::<u64>();
    let all = all.max(1) as f64;
    section(page, "Outcome by code", "");
    page.tag("table").open();
    let acknowledged = [("acknowledged", report.acknowledged, "bar")];
    let codes = not_counted().map(|(code, n)| (code.as_str(), *n, "bar refused"));
    for (name, value, class) in acknowledged.into_iter().chain(codes) {
        page.tag("tr").open();
        page.tag("td").open();
        page.text(name);
        let share = value as f64 / all * 100.0;
        let width = format_args!("width:{share:.2}%");
        page.tag("span").with("class", class).with("style", width).holding("");
        page.close();
        page.element("td", count(value));
        page.close();
    }
    page.close();
    page.close();
}

fn conservation(verification: Option<&Verification>, page: &mut Markup) {
    let Some(found) = verification else {
        section(page, "Conservation", "It was not verified.");
        page.close();
        return;
    };
    let sentence = "What was acknowledged, compared with what stands on the topics.";
    section(page, "Conservation", sentence);
    let (class, verdict) = if found.holds() { ("good", "holds") } else { ("bad", "does NOT hold") };
    page.tag("table").open();
    row(page, "conservation", (class, verdict));
    row(page, "acknowledged", ("", count(found.acknowledged)));
    let class = if found.counted == found.acknowledged { "" } else { "bad" };
    row(page, "counted", (class, count(found.counted)));
    for (name, faults) in [
        ("lost", found.lost),
        ("in the journal, without a verdict", found.without_verdict),
        ("double-counted", found.double_counted),
        ("altered", found.altered),
        ("counted, never acknowledged", found.strangers),
        ("set aside, not counted", found.not_counted),
        ("unreadable records", found.unreadable),
        ("stock sums that differ", found.stock_differing),
        ("missing ranges that are wrong", found.wrong_ranges.len() as u64),
    ] {
        row(page, name, (if faults > 0 { "bad" } else { "" }, count(faults)));
    }
    row(page, "stock sums compared", ("", count(found.stock_keys)));
    row(page, "missing ranges reported", ("", count(found.missing_ranges.len() as u64)));
    for (sink, records) in &found.delivered {
        row(page, format_args!("delivered to {sink}"), ("", count(*records)));
    }
    for (sink, records) in &found.dead {
        row(page, format_args!("dead letters of {sink}"), ("", count(*records)));
    }
    page.close();
    page.close();
}
