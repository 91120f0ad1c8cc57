use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use tillrace_books::reader::{DATA_STORE_HOLE, DATA_STORE_UNREADABLE};
use tillrace_core::aggregate::{PARTITION_STOPPED, RECORD_NEEDS_UPGRADE, RECORDS_UNREADABLE};
use tillrace_core::log_calls::LOG_NOT_ANSWERING;
use tillrace_core::restart::{PANICKED, RESTARTING_ROLE, STOPPED_ROLE};
use tillrace_ingest::{
    ACCEPT_FAILING, CERTIFICATE_EXPIRING, CERTIFICATE_KEPT, CERTIFICATE_LOADED, CONNECTIONS_CUT,
    KEY_USELESS, LOG_DOWN, LOG_STALLED, TOO_MANY_NAMES, WEAK_SETTINGS,
};
use tillrace_log::kafka::{self, KafkaFault};
use tillrace_log::local::{self, FileError, LocalFault};
use tillrace_sinks::engine::SINK_CONDITIONS;
use tillrace_sinks::failure::FailureCode;

use super::*;
use crate::lines::LINES;
use crate::roles::domain::DOMAIN_STOPPED;
use crate::roles::local_log::LOG_HELD;
use crate::roles::policy_follower::{CLIENT_UNUSABLE, POLICY_UNREADABLE};
use crate::roles::starting::{SETTINGS_UNKNOWN, STARTING};

const HEAD: &str = "\
# Errors

What an operator can meet, by the code that stands in `/readyz`, in the log and at the end of a failed command: what it means
and what to do. What happened where is in the text beside the code. Made from the code by a test; do not edit it here.
";

/// Every enum whose errors reach an operator.
fn sections() -> Vec<(&'static str, &'static [Explanation])> {
    vec![
        ("Starting: the configuration", ConfigurationError::EXPLANATIONS),
        ("Starting: a setting", SettingErrors::EXPLANATIONS),
        ("Starting: secrets", SecretError::EXPLANATIONS),
        ("Starting: log lines", TelemetryError::EXPLANATIONS),
        ("Starting: open files", DescriptorError::EXPLANATIONS),
        ("Starting: addresses", ListenError::EXPLANATIONS),
        ("Starting: TLS", TlsError::EXPLANATIONS),
        ("Starting: the gateway", GatewayError::EXPLANATIONS),
        ("The log", LogError::EXPLANATIONS),
        ("Apache Kafka", KafkaFault::EXPLANATIONS),
        ("The local log", LocalFault::EXPLANATIONS),
        ("Files of the local log", FileError::EXPLANATIONS),
        ("Conditions of the local log", local::CONDITIONS),
        ("The aggregator", AggregateError::EXPLANATIONS),
        (
            "Partitions of the aggregator",
            &[PARTITION_STOPPED, RECORD_NEEDS_UPGRADE, RECORDS_UNREADABLE],
        ),
        ("The gateway", &[LOG_DOWN, LOG_STALLED, WEAK_SETTINGS, TOO_MANY_NAMES, KEY_USELESS]),
        ("TLS", &[CERTIFICATE_KEPT, CERTIFICATE_EXPIRING, CERTIFICATE_LOADED]),
        ("Delivery: starting", StartError::EXPLANATIONS),
        ("Delivery: the client of a backend", BackendError::EXPLANATIONS),
        ("Delivery: calls and files", FailureCode::EXPLANATIONS),
        ("Delivery: what a backend says of a call", CallError::EXPLANATIONS),
        ("Delivery: what stands still", SINK_CONDITIONS),
        ("Delivery: why a sink stopped", SinkError::EXPLANATIONS),
        ("Delivery: its audit", AuditWriterError::EXPLANATIONS),
        ("The data store", StoreError::EXPLANATIONS),
        ("The data store: what it lacks", &[DATA_STORE_HOLE, DATA_STORE_UNREADABLE]),
        ("Starting on Kafka", &[STARTING, SETTINGS_UNKNOWN]),
        ("Policy set", &[POLICY_UNREADABLE, CLIENT_UNUSABLE]),
        ("Starting on the local log", &[LOG_HELD]),
        ("Any part", &[LOG_NOT_ANSWERING, RESTARTING_ROLE, STOPPED_ROLE, PANICKED, ACCEPT_FAILING]),
        ("Domains", &[DOMAIN_STOPPED]),
        ("Ending", DrainError::EXPLANATIONS),
        ("Ending: connections", &[CONNECTIONS_CUT]),
        ("Ending unasked", RoleError::EXPLANATIONS),
        ("Commands: how they are called", UsageError::EXPLANATIONS),
        ("Commands: check", ProbeError::EXPLANATIONS),
        ("Commands: release", ReleaseError::EXPLANATIONS),
        ("Commands: parked, refused", ParkedError::EXPLANATIONS),
        ("Commands: policy", PolicyError::EXPLANATIONS),
        ("Commands: register", RegisterError::EXPLANATIONS),
        ("Commands: client", ClientError::EXPLANATIONS),
        ("Commands: redrive", RedriveError::EXPLANATIONS),
        ("Commands: demo", DemoError::EXPLANATIONS),
        ("The system", system::EXPLANATIONS),
        ("Log lines: Apache Kafka", kafka::LINES),
        ("Log lines: the local log", local::LINES),
        ("Log lines: the process", LINES),
    ]
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (title, explanations) in sections() {
        writeln!(page, "\n## {title}").unwrap();
        for Explanation { code, meaning, remedy } in explanations {
            write!(page, "\n### `{code}`\n\n{meaning}\n\n**Remedy.** {remedy}\n").unwrap();
        }
    }
    page
}

#[test]
fn the_page_is_what_the_code_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = page();
    let made = root.join("target/errors.md");
    std::fs::write(&made, &page).unwrap();
    let found = std::fs::read_to_string(root.join("docs/errors.md")).unwrap_or_default();
    assert!(found == page, "docs/errors.md is not up to date: cp target/errors.md docs/errors.md");
}

#[test]
fn every_code_is_one_word_and_has_one_meaning_and_a_remedy() {
    let all: Vec<_> = sections().into_iter().flat_map(|(_, list)| list).collect();
    let codes: BTreeSet<_> = all.iter().map(|one| one.code).collect();
    assert_eq!(codes.len(), all.len(), "a code has two meanings");
    for Explanation { code, meaning, remedy } in all {
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
        assert!(meaning.ends_with('.') && remedy.ends_with('.'), "{code}");
    }
}

#[test]
fn the_cause_that_tells_most_is_explained() {
    let cause = Arc::new(KafkaFault::ShutOut);
    let log = LogError::ClientEnded { cause };
    let error = anyhow::Error::new(AggregateError::Log(log)).context("the aggregator stopped");
    assert_eq!(explanation(&error).code, "kafka_shut_out");
}

#[test]
fn every_error_of_a_command_has_a_remedy() {
    let io = |kind: io::ErrorKind| anyhow::Error::new(io::Error::from(kind)).context("print");
    assert_eq!(explanation(&io(io::ErrorKind::BrokenPipe)).code, "system_output_closed");
    assert_eq!(explanation(&io(io::ErrorKind::Other)).code, "system_failed");
    assert_eq!(explanation(&anyhow::Error::msg("what nobody foresaw")).code, "defect");
    let typed = UsageError::NoTerminal;
    assert_eq!(explanation(&anyhow::Error::new(typed).context("ask")).code, "usage_no_terminal");
}

#[test]
fn what_a_command_can_fail_with_is_on_the_page() {
    let page: BTreeSet<&str> =
        sections().into_iter().flat_map(|(_, list)| list).map(|one| one.code).collect();
    for (name, explanations) in OPERATOR_ERRORS {
        for Explanation { code, .. } in *explanations {
            assert!(page.contains(code), "{name}: {code}");
        }
    }
}

/// Error types that reach no operator as such, and why.
const CAUSES: &[(&str, &str)] = &[
    ("KafkaFault", "the cause in a LogError, which asks it for its explanation"),
    ("LocalFault", "the cause in a LogError, which asks it for its explanation"),
    ("FileError", "the cause in a LogError, which asks it for its explanation"),
    ("OwnerSays", "the cause in a LogError"),
    ("StateError", "the cause in AggregateError::State"),
    ("UnreadableReason", "the text of a record set aside"),
    ("RecordError", "the text of a dead letter, or of SinkError::Unreadable"),
    ("EnvelopeError", "the cause in UnreadableReason or RecordError"),
    ("FoldError", "the text of a row of the data store's table unreadable"),
    ("MappingError", "the cause in ParkedError::MappingUnusable"),
    ("UnknownZone", "a line of RegisterError::Faulty, or the text of a record set aside"),
    ("RandomError", "the cause of a command that makes a key"),
    ("ApplyError", "what ClientError is made of"),
    ("StartTextError", "a line of a Report, with a remedy of its own"),
    ("DocumentFault", "a line of PolicyError::Documents"),
    ("ValuesError", "the cause in PolicyError::Values"),
    ("TokenFault", "what is wrong with a token; the gateway takes none yet"),
    ("KeySetError", "what is wrong with an issuer's keys; the gateway asks none yet"),
    ("SettingError", "a line of SettingErrors or of a Report, with a remedy of its own"),
    ("YamlError", "a line of a Report, with a remedy of its own"),
    ("NetworkError", "a line of a Report, with a remedy of its own"),
    ("FingerprintError", "a line of a Report, with a remedy of its own"),
    ("HandshakeFault", "one client's handshake, told at DEBUG and counted"),
    ("ExemptRangeError", "a line of SettingErrors, with a remedy of its own"),
    ("IdError", "a line of SettingErrors, or what a sender is told: docs/problems.md"),
    (
        "BodyError",
        "what a sender is told: docs/problems.md; of a Parquet file, FailureCode::EncodeFailed",
    ),
    (
        "FileSequenceError",
        "the cause of FailureCode::ForeignFile, or the code of its FileStoreError",
    ),
    ("RowError", "the text of a dead letter"),
    ("PublishError", "the cause of FailureCode::FilesMissing and BelowCommitted"),
    ("FileFault", "a difference that a recount finds"),
    ("Malformed", "what a sender is told: docs/problems.md"),
    ("Rejection", "what a sender is told: docs/problems.md"),
    ("RateExceeded", "what a sender is told: docs/problems.md"),
    ("BudgetExhausted", "what a sender is told: docs/problems.md"),
    ("TooManyNames", "what a sender is told: docs/problems.md; the condition too_many_names"),
    ("ConnectionClosed", "simulated"),
];

#[test]
fn every_error_type_is_explained_or_known_to_be_a_cause() {
    let explained: BTreeSet<&str> = OPERATOR_ERRORS.iter().map(|(name, _)| *name).collect();
    let causes: BTreeSet<&str> = CAUSES.iter().map(|(name, _)| *name).collect();
    let found = error_types();
    let unknown: Vec<_> = found
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            !explained.contains(name) && !causes.contains(name)
        })
        .collect();
    assert!(
        unknown.is_empty(),
        "explain these, or say in CAUSES why no operator meets them: {unknown:#?}"
    );
    for (name, _) in CAUSES {
        assert!(found.iter().any(|(known, _)| known == name), "{name} is no error type any more");
    }
}

/// What ends a command has a type: an error that is only text has no remedy.
#[test]
fn no_error_of_the_executable_is_only_text() {
    for (path, text) in sources(&["tillrace/src".to_owned()]) {
        for word in ["bail!(", "ensure!(", "anyhow!("] {
            assert!(!text.contains(word), "{path}: {word} has no remedy; make it a variant");
        }
    }
}

/// A line that an operator reads can be looked up on the page.
#[test]
fn every_warning_and_error_line_has_a_code() {
    let mut lines = 0;
    for (path, text) in sources(&programs()) {
        for macro_name in ["tracing::warn!(", "tracing::error!("] {
            for line in text.split(macro_name).skip(1) {
                let line = line.split(");").next().unwrap_or_default();
                let mut words = line.split(|byte: char| !byte.is_alphanumeric() && byte != '_');
                assert!(words.any(|word| word == "code"), "{path}: {macro_name}{line})");
                lines += 1;
            }
        }
    }
    assert!(lines > 30, "{lines}");
}

/// Every type of the programs that derives an error, with its file.
fn error_types() -> Vec<(String, String)> {
    let mut types = Vec::new();
    for (path, text) in sources(&programs()) {
        let mut is_error = false;
        for line in text.lines() {
            is_error |= line.contains("thiserror::Error");
            let mut words = line.split(|byte: char| !byte.is_alphanumeric() && byte != '_');
            if is_error && words.any(|word| word == "enum" || word == "struct") {
                types.extend(words.next().map(|name| (name.to_owned(), path.clone())));
                is_error = false;
            }
        }
    }
    assert!(types.len() > 30, "{types:?}");
    types
}

/// Source folders of the crates that an operator runs.
fn programs() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let crates = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
    let crates = crates.filter(|entry| entry.path().join("Cargo.toml").exists());
    let names = crates.map(|entry| entry.file_name().into_string().unwrap());
    names
        .filter(|name| !["benches", "fuzz", "loadtest"].contains(&name.as_str()))
        .map(|name| format!("{name}/src"))
        .collect()
}

/// The files of those folders without their tests.
fn sources(folders: &[String]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut left: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut files = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
            files.push((path.display().to_string(), text));
        }
    }
    files
}
