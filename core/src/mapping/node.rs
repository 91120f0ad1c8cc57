//! A JSON text of which only what a step names is read.
//!
//! All else is written again byte by byte, so that numbers keep their digits (`1.10` is no `1.1` in a tax report) and members
//! their order. It knows no steps.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A value of a text: as it stands there, as a step gave it, or opened because a step went through it.
#[derive(Debug)]
pub(super) enum Node<'t> {
    Text(&'t RawValue),
    Given(Value),
    Array(Vec<Node<'t>>),
    Object(Members<'t>),
}

/// Members in the order of the text.
///
/// A rename may give an object two members of one name: the event then breaks a rule, and neither is lost.
#[derive(Debug)]
pub(super) struct Members<'t>(Vec<(String, Node<'t>)>);

impl<'t> Node<'t> {
    pub(super) fn read(text: &'t [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok().map(Self::Text)
    }

    /// Reads the elements or members of a value that has some.
    pub(super) fn open(&mut self) {
        let opened = match self {
            Self::Text(raw) if raw.get().starts_with('{') => {
                serde_json::from_str(raw.get()).ok().map(Self::Object)
            }
            Self::Text(raw) if raw.get().starts_with('[') => {
                let elements: Option<Vec<&'t RawValue>> = serde_json::from_str(raw.get()).ok();
                elements.map(|elements| Self::Array(elements.into_iter().map(Self::Text).collect()))
            }
            Self::Given(Value::Object(members)) => {
                let members = std::mem::take(members).into_iter();
                let given = members.map(|(name, value)| (name, Self::Given(value)));
                Some(Self::Object(Members(given.collect())))
            }
            Self::Given(Value::Array(elements)) => {
                let elements = std::mem::take(elements).into_iter();
                Some(Self::Array(elements.map(Self::Given).collect()))
            }
            Self::Text(_) | Self::Given(_) | Self::Array(_) | Self::Object(_) => None,
        };
        if let Some(opened) = opened {
            *self = opened;
        }
    }

    pub(super) fn is_null(&self) -> bool {
        match self {
            Self::Text(raw) => raw.get() == "null",
            Self::Given(value) => value.is_null(),
            Self::Array(_) | Self::Object(_) => false,
        }
    }

    /// Returns what a JSON string says; `None` for all else.
    pub(super) fn string(&self) -> Option<String> {
        match self {
            Self::Text(raw) => serde_json::from_str(raw.get()).ok(),
            Self::Given(value) => value.as_str().map(str::to_owned),
            Self::Array(_) | Self::Object(_) => None,
        }
    }
}

impl<'t> Members<'t> {
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Node<'t>> {
        self.0.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(super) fn push(&mut self, name: &str, value: Node<'t>) {
        self.0.push((name.to_owned(), value));
    }

    pub(super) fn rename(&mut self, name: &str, to: &str) {
        for (known, _) in self.0.iter_mut().filter(|(known, _)| known == name) {
            to.clone_into(known);
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(raw) => raw.serialize(serializer),
            Self::Given(value) => value.serialize(serializer),
            Self::Array(elements) => serializer.collect_seq(elements),
            Self::Object(Members(members)) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

impl<'de: 't, 't> Deserialize<'de> for Members<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Vec<(String, Node<'de>)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, Node::Text(value)));
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(MembersVisitor).map(Self)
    }
}
