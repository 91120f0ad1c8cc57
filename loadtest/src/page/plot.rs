//! A plot: axes, shaded bands, lines, marks and what to say under the pointer, as inline SVG.
//!
//! Colours come from the page's style sheet by class, so that one drawing serves light and dark.

use std::fmt::Write as _;

use super::markup::{Markup, Tag};
use super::scale::Scale;

/// A drawing's size in its own units. The page shows the one that suits its width, and scales it a little;
/// letters keep a size that can be read.
#[derive(Debug, Clone, Copy)]
struct Canvas {
    class: &'static str,
    width: f64,
    height: f64,
}

/// For desks, and for telephones.
const WIDE: Canvas = Canvas { class: "wide", width: 840.0, height: 300.0 };
const NARROW: Canvas = Canvas { class: "narrow", width: 340.0, height: 260.0 };

/// Margins of a drawing.
const LEFT: f64 = 66.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 42.0;

/// Room that a letter takes.
const LETTER: f64 = 7.0;

/// A plot.
#[derive(Debug)]
pub(super) struct Plot {
    /// What it shows, for those who cannot see it.
    pub(super) title: &'static str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) bands: Vec<Band>,
    pub(super) rules: Vec<Rule>,
    pub(super) series: Vec<Series>,
    pub(super) hovers: Vec<Hover>,
}

/// An axis: its scale, its name, and how it writes its marks.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) name: &'static str,
    pub(super) marks: Vec<(f64, String)>,
}

impl Axis {
    /// Makes an axis that names the marks of its scale.
    pub(super) fn new(name: &'static str, scale: Scale, write: fn(f64) -> String) -> Self {
        let marks = scale.marks().into_iter().map(|mark| (mark, write(mark))).collect();
        Self { scale, name, marks }
    }
}

/// A shaded part of the x axis.
#[derive(Debug)]
pub(super) struct Band {
    pub(super) name: String,
    pub(super) from: f64,
    pub(super) until: f64,
    /// Shaded more strongly.
    pub(super) is_marked: bool,
}

/// A line across the plot at one value of the y axis.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) at: f64,
}

/// A line of points; it is interrupted where there is none.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    pub(super) points: Vec<Option<(f64, f64)>>,
    /// Shaded down to the x axis.
    pub(super) is_filled: bool,
    /// Points to mark, each with what to write beside it.
    pub(super) marks: Vec<(f64, f64, String)>,
}

/// What to say about a part of the x axis.
#[derive(Debug)]
pub(super) struct Hover {
    pub(super) from: f64,
    pub(super) until: f64,
    pub(super) text: String,
}

impl Plot {
    /// Draws the plot as a figure with its legend.
    pub(super) fn draw(&self, markup: &mut Markup) {
        markup.tag("figure").open();
        markup.tag("div").with("class", "legend").open();
        for series in &self.series {
            markup.tag("span").with("class", series.class).open();
            markup.tag("i").holding("");
            markup.text(series.name);
            markup.close();
        }
        markup.close();
        for canvas in [WIDE, NARROW] {
            Drawing { plot: self, canvas }.draw(markup);
        }
        markup.close();
    }
}

/// A plot on a canvas.
#[derive(Debug, Clone, Copy)]
struct Drawing<'a> {
    plot: &'a Plot,
    canvas: Canvas,
}

impl Drawing<'_> {
    fn draw(self, markup: &mut Markup) {
        let Canvas { class, width, height } = self.canvas;
        markup
            .tag("svg")
            .with("xmlns", "http://www.w3.org/2000/svg")
            .with("class", class)
            .with("viewBox", format_args!("0 0 {width} {height}"))
            .with("role", "img")
            .with("aria-label", self.plot.title)
            .open();
        self.draw_bands(markup);
        self.draw_axes(markup);
        for series in &self.plot.series {
            self.draw_series(series, markup);
        }
        self.draw_rules(markup);
        self.draw_hovers(markup);
        markup.close();
    }

    fn right(self) -> f64 {
        self.canvas.width - RIGHT
    }

    fn bottom(self) -> f64 {
        self.canvas.height - BOTTOM
    }

    fn x(self, value: f64) -> f64 {
        LEFT + self.plot.x.scale.place(value) * (self.right() - LEFT)
    }

    fn y(self, value: f64) -> f64 {
        self.bottom() - self.plot.y.scale.place(value) * (self.bottom() - TOP)
    }

    fn draw_bands(self, markup: &mut Markup) {
        for (number, band) in self.plot.bands.iter().enumerate() {
            let (from, until) = (self.x(band.from), self.x(band.until));
            let class = match (band.is_marked, number % 2) {
                (true, _) => "band marked",
                (false, 0) => "band",
                (false, _) => "band odd",
            };
            self.area(markup, class, from, until).empty();
            if until - from >= room(&band.name) {
                label(markup, "name", f64::midpoint(from, until), TOP - 9.0, "middle", &band.name);
            }
        }
    }

    fn draw_axes(self, markup: &mut Markup) {
        let (right, bottom) = (self.right(), self.bottom());
        for (mark, text) in &self.plot.y.marks {
            let y = self.y(*mark);
            line(markup, "grid", (LEFT, y), (right, y));
            label(markup, "tick", LEFT - 8.0, y + 4.5, "end", text);
        }
        let mut free_from = 0.0;
        for (mark, text) in &self.plot.x.marks {
            let (x, half) = (self.x(*mark), room(text) / 2.0);
            line(markup, "grid", (x, TOP), (x, bottom));
            // The last mark may stand at the edge; its letters end there too.
            let middle = x.min(self.canvas.width - half);
            if middle - half >= free_from {
                label(markup, "tick", middle, bottom + 18.0, "middle", text);
                free_from = middle + half + LETTER;
            }
        }
        line(markup, "axis", (LEFT, bottom), (right, bottom));
        label(
            markup,
            "name",
            f64::midpoint(LEFT, right),
            self.canvas.height - 5.0,
            "middle",
            self.plot.x.name,
        );
        label(markup, "name", 4.0, TOP - 9.0, "start", self.plot.y.name);
    }

    fn draw_series(self, series: &Series, markup: &mut Markup) {
        for run in series.points.split(Option::is_none) {
            let points: Vec<(f64, f64)> =
                run.iter().flatten().map(|&(x, y)| (self.x(x), self.y(y))).collect();
            let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
            let mut path = String::new();
            for (number, (x, y)) in points.iter().enumerate() {
                let command = if number == 0 { 'M' } else { 'L' };
                // Writing to a `String` does not fail.
                let _written = write!(path, "{command}{x:.1} {y:.1}");
            }
            if series.is_filled {
                let bottom = self.bottom();
                let shade = format!("{path}L{:.1} {bottom}L{:.1} {bottom}Z", last.0, first.0);
                let class = format_args!("shade {}", series.class);
                markup.tag("path").with("class", class).with("d", shade).empty();
            }
            let class = format_args!("line {}", series.class);
            markup.tag("path").with("class", class).with("d", path).empty();
        }
        for (x, y, text) in &series.marks {
            let (x, y) = (self.x(*x), self.y(*y));
            let dot = markup.tag("circle").with("class", format_args!("dot {}", series.class));
            dot.with("cx", Px(x)).with("cy", Px(y)).with("r", 3.5).empty();
            if !text.is_empty() {
                label(markup, "value", (x - 8.0).max(LEFT + 50.0), y - 9.0, "end", text);
            }
        }
    }

    fn draw_rules(self, markup: &mut Markup) {
        for rule in &self.plot.rules {
            let y = self.y(rule.at);
            line(markup, "rule", (LEFT, y), (self.right(), y));
            label(markup, "rule-name", LEFT + 8.0, y - 6.0, "start", &rule.name);
        }
    }

    fn draw_hovers(self, markup: &mut Markup) {
        for hover in &self.plot.hovers {
            self.area(markup, "hover", self.x(hover.from), self.x(hover.until)).open();
            markup.element("title", &hover.text);
            markup.close();
        }
    }

    /// Begins a rectangle over the plot's height.
    fn area<'a>(self, markup: &'a mut Markup, class: &str, from: f64, until: f64) -> Tag<'a> {
        let tag = markup.tag("rect").with("class", class).with("x", Px(from)).with("y", TOP);
        tag.with("width", Px((until - from).max(0.0))).with("height", self.bottom() - TOP)
    }
}

/// A length in the drawing's units, to a tenth.
#[derive(Debug, Clone, Copy)]
struct Px(f64);

impl std::fmt::Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1}", self.0)
    }
}

/// Returns the width that a text takes, more or less.
#[expect(clippy::cast_precision_loss, reason = "a name is short")]
fn room(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

fn line(markup: &mut Markup, class: &str, from: (f64, f64), to: (f64, f64)) {
    let tag = markup.tag("line").with("class", class).with("x1", Px(from.0)).with("y1", Px(from.1));
    tag.with("x2", Px(to.0)).with("y2", Px(to.1)).empty();
}

fn label(markup: &mut Markup, class: &str, x: f64, y: f64, anchor: &str, text: &str) {
    let tag = markup.tag("text").with("class", class).with("x", Px(x)).with("y", Px(y));
    tag.with("text-anchor", anchor).holding(text);
}
