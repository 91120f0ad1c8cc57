//! The remedy of an error that ends a command, and the page of all of them.

use std::error::Error;
use std::sync::Arc;

use tillrace_core::aggregate::AggregateError;
use tillrace_core::explain::{Explained, Explanation};
use tillrace_core::log::LogError;
use tillrace_sinks::StartError;
use tillrace_sinks::engine::SinkError;

/// Returns what is known of the first cause that is explained.
pub(crate) fn explanation(error: &anyhow::Error) -> Option<&'static Explanation> {
    fn of<E: Explained + 'static>(cause: &(dyn Error + 'static)) -> Option<&'static Explanation> {
        cause.downcast_ref::<E>().map(Explained::explanation)
    }
    error.chain().find_map(|cause| {
        let sink = || cause.downcast_ref::<Arc<SinkError>>().map(|error| error.explanation());
        of::<AggregateError>(cause)
            .or_else(|| of::<LogError>(cause))
            .or_else(|| of::<StartError>(cause))
            .or_else(sink)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::Path;

    use tillrace_core::aggregate::{PARTITION_STOPPED, RECORDS_UNREADABLE};
    use tillrace_core::log::kafka::KafkaFault;
    use tillrace_core::log::local::{self, FileError, LocalFault};
    use tillrace_core::restart::{PANICKED, RESTARTING_ROLE, STOPPED_ROLE};
    use tillrace_ingest::{ACCEPT_FAILING, LOG_DOWN, LOG_STALLED, TOO_MANY_NAMES, WEAK_SETTINGS};
    use tillrace_sinks::engine::{JournalError, SINK_CONDITIONS};
    use tillrace_sinks::failure::FailureCode;

    use super::*;
    use crate::roles::starting::{SETTINGS_UNKNOWN, STARTING};

    const HEAD: &str = "\
# Errors

What an operator can meet, by the code that stands in `/readyz`, in the log and at the end of a failed command: what it means
and what to do. What happened where is in the text beside the code. Made from the code by a test; do not edit it here.
";

    /// Every enum whose errors reach an operator.
    fn sections() -> Vec<(&'static str, &'static [Explanation])> {
        vec![
            ("The log", LogError::EXPLANATIONS),
            ("Apache Kafka", KafkaFault::EXPLANATIONS),
            ("The local log", LocalFault::EXPLANATIONS),
            ("Files of the local log", FileError::EXPLANATIONS),
            ("Conditions of the local log", local::CONDITIONS),
            ("The aggregator", AggregateError::EXPLANATIONS),
            ("Partitions of the aggregator", &[PARTITION_STOPPED, RECORDS_UNREADABLE]),
            ("The gateway", &[LOG_DOWN, LOG_STALLED, WEAK_SETTINGS, TOO_MANY_NAMES]),
            ("Delivery: starting", StartError::EXPLANATIONS),
            ("Delivery: calls and files", FailureCode::EXPLANATIONS),
            ("Delivery: what stands still", SINK_CONDITIONS),
            ("Delivery: why a sink stopped", SinkError::EXPLANATIONS),
            ("Delivery: its audit", JournalError::EXPLANATIONS),
            ("Starting on Kafka", &[STARTING, SETTINGS_UNKNOWN]),
            ("Any part", &[RESTARTING_ROLE, STOPPED_ROLE, PANICKED, ACCEPT_FAILING]),
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
        assert!(
            found == page,
            "docs/errors.md is not up to date: cp target/errors.md docs/errors.md"
        );
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
        assert_eq!(explanation(&error).map(|known| known.code), Some("kafka_shut_out"));
    }
}
