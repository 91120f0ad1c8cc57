//! The published description of the HTTP interface lists every code there is, and no other.

use std::collections::BTreeSet;

use tillrace_core::decode::RejectCode;
use tillrace_ingest::{Problem, Reason};

const DOCUMENT: &str = include_str!("../../docs/schemas/openapi.yaml");

#[test]
fn every_code_is_published() {
    let (_, codes) = DOCUMENT.split_once("      enum:\n        - malformed_batch\n").unwrap();
    let published: BTreeSet<&str> = codes
        .lines()
        .map_while(|line| line.strip_prefix("        - "))
        .chain(["malformed_batch"])
        .collect();
    let problems = Problem::ALL.iter().map(|problem| problem.code());
    let reasons = Reason::OWN.iter().map(|reason| reason.code());
    let events = RejectCode::ALL.iter().map(|code| code.as_str());
    let known: BTreeSet<&str> = problems.chain(reasons).chain(events).collect();
    assert_eq!(published, known);
}

/// Statuses that problems and refusals have, each described at some path.
#[test]
fn every_status_is_described() {
    let statuses = Problem::ALL.iter().map(|problem| problem.status());
    let events = RejectCode::ALL.iter().map(|code| Reason::Event(*code).status());
    let own = Reason::OWN.iter().map(|reason| reason.status());
    for status in statuses.chain(events).chain(own) {
        let described = DOCUMENT.contains(&format!("        '{}':", status.as_u16()));
        assert!(described || status == 404, "{status} is not described");
    }
}

/// Records of refused events carry these codes, and those who read them check them against the schema.
#[test]
fn every_code_fits_the_schema_of_refused_events() {
    const SCHEMA: &str = include_str!("../../docs/schemas/rejected.v1.schema.json");
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let code_schema = jsonschema::validator_for(&schema["properties"]["code"]).unwrap();
    let events = RejectCode::ALL.iter().map(|code| code.as_str());
    for code in events.chain(Reason::OWN.iter().map(|reason| reason.code())) {
        assert!(code_schema.is_valid(&code.into()), "{code}");
    }
    assert!(!code_schema.is_valid(&"Invalid UTF-8".into()));
}

#[cfg(test)]
mod event {
    use std::fmt::Write as _;
    use std::path::Path;

    use serde_json::{Map, Value, json};

    use super::DOCUMENT;

    const EVENT_SCHEMA: &str = include_str!("../../docs/schemas/event.v1.schema.json");
    /// Ends what of the document is written by hand.
    const MADE: &str = "Do not edit it here.\n";

    /// Parts of an event that are objects, and so get types of their own in generated clients.
    const OBJECTS: [(&str, &str); 16] = [
        ("reference", "Reference"),
        ("line", "Line"),
        ("discount", "Discount"),
        ("tax", "Tax"),
        ("tender", "Tender"),
        ("totals", "Totals"),
        ("session", "Session"),
        ("order", "Order"),
        ("fiscal", "Fiscal"),
        ("approval", "Approval"),
        ("declaration", "Declaration"),
        ("component", "Component"),
        ("age_check", "AgeCheck"),
        ("tax_exemption", "TaxExemption"),
        ("stored_value", "StoredValue"),
        ("foreign", "Foreign"),
    ];

    /// Generators know neither relative files nor schemas of `null`, and of `if` they make types that nobody can fill in.
    #[test]
    fn the_event_is_described_for_generators_as_its_schema_says() {
        let schema: Value = serde_json::from_str(EVENT_SCHEMA).unwrap();
        let mut components = Map::new();
        components.insert("Event".to_owned(), object(&schema, &schema));
        for (name, component) in OBJECTS {
            components.insert(component.to_owned(), object(&schema["$defs"][name], &schema));
        }
        let (by_hand, _) = DOCUMENT.split_once(MADE).unwrap();
        let mut expected = format!("{by_hand}{MADE}");
        for (name, component) in &components {
            let text = serde_json::to_string_pretty(component).unwrap().replace('\n', "\n    ");
            writeln!(expected, "    {name}: {text}").unwrap();
        }
        let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi.yaml");
        std::fs::write(&written, &expected).unwrap();
        let command = format!("cp {} docs/schemas/openapi.yaml", written.display());
        assert!(DOCUMENT == expected, "the schema of events has changed: {command}");
    }

    /// An object of the schema with its members only.
    fn object(definition: &Value, schema: &Value) -> Value {
        let mut made = json!({ "type": "object", "properties": {} });
        for kept in ["description", "required"] {
            if let Some(value) = definition.get(kept) {
                made[kept] = value.clone();
            }
        }
        for (name, member) in definition["properties"].as_object().unwrap() {
            made["properties"][name] = for_senders(member, schema);
        }
        made
    }

    /// A member as a sender fills it in.
    fn for_senders(member: &Value, schema: &Value) -> Value {
        let mut made = member.clone();
        if let Some(choices) = member.get("anyOf").and_then(Value::as_array) {
            let mut choices = choices.iter().filter(|choice| choice["type"] != "null");
            let choice = choices.next().unwrap();
            made = if choices.next().is_some() {
                // One of our words or one of the sender's own, of which generators make a type that nobody can fill in.
                merged(&made, json!({ "type": "string", "examples": choice["enum"] }), "anyOf")
            } else {
                merged(&made, for_senders(choice, schema), "anyOf")
            };
        }
        if let Some(name) = made["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            if let Some((_, component)) = OBJECTS.iter().find(|(object, _)| *object == name) {
                return json!({ "$ref": format!("#/components/schemas/{component}") });
            }
            let referred = for_senders(&schema["$defs"][name], schema);
            made = merged(&made, referred, "$ref");
        }
        let members = made.as_object_mut().unwrap();
        if let Some(types) = members.get("type").and_then(Value::as_array) {
            let known = types.iter().find(|one| *one != "null").unwrap().clone();
            members.insert("type".to_owned(), known);
        }
        if let Some(words) = members.get("enum").and_then(Value::as_array).cloned() {
            let words = words.into_iter().filter(|word| !word.is_null()).collect();
            members.insert("enum".to_owned(), Value::Array(words));
            members.insert("type".to_owned(), json!("string"));
        }
        if let Some(items) = members.get("items").cloned() {
            members.insert("items".to_owned(), for_senders(&items, schema));
        }
        if members.get("type") == Some(&json!("integer")) {
            members.insert("format".to_owned(), json!("int64"));
        }
        if members.contains_key("format") {
            // A generated client holds the pattern against a date or a time, not against its text.
            members.remove("pattern");
        }
        made
    }

    /// What a member refers to, with what the member itself says of it.
    fn merged(member: &Value, mut referred: Value, but: &str) -> Value {
        for (name, value) in member.as_object().unwrap() {
            if name != but {
                referred[name] = value.clone();
            }
        }
        referred
    }
}
