//! Reads settings from nodes: each type takes of the text what it needs, by the core schema of YAML 1.2 (section 10.3).
//!
//! Text that stands for text is taken as it was written, so `0042` and `NO` are ids. An error carries the path of its
//! key, and nothing of a value that may be a secret.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::core_schema::Number;
use super::node::{Content, Node};

/// What is wrong with a value, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadError {
    /// The path of the key, such as `sinks[0].to.kind`.
    pub(super) path: String,
    pub(super) fault: String,
    pub(super) remedy: String,
    /// The key is not there at all.
    pub(super) is_missing: bool,
}

impl ReadError {
    fn below(mut self, key: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{key}{dot}{}", self.path);
        self
    }

    fn because(fault: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: String::new(), fault: fault.into(), remedy: remedy.into(), is_missing: false }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}; {}", self.path, self.fault, self.remedy)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::because(message.to_string(), "write it as docs/configuration.md says")
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let is = match unexpected {
            Unexpected::Unit => "is empty",
            Unexpected::Seq => "is a list",
            Unexpected::Map => "is a section",
            Unexpected::Bool(_) => "is true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "is a number",
            _ => "is text",
        };
        Self::because(is, format!("write {}", in_words(expected)))
    }

    fn invalid_value(_unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::because("has a value that cannot be", format!("write {expected}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::because(
            format!("`{variant}` is none of its values"),
            format!("use {}", one_of(expected)),
        )
    }

    fn unknown_field(_field: &str, expected: &'static [&'static str]) -> Self {
        Self::because("is no key here", format!("use {}", one_of(expected)))
    }

    fn missing_field(field: &'static str) -> Self {
        let error = Self { is_missing: true, ..Self::because("is missing", "add it") };
        error.below(field)
    }
}

/// Says what serde expects in the words of a configuration.
fn in_words(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "a boolean" => "true or false".to_owned(),
        "a string" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "keys and values".to_owned(),
        text if text.starts_with("struct ") => "keys and values".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" | "a nonzero u64" => {
            "a whole number, without quotes".to_owned()
        }
        _ => expected,
    }
}

fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [only] => format!("`{only}`"),
        [most @ .., last] => format!("`{}` or `{last}`", most.join("`, `")),
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = ReadError;

    /// For types that take more than one kind of value: what the core schema makes of it.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let scalar = match &self.content {
            Content::List(items) => return visitor.visit_seq(Items { items, place: 0 }),
            Content::Map(entries) => return visitor.visit_map(Entries::new(entries)),
            Content::Scalar(scalar) => scalar,
        };
        if scalar.is_null() {
            visitor.visit_unit()
        } else if let Some(value) = scalar.boolean() {
            visitor.visit_bool(value)
        } else if let Some(number) = scalar.number() {
            match number {
                Number::Unsigned(number) => visitor.visit_u64(number),
                Number::Signed(number) => visitor.visit_i64(number),
            }
        } else if let Some(number) = scalar.float() {
            visitor.visit_f64(number)
        } else {
            visitor.visit_str(&scalar.text)
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.content {
            Content::Scalar(scalar) if !scalar.is_null() => visitor.visit_str(&scalar.text),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// An empty section has its defaults.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.is_null() {
            visitor.visit_map(Entries::new(&[]))
        } else {
            self.deserialize_any(visitor)
        }
    }

    /// An empty list may be left empty.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.is_null() {
            visitor.visit_seq(Items { items: &[], place: 0 })
        } else {
            self.deserialize_any(visitor)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.content {
            Content::Scalar(scalar) if !scalar.is_null() => {
                visitor.visit_enum(Choice(&scalar.text))
            }
            _ => Err(ReadError::because(
                "is none of its values",
                format!("use {}", one_of(variants)),
            )),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        tuple tuple_struct ignored_any
    }
}

/// A name out of a few.
struct Choice<'de>(&'de str);

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadError> {
        let name: StrDeserializer<'de, ReadError> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, ReadError> {
        Err(ReadError::custom("needs more than a name"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, ReadError> {
        Err(ReadError::custom("needs more than a name"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ReadError> {
        Err(ReadError::custom("needs more than a name"))
    }
}

struct Items<'de> {
    items: &'de [Node],
    place: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let mut sound = self.items.iter().filter(|item| !item.refused);
        let Some(item) = sound.nth(self.place) else { return Ok(None) };
        let value =
            seed.deserialize(item).map_err(|error| error.below(&format!("[{}]", self.place)))?;
        self.place += 1;
        Ok(Some(value))
    }
}

struct Entries<'de> {
    left: std::vec::IntoIter<&'de (String, Node)>,
    value: Option<&'de (String, Node)>,
}

impl<'de> Entries<'de> {
    /// Begins with `kind`, wherever it stands: it says what the others are.
    fn new(entries: &'de [(String, Node)]) -> Self {
        let mut left: Vec<_> = entries.iter().filter(|(_, value)| !value.refused).collect();
        left.sort_by_key(|(key, _)| key != "kind");
        Self { left: left.into_iter(), value: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        self.value = self.left.next();
        let Some((key, _)) = self.value else { return Ok(None) };
        let name: StrDeserializer<'de, ReadError> = key.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|error| error.below(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let (key, value) =
            self.value.ok_or_else(|| ReadError::custom("a value was asked for twice"))?;
        seed.deserialize(value).map_err(|error| error.below(key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytesize::ByteSize;
    use serde::Deserialize;

    use crate::config::node::Origin;
    use crate::config::yaml;

    fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
        let node = yaml::parse(text, Origin::Line).unwrap();
        T::deserialize(&node).map_err(|error| error.to_string())
    }

    #[test]
    fn text_is_taken_as_it_was_written() {
        for id in [
            "0042",
            "NO",
            "no",
            "true",
            "1_000",
            "0x10",
            "4.20",
            "1e3",
            "2026-11-30",
            "12:30:45",
            "0o7",
        ] {
            assert_eq!(read::<Vec<String>>(&format!("- {id}")), Ok(vec![id.to_owned()]));
            assert_eq!(read::<Vec<String>>(&format!("- '{id}'")), Ok(vec![id.to_owned()]));
        }
        assert_eq!(read::<Vec<Option<String>>>("- ~\n- '~'"), Ok(vec![None, Some("~".to_owned())]));
        assert_eq!(read::<Vec<String>>("- "), Err("[0]: is empty; write text".to_owned()));
        let map: BTreeMap<String, String> = read("0042: 0042\nNO: yes").unwrap();
        assert_eq!((map["0042"].as_str(), map["NO"].as_str()), ("0042", "yes"));
    }

    #[test]
    fn numbers_and_truth_follow_the_core_schema() {
        for (text, number) in [("8", 8), ("0042", 42), ("+7", 7), ("0x10", 16), ("0o17", 15)] {
            assert_eq!(read::<u32>(text), Ok(number), "{text}");
        }
        for text in ["'8'", "1_000", "8.0", "-1", "0b1", "0x", "+", "4294967296"] {
            assert!(read::<u32>(text).is_err(), "{text}");
        }
        assert_eq!(read::<i64>("-8"), Ok(-8));
        assert_eq!(read::<bool>("True"), Ok(true));
        for text in ["yes", "on", "NO", "'true'", "1"] {
            assert!(read::<bool>(text).is_err(), "{text}");
        }
        assert_eq!(read::<ByteSize>("64MiB"), Ok(ByteSize::mib(64)));
        assert_eq!(read::<ByteSize>("1024"), Ok(ByteSize::kib(1)));
    }

    #[test]
    fn an_error_has_the_path_and_shows_no_value() {
        let error = read::<BTreeMap<String, Vec<u32>>>("a: [1, hunter2]").unwrap_err();
        assert_eq!(error, "a[1]: is text; write a whole number, without quotes");
    }
}
