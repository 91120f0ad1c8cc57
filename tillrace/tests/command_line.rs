//! What the commands print, exit with and leave on the disk, on the local log.

#![expect(clippy::unwrap_used, reason = "a test that cannot run a command has failed")]

mod process;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use process::{CommandLine, KEY};
use serde_json::Value;

fn tillrace(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tillrace"));
    command.args(words);
    command
}

fn printed(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn check_says_everything_and_its_exit_code_says_whether_it_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tillrace.yaml");
    let check = |yaml: &str, more: &[&str]| {
        fs::write(&file, yaml).unwrap();
        let output = tillrace(&["check", "--config"]).arg(&file).args(more).output().unwrap();
        (output.status.code(), printed(&output))
    };
    let (code, said) = check("log: {partitions: 0}\ntelemetry: {level: loud}\n", &[]);
    assert_eq!(code, Some(1), "{said}");
    let file_name = file.display();
    let level = "is no level; use error, warn, info, debug or trace, or PART=LEVEL, commas between";
    assert_eq!(
        said,
        format!(
            "warning: {file_name}:1: tenants: is empty: a gateway lets nobody in; add a tenant with a key\n\
             error: {file_name}:1: log.partitions: 0 is out of bounds; set it between 1 and 1000\n\
             error: {file_name}:2: telemetry.level: {level}\n\
             the configuration cannot be used: 2 errors\n"
        )
    );
    let data = folder.path().join("data");
    let odd = format!("data: {}\n", data.display());
    let (code, said) = check(&odd, &["--probe"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("log: {}/log can be used\n", data.display())), "{said}");
    assert!(said.contains("configuration can be used, with 1 warning: 0 tenants"), "{said}");
    assert!(!data.exists(), "a probe leaves nothing");
    assert_eq!(check(&odd, &["--deny-warnings"]).0, Some(1));
    let (code, said) = check(&format!("data: {file_name}/x\n"), &["--probe"]);
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn a_variable_that_is_not_utf_8_stops_no_command() {
    let strange = OsString::from_vec(vec![0xff]);
    for command in ["check", "sample"] {
        let output =
            tillrace(&[command]).env("SOMETHING", &strange).env("USER", &strange).output().unwrap();
        assert!(output.status.success(), "{command}: {}", printed(&output));
    }
    let output = tillrace(&["check"]).env("TILLRACE__DATA", &strange).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        printed(&output).contains("error: TILLRACE__DATA: is not UTF-8"),
        "{}",
        printed(&output)
    );
}

#[test]
fn release_needs_no_name_of_a_user() {
    let output =
        tillrace(&["release", "--help"]).env_remove("USER").env_remove("LOGNAME").output().unwrap();
    assert!(printed(&output).contains("[default: \"uid "), "{}", printed(&output));
    let folder = tempfile::tempdir().unwrap();
    let output = tillrace(&["release", "0/0", "--dry-run", "--data"])
        .arg(folder.path())
        .env_remove("USER")
        .env_remove("LOGNAME")
        .output()
        .unwrap();
    let said = printed(&output);
    assert!(!said.contains("--operator"), "{said}");
    assert!(said.contains("open the local log"), "{said}");
}

fn modes(folder: &Path, found: &mut Vec<(u32, bool)>) {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    found.push((mode(folder), true));
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { modes(&path, found) } else { found.push((mode(&path), false)) }
    }
}

#[test]
fn what_up_writes_is_its_owners_and_a_sample_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let command_line = CommandLine::new(&data, &[]);
    let tillrace = command_line.up();
    let sample = command(&["sample", "sale"]);
    assert_eq!(tillrace.post("/v1/events", &sample).1, r#"{"outcome":"accepted"}"#);
    assert_eq!(tillrace.post("/v1/events", &sample).1, r#"{"outcome":"duplicate"}"#);
    let transaction = &tillrace.wait_for("pos.transactions.v1", 1)[0]["value"];
    assert_eq!(transaction["verdict"], "first", "{transaction}");
    drop(tillrace);
    let mut found = Vec::new();
    modes(&data, &mut found);
    assert!(found.len() > 3, "{found:?}");
    for (mode, is_folder) in found {
        assert_eq!(mode & 0o077, 0, "{mode:o} of a {}", if is_folder { "folder" } else { "file" });
    }
}

#[test]
fn up_tells_a_key_that_it_made_and_not_one_that_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let line_of = |key: Option<&str>| {
        let mut up = tillrace(&["up", "--listen", "127.0.0.1:0", "--status", "127.0.0.1:0"]);
        up.arg("--data").arg(folder.path()).env_remove("TILLRACE_DEV_KEY");
        up.envs(key.map(|key| ("TILLRACE_DEV_KEY", key)));
        let mut up = up.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(up.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains("tenant")).unwrap();
        up.kill().unwrap();
        up.wait().unwrap();
        line
    };
    let given = line_of(Some(KEY));
    assert_eq!(given, "  tenant     demo, for development only; API key as in TILLRACE_DEV_KEY");
    let made = line_of(None);
    let kept = fs::read_to_string(folder.path().join("development-key")).unwrap();
    assert_eq!(made, format!("  tenant     demo, for development only; API key {kept}"));
}

fn command(words: &[&str]) -> String {
    let output = tillrace(words).output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_configuration_is_described_for_people_and_for_editors() {
    let schema: Value = serde_json::from_str(&command(&["config", "schema"])).unwrap();
    assert_eq!(schema["title"], "Configuration of tillrace");
    assert!(command(&["config", "reference"]).starts_with("# Configuration\n"));
}
