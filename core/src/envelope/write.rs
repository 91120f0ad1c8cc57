//! Writing an envelope: attributes in their order, without white space.

use std::io::Write as _;

use super::{Admission, DATA_SCHEMA, Envelope, SettledVerdict};

impl Envelope<'_> {
    /// Appends the envelope as one JSON object.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"specversion":"1.0""#);
        text(out, "id", &self.id);
        text(out, "source", &self.source);
        text(out, "type", &self.event_type);
        optional(out, "time", self.time.as_deref());
        text(out, "dataschema", DATA_SCHEMA);
        text(out, "datacontenttype", "application/json");
        text(out, "tenant", &self.tenant);
        text(out, "store", &self.store);
        optional(out, "terminal", self.terminal.as_deref());
        optional(out, "epoch", self.epoch.as_deref());
        if let Some(sequence) = self.sequence {
            formatted(out, "sequence", format_args!("\"{sequence}\""));
        }
        optional(out, "eventid", self.event_id.as_deref());
        optional(out, "businessdate", self.business_date.as_deref());
        text(out, "receivedtime", &self.received_time);
        if let Some(hash) = self.content_hash {
            formatted(out, "contenthash", format_args!("\"h1:{hash:032x}\""));
        }
        formatted(out, "scope", format_args!("\"{}\"", self.scope));
        text(out, "policyrevision", &self.policy_revision);
        optional(out, "flags", self.flags.as_deref());
        text(
            out,
            "admission",
            match self.admission {
                Admission::Live => "live",
                Admission::Flood => "flood",
            },
        );
        text(out, "gateway", &self.gateway);
        optional(out, "traceparent", self.traceparent.as_deref());
        if let Some(settled) = self.settled {
            text(
                out,
                "verdict",
                match settled.verdict {
                    SettledVerdict::First => "first",
                    SettledVerdict::Released => "released",
                },
            );
            formatted(out, "sourcepartition", format_args!("{}", settled.partition));
            formatted(out, "sourceoffset", format_args!("{}", settled.offset));
        }
        out.extend_from_slice(br#","data":"#);
        out.extend_from_slice(self.data);
        out.push(b'}');
    }
}

fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn formatted(out: &mut Vec<u8>, member: &str, value: std::fmt::Arguments<'_>) {
    name(out, member);
    // Writing to a vector cannot fail.
    if out.write_fmt(value).is_err() {
        debug_assert!(false, "a vector takes every byte");
    }
}

fn optional(out: &mut Vec<u8>, member: &str, value: Option<&str>) {
    if let Some(value) = value {
        text(out, member, value);
    }
}

fn text(out: &mut Vec<u8>, member: &str, value: &str) {
    name(out, member);
    out.push(b'"');
    let mut rest = value.as_bytes();
    while let Some(place) = rest.iter().position(|byte| must_be_escaped(*byte)) {
        let (plain, escaped) = rest.split_at(place);
        out.extend_from_slice(plain);
        let Some((&byte, after)) = escaped.split_first() else { break };
        escape(out, byte);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn must_be_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    if byte < 0x20 {
        out.extend_from_slice(b"\\u00");
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    } else {
        out.extend_from_slice(&[b'\\', byte]);
    }
}
