//! Paths that can be compared.

use std::path::{Component, Path, PathBuf};

/// Writes a path as it is without links, `.` and `..`, also where its end does not exist yet.
pub fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_empty| path.to_owned());
    for ancestor in absolute.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), absolute.strip_prefix(ancestor)) {
            return without_steps_back(&real.join(rest));
        }
    }
    without_steps_back(&absolute)
}

fn without_steps_back(path: &Path) -> PathBuf {
    let mut steps = PathBuf::new();
    for step in path.components() {
        match step {
            Component::ParentDir => drop(steps.pop()),
            Component::CurDir => {}
            step => steps.push(step),
        }
    }
    steps
}
