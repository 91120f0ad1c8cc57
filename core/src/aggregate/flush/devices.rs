//! Writes the fiscal devices that changed.

use bytes::BytesMut;
use tillrace_log::ProducerRecord;

use crate::aggregate::arena::RecordArena;
use crate::aggregate::partition::Partition;
use crate::aggregate::state;
use crate::aggregate::terminals::{write_device, write_device_key};
use crate::topics::Topics;

impl Partition {
    /// Appends the records of fiscal devices.
    pub(super) fn write_devices(
        &mut self,
        topics: &Topics,
        arena: &mut RecordArena,
        rows: &mut Vec<ProducerRecord>,
    ) {
        for owner in std::mem::take(&mut self.buffer.devices) {
            for slot in self.stores[owner as usize].fiscal.take_changed() {
                self.write_device(owner, slot, topics, arena, rows);
            }
        }
    }

    fn write_device(
        &mut self,
        owner: u32,
        slot: u32,
        topics: &Topics,
        arena: &mut RecordArena,
        rows: &mut Vec<ProducerRecord>,
    ) {
        let source = self.origin();
        let mut blocks = Vec::new();
        if let Some(device) = self.stores[owner as usize].fiscal.get_mut(slot) {
            device.take_changed(|number, block| {
                let bytes = block.map(|block| {
                    let mut bytes = BytesMut::new();
                    block.encode(&mut bytes);
                    bytes.freeze()
                });
                blocks.push((number, bytes));
            });
        }
        let store = &self.stores[owner as usize];
        let Some(device) = store.fiscal.get(slot) else { return };
        for (number, block) in blocks {
            let mut key = BytesMut::new();
            state::write_device_block_key(&mut key, store, device, number);
            rows.push(self.row(&topics.state, key.freeze(), block));
        }
        let [state_key, kept, key, published] = arena.pieces(|text| {
            state::write_device_state_key(text, store, device);
            let state_key = text.len();
            state::write_device_state(text, device);
            let kept = text.len();
            write_device_key(text, store, device);
            let key = text.len();
            write_device(text, store, device, source);
            [state_key, kept, key, text.len()]
        });
        rows.push(self.row(&topics.state, state_key, Some(kept)));
        rows.push(self.row(&topics.ledger, key, Some(published)));
    }
}
