//! What librdkafka says, passed on to the operator: its log lines and the errors of a client.

use std::sync::{Arc, OnceLock};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::Span;

use super::{lines, repeats};

/// Passes what librdkafka says on to `tracing`. It never speaks of keys or values of records.
#[derive(Debug, Clone, Default)]
pub(super) struct Diagnostics {
    login_refusal: Arc<OnceLock<String>>,
    lines: ClientLines,
}

/// The lines of one client. They stand in the span that the client was made in, as librdkafka calls from any thread.
#[derive(Debug, Clone)]
pub(super) struct ClientLines(Span);

impl Default for ClientLines {
    fn default() -> Self {
        Self(Span::current())
    }
}

impl ClientLines {
    /// Passes a line of librdkafka's log on.
    pub(super) fn line(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.0.in_scope(|| report_line(level, facility, line));
    }

    /// Passes an error of the client on.
    pub(super) fn error(&self, error: &KafkaError, reason: &str) {
        self.0.in_scope(|| report_error(error, reason));
    }
}

impl Diagnostics {
    /// What a broker said that did not take this client's credentials, if one ever did so.
    pub(super) fn login_refusal(&self) -> Option<&str> {
        self.login_refusal.get().map(String::as_str)
    }
}

impl ClientContext for Diagnostics {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.lines.line(level, fac, log_message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) {
            self.login_refusal.get_or_init(|| reason.to_owned());
        }
        self.lines.error(&error, reason);
    }
}

impl ConsumerContext for Diagnostics {}

/// Passes a line of librdkafka's log on. Every client of a process says the same of a broker that is away, again and again:
/// of a kind and a broker, one line a minute passes, the others are for debugging.
pub(super) fn report_line(level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        // librdkafka calls a broker that is away an error; it goes on trying by itself.
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => {
            if let Some(suppressed) = repeats::of_line(facility, line) {
                tracing::warn!(code = lines::CLIENT.code, facility, line, suppressed, "librdkafka");
            } else {
                tracing::debug!(facility, line, "librdkafka");
            }
        }
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            if let Some(suppressed) = repeats::of_line(facility, line) {
                tracing::info!(facility, line, suppressed, "librdkafka");
            } else {
                tracing::debug!(facility, line, "librdkafka");
            }
        }
        RDKafkaLogLevel::Debug => tracing::debug!(facility, line, "librdkafka"),
    }
}

/// Passes an error of a client on, unless it is only news that a partition was read to its end; one of a kind a minute
/// passes.
pub(super) fn report_error(error: &KafkaError, reason: &str) {
    let Some(code) = error.rdkafka_error_code() else {
        tracing::warn!(code = lines::CLIENT.code, %error, reason, "Kafka client");
        return;
    };
    if code == RDKafkaErrorCode::PartitionEOF {
        return;
    }
    if let Some(suppressed) = repeats::of_error(code) {
        tracing::warn!(code = lines::CLIENT.code, %error, reason, suppressed, "Kafka client");
    } else {
        tracing::debug!(%error, reason, "Kafka client");
    }
}
