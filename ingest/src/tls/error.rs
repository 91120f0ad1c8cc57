//! Why a listener's certificate cannot be used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use tillrace_log::explain;

/// A file that a listener needs for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFile {
    /// The certificate and its chain.
    Certificate,
    /// The private key.
    Key,
    /// The authorities of clients.
    ClientCa,
}

impl TlsFile {
    /// Returns its key in the settings.
    pub fn key(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
            Self::ClientCa => "client_ca",
        }
    }
}

impl fmt::Display for TlsFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.key())
    }
}

/// Why a listener's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the file of `{file}`, {}", path.display())]
    Unreadable {
        /// Which file.
        file: TlsFile,
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("the file of `{file}`, {}, holds none in PEM that can be read", path.display())]
    Malformed {
        /// Which file.
        file: TlsFile,
        /// Where it is.
        path: PathBuf,
        /// What OpenSSL said; nothing where it found nothing.
        source: ErrorStack,
    },
    /// The key is another certificate's.
    #[error("the key {} is not that of the first certificate in {}", key.display(), certificate.display())]
    KeyMismatch {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// A certificate of the chain is not valid any more.
    #[error("a certificate in {} expired on {expired}", path.display())]
    Expired {
        /// File of the certificate.
        path: PathBuf,
        /// When it expired.
        expired: String,
    },
    /// A certificate of the chain is not valid yet.
    #[error("a certificate in {} is not valid before {begins}", path.display())]
    NotYetValid {
        /// File of the certificate.
        path: PathBuf,
        /// From when it is.
        begins: String,
    },
    /// OpenSSL does not take them.
    #[error("OpenSSL does not take the certificate, its key or the authorities of clients")]
    Refused {
        /// What it said.
        source: ErrorStack,
    },
}

impl TlsError {
    pub(super) fn malformed(file: TlsFile, path: &Path, source: ErrorStack) -> Self {
        Self::Malformed { file, path: path.to_owned(), source }
    }

    pub(super) fn refused(source: ErrorStack) -> Self {
        Self::Refused { source }
    }

    /// Returns the file that it is about.
    pub fn file(&self) -> TlsFile {
        match self {
            Self::Unreadable { file, .. } | Self::Malformed { file, .. } => *file,
            Self::KeyMismatch { .. } => TlsFile::Key,
            Self::Expired { .. } | Self::NotYetValid { .. } | Self::Refused { .. } => {
                TlsFile::Certificate
            }
        }
    }
}

explain!(TlsError {
    Unreadable: "tls_file_unreadable",
        "A file that a listener needs for TLS is not there, or this process may not read it. At a start nothing was started; a \
         running listener keeps what it had.",
        "Correct the path in the `tls` section of the listener, or let the process's user read the file. `tillrace check` reads it \
         as the listener does.";
    Malformed: "tls_file_malformed",
        "A file that a listener needs for TLS is not PEM, holds something else than its key in the settings says, or is a key under a \
         passphrase.",
        "Put PEM there: BEGIN CERTIFICATE, the server's own first, for `certificate` and `client_ca`; BEGIN PRIVATE KEY without a \
         passphrase for `key` (openssl pkey -in KEY -out PLAIN_KEY takes it away).";
    KeyMismatch: "tls_key_mismatch",
        "The private key belongs to another certificate than the first of the certificate's file.",
        "Put the two that were issued together, and the server's own certificate first. Compare: openssl x509 -in CERTIFICATE -noout \
         -pubkey, and openssl pkey -in KEY -pubout.";
    Expired: "tls_certificate_expired",
        "The certificate, or an intermediate one behind it, is not valid any more, so that no client would take it.",
        "Renew it. If it is fresh, look at the clock of this machine.";
    NotYetValid: "tls_certificate_not_yet_valid",
        "The certificate, or an intermediate one behind it, begins in the future, so that no client would take it.",
        "Look at the clock of this machine, or wait until the certificate begins.";
    Refused: "tls_refused",
        "OpenSSL read the files and does not take what is in them: a key that is too short, say, or a signature by a broken hash.",
        "Issue a certificate with RSA of 2048 bits or more, or ECDSA over P-256, signed with SHA-256 or better.";
});

#[cfg(test)]
mod tests {
    use tillrace_log::explain::Explained;

    use super::*;

    #[test]
    fn an_error_names_the_key_in_the_settings() {
        let error = TlsError::malformed(TlsFile::ClientCa, Path::new("/a.pem"), ErrorStack::get());
        assert_eq!(error.file().key(), "client_ca");
        assert_eq!(
            error.to_string(),
            "the file of `client_ca`, /a.pem, holds none in PEM that can be read"
        );
        assert_eq!(error.explanation().code, "tls_file_malformed");
    }
}
