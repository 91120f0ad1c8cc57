//! `docs/TLS.md` as it is typed: its commands, its configuration, and what it says they answer.

#![expect(clippy::unwrap_used, reason = "a test that cannot read an answer has failed")]
#![expect(clippy::print_stderr, reason = "a test that was not run says so")]

mod process;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use process::{CommandLine, until};

const PAGE: &str = include_str!("../../docs/TLS.md");

/// The first block of the page in a language that has these words.
fn block(language: &str, words: &str) -> &'static str {
    let mut blocks = PAGE.split("```").skip(1).step_by(2);
    blocks
        .find_map(|block| block.strip_prefix(language).filter(|block| block.contains(words)))
        .unwrap()
}

fn shell(folder: &Path, commands: &str) -> Output {
    let executable = Path::new(env!("CARGO_BIN_EXE_tillrace")).parent().unwrap();
    let commands = format!("PATH={}:$PATH\n{commands}", executable.display());
    Command::new("sh").args(["-ec", &commands]).current_dir(folder).output().unwrap()
}

/// What the page needs beside Tillrace.
fn has_tools() -> bool {
    let missing = ["openssl", "curl"]
        .into_iter()
        .find(|tool| Command::new(tool).arg("version").output().is_err());
    let Some(tool) = missing else { return true };
    assert!(std::env::var_os("CI").is_none(), "{tool} is absent");
    eprintln!("NOT RUN: {tool} is absent");
    false
}

#[test]
fn the_page_works_as_it_is_typed() {
    if !has_tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = shell(folder.path(), block("sh", "issue server"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let settings = block("yaml", "client_certificate:");
    let settings = settings.replace(" tls/", &format!(" {}/tls/", folder.path().display()));
    let path = folder.path().join("tls.yaml");
    fs::write(&path, &settings).unwrap();
    let arguments = ["--config", path.to_str().unwrap()];
    let command_line = CommandLine::new(folder.path(), &arguments);
    let checked = command_line.run(&["check"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success(), "{said}");
    for listener in ["ingest", "status_listener"] {
        let line = |days: u32| format!("{listener}.tls: the certificate is good for {days} days\n");
        assert!(said.contains(&line(90)) || said.contains(&line(89)), "{said}");
    }

    let tillrace = command_line.up();
    let (gateway, status) = tillrace.addresses();
    let commands = block("sh", "curl").replace("127.0.0.1:8443", gateway);
    let asked = shell(folder.path(), &commands.replace("127.0.0.1:8081", status));
    let said = String::from_utf8(asked.stdout).unwrap();
    assert!(asked.status.success(), "{said} {}", String::from_utf8_lossy(&asked.stderr));
    let (first, rest) = said.split_at(r#"{"outcome":"accepted"}"#.len());
    assert_eq!(first, r#"{"outcome":"accepted"}"#);
    assert!(rest.contains(r#""code":"client_certificate_required""#), "{rest}");
    assert!(rest.contains(r#""status":"ready""#), "{rest}");

    // New files are taken without a restart, and told where one sees it.
    let metric = |name: &str| {
        let ask = format!("curl -s --cacert tls/ca.pem https://{status}/metrics");
        let page = String::from_utf8(shell(folder.path(), &ask).stdout).unwrap();
        page.lines().any(|line| line.starts_with(name))
    };
    for listener in ["ingest", "status"] {
        let days =
            |days: u32| metric(&format!("tillrace_{listener}_tls_certificate_days_left {days}."));
        assert!(days(90) || days(89), "{listener}");
    }
    let renewed = "cp tls/server.pem tls/kept.pem && cp tls/till-7.pem tls/server.pem";
    assert!(shell(folder.path(), renewed).status.success());
    let kept = "tillrace_status_tls_certificate_loads_total{outcome=\"kept\"} 1";
    until("the pair that does not fit is told", || metric(kept).then_some(()));
    let ask = format!("curl -s --cacert tls/ca.pem https://{status}/readyz");
    let ready = String::from_utf8(shell(folder.path(), &ask).stdout).unwrap();
    assert!(ready.contains("certificate_kept") && ready.contains(r#""status":"ready""#), "{ready}");
    assert!(tillrace.terminate().success());

    let checked = command_line.run(&["check"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(!checked.status.success(), "{said}");
    let named = "error: ingest.tls.key: the key ";
    assert!(said.contains(named) && said.contains("were issued together"), "{said}");
}
