//! Sales as they come: of different lengths, members in changing order, escapes in their texts.

use std::fmt::Write as _;

/// Events of a shape, so many that no predictor learns them by heart.
pub const EVENTS: usize = 64;

/// How a sale is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As a fleet of one make writes it: compact, members always in one order.
    Fleet,
    /// Members in changing order.
    Shuffled,
    /// With text beyond ASCII, and escapes.
    Escapes,
    /// With an escape at the very end, behind members in changing order: as much as can be in vain.
    Hostile,
}

/// A name, the lines of each sale, how it is written, and about how many bytes it has.
pub type Shape = (&'static str, usize, Style, usize);

/// The shapes that are measured.
pub const SHAPES: [Shape; 6] = [
    ("s", 2, Style::Fleet, 515),
    ("m", 5, Style::Fleet, 912),
    ("l", 10, Style::Fleet, 1_429),
    ("shuffled", 5, Style::Shuffled, 912),
    ("escapes", 5, Style::Escapes, 912),
    ("hostile", 5, Style::Hostile, 912),
];

/// Writes the sales of a shape.
pub fn sales((_, lines, style, _): Shape) -> Vec<Vec<u8>> {
    (0..EVENTS).map(|number| sale(number, lines, style)).collect()
}

/// Writes one sale.
///
/// # Panics
/// Never: a string takes all that is written to it.
#[expect(clippy::expect_used, reason = "a string takes all")]
pub fn sale(number: usize, lines: usize, style: Style) -> Vec<u8> {
    let is_shuffled = matches!(style, Style::Shuffled | Style::Hostile);
    let mut members = vec![
        format!(r#""store":"{:04}""#, number % 40),
        format!(r#""terminal":"{:02}""#, number % 9),
        format!(r#""sequence":{}"#, 100_000 + number),
        format!(r#""event_id":"{:04}.{:02}.{}""#, number % 40, number % 9, 100_000 + number),
        r#""kind":"sale""#.to_owned(),
        format!(r#""occurred_at":"2026-11-27T08:{:02}:{:02}.250+01:00""#, number % 60, number % 59),
        r#""business_date":"2026-11-27""#.to_owned(),
        r#""currency":"EUR""#.to_owned(),
        format!(r#""operator_id":"op-{:03}""#, number % 200),
    ];
    let mut list = String::new();
    for line in 1..=lines {
        let cents = 99 + (number * 37 + line * 113) % 2_000;
        let sku = match style {
            Style::Escapes => format!("caf\u{e9} \\u0041\\/{}", 1_000 + number % 9 * 13 + line),
            Style::Fleet | Style::Shuffled | Style::Hostile => {
                format!("{}", 1_000_000 + number * 7_919 + line * 13)
            }
        };
        let price = format!("{}.{:02}", cents / 100, cents % 100);
        let mut fields = vec![
            format!(r#""line":{line}"#),
            r#""type":"sale""#.to_owned(),
            format!(r#""sku":"{sku}""#),
            format!(r#""quantity":"{}""#, 1 + line % 3),
            format!(r#""unit_price":"{price}""#),
            format!(r#""amount":"{price}""#),
        ];
        if line > 1 {
            fields.insert(3, format!(r#""gtin":"{}""#, gtin(number * 7_919 + line * 13)));
        }
        if is_shuffled {
            fields.rotate_left((number + line) % 6);
        }
        let comma = if line > 1 { "," } else { "" };
        write!(list, "{comma}{{{}}}", fields.join(",")).expect("a string takes all");
    }
    members.push(format!(r#""lines":[{list}]"#));
    members.push(r#""tenders":[{"type":"card","amount":"24.50","last_four":"1881"}]"#.to_owned());
    members.push(format!(r#""totals":{{"total":"24.50","line_count":{lines}}}"#));
    if is_shuffled {
        let places = members.len();
        members.rotate_left(number % places);
    }
    if style == Style::Hostile {
        members.push(r#""note":"\u0041""#.to_owned());
    }
    format!("{{{}}}", members.join(",")).into_bytes()
}

/// A GTIN-13 with its check digit.
fn gtin(number: usize) -> String {
    let body = format!("400{number:09}");
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(digit - b'0') * if place % 2 == 0 { 3 } else { 1 })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}
