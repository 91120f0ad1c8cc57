//! Settings from the environment, laid over those of the file.
//!
//! `TILLRACE__INGEST__LISTEN=0.0.0.0:80` sets `ingest.listen`; a number steps into a list. Values are read as YAML, so
//! that `8`, `true` and `[a, b]` mean what they mean in the file.

use anyhow::{Context, bail};
use serde_json::{Map, Value};

const PREFIX: &str = "TILLRACE__";

/// Lays every variable with the prefix over `tree`, in the order of their names.
///
/// # Errors
/// When a value is not YAML, or a path runs through something that is neither section nor list.
pub(super) fn overlay(
    tree: &mut Value,
    variables: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<()> {
    let mut overrides: Vec<_> = variables
        .filter_map(|(name, text)| Some((name.strip_prefix(PREFIX)?.to_ascii_lowercase(), text)))
        .collect();
    overrides.sort();
    for (path, text) in overrides {
        let value = serde_saphyr::from_str(&text).with_context(|| {
            format!("read the environment's {PREFIX}{} as YAML", path.to_ascii_uppercase())
        })?;
        set(tree, &path, value)
            .with_context(|| format!("set {} from the environment", path.replace("__", ".")))?;
    }
    Ok(())
}

fn set(tree: &mut Value, path: &str, value: Value) -> anyhow::Result<()> {
    let (name, rest) =
        path.split_once("__").map_or((path, None), |(name, rest)| (name, Some(rest)));
    if tree.is_null() {
        *tree = Value::Object(Map::new());
    }
    let place = match tree {
        Value::Object(section) => section.entry(name.to_owned()).or_insert(Value::Null),
        Value::Array(list) => name
            .parse::<usize>()
            .ok()
            .and_then(|index| list.get_mut(index))
            .with_context(|| format!("the list has no place {name}"))?,
        _ => bail!("{name} stands below a plain value"),
    };
    if let Some(rest) = rest {
        return set(place, rest, value);
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn overlaid(mut tree: Value, variables: &[(&str, &str)]) -> anyhow::Result<Value> {
        let variables = variables.iter().map(|&(name, text)| (name.to_owned(), text.to_owned()));
        overlay(&mut tree, variables)?;
        Ok(tree)
    }

    #[test]
    fn a_variable_reaches_sections_lists_and_what_was_not_there() {
        let tree = json!({"ingest": {"listen": "a"}, "sinks": [{"name": "erp"}]});
        let variables = [
            ("TILLRACE__INGEST__LISTEN", "0.0.0.0:80"),
            ("TILLRACE__SINKS__0__CONCURRENCY", "8"),
            ("TILLRACE__LOG__KAFKA__BROKERS", "b:9092"),
            ("OTHER", "x"),
        ];
        let expected = json!({
            "ingest": {"listen": "0.0.0.0:80"},
            "sinks": [{"name": "erp", "concurrency": 8}],
            "log": {"kafka": {"brokers": "b:9092"}},
        });
        assert_eq!(overlaid(tree, &variables).unwrap(), expected);
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named() {
        let error =
            overlaid(json!({"sinks": []}), &[("TILLRACE__SINKS__3__NAME", "x")]).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "set sinks.3.name from the environment: the list has no place 3"
        );
        let error =
            overlaid(json!({"namespace": "eu"}), &[("TILLRACE__NAMESPACE__X", "y")]).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "set namespace.x from the environment: x stands below a plain value"
        );
    }
}
