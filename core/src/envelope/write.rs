//! Writing an envelope: attributes in their order, without white space.

use super::{Admission, DATA_SCHEMA, Envelope, Scope, SettledVerdict};

impl Envelope<'_> {
    /// Appends the envelope as one JSON object.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"specversion":"1.0""#);
        text(out, br#","id":""#, &self.id);
        text(out, br#","source":""#, &self.source);
        text(out, br#","type":""#, &self.event_type);
        optional(out, br#","time":""#, self.time.as_deref());
        text(out, br#","dataschema":""#, DATA_SCHEMA);
        text(out, br#","datacontenttype":""#, "application/json");
        text(out, br#","tenant":""#, &self.tenant);
        text(out, br#","store":""#, &self.store);
        optional(out, br#","terminal":""#, self.terminal.as_deref());
        optional(out, br#","epoch":""#, self.epoch.as_deref());
        if let Some(sequence) = self.sequence {
            text(out, br#","sequence":""#, itoa::Buffer::new().format(sequence));
        }
        optional(out, br#","eventid":""#, self.event_id.as_deref());
        optional(out, br#","businessdate":""#, self.business_date.as_deref());
        text(out, br#","receivedtime":""#, &self.received_time);
        if let Some(hash) = self.content_hash {
            out.extend_from_slice(br#","contenthash":"h1:"#);
            out.extend_from_slice(&hexadecimal(hash));
            out.push(b'"');
        }
        match self.scope {
            Scope::Terminal => text(out, SCOPE, "terminal"),
            scope => text(out, SCOPE, &scope.to_string()),
        }
        text(out, br#","policyrevision":""#, &self.policy_revision);
        optional(out, br#","flags":""#, self.flags.as_deref());
        text(
            out,
            br#","admission":""#,
            match self.admission {
                Admission::Live => "live",
                Admission::Flood => "flood",
            },
        );
        text(out, br#","gateway":""#, &self.gateway);
        optional(out, br#","traceparent":""#, self.traceparent.as_deref());
        if let Some(settled) = self.settled {
            text(
                out,
                br#","verdict":""#,
                match settled.verdict {
                    SettledVerdict::First => "first",
                    SettledVerdict::Released => "released",
                },
            );
            number(out, br#","sourcepartition":"#, settled.partition.into());
            number(out, br#","sourceoffset":"#, settled.offset);
        }
        out.extend_from_slice(br#","data":"#);
        out.extend_from_slice(self.data);
        out.push(b'}');
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
const SCOPE: &[u8] = br#","scope":""#;

/// Writes a number; `head` is what stands before it.
fn number(out: &mut Vec<u8>, head: &[u8], value: u64) {
    out.extend_from_slice(head);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn hexadecimal(value: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(value.to_be_bytes()) {
        *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    }
    digits
}

fn optional(out: &mut Vec<u8>, head: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        text(out, head, value);
    }
}

/// Writes a text; `head` is what stands before it, its first quotation mark included.
fn text(out: &mut Vec<u8>, head: &[u8], value: &str) {
    out.extend_from_slice(head);
    let value = value.as_bytes();
    // Looking at all of them is one pass without a branch; hardly a text has one to escape.
    if value.iter().fold(false, |any, byte| any | must_be_escaped(*byte)) {
        escaped(out, value);
    } else {
        out.extend_from_slice(value);
    }
    out.push(b'"');
}

#[cold]
fn escaped(out: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        if must_be_escaped(byte) { escape(out, byte) } else { out.push(byte) }
    }
}

fn must_be_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    if byte < 0x20 {
        out.extend_from_slice(b"\\u00");
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    } else {
        out.extend_from_slice(&[b'\\', byte]);
    }
}
