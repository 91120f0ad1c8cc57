//! The page of a search for the knee: latency against rate, and the steps.

use super::markup::Markup;
use super::plot::{Axis, Band, Plot, Rule, Series};
use super::scale::Scale;
use super::{head, section, tiles};
use crate::figures::{count, latency, rate, short};
use crate::knee::{KneeReport, Step};

/// Writes everything but the frame.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn write(report: &KneeReport, page: &mut Markup) {
    page.tag("p").with("class", "verdict").holding(report.verdict_line());
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
    let sentence = "From the moment each event was due. A rate that broke was tried once more: a point is one try, \
                    a line joins the medians of the tries at each rate.";
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
        let tries: Vec<(f64, f64)> = rates().zip(latencies(of)).collect();
        Series {
            class,
            name,
            points: medians(&tries).into_iter().map(Some).collect(),
            is_filled: false,
            marks: tries.into_iter().map(|(x, y)| (x, y, String::new())).collect(),
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

/// Joins the tries at each rate, which stand together, to one point: the median of their latencies.
fn medians(tries: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let at_each_rate = tries.chunk_by(|one, other| one.0.total_cmp(&other.0).is_eq());
    at_each_rate
        .filter_map(|tries| {
            let mut latencies: Vec<f64> = tries.iter().map(|(_, latency)| *latency).collect();
            latencies.sort_by(f64::total_cmp);
            let (lower, upper) =
                (latencies.get((tries.len() - 1) / 2)?, latencies.get(tries.len() / 2)?);
            Some((tries[0].0, f64::midpoint(*lower, *upper)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_tries_make_one_point_of_the_line() {
        let tries = [(1.0, 10.0), (2.0, 90.0), (2.0, 20.0), (4.0, 7.0), (4.0, 99.0), (4.0, 8.0)];
        assert_eq!(medians(&tries), [(1.0, 10.0), (2.0, 55.0), (4.0, 8.0)]);
        assert_eq!(medians(&[]), []);
    }
}
