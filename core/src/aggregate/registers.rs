//! Parts of registers on the journal: each is kept until the register is whole, which is then put in force.
//!
//! What is in force ([`super::store_registers`]) stands on `store.registers`, for others to read, and on `state.v1`.

use bytes::{Bytes, BytesMut};
use tillrace_log::{ConsumerRecord, Offset};

use super::days::is_sealed;
use super::fold::{FoldError, OutputContext};
use super::json_text::put;
use super::partition::Partition;
use super::state;
use super::store::Store;
use super::unreadable::UnreadableReason;
use crate::envelope::Envelope;
use crate::register::part::{PartVersion, RegisterPart, VERSION};
use crate::text::{Date, escape};

impl Partition {
    /// Folds a part of a register in.
    ///
    /// # Errors
    /// When it can not be read, or a later version wrote it.
    pub(super) fn take_register(
        &mut self,
        store: u32,
        entry: &ConsumerRecord,
        envelope: &Envelope<'_>,
        output: &mut OutputContext<'_>,
    ) -> Result<(), FoldError> {
        let version: PartVersion = serde_json::from_slice(envelope.data)
            .map_err(|_unreadable| UnreadableReason::Register)?;
        if version.version > VERSION {
            return Err(FoldError::NewerType((&*envelope.event_type).into()));
        }
        let part: RegisterPart = serde_json::from_slice(envelope.data)
            .map_err(|_unreadable| UnreadableReason::Register)?;
        if !part.is_sound() {
            return Err(UnreadableReason::Register.into());
        }
        self.tick(entry.appended_ms);
        self.checkpoint.totals.control += 1;
        let owner = &mut self.stores[store as usize];
        let before: Vec<u32> = owner.registers.coming().iter().map(|known| known.part).collect();
        let number = part.part;
        let is_whole = owner.registers.take(part);
        let kept: Vec<u32> = owner.registers.coming().iter().map(|known| known.part).collect();
        if is_whole {
            self.forget_coming(store, &before, output);
            self.put_in_force(store, entry.offset, output);
            return Ok(());
        }
        let gone: Vec<u32> = before.into_iter().filter(|part| !kept.contains(part)).collect();
        self.forget_coming(store, &gone, output);
        let owner = &self.stores[store as usize];
        let part = owner.registers.coming().iter().find(|known| known.part == number);
        let value = part.map(|part| output.arena.json(&state::register_value(part)));
        let key = state::coming_register_key(owner, number);
        self.buffer.push_row(&output.topics.state, key, value);
        Ok(())
    }

    /// Removes parts of an unfinished register from the state.
    fn forget_coming(&mut self, store: u32, parts: &[u32], output: &mut OutputContext<'_>) {
        for &part in parts {
            let key = state::coming_register_key(&self.stores[store as usize], part);
            self.buffer.push_row(&output.topics.state, key, None);
        }
    }

    /// Puts the register that is whole now in force: days that are not sealed are written anew, those that time has sealed
    /// already are not touched by it.
    fn put_in_force(&mut self, store: u32, offset: Offset, output: &mut OutputContext<'_>) {
        // What is written here already follows from this record.
        self.checkpoint.next_offset = offset + 1;
        let today = self.today();
        let sealed: Vec<Date> =
            self.days_of(store).filter(|&date| is_sealed(date, today)).collect();
        for date in sealed {
            self.seal(store, date, output.topics, output.arena);
        }
        let owner = &mut self.stores[store as usize];
        let parts = owner.registers.take_coming();
        let Some(date) = parts.first().and_then(RegisterPart::date) else { return };
        let replaced = owner.registers.parts_from(date);
        if owner.registers.restore(&parts).is_none() {
            return;
        }
        let pruned = owner.registers.prune(today);
        // Days of the past may be expected now.
        self.is_sweep_due = true;
        self.checkpoint.silent_days_until_ms = None;
        self.write_register(store, &parts, offset, output);
        let count = parts.first().map_or(0, |part| part.parts);
        self.forget_register(store, date, count..replaced, output);
        for (date, revision) in pruned {
            self.forget_register(store, date, 0..revision.parts, output);
        }
        let registers = &self.stores[store as usize].registers;
        let is_judged_anew = |day: &Date| {
            registers.on(*day).is_none_or(|revision| revision.register.valid_from == date)
        };
        let judged_anew: Vec<Date> = self.days_of(store).filter(is_judged_anew).collect();
        for date in judged_anew {
            if !self.withdraw_silent_day(store, date, output.topics) {
                self.mark_restated_day(store, date);
            }
        }
    }

    fn days_of(&self, store: u32) -> impl Iterator<Item = Date> {
        self.stores[store as usize].days.keys().copied()
    }

    /// Writes a register to its topic and to the state.
    fn write_register(
        &mut self,
        store: u32,
        parts: &[RegisterPart],
        offset: Offset,
        output: &mut OutputContext<'_>,
    ) {
        for part in parts {
            let Some(date) = part.date() else { continue };
            let owner = &self.stores[store as usize];
            let published = RegisterRecord { store: owner, part, partition: self.number, offset };
            let published = output.arena.record(|text| published.write(text));
            let key = state::register_key(owner, date, part.part);
            let value = output.arena.json(&state::register_value(part));
            let state_key: Bytes = [state::REGISTER, &key].concat().into();
            self.buffer.push_row(&output.topics.registers, key, Some(published));
            self.buffer.push_row(&output.topics.state, state_key, Some(value));
        }
    }

    fn forget_register(
        &mut self,
        store: u32,
        date: Date,
        parts: std::ops::Range<u32>,
        output: &mut OutputContext<'_>,
    ) {
        for part in parts {
            let key = state::register_key(&self.stores[store as usize], date, part);
            let state_key: Bytes = [state::REGISTER, &key].concat().into();
            self.buffer.push_row(&output.topics.registers, key, None);
            self.buffer.push_row(&output.topics.state, state_key, None);
        }
    }
}

/// A part of a register as others read it.
pub(super) struct RegisterRecord<'a> {
    pub(super) store: &'a Store,
    pub(super) part: &'a RegisterPart,
    pub(super) partition: tillrace_log::Partition,
    /// Of the record on the journal that put it in force.
    pub(super) offset: Offset,
}

impl RegisterRecord<'_> {
    /// Writes the store's names, then the part's own members.
    pub(super) fn write(&self, text: &mut BytesMut) {
        text.extend_from_slice(br#"{"tenant":""#);
        escape(text, &self.store.tenant);
        text.extend_from_slice(br#"","store":""#);
        escape(text, &self.store.name);
        put(text, format_args!(r#"","partition":{},"offset":{},"#, self.partition, self.offset));
        let part = serde_json::to_vec(self.part).unwrap_or_default();
        text.extend_from_slice(part.strip_prefix(b"{").unwrap_or_default());
    }
}
