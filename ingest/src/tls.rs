//! TLS of a listener: certificates from files, handshakes in bounds, who the client proved to be.
//!
//! OpenSSL does all cryptography (ADR 5); what is asked of it is in
//! `context` and ADR 57. The listener ([`crate::layers`]) calls this after the PROXY header and its list of
//! addresses, and before anything of HTTP is read.

mod certificates;
mod context;
mod error;
mod handshake;
mod identity;
mod metrics;
mod settings;

pub(crate) use certificates::Certificates;
pub use certificates::{CERTIFICATE_EXPIRING, CERTIFICATE_KEPT, CERTIFICATE_LOADED};
pub(crate) use context::Protocols;
pub use error::{TlsError, TlsFile};
pub(crate) use handshake::{Handshake, TlsAcceptor};
pub(crate) use identity::PeerIdentity;
pub use identity::{CertificateBinding, Fingerprint, FingerprintError};
pub use settings::{TlsSettings, TlsVersion};
