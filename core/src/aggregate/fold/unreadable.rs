//! Writes records that can not be read to `pos.conflicts`, as far as people may see them.

use tillrace_log::ConsumerRecord;

use super::OutputContext;
use crate::aggregate::partition::Partition;
use crate::aggregate::records::UnreadableRecord;
use crate::aggregate::unreadable::{LastUnreadable, UnreadableReason};
use crate::card;

/// Bytes of a record's value, and of its key, that are kept.
const VALUE_BYTES: usize = 1_024;
const KEY_BYTES: usize = 512;
/// Bytes behind those that are searched for card numbers too, so that one across the cut is hidden.
const OVERLAP_BYTES: usize = 64;
impl Partition {
    /// Writes an unreadable record to `pos.conflicts`.
    pub(super) fn quarantine_unreadable(
        &mut self,
        entry: &ConsumerRecord,
        cause: UnreadableReason,
        output: &mut OutputContext<'_>,
    ) {
        self.tick(entry.appended_ms);
        self.checkpoint.totals.unreadable += 1;
        let value = entry.value.as_deref().unwrap_or_default();
        let record = UnreadableRecord {
            reason: "unreadable",
            detail: cause.code(),
            error: cause.to_string(),
            partition: self.number,
            offset: entry.offset,
            key: beginning(&entry.key, KEY_BYTES),
            bytes: value.len(),
            value: beginning(value, VALUE_BYTES),
        };
        let key = entry.key.slice(..entry.key.len().min(KEY_BYTES));
        let record = output.arena.json(&record);
        self.buffer.push_row(&output.topics.conflicts, key, Some(record));
        self.buffer.unreadable = Some(LastUnreadable { offset: entry.offset, cause });
    }
}

/// Returns the beginning of some bytes as text, without what may be card data.
fn beginning(bytes: &[u8], most: usize) -> String {
    let bytes = bytes.get(..most + OVERLAP_BYTES).unwrap_or(bytes);
    let mut text = card::redact(bytes);
    text.truncate(text.floor_char_boundary(most));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_that_is_kept_is_short_and_contains_no_card_number() {
        let mut bytes = vec![b'x'; 1_015];
        bytes.extend_from_slice(b" 4111111111111111 and more");
        let kept = beginning(&bytes, VALUE_BYTES);
        assert!(kept.len() <= VALUE_BYTES && !kept.contains("4111"), "{kept}");
        assert_eq!(beginning(b"\xff\x00", 512), "\u{fffd}\0");
        assert!(beginning(&[0xff; 5_000], VALUE_BYTES).len() <= VALUE_BYTES);
    }
}
