//! The parts in which a register stands on the journal: each a record of its own, bounded however many terminals a store has.
//!
//! The register comes into force when the last of its parts is there. The first part has the settings, all have terminals.

use serde::{Deserialize, Serialize};

use super::{ExpectedTerminal, MAX_EXCEPTIONS, MAX_TERMINALS, Register, StoreSettings};
use crate::text::{Date, check_id};

/// Version of the format; an aggregator that meets a later one waits for an upgrade.
pub const VERSION: u32 = 1;
/// Terminals in one part.
pub const PART_TERMINALS: usize = 200;
/// Most bytes of a part.
pub const PART_BYTES: usize = 64 << 10;
/// Most parts of a register.
pub const MAX_PARTS: u32 = 10;
const REVISION_BYTES: usize = 32;

/// The version alone, which is read before the rest.
#[derive(Debug, Deserialize)]
pub struct PartVersion {
    /// The format's version.
    pub version: u32,
}

/// One part of a register, as the `data` of its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterPart {
    /// The format's version.
    pub version: u32,
    /// The register's name, the same in all of its parts.
    pub revision: String,
    /// Which part this is, from 0.
    pub part: u32,
    /// How many there are.
    pub parts: u32,
    /// First business date that it holds for.
    pub valid_from: String,
    /// In the first part only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<StoreSettings>,
    /// Some of its terminals, by their ids, rising.
    pub terminals: Vec<ExpectedTerminal>,
    /// Who applied it.
    pub operator: String,
}

impl RegisterPart {
    /// Takes a register apart.
    pub fn of(register: &Register, operator: &str) -> Vec<Self> {
        let chunks: Vec<&[ExpectedTerminal]> = register.terminals.chunks(PART_TERMINALS).collect();
        let parts = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let revision = register.revision();
        let part = |(part, terminals): (u32, &[ExpectedTerminal])| Self {
            version: VERSION,
            revision: revision.clone(),
            part,
            parts,
            valid_from: register.valid_from.to_string(),
            settings: (part == 0).then(|| register.settings.clone()),
            terminals: terminals.to_vec(),
            operator: operator.to_owned(),
        };
        (0..).zip(chunks).map(part).collect()
    }

    /// Tells whether it is within the bounds of a part.
    pub fn is_sound(&self) -> bool {
        let is_revision = self.revision.len() == REVISION_BYTES
            && self.revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        let names = self.terminals.iter().all(|known| check_id(&known.terminal).is_ok());
        let settings = self.settings.as_ref();
        let bounded = settings.is_none_or(|settings| {
            settings.calendar.exceptions.len() <= MAX_EXCEPTIONS
                && settings.calendar.weekdays.len() <= 7
                && settings.group.as_deref().is_none_or(|group| check_id(group).is_ok())
        });
        is_revision
            && (1..=MAX_PARTS).contains(&self.parts)
            && self.part < self.parts
            && self.date().is_some()
            && settings.is_some() == (self.part == 0)
            && (1..=PART_TERMINALS).contains(&self.terminals.len())
            && self.operator.len() <= 256
            && names
            && bounded
    }

    /// Returns the first business date that it holds for.
    pub fn date(&self) -> Option<Date> {
        Date::parse(self.valid_from.as_bytes())
    }
}

/// Puts a register together of all its parts; `None` if one lacks, or they do not belong together.
pub fn assemble(parts: &[RegisterPart]) -> Option<Register> {
    let first = parts.first()?;
    let belong = (0..).zip(parts).all(|(number, part): (u32, _)| {
        part.part == number
            && part.parts as usize == parts.len()
            && part.revision == first.revision
            && part.valid_from == first.valid_from
    });
    if !belong {
        return None;
    }
    let mut terminals: Vec<ExpectedTerminal> =
        parts.iter().flat_map(|part| part.terminals.iter().cloned()).collect();
    terminals.sort_by(|one, other| one.terminal.cmp(&other.terminal));
    terminals.dedup_by(|next, kept| next.terminal == kept.terminal);
    terminals.truncate(MAX_TERMINALS);
    Some(Register { valid_from: first.date()?, settings: first.settings.clone()?, terminals })
}

#[cfg(test)]
mod tests {
    use super::super::{TerminalKind, tests::register};
    use super::*;

    fn largest() -> Register {
        let terminal = |number: usize| ExpectedTerminal {
            terminal: format!("{number:\"<64}").into(),
            kind: TerminalKind::SelfCheckout,
            closes: false,
        };
        let mut register = register();
        register.settings.group = Some("\"".repeat(64).into());
        let from = register.valid_from;
        register.settings.calendar.exceptions = (0..366)
            .map(|day| (Date(from.0 + day), super::super::calendar::Opening::Closed))
            .collect();
        register.terminals = (0..MAX_TERMINALS).map(terminal).collect();
        register.terminals.sort_by(|one, other| one.terminal.cmp(&other.terminal));
        register
    }

    #[test]
    fn a_register_is_put_together_of_its_parts_and_of_no_fewer() {
        let register = largest();
        let mut parts = RegisterPart::of(&register, &"\"".repeat(256));
        assert_eq!(parts.len(), MAX_PARTS as usize);
        for part in &parts {
            let bytes = serde_json::to_vec(part).unwrap();
            assert!(part.is_sound() && bytes.len() <= PART_BYTES, "{} bytes", bytes.len());
            assert_eq!(serde_json::from_slice::<RegisterPart>(&bytes).unwrap(), *part);
        }
        assert_eq!(assemble(&parts).unwrap(), register);
        assert_eq!(assemble(&parts[1..]), None);
        parts[3].revision = "0".repeat(32);
        assert_eq!(assemble(&parts), None);
    }

    #[test]
    fn a_part_beyond_its_bounds_is_not_sound() {
        let sound = RegisterPart::of(&register(), "ada").remove(0);
        assert!(sound.is_sound());
        let broken: [fn(&mut RegisterPart); 8] = [
            |part| part.revision = "x".into(),
            |part| part.part = 1,
            |part| part.parts = MAX_PARTS + 1,
            |part| part.valid_from = "soon".into(),
            |part| part.settings = None,
            |part| part.terminals.clear(),
            |part| part.terminals[0].terminal = "".into(),
            |part| part.operator = "a".repeat(257),
        ];
        for change in broken {
            let mut part = sound.clone();
            change(&mut part);
            assert!(!part.is_sound(), "{part:?}");
        }
    }
}
