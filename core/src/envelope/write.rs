//! Writing an envelope: attributes in their order, without white space.
//!
//! Each constant piece ends one attribute and begins the next, so that an attribute is two appends.

use super::{Admission, DATA_SCHEMA, Envelope, Scope, VerdictKind};
use crate::text::escape;

impl Envelope<'_> {
    /// Appends the envelope as one JSON object.
    pub fn write(&self, out: &mut Vec<u8>) {
        text(out, br#"{"specversion":"1.0","id":""#, &self.id);
        text(out, br#"","source":""#, &self.source);
        text(out, br#"","type":""#, &self.event_type);
        optional(out, br#"","time":""#, self.time.as_deref());
        out.extend_from_slice(br#"","dataschema":""#);
        out.extend_from_slice(DATA_SCHEMA.as_bytes());
        text(out, br#"","datacontenttype":"application/json","tenant":""#, &self.tenant);
        text(out, br#"","store":""#, &self.store);
        optional(out, br#"","terminal":""#, self.terminal.as_deref());
        optional(out, br#"","epoch":""#, self.epoch.as_deref());
        if let Some(sequence) = self.sequence {
            number(out, br#"","sequence":""#, sequence);
        }
        optional(out, br#"","eventid":""#, self.event_id.as_deref());
        optional(out, br#"","businessdate":""#, self.business_date.as_deref());
        text(out, br#"","receivedtime":""#, &self.received_time);
        if let Some(hash) = self.content_hash {
            out.extend_from_slice(br#"","contenthash":"h2:"#);
            out.extend_from_slice(&hexadecimal(hash));
        }
        if let Some(hash) = self.data_hash {
            out.extend_from_slice(br#"","datahash":"x3:"#);
            out.extend_from_slice(&hexadecimal(hash));
        }
        match self.scope {
            Scope::Terminal => out.extend_from_slice(br#"","scope":"terminal"#),
            scope => text(out, br#"","scope":""#, &scope.to_string()),
        }
        text(out, br#"","policyrevision":""#, &self.policy_revision);
        optional(out, br#"","flags":""#, self.flags.as_deref());
        out.extend_from_slice(match self.admission {
            Admission::Live => br#"","admission":"live"#,
            Admission::Flood => br#"","admission":"flood"#,
        });
        text(out, br#"","gateway":""#, &self.gateway);
        optional(out, br#"","traceparent":""#, self.traceparent.as_deref());
        if let Some(parked) = &self.parked {
            text(out, br#"","parkedcode":""#, &parked.code);
            text(out, br#"","parkedpointer":""#, &parked.pointer);
        }
        if let Some(readmission) = self.readmission {
            number(out, br#"","parkedoffset":""#, readmission.offset);
            out.extend_from_slice(br#"","parkedhash":"x3:"#);
            out.extend_from_slice(&hexadecimal(readmission.text_hash));
        }
        optional(out, br#"","transforms":""#, self.transforms.as_deref());
        if let Some(source_verdict) = self.source_verdict {
            out.extend_from_slice(match source_verdict.verdict {
                VerdictKind::First => br#"","verdict":"first"#,
                VerdictKind::Released => br#"","verdict":"released"#,
                VerdictKind::Parked => br#"","verdict":"parked"#,
            });
            number(out, br#"","sourcepartition":"#, source_verdict.partition.into());
            number(out, br#","sourceoffset":"#, source_verdict.offset);
        } else {
            out.push(b'"');
        }
        out.extend_from_slice(br#","data":"#);
        out.extend_from_slice(self.data);
        out.push(b'}');
    }
}

/// Writes a number after `head`.
#[inline]
fn number<const N: usize>(out: &mut Vec<u8>, head: &[u8; N], value: u64) {
    out.extend_from_slice(head);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes a text after `head`, which includes its first quotation mark.
#[inline]
fn text<const N: usize>(out: &mut Vec<u8>, head: &[u8; N], value: &str) {
    out.extend_from_slice(head);
    escape(out, value);
}

#[inline]
fn optional<const N: usize>(out: &mut Vec<u8>, head: &[u8; N], value: Option<&str>) {
    if let Some(value) = value {
        text(out, head, value);
    }
}

fn hexadecimal(value: u128) -> [u8; 32] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 32];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(value.to_be_bytes()) {
        *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    }
    digits
}
