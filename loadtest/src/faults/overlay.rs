//! Settings laid over others.

use serde_json::Value;

/// Lays one tree over another: objects are joined, anything else is replaced.
pub(crate) fn overlay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_laid_over_another_replaces_leaves_only() {
        let mut base = json!({"log": {"partitions": 4, "local": {"seal_after": "1s"}}});
        overlay(&mut base, json!({"log": {"local": {"segment_bytes": "64KiB"}}, "data": "d"}));
        assert_eq!(
            base,
            json!({
                "log": {"partitions": 4, "local": {"seal_after": "1s", "segment_bytes": "64KiB"}},
                "data": "d",
            })
        );
    }
}
