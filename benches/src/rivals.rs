//! What others do with an event's JSON: simd-json's tape and `serde_json`'s typed fields.

#![expect(clippy::struct_field_names, reason = "the names are those of the schema")]

use std::borrow::Cow;

use serde::Deserialize;
use simd_json::{Buffers, Node, StaticNode, Tape};

/// simd-json's tape, of a private copy of the text, in buffers that are used again.
#[expect(missing_debug_implementations, reason = "simd-json's buffers have none")]
pub struct Taper {
    buffers: Buffers,
    text: Vec<u8>,
    tape: Tape<'static>,
}

impl Default for Taper {
    fn default() -> Self {
        Self { buffers: Buffers::new(4_096), text: Vec::new(), tape: Tape(Vec::new()) }
    }
}

impl Taper {
    /// Makes the tape of a text, and looks at it.
    ///
    /// # Panics
    /// The text is no JSON.
    #[expect(clippy::expect_used, reason = "a bench that cannot run should say why")]
    pub fn read(&mut self, text: &[u8], look: fn(&[Node<'_>]) -> u64) -> u64 {
        self.text.clear();
        self.text.extend_from_slice(text);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        simd_json::fill_tape(&mut self.text, &mut self.buffers, &mut tape).expect("JSON");
        let seen = look(&tape.0);
        self.tape = tape.reset();
        seen
    }
}

/// Looks at each value that the engine needs.
pub fn walk(nodes: &[Node<'_>]) -> u64 {
    let mut seen = 0;
    for pair in nodes.windows(2) {
        let [Node::String(name), value] = pair else { continue };
        seen += match (*name, value) {
            (
                "store" | "terminal" | "event_id" | "kind" | "occurred_at" | "business_date"
                | "currency" | "type" | "sku" | "gtin" | "quantity" | "unit_price" | "amount"
                | "total" | "last_four",
                Node::String(text),
            ) => text.len() as u64,
            ("sequence" | "line" | "line_count", Node::Static(StaticNode::U64(value))) => *value,
            _ => 0,
        };
    }
    seen
}

/// Looks at nothing.
pub fn count(nodes: &[Node<'_>]) -> u64 {
    nodes.len() as u64
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by serde_json, which is what is measured")]
/// The members of an event that the engine needs, for `serde_json`.
pub struct Event<'a> {
    #[serde(borrow)]
    store: Cow<'a, str>,
    #[serde(borrow)]
    terminal: Cow<'a, str>,
    pub(crate) sequence: Option<u64>,
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    occurred_at: Cow<'a, str>,
    #[serde(borrow)]
    business_date: Cow<'a, str>,
    #[serde(borrow)]
    currency: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) lines: Vec<Line<'a>>,
    #[serde(borrow)]
    tenders: Vec<Tender<'a>>,
    #[serde(borrow)]
    totals: Option<Totals<'a>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by serde_json, which is what is measured")]
pub(crate) struct Line<'a> {
    line: u32,
    #[serde(rename = "type", borrow)]
    line_type: Cow<'a, str>,
    #[serde(borrow)]
    sku: Cow<'a, str>,
    #[serde(borrow)]
    gtin: Option<Cow<'a, str>>,
    #[serde(borrow)]
    quantity: Cow<'a, str>,
    #[serde(borrow)]
    unit_price: Option<Cow<'a, str>>,
    #[serde(borrow)]
    amount: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by serde_json, which is what is measured")]
struct Tender<'a> {
    #[serde(rename = "type", borrow)]
    tender_type: Cow<'a, str>,
    #[serde(borrow)]
    amount: Cow<'a, str>,
    #[serde(borrow)]
    last_four: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by serde_json, which is what is measured")]
struct Totals<'a> {
    #[serde(borrow)]
    total: Option<Cow<'a, str>>,
    line_count: Option<u32>,
}
