//! Reports as one HTML file each: no script, nothing from elsewhere, readable on a phone and in the
//! dark. The pages show what a [`Report`] or a [`KneeReport`] holds and compute nothing of their own.

mod markup;
mod plot;
mod run;
mod scale;
mod steps;

#[cfg(test)]
mod tests;

use std::fmt::Display;

use self::markup::Markup;
use crate::knee::KneeReport;
use crate::report::Report;

const STYLE: &str = include_str!("page/style.css");

/// A description of the run, for its page.
#[derive(Debug, Clone, Default)]
pub struct RunDescription {
    /// Where events were sent.
    pub target: String,
    /// When, as people write it.
    pub at: String,
    /// What was asked for: names and values.
    pub parameters: Vec<(&'static str, String)>,
}

/// Writes the page of a run.
pub fn of_run(report: &Report, about: &RunDescription) -> String {
    let mut page = begin("Load test", about, run::badge(report.verdict));
    run::write(report, &mut page);
    end(page, about)
}

/// Writes the page of a search for the knee.
pub fn of_knee(report: &KneeReport, about: &RunDescription) -> String {
    let found = report.knee_events_per_s.is_some();
    let badge = if found { ("good", "Passed") } else { ("bad", "Failed") };
    let mut page = begin("Search for the knee", about, badge);
    steps::write(report, &mut page);
    end(page, about)
}

fn begin(title: &str, about: &RunDescription, badge: (&str, &str)) -> Markup {
    let mut page = Markup::begin("<!DOCTYPE html>\n");
    page.tag("html").with("xmlns", "http://www.w3.org/1999/xhtml").with("lang", "en").open();
    page.tag("head").open();
    page.tag("meta").with("charset", "utf-8").empty();
    page.tag("meta")
        .with("name", "viewport")
        .with("content", "width=device-width, initial-scale=1")
        .empty();
    page.element("title", format_args!("{title} · {}", about.target));
    page.verbatim("style", STYLE);
    page.close();
    page.tag("body").open();
    page.tag("main").open();
    page.tag("header").open();
    page.tag("div").open();
    page.element("h1", title);
    page.element("p", format_args!("{} · {}", about.target, about.at));
    page.close();
    page.tag("span").with("class", format_args!("badge {}", badge.0)).holding(badge.1);
    page.close();
    page
}

fn end(mut page: Markup, about: &RunDescription) -> String {
    section(&mut page, "What was asked for", "");
    page.tag("table").open();
    for (name, value) in &about.parameters {
        row(&mut page, name, ("words", value));
    }
    page.close();
    page.close();
    page.finish()
}

/// Opens a section with its heading and a sentence about it.
fn section(page: &mut Markup, heading: &str, sentence: &str) {
    page.tag("section").open();
    page.element("h2", heading);
    if !sentence.is_empty() {
        page.element("p", sentence);
    }
}

/// Writes large figures under their names.
fn tiles(page: &mut Markup, tiles: &[(&str, String)]) {
    page.tag("dl").with("class", "tiles").open();
    for (name, value) in tiles {
        page.tag("div").open();
        page.element("dt", name);
        page.element("dd", value);
        page.close();
    }
    page.close();
}

/// Writes a table's first row.
fn head(page: &mut Markup, names: &[&str]) {
    page.tag("tr").open();
    for name in names {
        page.element("th", name);
    }
    page.close();
}

/// Writes a row of a name and a value with its class.
fn row(page: &mut Markup, name: impl Display, (class, value): (&str, impl Display)) {
    page.tag("tr").open();
    page.element("td", name);
    page.tag("td").with("class", class).holding(value);
    page.close();
}
