//! Named values: what differs between environments, in a file of its own beside the documents that are the same for all.
//!
//! A text of a spec may hold `${name}`. Where it is nothing else, it becomes the value with its type; within a longer text it becomes
//! the value's text. `$${` stands for `${`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Values by their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values(BTreeMap<String, Value>);

/// Why values cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// The file cannot be read.
    #[error("failed to read the values {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no YAML, or not one mapping of names to plain values.
    #[error("the values {} are no mapping of names to texts, numbers or truth values: {problem}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Values {
    /// Reads files of values; a later one replaces values of those before it.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn read(files: &[PathBuf]) -> Result<Self, ValuesError> {
        let mut values = Self::default();
        for path in files {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ValuesError::Read { path: path.clone(), source })?;
            values.add(path, &text)?;
        }
        Ok(values)
    }

    fn add(&mut self, path: &Path, text: &str) -> Result<(), ValuesError> {
        let unreadable =
            |problem: String| ValuesError::Unreadable { path: path.to_owned(), problem };
        let read: BTreeMap<String, Value> =
            serde_saphyr::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        for (name, value) in read {
            if value.is_object() || value.is_array() || value.is_null() {
                return Err(unreadable(format!("{name} is none")));
            }
            self.0.insert(name, value);
        }
        Ok(())
    }

    /// Puts values in the place of their names, throughout a spec.
    ///
    /// # Errors
    /// The first name that has no value, or a `${` that does not end.
    pub fn fill(&self, spec: &mut Value) -> Result<(), String> {
        match spec {
            Value::String(text) => {
                if text.contains("${") {
                    *spec = self.filled(text)?;
                }
                Ok(())
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.fill(item)),
            Value::Object(members) => members.values_mut().try_for_each(|member| self.fill(member)),
            _ => Ok(()),
        }
    }

    fn filled(&self, text: &str) -> Result<Value, String> {
        if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
            && !name.contains('}')
        {
            return self.get(name).cloned();
        }
        let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                filled.push_str(before);
                filled.push_str("${");
                rest = after;
                continue;
            }
            filled.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                return Err(format!("{text:?} has a ${{ without its }}"));
            };
            match self.get(name)? {
                Value::String(value) => filled.push_str(value),
                value => filled.push_str(&value.to_string()),
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(Value::String(filled))
    }

    fn get(&self, name: &str) -> Result<&Value, String> {
        self.0.get(name).ok_or_else(|| format!("${{{name}}} has no value"))
    }
}

/// Writes a spec so that reading it with any values gives it back.
pub(crate) fn escape(spec: &mut Value) {
    match spec {
        Value::String(text) if text.contains("${") => *text = text.replace("${", "$${"),
        Value::Array(items) => items.iter_mut().for_each(escape),
        Value::Object(members) => members.values_mut().for_each(escape),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> Values {
        let mut values = Values::default();
        values.add(Path::new("dev.yaml"), "rate: 5\nzone: eu\nopen: true\n").unwrap();
        values
    }

    #[test]
    fn a_value_alone_keeps_its_type_and_within_a_text_becomes_text() {
        let mut spec = json!({"rate": "${rate}", "open": ["${open}"], "owner": "till-${zone}-${rate}", "n": 1});
        values().fill(&mut spec).unwrap();
        assert_eq!(spec, json!({"rate": 5, "open": [true], "owner": "till-eu-5", "n": 1}));
    }

    #[test]
    fn what_has_no_value_or_no_end_is_named() {
        for (text, fault) in [("${x}", "${x} has no value"), ("a${zone", "without its }")] {
            let error = values().fill(&mut json!([text])).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
        let error = Values::default().add(Path::new("dev.yaml"), "a: [1]").unwrap_err();
        assert!(error.to_string().contains("a is none"), "{error}");
    }

    #[test]
    fn an_escaped_spec_is_read_as_it_was() {
        for text in ["${rate}", "$${rate}", "a ${zone} b", "$", "${"] {
            let (spec, mut written) = (json!({"owner": [text]}), json!({"owner": [text]}));
            escape(&mut written);
            values().fill(&mut written).unwrap();
            assert_eq!(written, spec, "{text}");
        }
    }
}
