//! Every relative link of the pages leads to a file of the repository.

#![expect(clippy::unwrap_used, reason = "a page that cannot be read has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// Pages below a folder, without what is built, fetched or pasted into another page.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && !["target", "src"].contains(&&*name) {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// Where the links of a page lead, as they are written.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

#[test]
fn every_link_of_a_page_leads_to_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    pages(&root, &mut found);
    assert!(found.len() > 30, "{found:?}");
    let mut broken = Vec::new();
    for page in &found {
        let text = fs::read_to_string(page).unwrap();
        let relative = targets(&text).filter(|target| !target.contains(':'));
        for target in relative {
            let file = target.split('#').next().unwrap_or_default();
            if !page.with_file_name(file).exists() && !file.is_empty() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
