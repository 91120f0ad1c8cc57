//! A certificate authority for tests, the files of a listener, and clients that trust it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslConnector, SslMethod, SslSessionCacheMode, SslVersion};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::TlsSettings;

static SERIAL: AtomicU32 = AtomicU32::new(1);

/// A certificate and its key.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) certificate: X509,
    pub(super) key: PKey<Private>,
}

/// An authority.
pub(super) struct Authority(Issued);

/// A folder with the files of a listener.
pub(super) struct Files {
    folder: tempfile::TempDir,
}

/// A client that trusts an authority.
pub(super) struct Client {
    trusted: X509,
    shown: Option<Issued>,
    alpn: &'static [u8],
    version: Option<SslVersion>,
    names_server: bool,
    tickets: Arc<AtomicU32>,
}

fn certificate(
    name: &str,
    days: [i64; 2],
    extend: impl FnOnce(&mut X509Builder),
) -> (X509Builder, PKey<Private>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let at = |days: i64| Asn1Time::from_unix(now.cast_signed() + days * 86_400).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(SERIAL.fetch_add(1, Ordering::Relaxed)).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject.build()).unwrap();
    builder.set_not_before(&at(days[0])).unwrap();
    builder.set_not_after(&at(days[1])).unwrap();
    builder.set_pubkey(&key).unwrap();
    extend(&mut builder);
    (builder, key)
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let (mut builder, key) = certificate(name, [-1, 3650], |builder| {
            builder
                .append_extension(BasicConstraints::new().critical().ca().build().unwrap())
                .unwrap();
        });
        let mut issuer = X509Name::builder().unwrap();
        issuer.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
        builder.set_issuer_name(&issuer.build()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self(Issued { certificate: builder.build(), key })
    }

    /// Issues a certificate for a DNS name that is good for the next thirty days.
    pub(super) fn issue(&self, name: &str) -> Issued {
        self.issue_for(name, [-1, 30])
    }

    /// Issues one that is good between two days, counted from today.
    pub(super) fn issue_for(&self, name: &str, days: [i64; 2]) -> Issued {
        let Self(Issued { certificate: own, key: own_key }) = self;
        let (mut builder, key) = certificate(name, days, |builder| {
            let names = SubjectAlternativeName::new()
                .dns(name)
                .build(&builder.x509v3_context(Some(own), None))
                .unwrap();
            builder.append_extension(names).unwrap();
            let usage = ExtendedKeyUsage::new().server_auth().client_auth().build().unwrap();
            builder.append_extension(usage).unwrap();
        });
        builder.set_issuer_name(own.subject_name()).unwrap();
        builder.sign(own_key, MessageDigest::sha256()).unwrap();
        Issued { certificate: builder.build(), key }
    }

    pub(super) fn client(&self) -> Client {
        let trusted = self.0.certificate.clone();
        Client {
            trusted,
            shown: None,
            alpn: b"",
            version: None,
            names_server: true,
            tickets: Arc::default(),
        }
    }
}

impl Issued {
    pub(super) fn serial(&self) -> String {
        serial(&self.certificate)
    }

    pub(super) fn fingerprint(&self) -> String {
        let digest = self.certificate.digest(MessageDigest::sha256()).unwrap();
        digest
            .iter()
            .fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02X}:"))
            .trim_end_matches(':')
            .to_owned()
    }
}

fn serial(certificate: &X509) -> String {
    certificate.serial_number().to_bn().unwrap().to_string()
}

impl Files {
    /// Writes the certificate `localhost` of an authority and its key.
    pub(super) fn new(issued: &Issued) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.write(issued);
        files
    }

    pub(super) fn write(&self, issued: &Issued) {
        self.write_certificate(issued);
        fs::write(self.path("key.pem"), issued.key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    }

    pub(super) fn write_certificate(&self, issued: &Issued) {
        fs::write(self.path("certificate.pem"), issued.certificate.to_pem().unwrap()).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn settings(&self) -> TlsSettings {
        TlsSettings::new(self.path("certificate.pem"), self.path("key.pem"))
    }

    /// Settings by which clients of an authority are asked for their certificates.
    pub(super) fn asking(&self, authority: &Authority, is_required: bool) -> TlsSettings {
        let path = self.path("client_ca.pem");
        fs::write(&path, authority.0.certificate.to_pem().unwrap()).unwrap();
        TlsSettings {
            client_ca: Some(path),
            require_client_certificate: is_required,
            ..self.settings()
        }
    }
}

impl Client {
    pub(super) fn showing(mut self, issued: &Issued) -> Self {
        self.shown = Some(issued.clone());
        self
    }

    pub(super) fn speaking(mut self, version: SslVersion) -> Self {
        self.version = Some(version);
        self
    }

    /// Offers protocols by ALPN, each behind its length.
    pub(super) fn offering(mut self, alpn: &'static [u8]) -> Self {
        self.alpn = alpn;
        self
    }

    pub(super) fn without_sni(mut self) -> Self {
        self.names_server = false;
        self
    }

    /// Tickets for resumption that it was given.
    pub(super) fn tickets(&self) -> u32 {
        self.tickets.load(Ordering::Relaxed)
    }

    fn connector(&self) -> Result<SslConnector, ErrorStack> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        builder.cert_store_mut().add_cert(self.trusted.clone())?;
        if let Some(version) = self.version {
            // What is old is weak, and OpenSSL would not even offer it.
            builder.set_security_level(0);
            builder.set_cipher_list("ALL")?;
            builder.set_min_proto_version(Some(version))?;
            builder.set_max_proto_version(Some(version))?;
        }
        let tickets = Arc::clone(&self.tickets);
        builder.set_session_cache_mode(SslSessionCacheMode::CLIENT);
        builder.set_new_session_callback(move |_connection, _session| {
            tickets.fetch_add(1, Ordering::Relaxed);
        });
        if !self.alpn.is_empty() {
            builder.set_alpn_protos(self.alpn)?;
        }
        if let Some(Issued { certificate, key }) = &self.shown {
            builder.set_certificate(certificate)?;
            builder.set_private_key(key)?;
        }
        Ok(builder.build())
    }

    /// Makes the handshake on a connection; `None` if it fails.
    pub(super) async fn secure(&self, stream: TcpStream) -> Option<SslStream<TcpStream>> {
        let mut configuration = self.connector().unwrap().configure().unwrap();
        configuration.set_use_server_name_indication(self.names_server);
        let mut stream =
            SslStream::new(configuration.into_ssl("localhost").unwrap(), stream).unwrap();
        Pin::new(&mut stream).connect().await.ok()?;
        Some(stream)
    }

    pub(super) async fn connect(&self, address: SocketAddr) -> Option<SslStream<TcpStream>> {
        self.secure(TcpStream::connect(address).await.unwrap()).await
    }
}

/// Serial number of the certificate that the other end showed.
pub(super) fn serial_of_peer(stream: &SslStream<TcpStream>) -> String {
    serial(&stream.ssl().peer_certificate().unwrap())
}
