//! Why a call failed as a whole: a code each, its cause, and what an operator does about it.
//!
//! The codes stand in log lines, in `/readyz` and in dead letters. Cause and remedy stand beside them, so that
//! whoever meets a code is told the same everywhere. What a backend says about one record is no failure in this
//! sense: see [`crate::connector::Verdict`].

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

macro_rules! failure_codes {
    ($($name:ident = $code:literal, $cause:literal, $remedy:literal;)*) => {
        /// A kind of failure of a call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FailureCode {
            $(#[doc = concat!("`", $code, "`: ", $cause, ".")] $name,)*
        }

        impl FailureCode {
            /// All of them, in the order of their table.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the word that stands in logs, `/readyz` and dead letters.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Returns what went wrong, as a sentence without its full stop.
            pub const fn cause(self) -> &'static str {
                match self { $(Self::$name => $cause,)* }
            }

            /// Returns what an operator does about it.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

failure_codes! {
    // On the way to the backend.
    Dns = "dns", "the backend's host name has no address",
        "correct the host in the sink's `url` or `endpoint`, or this machine's DNS";
    ConnectionRefused = "connection_refused", "nothing listens at the backend's address and port",
        "start the backend, or correct host and port in the sink's `url` or `endpoint`";
    Unreachable = "unreachable", "no network route leads to the backend",
        "check this machine's network and the routes and firewalls on the way";
    ConnectTimeout = "connect_timeout", "the backend's host did not take the connection in time",
        "check that the host is up and that no firewall drops the connection";
    Connect = "connect", "the connection to the backend could not be made",
        "see the words of the system at the end of the cause";
    TlsUnknownCa = "tls_unknown_ca", "the backend's certificate is not signed by a trusted authority",
        "name the authority's PEM file as the sink's `ca_file`, or have the backend send its whole chain";
    TlsWrongHost = "tls_wrong_host", "the backend's certificate is for another host name",
        "use a name of the certificate in the sink's `url`, or have the certificate reissued";
    TlsExpired = "tls_expired", "the backend's certificate has expired or is not valid yet",
        "have the certificate renewed, and check both clocks";
    Tls = "tls", "no TLS session with the backend came about",
        "check that the port of the sink's `url` speaks TLS; OpenSSL's words stand at the end of the cause";
    Timeout = "timeout", "the backend did not answer within the sink's `timeout`",
        "see why the backend is slow, make batches smaller, or raise `timeout`";
    ConnectionLost = "connection_lost", "the connection broke before the answer was complete",
        "see the backend's or the proxy's log; the call is repeated under the same key";
    // What it answered.
    ServerError = "server_error", "the backend answered with a status of 500 or above",
        "see the backend's log; the call is repeated under the same key";
    Unauthorized = "unauthorized", "the backend does not accept the sink's token (401 or 403)",
        "renew the token in the variable that the sink's `token` names, or its rights, and restart the process";
    WrongUrl = "wrong_url", "the backend knows no such URL or takes no POST there (404 or 405)",
        "correct the path of the sink's `url`";
    Redirected = "redirected", "the backend redirects the call, which is not followed: a body or a token may get lost",
        "use the final address as the sink's `url`";
    UnexpectedStatus = "unexpected_status", "the backend's status says neither that the content was taken nor that it is wrong",
        "see the backend's log for the status in the audit";
    UnexpectedContent = "unexpected_content", "the backend answered success with a body that is no JSON, as a login page is",
        "correct `url` or `token`; a success has no body, or one of type application/json";
    UnreadableAnswer = "unreadable_answer", "the backend's answer to a batch is not of the documented form",
        "have the backend answer as `$defs/answer` of docs/schemas/erp-documents.v1.schema.json says";
    ReplyTooLarge = "reply_too_large", "the backend's answer is larger than 8 MiB",
        "have the backend answer with results only";
    ShortAnswer = "short_answer", "the connector answered for fewer records than the call had",
        "report it as a fault of Tillrace";
    // Files.
    BucketMissing = "bucket_missing", "there is no such bucket",
        "create the bucket, or correct the sink's `place`, `region` or `endpoint`";
    BucketDenied = "bucket_denied", "the bucket does not accept the sink's keys",
        "renew the keys that `s3` names, or allow them to list, get and put below the prefix";
    BucketFailed = "bucket_failed", "the bucket refused or failed",
        "see the bucket's words at the end of the cause";
    PlaceMissing = "place_missing", "the sink's folder is gone",
        "mount or restore the folder that `place` names; the process makes it anew when it starts";
    PlaceDenied = "place_denied", "the process may not read or write the sink's folder",
        "give its user the rights to the folder that `place` names";
    PlaceFull = "place_full", "the disk of the sink's folder is full",
        "make room on it; files older than each chain's last may be moved away";
    PlaceReadOnly = "place_read_only", "the disk of the sink's folder is mounted read-only",
        "see the system's log for why, repair the disk and mount it for writing";
    PlaceFailed = "place_failed", "reading or writing the sink's folder failed",
        "see the system's words at the end of the cause";
    PlaceTaken = "place_taken", "the sink's place belongs to another sink or to another log",
        "give each sink of each log a `place` of its own";
    ChainUnseen = "chain_unseen", "a file of that name exists in the place, but the place does not list it",
        "wait until the bucket lists what it stored; if it never does, it is not consistent enough";
    ChainContended = "chain_contended", "other writers took the name of the next file again and again",
        "see that the consumer group has no two members on one partition";
    FilesMissing = "files_missing", "files that were delivered are gone from the place",
        "restore the files of the range that the cause names";
    BelowCommitted = "below_committed", "records were to be written again that the group has committed",
        "stop the process that still works on an old assignment of the partition";
    ForeignFile = "foreign_file", "a file in the place has a name of ours and is none of ours, or is damaged",
        "restore it if it is ours, else move it away";
    EncodeFailed = "encode_failed", "rows could not be put into a Parquet file",
        "report it as a fault of Tillrace";
    NoCheckpoint = "no_checkpoint", "the aggregator has no checkpoint of the partition yet",
        "start the aggregator; it writes one with its first flush";
    LogUnavailable = "log_unavailable", "the log did not answer a question of the sink",
        "see the log's own condition";
    Cancelled = "cancelled", "a step of the call was cancelled because the process ends",
        "none: the call is made again after the restart";
}

impl FailureCode {
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_one_word_each_and_every_one_has_a_remedy() {
        let codes: BTreeSet<&str> = FailureCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), FailureCode::ALL.len());
        for code in FailureCode::ALL {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(code.as_str().bytes().all(plain), "{code}");
            assert!(!code.cause().is_empty() && !code.remedy().is_empty(), "{code}");
        }
    }

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
