//! The keys of what stands on `state.v1`, and of the parts of a day on `store.days`: written, and taken apart when they are read back.
//!
//! Names in a key are percent-encoded, as they are in the key of a store, with which most begin.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::super::json_text::integer;
use super::super::sequence_set::SequenceSet;
use super::super::store::{Store, Terminal};
use crate::text::Date;

/// Checkpoints kept of each partition.
pub(super) const CHECKPOINTS: u64 = 1_024;

/// What the key of a day's state begins with; then comes the key of its totals, that others read.
pub(in crate::aggregate) const DAY: &[u8] = b"day/";
/// What the keys of further parts of a day's terminals begin with.
pub(super) const PARTS: &str = "day-terminals/";
/// What the keys of drawers begin with; then come the key of the day's totals and the drawer's names.
pub(super) const DRAWERS: &str = "drawer/";
/// What the keys of safes begin with; then comes the key of the day's totals.
pub(super) const SAFES: &str = "safe/";

/// What the keys of fiscal devices begin with; then come the store's key, scheme and device.
pub(super) const FISCAL: &str = "fiscal/";
/// What the keys of blocks of their counters begin with.
pub(super) const FISCAL_NUMBERS: &str = "fiscal-numbers/";

/// What the keys of a register's parts begin with; then comes the key of the part that others read.
pub(in crate::aggregate) const REGISTER: &[u8] = b"register/";
/// What the keys of parts of an unfinished register begin with.
pub(super) const COMING: &str = "register-coming/";

/// Key of a part of a register on `store.registers`.
pub(in crate::aggregate) fn register_key(store: &Store, date: Date, part: u32) -> Bytes {
    let mut text = BytesMut::new();
    write_totals_key(&mut text, store, date);
    text.put_u8(b'/');
    integer(&mut text, part);
    text.freeze()
}

/// Key of a part of the register that is coming in.
pub(in crate::aggregate) fn coming_register_key(store: &Store, part: u32) -> Bytes {
    [COMING.as_bytes(), &store.key[..], b"/", part.to_string().as_bytes()].concat().into()
}

/// Key of a checkpoint.
pub(in crate::aggregate) fn checkpoint_key(flush: u64) -> Bytes {
    format!("checkpoint/{}", flush % CHECKPOINTS).into()
}

/// Writes the key of a day.
pub(in crate::aggregate) fn write_day_key(text: &mut BytesMut, store: &Store, date: Date) {
    text.extend_from_slice(DAY);
    write_totals_key(text, store, date);
}

/// Writes the key of a day's totals, with which those of its amendments begin.
pub(in crate::aggregate) fn write_totals_key(text: &mut BytesMut, store: &Store, date: Date) {
    text.extend_from_slice(&store.key);
    text.put_u8(b'/');
    text.extend_from_slice(date.ascii().as_str().as_bytes());
}

/// Writes the key of a further part of a day's terminals on `store.days`, given that of the day.
pub(in crate::aggregate) fn write_part_key(text: &mut BytesMut, day: &[u8], part: usize) {
    text.extend_from_slice(day);
    text.extend_from_slice(b"/terminals/");
    integer(text, part);
}

/// Writes the key of a drawer on `store.days`, given its own names.
pub(in crate::aggregate) fn write_drawer_key(
    text: &mut BytesMut,
    store: &Store,
    date: Date,
    drawer: &str,
) {
    write_totals_key(text, store, date);
    text.extend_from_slice(b"/drawer/");
    text.extend_from_slice(drawer.as_bytes());
}

/// Writes the key of what is kept of a further part, given that of the day on `store.days`.
pub(in crate::aggregate) fn write_part_state_key(text: &mut BytesMut, day: &[u8], part: usize) {
    text.extend_from_slice(PARTS.as_bytes());
    text.extend_from_slice(day);
    text.put_u8(b'/');
    integer(text, part);
}

/// Key of a terminal.
fn terminal_key(terminal: &Terminal) -> Bytes {
    let mut text = BytesMut::new();
    write_terminal_key(&mut text, &terminal.key);
    text.freeze()
}

/// Writes the key of a terminal, given that of its ledger.
pub(in crate::aggregate) fn write_terminal_key(text: &mut BytesMut, ledger: &[u8]) {
    text.extend_from_slice(b"terminal/");
    text.extend_from_slice(ledger);
}

/// Keys of everything that is kept of a terminal.
pub(in crate::aggregate) fn keys_of(terminal: &Terminal) -> impl Iterator<Item = Bytes> + '_ {
    let keyed = |write: fn(&mut BytesMut, &[u8], u64), block: u64| {
        let mut text = BytesMut::new();
        write(&mut text, &terminal.key, block);
        text.freeze()
    };
    let hashes = terminal.ledger.hashes.blocks().map(move |block| keyed(write_hashes_key, block));
    let sequences = terminal.ledger.sequences.iter().flat_map(SequenceSet::blocks);
    let sequences = sequences.map(move |block| keyed(write_numbers_key, block));
    hashes.chain(sequences).chain([terminal_key(terminal)])
}

/// Writes the key of a block of a terminal's numbers, given that of its ledger.
pub(in crate::aggregate) fn write_numbers_key(text: &mut BytesMut, ledger: &[u8], block: u64) {
    text.extend_from_slice(b"numbers/");
    text.extend_from_slice(ledger);
    text.put_u8(b'/');
    integer(text, block);
}

/// Writes the key of a block of hashes, given that of their terminal's ledger.
pub(in crate::aggregate) fn write_hashes_key(text: &mut BytesMut, ledger: &[u8], block: u64) {
    text.extend_from_slice(b"hashes/");
    text.extend_from_slice(ledger);
    text.put_u8(b'/');
    integer(text, block);
}

/// Key of a block of a store's event ids.
pub(in crate::aggregate) fn ids_key(store: &Store, block: u64) -> Bytes {
    [b"ids/", &store.key[..], b"/", block.to_string().as_bytes()].concat().into()
}

/// Key of a block of the names of settled parked events.
pub(in crate::aggregate) fn settled_key(store: &Store, block: u64) -> Bytes {
    [b"settled/", &store.key[..], b"/", block.to_string().as_bytes()].concat().into()
}

/// Key of an unsettled parked event, given that of its copy.
pub(in crate::aggregate) fn parked_key(copy: &[u8]) -> Bytes {
    [b"parked/", copy].concat().into()
}

/// Takes the key of an unsettled parked event apart: tenant and store decoded, and its name.
pub(super) fn parked_parts(key: &[u8]) -> Option<([String; 2], &str)> {
    let mut parts = std::str::from_utf8(key).ok()?.strip_prefix("parked/")?.splitn(3, '/');
    let (tenant, store) = (percent_decode(parts.next()?)?, percent_decode(parts.next()?)?);
    Some(([tenant, store], parts.next()?))
}

/// Returns terminal and epoch of the name of a parked event.
pub(in crate::aggregate) fn terminal_of(name: &str) -> Option<[String; 2]> {
    let mut parts = name.split('/');
    Some([percent_decode(parts.next()?)?, percent_decode(parts.next()?)?])
}

/// Key of a part of a store's releases; that of the first is without a number.
pub(in crate::aggregate) fn released_key(store: &Store, part: usize) -> Bytes {
    let number = if part == 0 { String::new() } else { format!("/{part}") };
    [b"released/", &store.key[..], number.as_bytes()].concat().into()
}

/// Reads what stands behind a store in the key of a part of its releases.
pub(super) fn part_number(rest: &[u8]) -> Option<usize> {
    match rest {
        [] => Some(0),
        [b'/', number @ ..] => std::str::from_utf8(number).ok()?.parse().ok(),
        _ => None,
    }
}

/// Takes a key apart into decoded names and the number of a block.
pub(super) fn parts<const N: usize>(key: &[u8], prefix: &str) -> Option<([String; N], u64)> {
    let names = std::str::from_utf8(key).ok()?.strip_prefix(prefix)?;
    let (names, block) = names.rsplit_once('/')?;
    let names: Option<Vec<String>> = names.split('/').map(percent_decode).collect();
    Some((names?.try_into().ok()?, block.parse().ok()?))
}

/// Takes the key of a fiscal device apart: tenant, store, scheme and device, decoded.
pub(super) fn fiscal_names(key: &[u8]) -> Option<[String; 4]> {
    let names = std::str::from_utf8(key).ok()?.strip_prefix(FISCAL)?;
    let names: Option<Vec<String>> = names.split('/').map(percent_decode).collect();
    names?.try_into().ok()
}

pub(super) fn percent_decode(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}
