//! The kinds of resources that this version knows, each with the type of its spec.

use serde::Deserialize as _;
use serde_json::Value;
use tillrace_ingest::ClientSettings;
use tillrace_log::setting::Inspection;
use tillrace_policy::Kind;

/// Every kind.
pub(crate) const KINDS: &[Kind] =
    &[Kind { name: "Client", schema: client_schema, inspect: inspect_client, retain_keys }];

fn client_schema() -> Value {
    schemars::schema_for!(ClientSettings).to_value()
}

fn inspect_client(spec: &Value, found: &mut Inspection) {
    match ClientSettings::deserialize(spec) {
        Ok(client) => {
            let remedy = "remove it: a client has the name of its document";
            found.require(client.name.is_empty(), "name", "stands in the spec", remedy);
            // Names of documents are ids already.
            ClientSettings { name: "client".to_owned(), ..client }.inspect(found);
        }
        Err(error) => {
            let remedy = "`tillrace policy schema Client` prints what is allowed";
            found.error("", error.to_string(), remedy);
        }
    }
}

fn retain_keys(spec: &mut Value, stays: &mut dyn FnMut(&str) -> bool) {
    if let Some(keys) = spec.get_mut("keys").and_then(Value::as_array_mut) {
        keys.retain(|key| key.get("hash").and_then(Value::as_str).is_none_or(&mut *stays));
    }
}
