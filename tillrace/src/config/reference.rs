//! The reference page of the configuration, made from its schema.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Context;
use serde_json::Value;

use super::schema;

const INTRODUCTION: &str = include_str!("reference/introduction.md");

const IN_DOMAIN: &str = "domains[].";

/// Writes the page: a table for each section, a line for each key.
///
/// # Errors
/// When the schema cannot be made.
pub(crate) fn reference() -> anyhow::Result<String> {
    let schema = schema::schema()?;
    let (definitions, written) = (&schema["$defs"], BTreeSet::new());
    let mut page = Page { definitions, text: INTRODUCTION.to_owned(), written };
    page.section("", &schema).context("write the page")?;
    Ok(page.text)
}

struct Page<'a> {
    definitions: &'a Value,
    text: String,
    /// Sections that stand on the page: kinds of one section share some below it.
    written: BTreeSet<String>,
}

impl<'a> Page<'a> {
    /// Writes the table of a section, then the sections below it.
    fn section(&mut self, path: &str, schema: &'a Value) -> std::fmt::Result {
        let heading = if path.is_empty() { "Top level".to_owned() } else { format!("`{path}`") };
        writeln!(self.text, "\n## {heading}\n")?;
        let schema = self.resolved(schema);
        if let Some(about) = schema["description"].as_str().filter(|_| !path.is_empty()) {
            writeln!(self.text, "{}\n", on_one_line(about))?;
        }
        self.table(path, schema)
    }

    fn table(&mut self, path: &str, schema: &'a Value) -> std::fmt::Result {
        self.text += "| key | type | default | bounds | meaning |\n|---|---|---|---|---|\n";
        let mut below = Vec::new();
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let is_required = |required: &Vec<Value>| required.iter().any(|name| name == key);
            let is_required = schema["required"].as_array().is_some_and(is_required);
            let row = [
                format!("`{key}`"),
                self.kind(value),
                if is_required { "required".to_owned() } else { self.default(value) },
                bounds(value),
                self.meaning(value),
            ];
            writeln!(self.text, "| {} |", row.join(" | "))?;
            below.extend(self.sections(path, value));
        }
        for (path, section) in below {
            // The sections of a domain are those of the top level, where they stand.
            if path.starts_with(IN_DOMAIN) || !self.written.insert(path.clone()) {
                continue;
            }
            if let Some(variants) = self.resolved(section)["oneOf"].as_array() {
                self.variants(&path, variants)?;
            } else {
                self.section(&path, section)?;
            }
        }
        Ok(())
    }

    /// Writes one table for each kind of a section whose keys depend on `kind`.
    fn variants(&mut self, path: &str, variants: &'a [Value]) -> std::fmt::Result {
        for variant in variants {
            let kind = variant["properties"]["kind"]["const"].as_str().unwrap_or_default();
            let about = variant["description"].as_str().unwrap_or_default();
            writeln!(self.text, "\n## `{path}` with `kind: {kind}`\n\n{}\n", on_one_line(about))?;
            self.table(path, variant)?;
        }
        Ok(())
    }

    /// Returns the section that a key holds, or each item of its list.
    fn sections(&self, path: String, schema: &'a Value) -> Option<(String, &'a Value)> {
        let schema = self.resolved(schema);
        if schema["type"] == "array" {
            return self.sections(format!("{path}[]"), &schema["items"]);
        }
        let has_kinds = schema["oneOf"].as_array().is_some_and(|variants| {
            variants.iter().any(|variant| variant["properties"]["kind"].is_object())
        });
        (schema["properties"].is_object() || has_kinds).then_some((path, schema))
    }

    /// Follows a reference, and leaves out that there may be nothing.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        if let Some(reference) = schema["$ref"].as_str() {
            return &self.definitions[reference.trim_start_matches("#/$defs/")];
        }
        match schema["anyOf"].as_array().map(Vec::as_slice) {
            Some([one, other]) if other["type"] == "null" => self.resolved(one),
            _ => schema,
        }
    }

    fn kind(&self, schema: &'a Value) -> String {
        let schema = self.resolved(schema);
        if let Some(values) = schema["oneOf"].as_array() {
            let values = values.iter().filter_map(|value| value["const"].as_str());
            let values: Vec<_> = values.map(|value| format!("`{value}`")).collect();
            return if values.is_empty() { "section".to_owned() } else { values.join(", ") };
        }
        if let Some(value) = schema["const"].as_str() {
            return format!("`{value}`");
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.first().and_then(Value::as_str),
            kind => kind.as_str(),
        };
        match (schema["format"].as_str(), kind) {
            (Some("time-span"), _) => "time".to_owned(),
            (Some("byte-size"), _) => "size".to_owned(),
            (_, Some("string")) => "text".to_owned(),
            (_, Some("integer")) => "number".to_owned(),
            (_, Some("boolean")) => "true or false".to_owned(),
            (_, Some("array")) => format!("list of {}", self.kind(&schema["items"])),
            (_, Some("object")) if schema["properties"].is_object() => "section".to_owned(),
            (_, Some("object")) => "names and texts".to_owned(),
            _ => "any".to_owned(),
        }
    }

    fn default(&self, schema: &'a Value) -> String {
        match schema.get("default") {
            _ if self.resolved(schema)["properties"].is_object() => String::new(),
            None | Some(Value::Null) => "none".to_owned(),
            Some(Value::Array(items)) if items.is_empty() => "none".to_owned(),
            Some(Value::Object(members)) if members.is_empty() => "none".to_owned(),
            Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
            Some(Value::String(text)) => format!("`{text}`"),
            Some(other) => format!("`{other}`"),
        }
    }

    fn meaning(&self, schema: &'a Value) -> String {
        if schema["const"].is_string() {
            return "Selects this connector.".to_owned();
        }
        let of_key = schema["description"].as_str();
        let of_type = self.resolved(schema);
        let about = of_key.or(of_type["description"].as_str()).unwrap_or_default();
        let mut meaning = on_one_line(about);
        for value in of_type["oneOf"].as_array().into_iter().flatten() {
            if let (Some(value), Some(about)) =
                (value["const"].as_str(), value["description"].as_str())
            {
                // Writing to a String cannot fail.
                write!(meaning, " `{value}`: {}", on_one_line(about)).ok();
            }
        }
        meaning
    }
}

fn bounds(schema: &Value) -> String {
    let bound = |word: &str| {
        let bound = schema.get(word).or(schema.get(format!("x-{word}")));
        bound.map(|bound| bound.as_str().map_or_else(|| bound.to_string(), str::to_owned))
    };
    match (bound("x-minimum").or(bound("minimum")), bound("maximum")) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) if least == "0" => String::new(),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => String::new(),
    }
}

/// Joins lines, and keeps a bar from ending a cell.
fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_in_docs_is_the_one_of_the_types() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        assert!(
            std::fs::read_to_string(path).unwrap() == reference().unwrap(),
            "write it anew: cargo run -- config reference > docs/configuration.md"
        );
    }

    #[test]
    fn a_line_says_type_default_bounds_and_meaning() {
        let page = reference().unwrap();
        for line in [
            "| `session_timeout` | time | `10s` | 1s to 1h | Silence after which a member of a group is taken for dead. |",
            "| `partitions` | number | `8` | 1 to 1000 | Partitions of every topic; fixed when the topics are made. |",
            "| `format` | `text`, `json` | `text` |  | How a line looks. `text`: For people. `json`: One JSON object a line. |",
            "| `id` | text | required |  | Id of the tenant, 1 to 64 bytes. |",
            "## `sinks[].to` with `kind: parquet`",
            "## `domains[]`",
        ] {
            assert!(page.contains(line), "{line}");
        }
        assert!(!page.contains("## `domains[]."), "sections stand on the page once");
    }

    #[test]
    fn every_key_has_a_meaning() {
        let page = reference().unwrap();
        let keys: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert!(keys.len() > 100, "{}", keys.len());
        for line in keys {
            assert!(!line.ends_with("|  |"), "{line}");
            assert!(!line.contains("[`"), "a link that only rustdoc can follow: {line}");
        }
    }
}
