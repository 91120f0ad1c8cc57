//! `docs/SECURITY.md` names tests; each must be there.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_the_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/SECURITY.md")).unwrap();
    let named: Vec<&str> = page.split('`').filter(|code| code.contains(".rs::")).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let Some((file, function)) = name.split_once("::") else { continue };
        // The page explains the notation by this.
        if function == "function" {
            continue;
        }
        let source = fs::read_to_string(root.join(file)).unwrap_or_default();
        assert!(source.contains(&format!("fn {function}(")), "{name} is gone");
    }
}
