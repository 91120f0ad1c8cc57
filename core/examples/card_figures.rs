//! What the search for card numbers misses and what it refuses wrongly: prints the tables of `docs/CARD_DATA.md`.
//!
//! Run it with `cargo run --release -p tillrace-core --example card_figures`. Cards and barcodes are made up, the same in
//! every run: random digits behind published prefixes, with a valid check digit.

#![expect(clippy::print_stdout, reason = "it is a command")]

use tillrace_core::card::CardRules;
use tillrace_core::decode::{Decoder, RejectCode};

/// Numbers made for each row.
const NUMBERS: u32 = 20_000;

/// Networks by their first digits and lengths.
const CARDS: [(&str, &[&str], usize); 12] = [
    ("Visa", &["4"], 16),
    ("Visa, 13 digits (none issued since the 1990s)", &["4"], 13),
    ("Mastercard", &["51", "55", "2221", "2720"], 16),
    ("American Express", &["34", "37"], 15),
    ("Diners Club", &["305", "36", "38"], 14),
    ("Discover, UnionPay", &["6011", "62", "65"], 16),
    ("JCB", &["3528", "3589"], 16),
    ("Maestro", &["5018", "56", "6304", "6390"], 16),
    ("Maestro, 19 digits", &["5020", "58", "6759"], 19),
    ("Maestro, 12 digits", &["57", "6390", "6761"], 12),
    ("Bancontact", &["6703"], 17),
    ("Mir, Meeza, mada, ArCa, Belkart", &["2200", "507803", "968201", "9051", "9112"], 16),
];

/// Barcodes and other numbers of trade that are no cards.
const TRADE: [(&str, &[&str], Kind); 10] = [
    ("EAN-13, Germany", &["400", "415", "440"], Kind::Gtin(13)),
    ("EAN-13, United Kingdom", &["500", "505", "509"], Kind::Gtin(13)),
    ("EAN-13, France", &["300", "340", "379"], Kind::Gtin(13)),
    ("EAN-13, other countries", &["460", "690", "729", "800", "871"], Kind::Gtin(13)),
    ("EAN-13, priced in store", &["20", "25", "29"], Kind::Gtin(13)),
    ("UPC-A", &["0", "5", "6", "7"], Kind::Gtin(12)),
    ("GTIN-14 of cases", &["1400", "3500", "1690"], Kind::Gtin(14)),
    ("phone numbers", &["4917", "447", "5730", "58412", "33612"], Kind::Phone),
    ("nanoseconds since 1970", &["17", "18"], Kind::Digits(19)),
    ("serial numbers of 20 digits", &["0", "3", "4", "5", "6", "9"], Kind::Digits(20)),
];

#[derive(Clone, Copy)]
enum Kind {
    Gtin(usize),
    Phone,
    Digits(usize),
}

/// Numbers without a pattern, the same in every run (xorshift).
struct Generator(u64);

impl Generator {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn digits(&mut self, prefixes: &[&str], length: usize) -> String {
        let choice = usize::try_from(self.below(prefixes.len() as u64)).unwrap_or_default();
        let mut digits = prefixes.get(choice).copied().unwrap_or_default().to_owned();
        while digits.len() < length {
            digits.push(char::from(b'0' + u8::try_from(self.below(10)).unwrap_or_default()));
        }
        digits
    }
}

/// Appends the check digit of a sum in which digits, from the right, weigh by turns.
fn with_check_digit(body: &str, weigh: fn(u32, bool) -> u32) -> String {
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| weigh(u32::from(digit - b'0'), place % 2 == 0))
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn luhn(digit: u32, is_doubled: bool) -> u32 {
    let digit = digit * if is_doubled { 2 } else { 1 };
    digit / 10 + digit % 10
}

fn gs1(digit: u32, is_tripled: bool) -> u32 {
    digit * if is_tripled { 3 } else { 1 }
}

/// Tells whether an event with this member is refused for card data.
fn is_refused(decoder: &mut Decoder, member: &str) -> bool {
    let text = format!(
        r#"{{"store":"1","terminal":"2","sequence":1,"event_id":"3","kind":"open","occurred_at":"2026-11-27T08:15:30Z","business_date":"2026-11-27",{member}}}"#
    );
    let rejection = decoder.admit(text.as_bytes(), &CardRules::default()).err();
    rejection.is_some_and(|rejection| rejection.code == RejectCode::CardData)
}

/// Says in percent for how many of the members it holds.
fn share(count: u32) -> String {
    match 100.0 * f64::from(count) / f64::from(NUMBERS) {
        0.0 => "0".to_owned(),
        share => format!("{share:.2} %"),
    }
}

fn misses(generator: &mut Generator, decoder: &mut Decoder) {
    println!(
        "| cards | as text | in groups | as a JSON number | zeros before it | expiry or code behind it |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, prefixes, length) in CARDS {
        let mut missed = [0; 5];
        for _ in 0..NUMBERS {
            let number = with_check_digit(&generator.digits(prefixes, length - 1), luhn);
            let groups = number.as_bytes().chunks(4).map(String::from_utf8_lossy);
            let groups = groups.collect::<Vec<_>>().join(" ");
            let code = if length == 15 { "1234" } else { "123" };
            let glued = ["1227", "2712", code, &format!("1227{code}")];
            let glued = glued[usize::try_from(generator.below(4)).unwrap_or_default()];
            let members = [
                format!(r#""note":"paid by {number}""#),
                format!(r#""note":"{groups}""#),
                format!(r#""note":{number}"#),
                format!(r#""note":"{number:0>19}""#),
                format!(r#""note":"{number}{glued}""#),
            ];
            for (missed, member) in missed.iter_mut().zip(&members) {
                *missed += u32::from(!is_refused(decoder, member));
            }
        }
        let [text, groups, integer, padded, glued] = missed.map(share);
        println!("| {name} | {text} | {groups} | {integer} | {padded} | {glued} |");
    }
}

fn false_alarms(generator: &mut Generator, decoder: &mut Decoder) {
    println!(
        "| numbers of trade | `gtin`, `sku`, `barcode` | `description`, other members | as a JSON number |"
    );
    println!("|---|---|---|---|");
    for (name, prefixes, kind) in TRADE {
        let mut refused = [0; 3];
        for _ in 0..NUMBERS {
            let number = match kind {
                Kind::Gtin(length) => {
                    with_check_digit(&generator.digits(prefixes, length - 1), gs1)
                }
                Kind::Phone => generator.digits(prefixes, 12),
                Kind::Digits(length) => generator.digits(prefixes, length),
            };
            let members = [
                format!(r#""barcode":"{number}""#),
                format!(r#""description":"item {number}""#),
                format!(r#""code_scanned":{}"#, number.trim_start_matches('0')),
            ];
            for (refused, member) in refused.iter_mut().zip(&members) {
                *refused += u32::from(is_refused(decoder, member));
            }
        }
        let [barcode, other, integer] = refused.map(share);
        println!("| {name} | {barcode} | {other} | {integer} |");
    }
}

fn main() {
    let mut generator = Generator(0x5eed);
    let mut decoder = Decoder::new();
    misses(&mut generator, &mut decoder);
    println!();
    false_alarms(&mut generator, &mut decoder);
}
