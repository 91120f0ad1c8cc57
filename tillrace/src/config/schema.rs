//! The JSON Schema of the configuration, made from the types that read it and the bounds they are held to.

use bytesize::ByteSize;
use serde_json::{Map, Value, json};
use tillrace_log::setting::{Bounds, Inspection, Quantity};

use super::node::Origin;
use super::{Settings, inspect, yaml};

/// Configurations with a value in every section, whose inspection states every bound.
const EXAMPLE: &str = include_str!("../../../docs/tillrace.example.yaml");
const DOMAINS_EXAMPLE: &str = include_str!("../../../docs/domains.example.yaml");

/// Makes the schema (JSON Schema, draft 2020-12). Bounds of times and sizes, which are text, stand under `x-minimum` and
/// `x-maximum`.
///
/// # Errors
/// When the example cannot be read, which a test holds it to.
pub(crate) fn schema() -> anyhow::Result<Value> {
    let mut schema = schemars::schema_for!(Settings).to_value();
    schema["title"] = json!("Configuration of tillrace");
    for (path, bounds) in bounds()? {
        let steps: Vec<&str> = path.split('.').collect();
        let mut definitions = schema["$defs"].take();
        add_bounds(&mut schema, &mut definitions, &steps, &bounds);
        schema["$defs"] = definitions;
    }
    tidy(&mut schema);
    Ok(schema)
}

fn bounds() -> anyhow::Result<Vec<(String, Bounds)>> {
    let mut found = Inspection::default();
    for example in [EXAMPLE, DOMAINS_EXAMPLE] {
        let tree = yaml::parse(example, Origin::Line)?;
        inspect::inspect(&serde::Deserialize::deserialize(&tree)?, &mut found);
    }
    Ok(found.bounds().iter().map(|(path, bounds)| (path.clone(), bounds.clone())).collect())
}

/// Follows a path through sections, lists and alternatives, and adds the bounds wherever it leads.
fn add_bounds(schema: &mut Value, definitions: &mut Value, path: &[&str], bounds: &Bounds) {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let name = name.trim_start_matches("#/$defs/").to_owned();
        let mut definition = definitions[&name].take();
        add_bounds(&mut definition, definitions, path, bounds);
        definitions[&name] = definition;
        return;
    }
    for alternatives in ["anyOf", "oneOf"] {
        for alternative in
            schema.get_mut(alternatives).and_then(Value::as_array_mut).into_iter().flatten()
        {
            add_bounds(alternative, definitions, path, bounds);
        }
    }
    let [step, rest @ ..] = path else {
        state(schema, bounds);
        return;
    };
    let key = step.trim_end_matches("[]");
    let Some(next) = schema.get_mut("properties").and_then(|known| known.get_mut(key)) else {
        return;
    };
    let next = if key == *step { Some(next) } else { next.get_mut("items") };
    if let Some(next) = next {
        add_bounds(next, definitions, rest, bounds);
    }
}

fn state(schema: &mut Value, bounds: &Bounds) {
    for (word, bound) in [("minimum", &bounds.least), ("maximum", &bounds.most)] {
        let Some(bound) = bound else { continue };
        match bound.parse::<u64>() {
            Ok(number) => schema[word] = json!(number),
            Err(_has_a_unit) => schema[format!("x-{word}")] = json!(bound),
        }
    }
}

/// Writes sizes as the documents do, and drops the formats that only say how wide an integer is.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            tidy_members(members);
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn tidy_members(members: &mut Map<String, Value>) {
    let format = members.get("format").and_then(Value::as_str).unwrap_or_default();
    if format.starts_with("uint") {
        members.remove("format");
    } else if format == "byte-size"
        && let Some(Value::String(default)) = members.get_mut("default")
        && let Ok(size) = default.parse::<ByteSize>()
    {
        *default = size.written();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_schema_in_docs_is_the_one_of_the_types() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas/configuration.schema.json");
        let written: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(
            written == schema().unwrap(),
            "write it anew: cargo run -- config schema > docs/schemas/configuration.schema.json"
        );
    }

    #[test]
    fn the_example_is_valid_and_a_misspelt_key_or_a_number_out_of_bounds_is_not() {
        let validator = jsonschema::validator_for(&schema().unwrap()).unwrap();
        let of_domains: Value = serde_saphyr::from_str(DOMAINS_EXAMPLE).unwrap();
        let example: Value = serde_saphyr::from_str(EXAMPLE).unwrap();
        for example in [&example, &of_domains] {
            let faults: Vec<_> =
                validator.iter_errors(example).map(|fault| fault.to_string()).collect();
            assert_eq!(faults, Vec::<String>::new());
        }
        for (path, value) in [
            ("/log/partitions", json!(0)),
            ("/log/kafka/replication", json!(10)),
            ("/log/kafka/compression", json!("fax")),
            ("/sinks/0/flow/concurrency", json!(0)),
            ("/sinks/0/to/kind", json!("fax")),
            ("/aggregate/window", json!(60)),
            ("/ingest", json!({"lisen": "x"})),
            ("/tenants/0", json!({"id": "a"})),
        ] {
            let mut wrong = example.clone();
            *wrong.pointer_mut(path).unwrap() = value;
            assert!(!validator.is_valid(&wrong), "{path}");
        }
    }

    #[test]
    fn times_and_sizes_have_defaults_and_bounds_in_words() {
        let schema = schema().unwrap();
        let kafka = &schema["$defs"]["KafkaSettings"]["properties"];
        assert_eq!(kafka["session_timeout"]["default"], "10s");
        assert_eq!(kafka["session_timeout"]["x-minimum"], "1s");
        assert_eq!(kafka["session_timeout"]["x-maximum"], "1h");
        assert_eq!(kafka["queue_bytes"]["default"], "64MiB");
        assert_eq!(kafka["queue_rows"]["minimum"], 1_000);
    }
}
