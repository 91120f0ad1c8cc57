//! What is kept of fiscal devices: a record for each, and one for each block of its counters.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::super::fiscal::{Counters, FiscalDevice};
use super::super::json_text::{integer, write_json};
use super::super::partition::Partition;
use super::super::store::Store;
use super::keys::{FISCAL, FISCAL_NUMBERS, fiscal_names, parts};
use super::{StateError, StateRecords, VERSION, check, fault, json, under};

#[derive(Serialize, Deserialize)]
struct DeviceState<'a> {
    v: u8,
    counters: Cow<'a, Counters>,
}

/// Writes the key of what is kept of a device.
pub(in crate::aggregate) fn write_device_state_key(
    text: &mut BytesMut,
    store: &Store,
    device: &FiscalDevice,
) {
    write_key(text, FISCAL, store, device);
}

/// Writes the key of a block of its counters.
pub(in crate::aggregate) fn write_device_block_key(
    text: &mut BytesMut,
    store: &Store,
    device: &FiscalDevice,
    block: u64,
) {
    write_key(text, FISCAL_NUMBERS, store, device);
    text.extend_from_slice(b"/");
    integer(text, block);
}

fn write_key(text: &mut BytesMut, prefix: &str, store: &Store, device: &FiscalDevice) {
    text.extend_from_slice(prefix.as_bytes());
    text.extend_from_slice(&store.key);
    text.extend_from_slice(b"/");
    text.extend_from_slice(device.key.as_bytes());
}

/// Writes what is kept of a device, without the blocks of its counters.
pub(in crate::aggregate) fn write_device_state(text: &mut BytesMut, device: &FiscalDevice) {
    write_json(text, &DeviceState { v: VERSION, counters: Cow::Borrowed(&device.counters) });
}

impl Partition {
    /// Reads the devices of all stores, then their blocks.
    pub(super) fn take_devices(&mut self, records: &StateRecords) -> Result<(), StateError> {
        for (key, value) in under(records, FISCAL) {
            let state: DeviceState<'_> = json(key, value)?;
            check(key, state.v)?;
            let names = fiscal_names(key).ok_or_else(|| fault(key, "names no device"))?;
            let [tenant, store, scheme, device] = names;
            let store = self.store_named(key, &tenant, &store)?;
            if !store.fiscal.restore(&scheme, &device, state.counters.into_owned()) {
                return Err(fault(key, "is one device too many"));
            }
        }
        for (key, value) in under(records, FISCAL_NUMBERS) {
            let taken = self.take_device_block(key, value);
            taken.ok_or_else(|| fault(key, "is no block of a device"))?;
        }
        Ok(())
    }

    fn take_device_block(&mut self, key: &Bytes, value: &Bytes) -> Option<()> {
        let ([tenant, store, scheme, device], block) = parts(key, FISCAL_NUMBERS)?;
        let store = self.store_named(key, &tenant, &store).ok()?;
        store.fiscal.find(&scheme, &device)?.restore_block(block, value)
    }
}
