//! What the engine is built of: no C code, and of the log only the seam.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::process::Command;

/// Crates that compile or link C code.
const BUILDERS: [&str; 4] = ["bindgen", "cc", "cmake", "pkg-config"];

fn dependencies(edges: &str) -> Vec<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", "tillrace-core", "--edges", edges])
        .args(["--prefix", "none", "--format", "{p}|{f}", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8(tree.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_engine_and_its_tests_need_no_c_code() {
    let packages = dependencies("normal,build,dev");
    assert!(packages.len() > 10, "{packages:?}");
    for package in packages {
        let name = package.split(' ').next().unwrap();
        assert!(!name.ends_with("-sys") && !BUILDERS.contains(&name), "{name}");
    }
}

#[test]
fn the_engine_knows_the_seam_of_the_log_and_no_implementation() {
    let packages = dependencies("normal,build");
    let log = packages.iter().find(|package| package.starts_with("tillrace-log ")).unwrap();
    let (_, features) = log.split_once('|').unwrap();
    assert_eq!(features, "");
}
