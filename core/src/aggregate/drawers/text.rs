//! The text of what is kept of a drawer, by hand: every flush writes it for each drawer that took money. What is rare is up to serde,
//! and a test compares the whole with what serde writes.

use bytes::{BufMut as _, BytesMut};

use super::drawer::Drawer;
use crate::aggregate::json_text::{integer, write_json};
use crate::text::escape;

impl Drawer {
    /// Writes what is kept of it.
    pub(in crate::aggregate) fn write_state(&self, text: &mut BytesMut) {
        text.extend_from_slice(br#"{"tenders":["#);
        for (place, tender) in self.tenders.iter().enumerate() {
            let head: &[u8] = if place == 0 { br#"{"currency":""# } else { br#",{"currency":""# };
            text.extend_from_slice(head);
            text.extend_from_slice(tender.currency.code().as_bytes());
            text.extend_from_slice(br#"","tender":""#);
            escape(text, &tender.tender);
            text.extend_from_slice(br#"","moved":"#);
            integer(text, tender.moved);
            let stated = [
                ("opened", tender.opened),
                ("closed", tender.closed),
                ("declared", tender.declared),
            ];
            for (name, statement) in stated {
                if let Some(statement) = statement {
                    text.extend_from_slice(b",\"");
                    text.extend_from_slice(name.as_bytes());
                    text.extend_from_slice(b"\":");
                    write_json(text, &statement);
                }
            }
            text.put_u8(b'}');
        }
        text.put_u8(b']');
        if let Some(declarer) = &self.declarer {
            text.extend_from_slice(br#","declarer":"#);
            write_json(text, declarer);
        }
        if self.truncated {
            text.extend_from_slice(br#","truncated":true"#);
        }
        text.put_u8(b'}');
    }
}
