//! Blocks unpacked lately, for those who read other partitions of them next.
//!
//! A block of a small commit group holds sections of several partitions, and a consumer reads one
//! partition after the other: without this each of them would decompress the block again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::frame::Unpacked;
use super::segment::SegmentName;

/// Unpacked bytes kept at most.
const MOST_BYTES: usize = 16 << 20;

/// A segment, and the position of a block in it.
pub(super) type BlockKey = (SegmentName, u32);

/// The cache: first in, first out, because a log is read forwards.
#[derive(Debug, Default)]
pub(super) struct BlockCache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    blocks: HashMap<BlockKey, Arc<Unpacked>>,
    order: VecDeque<BlockKey>,
    bytes: usize,
}

impl BlockCache {
    pub(super) fn get(&self, key: BlockKey) -> Option<Arc<Unpacked>> {
        self.0.lock().blocks.get(&key).cloned()
    }

    /// Keeps a block, if more than one partition is in it.
    pub(super) fn put(&self, key: BlockKey, block: &Arc<Unpacked>) {
        if block.sections.len() < 2 || block.bodies.len() > MOST_BYTES {
            return;
        }
        let mut kept = self.0.lock();
        if kept.blocks.insert(key, Arc::clone(block)).is_some() {
            return;
        }
        kept.order.push_back(key);
        kept.bytes += block.bodies.len();
        while kept.bytes > MOST_BYTES {
            let Some(oldest) = kept.order.pop_front() else { return };
            let bytes = kept.blocks.remove(&oldest).map_or(0, |block| block.bodies.len());
            kept.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::frame::{Lane, Section, SectionHead, SectionKind};
    use super::*;

    fn block(sections: usize, bytes: usize) -> Arc<Unpacked> {
        let lane = Lane { topic: 0, partition: 0 };
        let kind = SectionKind::Records;
        let head = SectionHead { kind, lane, count: 1, first: 0, lsn: 0, appended_ms: 0 };
        let sections = vec![Section { head, body: 0..0 }; sections];
        Arc::new(Unpacked { sections, bodies: Bytes::from(vec![0; bytes]) })
    }

    #[test]
    fn the_oldest_goes_when_the_bound_is_reached() {
        let cache = BlockCache::default();
        let name = SegmentName { first: 1, last: 1, generation: 0 };
        let quarter = block(2, MOST_BYTES / 4);
        for position in 0..5 {
            cache.put((name, position), &quarter);
        }
        let kept: Vec<_> = (0..5).filter(|at| cache.get((name, *at)).is_some()).collect();
        assert_eq!(kept, [1, 2, 3, 4]);
        cache.put((name, 9), &block(1, 10));
        cache.put((name, 10), &block(2, MOST_BYTES + 1));
        assert!(cache.get((name, 9)).is_none(), "nobody else would ask for it");
        assert!(cache.get((name, 10)).is_none(), "larger than all that may be kept");
    }
}
