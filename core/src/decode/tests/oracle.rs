//! `serde_json` as an oracle of what RFC 8259 allows, made to see repeated members and depth.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// What `serde_json` makes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Object,
    Other,
    Repeated,
    Malformed,
    TooDeep,
}

pub(super) fn read(text: &[u8]) -> Reading {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    match (Seed { depth: 0 })
        .deserialize(&mut deserializer)
        .and_then(|found| deserializer.end().map(|()| found))
    {
        Ok(Found { is_object, repeated: false, depth }) if depth <= super::MAX_DEPTH => {
            if is_object { Reading::Object } else { Reading::Other }
        }
        Ok(Found { depth, .. }) if depth > super::MAX_DEPTH => Reading::TooDeep,
        Ok(_) => Reading::Repeated,
        Err(error) if error.to_string().contains("recursion") => Reading::TooDeep,
        Err(_) => Reading::Malformed,
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Found {
    is_object: bool,
    repeated: bool,
    depth: usize,
}

#[derive(Clone, Copy)]
struct Seed {
    depth: usize,
}

impl Seed {
    fn scalar(self) -> Found {
        Found { depth: self.depth, ..Found::default() }
    }
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Found;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(self.scalar())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        Ok(self.scalar())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        Ok(self.scalar())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        Ok(self.scalar())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        Ok(self.scalar())
    }

    fn visit_str<E>(self, _: &str) -> Result<Found, E> {
        Ok(self.scalar())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Found, A::Error> {
        let mut found = Found { depth: self.depth + 1, ..Found::default() };
        while let Some(element) = elements.next_element_seed(Self { depth: self.depth + 1 })? {
            found.repeated |= element.repeated;
            found.depth = found.depth.max(element.depth);
        }
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Found, A::Error> {
        let mut found = Found { is_object: true, depth: self.depth + 1, ..Found::default() };
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            found.repeated |= !names.insert(name);
            let value = members.next_value_seed(Self { depth: self.depth + 1 })?;
            found.repeated |= value.repeated;
            found.depth = found.depth.max(value.depth);
        }
        Ok(found)
    }
}
