//! The same content under every way to write it, other content under none.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::card::{self, CardPolicy, CardRules};
use crate::decode::Decoder;

const SAMPLES: [&str; 12] = [
    include_str!("../../../docs/samples/sale.json"),
    include_str!("../../../docs/samples/sale-with-unknown-members.json"),
    include_str!("../../../docs/samples/sale-jpy.json"),
    include_str!("../../../docs/samples/return.json"),
    include_str!("../../../docs/samples/inventory-adjustment.json"),
    include_str!("../../../docs/samples/transfer-in.json"),
    include_str!("../../../docs/samples/order-placed.json"),
    include_str!("../../../docs/samples/stock-move.json"),
    include_str!("../../../docs/samples/sale-line-details.json"),
    include_str!("../../../docs/samples/sale-stored-value.json"),
    include_str!("../../../docs/samples/sale-foreign-currency.json"),
    include_str!("../../../docs/samples/sale-fiscal.json"),
];

/// Members that a retry may change.
const TRANSPORT: [&str; 2] = ["sent_at", "attempt"];
/// Members whose integers may not be written as doubles.
const INTEGERS: [&str; 7] =
    ["sequence", "line", "attempt", "line_count", "counter", "count", "minimum"];
/// Members about a person, wherever they stand, and whatever is in them.
const PERSONAL: [&str; 3] = ["loyalty_id", "person", "certificate"];

fn hash(text: &str) -> Option<u128> {
    Decoder::new().decode(text.as_bytes()).ok().map(|event| event.hash)
}

/// Writes a value in one of very many ways.
struct Writer {
    state: u64,
    out: String,
}

impl Writer {
    fn text(seed: u64, value: &Value) -> String {
        let mut writer = Self { state: seed | 1, out: String::new() };
        writer.value(value, "");
        writer.out
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % bound
    }

    fn space(&mut self) {
        for _ in 0..self.below(3) {
            let blank = [' ', '\n', '\t', '\r'][usize::try_from(self.below(4)).unwrap()];
            self.out.push(blank);
        }
    }

    fn value(&mut self, value: &Value, name: &str) {
        self.space();
        match value {
            Value::Object(members) => self.object(members),
            Value::Array(elements) => {
                self.out.push('[');
                for (place, element) in elements.iter().enumerate() {
                    if place > 0 {
                        self.out.push(',');
                    }
                    self.value(element, name);
                }
                self.out.push(']');
            }
            Value::String(text) => {
                let text = self.rescaled(text, name);
                self.string(&text);
            }
            Value::Number(number) if number.is_i64() && !INTEGERS.contains(&name) => {
                let ending = ["", ".0", "e0", ".00E+0"][usize::try_from(self.below(4)).unwrap()];
                let exact = number.as_i64().unwrap().unsigned_abs() < 1 << 53;
                write!(self.out, "{number}{}", if exact { ending } else { "" }).unwrap();
            }
            other => write!(self.out, "{other}").unwrap(),
        }
        self.space();
    }

    fn object(&mut self, members: &Map<String, Value>) {
        let mut members: Vec<_> = members.iter().collect();
        for last in (1..members.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap();
            members.swap(last, other);
        }
        self.out.push('{');
        for (place, (name, value)) in members.into_iter().enumerate() {
            if place > 0 {
                self.out.push(',');
            }
            self.space();
            self.string(name);
            self.space();
            self.out.push(':');
            self.value(value, name);
        }
        self.out.push('}');
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for letter in text.chars() {
            let must = matches!(letter, '"' | '\\' | '\0'..='\x1f');
            if must || self.below(4) == 0 {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(self.out, "\\u{unit:04x}").unwrap();
                }
            } else {
                self.out.push(letter);
            }
        }
        self.out.push('"');
    }

    /// Adds a zero that says nothing, where six decimals are allowed.
    fn rescaled(&mut self, text: &str, name: &str) -> String {
        if !matches!(name, "quantity" | "pieces" | "rate") || self.below(2) == 0 {
            return text.to_owned();
        }
        if text.contains('.') { format!("{text}0") } else { format!("{text}.00") }
    }
}

/// Every value of a document with its pointer, members before elements.
fn places(value: &Value, pointer: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                places(value, &pointer, all);
                all.push(pointer);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                let pointer = format!("{pointer}/{index}");
                places(value, &pointer, all);
                all.push(pointer);
            }
        }
        _ => {}
    }
}

fn unknown_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("\\PC{0,6}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A sample with members of unknown meaning in the event and in a line.
fn event() -> impl Strategy<Value = Value> {
    (0..SAMPLES.len(), unknown_value(), unknown_value()).prop_map(|(sample, one, other)| {
        let mut event: Value = serde_json::from_str(SAMPLES[sample]).unwrap();
        event["x-one"] = one;
        event["lines"][0]["x-other"] = other;
        event
    })
}

proptest! {
    #[test]
    fn another_way_of_writing_keeps_the_hash(event in event(), seed: u64) {
        let plain = hash(&event.to_string()).expect("a sample decodes");
        let written = Writer::text(seed, &event);
        prop_assert_eq!(hash(&written), Some(plain), "{}", written);
    }

    #[test]
    fn an_unknown_member_counts_by_name_value_and_place(event in event(), other in unknown_value()) {
        let plain = hash(&event.to_string());
        let mut moved = event.clone();
        let value = moved.as_object_mut().unwrap().remove("x-one").unwrap();
        prop_assert_ne!(hash(&moved.to_string()), plain);
        moved["x-two"] = value.clone();
        prop_assert_ne!(hash(&moved.to_string()), plain);
        if other != value {
            let mut changed = event.clone();
            changed["x-one"] = other;
            prop_assert_ne!(hash(&changed.to_string()), plain);
        }
    }
}

/// What a value may be changed to; those that the schema refuses are passed over.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => vec![
            json!(format!("{text}1")),
            json!("5449000000996"),
            json!("KGM"),
            json!("training"),
            json!("damaged"),
            json!("USD"),
            json!("2026-11-29"),
            json!("2026-11-29T00:00:00Z"),
            json!("service"),
            json!("7777"),
            json!("3"),
            Value::Null,
        ],
        Value::Number(_) => vec![json!(77), json!(78.5), Value::Null],
        Value::Bool(value) => vec![json!(!value)],
        Value::Null => vec![json!("x"), json!("1"), json!(true)],
        Value::Array(_) | Value::Object(_) => vec![json!([1]), json!({"y": 1}), json!([])],
    }
}

#[test]
fn every_change_of_every_field_changes_the_hash() {
    let mut compared = 0;
    for sample in SAMPLES {
        let event: Value = serde_json::from_str(sample).unwrap();
        let plain = hash(sample).unwrap();
        let mut all = Vec::new();
        places(&event, "", &mut all);
        for pointer in all {
            let before = event.pointer(&pointer).unwrap();
            for after in others(before) {
                let mut changed = event.clone();
                *changed.pointer_mut(&pointer).unwrap() = after.clone();
                let Some(hash) = hash(&changed.to_string()) else { continue };
                let says_the_same = after == *before
                    || TRANSPORT.iter().any(|name| pointer == format!("/{name}"))
                    || PERSONAL.iter().any(|name| pointer.split('/').any(|part| part == *name))
                    || (after.is_null() && *before == json!("restock"));
                assert_eq!(hash == plain, says_the_same, "{pointer}: {before} -> {after}");
                compared += 1;
            }
        }
    }
    assert!(compared > 500, "only {compared} changes were accepted");
}

/// Writes anything into the members about persons that a sample has, and takes some out.
fn with_other_persons(event: &Value, values: &[Value]) -> Value {
    let mut changed = event.clone();
    let mut all = Vec::new();
    places(event, "", &mut all);
    let is_personal =
        |pointer: &&String| pointer.rsplit('/').next().is_some_and(|last| PERSONAL.contains(&last));
    let mut values = values.iter().cycle();
    for pointer in all.iter().filter(is_personal) {
        let Some(value) = changed.pointer_mut(pointer) else { continue };
        let next = values.next().unwrap();
        *value = match next {
            Value::Null => Value::Null,
            other if pointer.ends_with("/person") => json!({ "any": other }),
            other => json!(format!("id {}", other.to_string().len())),
        };
    }
    changed
}

proptest! {
    #[test]
    fn copies_that_differ_in_persons_only_have_one_hash(
        sample in 0..SAMPLES.len(),
        values in proptest::collection::vec(unknown_value(), 4),
        seed: u64,
    ) {
        let event: Value = serde_json::from_str(SAMPLES[sample]).unwrap();
        let changed = with_other_persons(&event, &values);
        let written = Writer::text(seed, &changed);
        prop_assert_eq!(hash(&written), hash(SAMPLES[sample]), "{}", written);
        prop_assert!(hash(&written).is_some());
    }
}

/// Collects the members that the schema marks, by the object that has them.
fn marked(schema: &Value, object: &str, all: &mut Vec<String>) {
    let Some(members) = schema.as_object() else { return };
    for (name, value) in members.get("properties").and_then(Value::as_object).into_iter().flatten()
    {
        if value.get("personal") == Some(&json!(true)) {
            all.push(format!("{object}/{name}"));
        }
    }
    for (name, definition) in members.get("$defs").and_then(Value::as_object).into_iter().flatten()
    {
        marked(definition, name, all);
    }
}

#[test]
fn the_schema_marks_what_the_hash_leaves_out() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/schemas/event.v1.schema.json")).unwrap();
    let mut all = Vec::new();
    marked(&schema, "", &mut all);
    all.sort_unstable();
    assert_eq!(all, ["/loyalty_id", "/person", "line/person", "tax_exemption/certificate"]);
    let marks = schema.to_string().matches("\"personal\":").count();
    assert_eq!(marks, all.len(), "a mark where this test does not look");
    assert!(all.iter().all(|name| PERSONAL.contains(&name.rsplit('/').next().unwrap())));
}

#[test]
fn the_class_that_a_line_has_anyway_says_nothing() {
    for (line_type, default) in [("sale", "merchandise"), ("service", "service")] {
        let of = |class: &str| {
            hash(&format!(
                r#"{{"store":"1","terminal":"2","event_id":"3","kind":"sale","occurred_at":"2026-11-27T08:15:30Z",
                "business_date":"2026-11-27","lines":[{{"line":1,"type":"{line_type}","sku":"a","quantity":"1"{class}}}]}}"#
            ))
            .unwrap()
        };
        assert_eq!(of(""), of(&format!(r#","class":"{default}""#)));
        assert_ne!(of(""), of(r#","class":"gift_card""#));
    }
}

#[test]
fn order_of_lines_tenders_and_elements_is_content() {
    for (name, sample) in [("lines", SAMPLES[0]), ("tenders", SAMPLES[0])] {
        let mut event: Value = serde_json::from_str(sample).unwrap();
        event[name].as_array_mut().unwrap().swap(0, 1);
        assert_ne!(hash(&event.to_string()), hash(sample), "{name}");
    }
}

#[test]
fn what_says_the_same_has_the_same_hash() {
    let of = |line: &str| {
        hash(&format!(
            r#"{{"store":"1","terminal":"2","event_id":"3","kind":"sale","occurred_at":"2026-11-27T08:15:30Z",
            "business_date":"2026-11-27","currency":"EUR","lines":[{{"line":1,"sku":"a",{line}}}]}}"#
        ))
        .unwrap()
    };
    let plain = of(r#""type":"return","quantity":"1.5","amount":"1""#);
    for same in [
        r#""type":"return","quantity":"1.50","amount":"1.00""#,
        r#""type":"return","quantity":"01.5","amount":"1.0","void":false"#,
        r#""amount":"1","unit":"C62","quantity":"1.500000","type":"return","disposition":"restock""#,
        r#""type":"return","quantity":"1.5","amount":"1","discounts":[],"taxes":null,"gtin":null"#,
    ] {
        assert_eq!(of(same), plain, "{same}");
    }
}

#[test]
fn a_card_number_that_was_masked_hashes_as_if_it_had_not_been() {
    let masking = CardRules { policy: CardPolicy::Mask, ..CardRules::default() };
    let of = |member: &str| {
        format!(
            r#"{{"store":"1","terminal":"2","sequence":1,"event_id":"3","kind":"open","occurred_at":"2026-11-27T08:15:30Z",
            "business_date":"2026-11-27",{member}}}"#
        )
    };
    for member in [
        r#""note":"paid by 4111 1111 1111 1111 1227""#,
        r#""note":{"4111111111111111":[4111111111111111,-4111111111111111,4.111111111111111e15]}"#,
        r#""note":5555555555554444123.0"#,
        r#""operator_id":"x4111-1111-1111-1111""#,
    ] {
        let text = of(member);
        let masked = card::mask(text.as_bytes(), &masking).into_owned();
        let masked = String::from_utf8(masked).unwrap();
        assert_ne!(masked, text);
        assert_eq!(hash(&masked).unwrap(), hash(&text).unwrap(), "{masked}");
    }
    // What no table masks counts digit by digit.
    let [one, other] = [7, 9].map(|digit| hash(&of(&format!(r#""note":"4006381333931 {digit}""#))));
    assert_ne!(one, other);
    let [one, other] = ["4111111111111111", "4222222222222220"]
        .map(|id| hash(&of("\"x\":1").replace("\"3\"", &format!("{id:?}"))));
    assert_ne!(one.unwrap(), other.unwrap(), "an event's own id is never masked");
}

/// Every field that the schema knows, and unknown members of every type.
const FULL: &str = r#"{"tenant":"demo","store":"0042","terminal":"03","sequence":1047,"epoch":"b","event_id":"e-1047",
"kind":"return","occurred_at":"2026-11-27T09:02:00.5+01:00","business_date":"2026-11-27","currency":"EUR",
"operator_id":"op-1","loyalty_id":"l-1","reference":{"store":"0042","terminal":"03","epoch":"a","sequence":9,
"event_id":"e-9","business_date":"2026-11-26","transfer_id":"t-1"},"blind":true,"amount":"-0.50",
"lines":[{"line":1,"type":"return","sku":"100001","gtin":"4006381333931","description":"M\u00fctze","quantity":"1.5",
"unit":"KGM","pieces":"3","regular_unit_price":"2","unit_price":"1.99","amount":"2.99","discounts":[{"reason":"r",
"amount":"0.20"}],"taxes":[{"code":"A","rate":"19","amount":"0.45","inclusive":true}],"disposition":"damaged","void":true}],
"tenders":[{"type":"card","amount":"-2.79","token":"tok","last_four":"1881"}],
"totals":{"lines":"2.99","discounts":"0.20","taxes":"0","total":"-2.79","line_count":1},
"sent_at":"2026-11-27T09:03:00Z","attempt":2,
"x":{"null":null,"no":false,"yes":true,"text":"a","int":-7,"big":18446744073709551615,"double":0.5,"whole":3.0,"list":[1,{}]},"y":[]}"#;

/// The fields that few events have.
const DETAILED: &str = r#"{"store":"1","terminal":"2","sequence":7,"event_id":"3","kind":"order_handed_over",
"occurred_at":"2026-11-27T09:02:00Z","business_date":"2026-11-27","currency":"EUR","reason":"r","channel":"web",
"session":{"id":"s-1","drawer":"d"},"order":{"id":"o-1"},"fiscal":{"scheme":"rksv","device":"d-1","counter":9,
"start":"2026-11-27T09:01:00.25+01:00","end":"2026-11-27T09:01:01Z","signature":"MEUCIQDk0w"},
"approvals":[{"approver":"op-9","reason":"p","method":"card"}],
"declarations":[{"tender":"cash","denomination":"0.50","count":3,"amount":"1.50"}],"person":{"name":"left out"},
"lines":[{"line":1,"type":"sale","sku":"a","quantity":"1","amount":"9.98","class":"gift_card","reason":"q","location":"l",
"to_location":"m","serial":"n","lot":"k","expiry":"2027-01-02","approver":"op-8","components":[{"sku":"b","quantity":"0.5"},
{"sku":"c","quantity":"1","unit":"KGM","serial":"s","lot":"t"}],"age_check":{"minimum":18,"method":"seen"},
"tax_exemption":{"reason":"x","certificate":"left out","z":1},"person":{"name":"left out"}}],
"tenders":[{"type":"cash","amount":"10","brand":"b","authorization":"au","stored_value":{"account":"acc"},"points":"1.5",
"foreign":{"currency":"JPY","amount":"1600","rate":"0.00625"}}],"totals":{"total":"9.98","tip":"0.01","rounding":"0.01"}}"#;

const LEAST: &str = r#"{"store":"1","terminal":"2","event_id":"3","kind":"open","occurred_at":"1970-01-01T00:00:00Z","business_date":"1970-01-01"}"#;

/// The bytes that are hashed may never change within `h2`: retries are compared across versions. A second
/// implementation, written in another language from the text of `docs/adr/0010`, gives these values.
#[test]
fn the_hash_is_what_it_was_when_h2_was_defined() {
    assert_eq!(hash(FULL), Some(0x14b6_f709_84a6_d1c5_bde8_9eba_5888_6665));
    assert_eq!(hash(DETAILED), Some(0x601c_ec39_ff0b_4d58_bcbe_fb90_1e4f_5129));
    assert_eq!(hash(LEAST), Some(0x6a78_00b0_e9fd_1f14_bf00_c67b_354a_0131));
}
