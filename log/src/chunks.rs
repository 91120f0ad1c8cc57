//! Rows in chunks that fit any producer's queue.

use bytes::Bytes;

use crate::ProducerRecord;

/// Most bytes of a chunk, unless one row is larger: the smallest queue that the Kafka log accepts has room for them.
const MAX_CHUNK_BYTES: usize = 1 << 20;
/// Most rows of a chunk, for the same reason.
const MAX_CHUNK_ROWS: usize = 1_000;

/// Splits rows, in their order, into chunks that a [`Producer`](crate::Producer) has room for at some time: more at once may
/// be given back as full for ever.
pub fn chunks(rows: Vec<ProducerRecord>) -> Vec<Vec<ProducerRecord>> {
    let mut chunks = Vec::new();
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let weight = row.key.len() + row.value.as_ref().map_or(0, Bytes::len);
        let full = bytes + weight > MAX_CHUNK_BYTES || chunk.len() == MAX_CHUNK_ROWS;
        if full && !chunk.is_empty() {
            chunks.push(std::mem::take(&mut chunk));
            bytes = 0;
        }
        bytes += weight;
        chunk.push(row);
    }
    chunks.push(chunk);
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;

    fn row(key: &'static str, value: Vec<u8>) -> ProducerRecord {
        ProducerRecord {
            topic: Topic::new("t"),
            partition: 0,
            key: key.into(),
            value: Some(value.into()),
        }
    }

    #[test]
    fn rows_stay_in_order_and_within_both_limits() {
        let value = vec![0; MAX_CHUNK_BYTES / 2];
        let rows: Vec<ProducerRecord> =
            ["a", "b", "c", "d", "e"].map(|key| row(key, value.clone())).into();
        let large = chunks(rows.clone());
        assert_eq!(large.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1, 1, 1]);
        assert_eq!(large.concat(), rows);
        let small = chunks(vec![row("a", Vec::new()); 2 * MAX_CHUNK_ROWS]);
        assert_eq!(small.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_CHUNK_ROWS; 2]);
    }
}
