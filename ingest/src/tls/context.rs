//! From files to what OpenSSL serves with: everything is checked before it is used.
//!
//! Versions, ciphers and curves are Mozilla's *intermediate* configuration, version 5, as the `openssl` crate has it. Beyond it:
//! no renegotiation, no compression, and sessions are resumed by tickets only, whose keys live as long as this context. ADR 57 has
//! the reasons.

use std::fs;
use std::path::Path;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    AlpnError, SslAcceptor, SslContext, SslContextBuilder, SslMethod, SslOptions,
    SslSessionCacheMode, SslVerifyMode, SslVersion, select_next_proto,
};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use sha2::{Digest, Sha256};

use super::error::{TlsError, TlsFile};
use super::settings::{TlsSettings, TlsVersion};

const SECONDS_OF_DAY: f64 = 86_400.0;
/// OpenSSL wants one where client certificates are asked for, or it fails resumption.
const SESSION_ID_CONTEXT: &[u8] = b"tillrace";

/// What a listener speaks over TLS, for ALPN (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocols {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2, then HTTP/1.1.
    Http2AndHttp1,
}

impl Protocols {
    /// As ALPN writes them, each behind its length.
    fn on_the_wire(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"\x08http/1.1",
            Self::Http2AndHttp1 => b"\x02h2\x08http/1.1",
        }
    }
}

/// The bytes of the files.
pub(super) struct Material {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// What was made of them.
pub(super) struct Loaded {
    pub(super) context: SslContext,
    /// The certificate, and the intermediate ones.
    chain: Vec<X509>,
}

impl Material {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError::Unreadable`].
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let read = |file: TlsFile, path: &Path| {
            fs::read(path).map_err(|source| {
                let path = path.to_owned();
                TlsError::Unreadable { file, path, source }
            })
        };
        let client_ca = settings.client_ca.as_deref();
        Ok(Self {
            certificate: read(TlsFile::Certificate, &settings.certificate)?,
            key: read(TlsFile::Key, &settings.key)?,
            client_ca: client_ca.map(|path| read(TlsFile::ClientCa, path)).transpose()?,
        })
    }

    /// Returns what tells it from other contents of the files.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let parts = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        for part in parts.into_iter().flatten() {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// Makes what a listener serves with.
    ///
    /// # Errors
    /// [`TlsError`] when they are not what they should be, do not belong together, or are not valid now.
    pub(super) fn load(
        &self,
        settings: &TlsSettings,
        protocols: Protocols,
    ) -> Result<Loaded, TlsError> {
        let chain = certificates(TlsFile::Certificate, &settings.certificate, &self.certificate)?;
        for certificate in &chain {
            check_validity(&settings.certificate, certificate)?;
        }
        let key = private_key(&settings.key, &self.key)?;
        let Some((own, intermediate)) = chain.split_first() else {
            let (path, nothing) = (&settings.certificate, ErrorStack::get());
            return Err(TlsError::malformed(TlsFile::Certificate, path, nothing));
        };
        if !own.public_key().map_err(TlsError::refused)?.public_eq(&key) {
            return Err(TlsError::KeyMismatch {
                certificate: settings.certificate.clone(),
                key: settings.key.clone(),
            });
        }
        let authorities = match (&settings.client_ca, &self.client_ca) {
            (Some(path), Some(pem)) => Some(certificates(TlsFile::ClientCa, path, pem)?),
            _ => None,
        };
        let context = context((own, intermediate), &key, authorities, settings, protocols);
        let context = context.map_err(TlsError::refused)?;
        Ok(Loaded { context, chain })
    }
}

impl Loaded {
    /// Returns for how many days the certificate that expires first is good; less than nothing if it is not any more.
    ///
    /// # Errors
    /// When OpenSSL cannot read the clock.
    pub(super) fn days_left(&self) -> Result<f64, ErrorStack> {
        let now = Asn1Time::days_from_now(0)?;
        let mut least = f64::INFINITY;
        for certificate in &self.chain {
            least = least.min(days_between(&now, certificate.not_after())?);
        }
        Ok(least)
    }
}

fn days_between(from: &Asn1TimeRef, to: &Asn1TimeRef) -> Result<f64, ErrorStack> {
    let difference = from.diff(to)?;
    Ok(f64::from(difference.days) + f64::from(difference.secs) / SECONDS_OF_DAY)
}

fn certificates(file: TlsFile, path: &Path, pem: &[u8]) -> Result<Vec<X509>, TlsError> {
    let found = X509::stack_from_pem(pem);
    let found = found.map_err(|source| TlsError::malformed(file, path, source))?;
    if found.is_empty() {
        return Err(TlsError::malformed(file, path, ErrorStack::get()));
    }
    Ok(found)
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PKey<Private>, TlsError> {
    // Without a callback OpenSSL would ask for the passphrase on the terminal.
    let key = PKey::private_key_from_pem_callback(pem, |_passphrase| Ok(0));
    key.map_err(|source| TlsError::malformed(TlsFile::Key, path, source))
}

fn check_validity(path: &Path, certificate: &X509) -> Result<(), TlsError> {
    let now = Asn1Time::days_from_now(0).map_err(TlsError::refused)?;
    let path = || path.to_owned();
    if certificate.not_after() < now {
        let expired = certificate.not_after().to_string();
        return Err(TlsError::Expired { path: path(), expired });
    }
    if certificate.not_before() > now {
        let begins = certificate.not_before().to_string();
        return Err(TlsError::NotYetValid { path: path(), begins });
    }
    Ok(())
}

fn context(
    (own, intermediate): (&X509, &[X509]),
    key: &PKey<Private>,
    authorities: Option<Vec<X509>>,
    settings: &TlsSettings,
    protocols: Protocols,
) -> Result<SslContext, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_min_proto_version(Some(match settings.min_version {
        TlsVersion::Tls12 => SslVersion::TLS1_2,
        TlsVersion::Tls13 => SslVersion::TLS1_3,
    }))?;
    builder.set_options(SslOptions::NO_RENEGOTIATION | SslOptions::NO_COMPRESSION);
    builder.set_session_id_context(SESSION_ID_CONTEXT)?;
    builder.set_certificate(own)?;
    for certificate in intermediate {
        builder.add_extra_chain_cert(certificate.clone())?;
    }
    builder.set_private_key(key)?;
    builder.check_private_key()?;
    let offered = protocols.on_the_wire();
    builder.set_alpn_select_callback(move |_connection, asked| {
        // A client that asks for other protocols only is told so at once (RFC 7301, section 3.2).
        select_next_proto(offered, asked).ok_or(AlpnError::ALERT_FATAL)
    });
    match authorities {
        Some(authorities) => ask_clients(&mut builder, authorities, settings)?,
        None => builder.set_verify(SslVerifyMode::NONE),
    }
    // Tickets are enough: nothing is kept for a client that may come back.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    Ok(builder.build().into_context())
}

/// Has clients show a certificate of one of the authorities.
fn ask_clients(
    builder: &mut SslContextBuilder,
    authorities: Vec<X509>,
    settings: &TlsSettings,
) -> Result<(), ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for authority in authorities {
        builder.add_client_ca(&authority)?;
        store.add_cert(authority)?;
    }
    builder.set_verify_cert_store(store.build())?;
    builder.set_verify(if settings.require_client_certificate {
        SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT
    } else {
        SslVerifyMode::PEER
    });
    // A resumed session shows no certificate again: one that has expired since, or whose authority was removed, would go on.
    builder.set_options(SslOptions::NO_TICKET);
    builder.set_num_tickets(0)
}
