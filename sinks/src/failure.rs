//! Failure codes of calls that failed as a whole, each with its meaning and its remedy for operators.
//!
//! The codes appear in log lines, in `/readyz` and in dead letters, everywhere with the same meaning and remedy.
//! What a backend answers about one record is not a failure in this sense: see [`crate::connector::RecordOutcome`].

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
            /// The explanations of all codes, in the order of their table.
            pub const EXPLANATIONS: &[Explanation] =
                &[$(Explanation { code: $code, meaning: $meaning, remedy: $remedy }),*];

            /// Returns the code with its meaning and remedy.
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
        "See the system's message at the end of the cause.";
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
        "The TLS handshake with the backend failed.",
        "Check that the port of the sink's `url` speaks TLS; the cause ends with OpenSSL's message.";
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
        "The backend has no such URL, or does not accept POST there (404 or 405).",
        "Correct the path of the sink's `url`.";
    Redirected = "redirected",
        "The backend redirects the call, which is not followed: a body or a token may get lost.",
        "Use the final address as the sink's `url`.";
    UnexpectedStatus = "unexpected_status",
        "The backend's status tells neither that the content was accepted nor that it is wrong.",
        "See the backend's log for the status in the audit.";
    UnexpectedContent = "unexpected_content",
        "The backend answered success with a body that is not JSON, such as a login page.",
        "Correct `url` or `token`; a success has no body, or one of type application/json.";
    UnreadableAnswer = "unreadable_answer",
        "The backend's answer to a batch does not have the documented form.",
        "Have the backend answer as `$defs/answer` of docs/schemas/erp-documents.v1.schema.json says.";
    ReplyTooLarge = "reply_too_large",
        "The backend's answer is larger than 8 MiB.",
        "Have the backend answer with results only.";
    ShortAnswer = "short_answer",
        "The connector answered for fewer records than the call had.",
        "Report it as a fault of Tillrace.";
    // Files.
    BucketMissing = "bucket_missing",
        "The bucket does not exist.",
        "Create the bucket, or correct the sink's `location`, `region` or `endpoint`.";
    BucketDenied = "bucket_denied",
        "The bucket does not accept the sink's keys.",
        "Renew the keys that `s3` names, or allow them to list, get and put below the prefix.";
    BucketFailed = "bucket_failed",
        "The bucket refused or failed.",
        "See the bucket's message at the end of the cause.";
    FolderMissing = "folder_missing",
        "The sink's folder does not exist.",
        "Mount or restore the folder that `location` names; the process creates it when it starts.";
    FolderDenied = "folder_denied",
        "The process may not read or write the sink's folder.",
        "Give the process's user the rights to the folder that `location` names.";
    FolderFull = "folder_full",
        "The disk of the sink's folder is full.",
        "Make room on the disk; all files but the last of each partition may be moved away.";
    FolderReadOnly = "folder_read_only",
        "The disk of the sink's folder is mounted read-only.",
        "See the system's log for why, repair the disk and mount it for writing.";
    FolderFailed = "folder_failed",
        "Reading or writing the sink's folder failed.",
        "See the system's message at the end of the cause.";
    LocationTaken = "location_taken",
        "The sink's location belongs to another sink or to another log.",
        "Give each sink of each log a `location` of its own, and a sink that loses its location a new name too: it then delivers from the \
         start of what the log keeps. If the location is this sink's after all, correct `_tillrace.json` there.";
    FileUnlisted = "file_unlisted",
        "A file of that name exists, but the bucket or folder does not list it.",
        "Wait until the bucket lists what it stored; if it never does, it is not consistent enough.";
    FileNameContended = "file_name_contended",
        "Other writers repeatedly published the next file first.",
        "Check that no two members of the consumer group own one partition.";
    FilesMissing = "files_missing",
        "Files that were delivered are missing.",
        "Restore the files of the range that the cause names.";
    BelowCommitted = "below_committed",
        "Records that the group has committed were about to be written again.",
        "Stop the process that still works on an old assignment of the partition.";
    ForeignFile = "foreign_file",
        "A file has a name that Tillrace gives, but Tillrace did not write it, or it is damaged.",
        "Restore the file if Tillrace wrote it; otherwise move it away.";
    EncodeFailed = "encode_failed",
        "Rows could not be encoded as a Parquet file.",
        "Report it as a fault of Tillrace.";
    NoCheckpoint = "no_checkpoint",
        "The aggregator has no checkpoint of the partition yet.",
        "Start the aggregator; it writes one with its first flush.";
    LogUnavailable = "log_unanswered",
        "The log did not answer a request of the sink.",
        "See the log's own condition.";
    Cancelled = "cancelled",
        "A step of the call was cancelled because the process ends.",
        "None: the call is made again after the restart.";
}

impl FailureCode {
    /// Returns the code as logs, `/readyz` and dead letters have it.
    pub const fn as_str(self) -> &'static str {
        self.explanation().code
    }

    /// Maps the error of a connection, and its sources, to a code.
    ///
    /// Errors of OpenSSL and the resolver carry their reason only as text; the patterns are those of
    /// `X509_verify_cert_error_string` (OpenSSL 3) and of hyper-util's connector.
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

    /// Maps the error of a folder to a code.
    pub(crate) fn of_file(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::FolderMissing,
            ErrorKind::PermissionDenied => Self::FolderDenied,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::FolderFull,
            ErrorKind::ReadOnlyFilesystem => Self::FolderReadOnly,
            _ => Self::FolderFailed,
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Formats an error with its sources, joined by colons, without repetition.
pub(crate) struct ErrorChain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = String::new();
        for source in sources(self.0) {
            let text = source.to_string();
            // A transparent layer repeats the text of its source.
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
    fn errors_of_a_disk_have_codes_of_their_own() {
        for (errno, code) in [
            (28, FailureCode::FolderFull),
            (30, FailureCode::FolderReadOnly),
            (13, FailureCode::FolderDenied),
            (2, FailureCode::FolderMissing),
            (5, FailureCode::FolderFailed),
        ] {
            assert_eq!(FailureCode::of_file(&io::Error::from_raw_os_error(errno)), code);
        }
    }
}
