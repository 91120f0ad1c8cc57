//! The page of a search for the knee: latency against rate, and the steps.

use super::figures::{count, latency, rate, short};
use super::markup::Markup;
use super::plot::{Axis, Band, Plot, Rule, Series};
use super::scale::Scale;
use super::{head, section, tiles};
use crate::knee::{KneeReport, Step};

/// Writes everything but the frame.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn write(report: &KneeReport, page: &mut Markup) {
    let knee = report.knee_events_per_s.map_or("none".to_owned(), rate);
    tiles(
        page,
        &[
            ("knee, events a second", knee),
            ("limit of p99", latency(report.p99_limit_us as f64)),
            ("steps", count(report.steps.len() as u64)),
            ("measured at each", format!("{} s", report.measured_s)),
        ],
    );
    let sentence = "From the moment each event was due. A rate that broke was tried once more.";
    section(page, "Latency against rate", sentence);
    plot(report).draw(page);
    page.close();
    section(page, "Steps", "");
    page.tag("div").with("class", "scroll").open();
    page.tag("table").open();
    head(page, &["due a second", "acknowledged", "p50", "p99", "longest", "errors", "outcome"]);
    for step in &report.steps {
        row(step, page);
    }
    page.close();
    page.close();
    page.close();
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn row(step: &Step, page: &mut Markup) {
    let measured = &step.measured;
    page.tag("tr").open();
    page.element("td", rate(measured.rate));
    page.element("td", rate(measured.acknowledged_per_s));
    for latency_us in [measured.p50_us, measured.p99_us, measured.max_us] {
        page.element("td", latency(latency_us as f64));
    }
    page.element("td", count(measured.errors));
    match step.broke {
        None => page.tag("td").with("class", "good").holding("held"),
        Some(broke) => page.tag("td").with("class", "bad").holding(broke),
    }
    page.close();
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn plot(report: &KneeReport) -> Plot {
    let limit_us = report.p99_limit_us as f64;
    let mut steps: Vec<&Step> =
        report.steps.iter().filter(|step| step.measured.p50_us > 0).collect();
    steps.sort_by(|one, other| one.measured.rate.total_cmp(&other.measured.rate));
    let rates = || steps.iter().map(|step| step.measured.rate);
    let latencies = |of: fn(&Step) -> u64| steps.iter().map(move |step| of(step) as f64);
    let lowest = latencies(|step| step.measured.p50_us).fold(limit_us, f64::min);
    let highest = latencies(|step| step.measured.p99_us).fold(limit_us, f64::max);
    let x = Scale::spanning(
        rates().fold(f64::INFINITY, f64::min).min(1e9),
        rates().fold(1.0, f64::max),
    );
    let series = |class, name, of: fn(&Step) -> u64| {
        let points: Vec<(f64, f64)> = rates().zip(latencies(of)).collect();
        Series {
            class,
            name,
            marks: points.iter().map(|&(x, y)| (x, y, String::new())).collect(),
            points: points.into_iter().map(Some).collect(),
            is_filled: false,
        }
    };
    let (from, to) = x.ends();
    let bands = report.knee_events_per_s.map_or(Vec::new(), |knee| {
        let name = format!("held up to {} events/s", rate(knee));
        vec![
            Band { name, from, until: knee, is_marked: false },
            Band { name: "broke".to_owned(), from: knee, until: to, is_marked: true },
        ]
    });
    Plot {
        title: "Median and 99th percentile of the latency against the rate",
        x: Axis::new("events a second", x, short),
        y: Axis::new("latency", Scale::spanning(lowest, highest), latency),
        bands,
        rules: vec![Rule { name: format!("limit of p99: {}", latency(limit_us)), at: limit_us }],
        series: vec![
            series("p99", "p99", |step| step.measured.p99_us),
            series("p50", "p50", |step| step.measured.p50_us),
        ],
        hovers: Vec::new(),
    }
}
