//! Keys that had another name before: accepted, each with a warning that gives the new name.

use super::node::{Content, Node};

/// Paths of old keys, `[]` for any item of a list, each with the new name of its last key.
const RENAMED_KEYS: [(&str, &str); 2] =
    [("sinks[].to.place", "location"), ("sinks[].flow.in_hand", "in_flight")];

/// An old key that is in use: its path, and its new name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RenamedKey {
    pub(super) path: String,
    pub(super) new_name: &'static str,
}

/// Returns every old key of a tree. A section that has the new key as well keeps the old one, which is then unknown.
pub(super) fn find(tree: &Node) -> Vec<RenamedKey> {
    let mut found = Vec::new();
    for (pattern, new_name) in RENAMED_KEYS {
        walk(&mut tree.clone(), pattern, new_name, "", &mut found);
    }
    found
}

/// Gives every old key its new name.
pub(super) fn rename(tree: &mut Node) {
    for (pattern, new_name) in RENAMED_KEYS {
        walk(tree, pattern, new_name, "", &mut Vec::new());
    }
}

fn walk(
    node: &mut Node,
    pattern: &str,
    new_name: &'static str,
    path: &str,
    renamed: &mut Vec<RenamedKey>,
) {
    match (&mut node.content, pattern.strip_prefix("[]")) {
        (Content::List(items), Some(rest)) => {
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, rest, new_name, &format!("{path}[{index}]"), renamed);
            }
        }
        (Content::Map(entries), None) => {
            let end = pattern.find(['.', '[']).unwrap_or(pattern.len());
            let (key, rest) = pattern.split_at(end);
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            let has_new = entries.iter().any(|(name, _)| name == new_name);
            let Some((name, value)) = entries.iter_mut().find(|(name, _)| name == key) else {
                return;
            };
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{key}");
            if !rest.is_empty() {
                walk(value, rest, new_name, &path, renamed);
            } else if !has_new {
                new_name.clone_into(name);
                renamed.push(RenamedKey { path, new_name });
            }
        }
        _ => {}
    }
}
