//! Why a call failed as a whole: a code each, its cause, and what an operator does about it.
//!
//! The codes stand in log lines, in `/readyz` and in dead letters. Cause and remedy stand beside them, so that
//! whoever meets a code is told the same everywhere. What a backend says about one record is no failure in this
//! sense: see [`crate::connector::Verdict`].

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use tillrace_log::explain::Explanation;

macro_rules! failure_codes {
    ($($name:ident = $code:literal, $meaning:literal, $remedy:literal;)*) => {
        /// A kind of failure of a call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FailureCode {
            $(#[doc = concat!("`", $code, "`: ", $meaning)] $name,)*
        }

        impl FailureCode {
            /// What is known of each, in the order of their table.
            pub const EXPLANATIONS: &[Explanation] =
                &[$(Explanation { code: $code, meaning: $meaning, remedy: $remedy }),*];

            /// Returns what is known of it.
            pub const fn explanation(self) -> &'static Explanation {
                match self {
                    $(Self::$name => {
                        &Explanation { code: $code, meaning: $meaning, remedy: $remedy }
                    })*
                }
            }
        }
    };
}

failure_codes! {
    // On the way to the backend.
    Dns = "dns",
        "The backend's host name has no address.",
        "Correct the host in the sink's `url` or `endpoint`, or this machine's DNS.";
    ConnectionRefused = "connection_refused",
        "Nothing listens at the backend's address and port.",
        "Start the backend, or correct host and port in the sink's `url` or `endpoint`.";
    Unreachable = "unreachable",
        "No network route leads to the backend.",
        "Check this machine's network and the routes and firewalls on the way.";
    ConnectTimeout = "connect_timeout",
        "The backend's host did not take the connection in time.",
        "Check that the host is up and that no firewall drops the connection.";
    Connect = "connect",
        "The connection to the backend could not be made.",
        "See the words of the system at the end of the cause.";
    TlsUnknownCa = "tls_unknown_ca",
        "The backend's certificate is not signed by a trusted authority.",
        "Name the authority's PEM file as the sink's `ca_file`, or have the backend send its whole chain.";
    TlsWrongHost = "tls_wrong_host",
        "The backend's certificate is for another host name.",
        "Use a name of the certificate in the sink's `url`, or have the certificate reissued.";
    TlsExpired = "tls_expired",
        "The backend's certificate has expired or is not valid yet.",
        "Have the certificate renewed, and check both clocks.";
    Tls = "tls",
        "No TLS session with the backend came about.",
        "Check that the port of the sink's `url` speaks TLS; OpenSSL's words stand at the end of the cause.";
    Timeout = "timeout",
        "The backend did not answer within the sink's `timeout`.",
        "See why the backend is slow, make batches smaller, or raise `timeout`.";
    ConnectionLost = "connection_lost",
        "The connection broke before the answer was complete.",
        "See the backend's or the proxy's log; the call is repeated under the same key.";
    // What it answered.
    ServerError = "server_error",
        "The backend answered with a status of 500 or above.",
        "See the backend's log; the call is repeated under the same key.";
    Unauthorized = "unauthorized",
        "The backend does not accept the sink's token (401 or 403).",
        "Renew the token in the variable that the sink's `token` names, or its rights, and restart the process.";
    WrongUrl = "wrong_url",
        "The backend knows no such URL or takes no POST there (404 or 405).",
        "Correct the path of the sink's `url`.";
    Redirected = "redirected",
        "The backend redirects the call, which is not followed: a body or a token may get lost.",
        "Use the final address as the sink's `url`.";
    UnexpectedStatus = "unexpected_status",
        "The backend's status says neither that the content was taken nor that it is wrong.",
        "See the backend's log for the status in the audit.";
    UnexpectedContent = "unexpected_content",
        "The backend answered success with a body that is no JSON, as a login page is.",
        "Correct `url` or `token`; a success has no body, or one of type application/json.";
    UnreadableAnswer = "unreadable_answer",
        "The backend's answer to a batch is not of the documented form.",
        "Have the backend answer as `$defs/answer` of docs/schemas/erp-documents.v1.schema.json says.";
    ReplyTooLarge = "reply_too_large",
        "The backend's answer is larger than 8 MiB.",
        "Have the backend answer with results only.";
    ShortAnswer = "short_answer",
        "The connector answered for fewer records than the call had.",
        "Report it as a fault of Tillrace.";
    // Files.
    BucketMissing = "bucket_missing",
        "There is no such bucket.",
        "Create the bucket, or correct the sink's `place`, `region` or `endpoint`.";
    BucketDenied = "bucket_denied",
        "The bucket does not accept the sink's keys.",
        "Renew the keys that `s3` names, or allow them to list, get and put below the prefix.";
    BucketFailed = "bucket_failed",
        "The bucket refused or failed.",
        "See the bucket's words at the end of the cause.";
    PlaceMissing = "place_missing",
        "The sink's folder is gone.",
        "Mount or restore the folder that `place` names; the process makes it anew when it starts.";
    PlaceDenied = "place_denied",
        "The process may not read or write the sink's folder.",
        "Give its user the rights to the folder that `place` names.";
    PlaceFull = "place_full",
        "The disk of the sink's folder is full.",
        "Make room on it; files older than each chain's last may be moved away.";
    PlaceReadOnly = "place_read_only",
        "The disk of the sink's folder is mounted read-only.",
        "See the system's log for why, repair the disk and mount it for writing.";
    PlaceFailed = "place_failed",
        "Reading or writing the sink's folder failed.",
        "See the system's words at the end of the cause.";
    PlaceTaken = "place_taken",
        "The sink's place belongs to another sink or to another log.",
        "Give each sink of each log a `place` of its own, and a sink that loses its place a new name too: it then delivers from the \
         start of what the log keeps. If the place is this sink's after all, correct `_tillrace.json` there.";
    ChainUnseen = "chain_unseen",
        "A file of that name exists in the place, but the place does not list it.",
        "Wait until the bucket lists what it stored; if it never does, it is not consistent enough.";
    ChainContended = "chain_contended",
        "Other writers took the name of the next file again and again.",
        "See that the consumer group has no two members on one partition.";
    FilesMissing = "files_missing",
        "Files that were delivered are gone from the place.",
        "Restore the files of the range that the cause names.";
    BelowCommitted = "below_committed",
        "Records were to be written again that the group has committed.",
        "Stop the process that still works on an old assignment of the partition.";
    ForeignFile = "foreign_file",
        "A file in the place has a name of ours and is none of ours, or is damaged.",
        "Restore it if it is ours, else move it away.";
    EncodeFailed = "encode_failed",
        "Rows could not be put into a Parquet file.",
        "Report it as a fault of Tillrace.";
    NoCheckpoint = "no_checkpoint",
        "The aggregator has no checkpoint of the partition yet.",
        "Start the aggregator; it writes one with its first flush.";
    LogUnavailable = "log_unanswered",
        "The log did not answer a question of the sink.",
        "See the log's own condition.";
    Cancelled = "cancelled",
        "A step of the call was cancelled because the process ends.",
        "None: the call is made again after the restart.";
}

impl FailureCode {
    /// Returns the word that stands in logs, `/readyz` and dead letters.
    pub const fn as_str(self) -> &'static str {
        self.explanation().code
    }

    /// Tells why a connection could not be made, from what the error and its sources are.
    ///
    /// What OpenSSL and the resolver found is known to their layers only by its text: the words looked for are
    /// those of `X509_verify_cert_error_string` (OpenSSL 3) and of hyper-util's connector.
    pub(crate) fn of_connection(error: &(dyn Error + 'static)) -> Self {
        const BY_WORDS: [(&str, FailureCode); 9] = [
            ("dns error", FailureCode::Dns),
            ("hostname mismatch", FailureCode::TlsWrongHost),
            ("IP address mismatch", FailureCode::TlsWrongHost),
            ("certificate has expired", FailureCode::TlsExpired),
            ("certificate is not yet valid", FailureCode::TlsExpired),
            ("self-signed certificate", FailureCode::TlsUnknownCa),
            ("issuer certificate", FailureCode::TlsUnknownCa),
            ("unable to verify the first certificate", FailureCode::TlsUnknownCa),
            ("SSL routines", FailureCode::Tls),
        ];
        let text = ErrorChain(error).to_string();
        let by_words = BY_WORDS.iter().find(|(words, _)| text.contains(words));
        if let Some((_, code)) = by_words {
            return *code;
        }
        let mut kinds = sources(error).filter_map(|source| source.downcast_ref::<io::Error>());
        kinds
            .find_map(|error| match error.kind() {
                ErrorKind::ConnectionRefused => Some(Self::ConnectionRefused),
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                    Some(Self::Unreachable)
                }
                ErrorKind::TimedOut => Some(Self::ConnectTimeout),
                _ => None,
            })
            .unwrap_or(Self::Connect)
    }

    /// Tells why a folder could not be read or written.
    pub(crate) fn of_file(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::PlaceMissing,
            ErrorKind::PermissionDenied => Self::PlaceDenied,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::PlaceFull,
            ErrorKind::ReadOnlyFilesystem => Self::PlaceReadOnly,
            _ => Self::PlaceFailed,
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// An error with its sources, joined by colons, each once.
pub(crate) struct ErrorChain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = String::new();
        for source in sources(self.0) {
            let text = source.to_string();
            // A transparent layer says what its source says.
            if text != last {
                let separator = if last.is_empty() { "" } else { ": " };
                write!(formatter, "{separator}{text}")?;
                last = text;
            }
        }
        Ok(())
    }
}

pub(crate) fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_says_what_it_lacks() {
        for (errno, code) in [
            (28, FailureCode::PlaceFull),
            (30, FailureCode::PlaceReadOnly),
            (13, FailureCode::PlaceDenied),
            (2, FailureCode::PlaceMissing),
            (5, FailureCode::PlaceFailed),
        ] {
            assert_eq!(FailureCode::of_file(&io::Error::from_raw_os_error(errno)), code);
        }
    }
}
