//! The layers that are passed before a tenant is charged, in one place and in this order.
//!
//! Of a connection: the PROXY header of a trusted proxy, the listener's list of addresses, TLS. Of a request
//! ([`crate::route`]): the address that a trusted proxy forwards, held against the listener's list again; the API key; the
//! lists of the tenant and of the client; the client certificate it is bound to; the scope of the route; then rates and memory.
//!
//! What comes first costs least and trusts least. How many connections there may be is decided before
//! ([`crate::listen`]), HTTP comes behind.

mod preamble;
mod transport;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tillrace_log::health::Health;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use self::transport::Transport;
use crate::address::{AddressList, AddressRules, TrustedProxies};
use crate::connection_limiter::{Admission, ConnectionLimiter};
use crate::problem::Problem;
use crate::proxy_protocol::ProxyProtocol;
use crate::reply;
use crate::settings::GatewaySettings;
use crate::tls::{
    Certificates, Handshake, PeerIdentity, Protocols, TlsAcceptor, TlsError, TlsSettings,
};

/// The part of a listener's handshakes that one address may have under way, percent.
const HANDSHAKE_SHARE_PERCENT: u8 = 50;
/// How long a peer that is turned away has to read why, and how much of what it sends meanwhile is read.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

/// The layers of one listener.
pub struct ConnectionLayers {
    proxies: TrustedProxies,
    proxy_protocol: ProxyProtocol,
    addresses: AddressRules,
    tls: Option<TlsLayer>,
    /// Answers to what is turned away before HTTP is spoken.
    refusal: Bytes,
    tls_required: Bytes,
    refused: Family<ListLabel, Counter>,
    invalid_proxy_headers: Counter,
}

struct TlsLayer {
    acceptor: TlsAcceptor,
    handshakes: Arc<ConnectionLimiter>,
}

/// A connection that was let in.
pub struct Session {
    /// Its bytes.
    pub stream: Transport,
    pub(crate) peer: Peer,
    /// Whether HTTP/2 was agreed on; `None` where it was not talked about.
    pub(crate) is_http2: Option<bool>,
}

/// Who speaks on a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Where it comes from, as a PROXY header says or the system.
    address: IpAddr,
    /// Who it proved to be.
    pub(crate) identity: Option<PeerIdentity>,
}

/// Label of a refused address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListLabel {
    list: &'static str,
}

impl std::fmt::Debug for ConnectionLayers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_tls = self.speaks_tls();
        formatter.debug_struct("ConnectionLayers").field("is_tls", &is_tls).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl ConnectionLayers {
    /// Makes the layers of the gateway, and registers their metrics.
    ///
    /// # Errors
    /// [`TlsError`] when its certificate cannot be used.
    pub(crate) fn of_gateway(
        settings: &GatewaySettings,
        health: Health,
        registry: &mut Registry,
    ) -> Result<Self, TlsError> {
        let part = registry.sub_registry_with_prefix("tillrace_ingest");
        let (tls, protocols) = (settings.tls.as_ref(), Protocols::Http2AndHttp1);
        let tls = tls.map(|tls| TlsLayer::open(tls, protocols, "gateway", health, part));
        let proxies = settings.trusted_proxies.clone();
        let proxies = TrustedProxies::new(proxies, settings.client_address_header);
        let layers = Self::new(settings.addresses.clone(), tls.transpose()?, part);
        part.register(
            "invalid_proxy_headers",
            "Connections of trusted proxies without a sound PROXY header",
            layers.invalid_proxy_headers.clone(),
        );
        Ok(Self { proxies, proxy_protocol: settings.proxy_protocol, ..layers })
    }

    /// Makes the layers of the status listener, which has no proxies, and registers their metrics.
    ///
    /// # Errors
    /// [`TlsError`] when its certificate cannot be used.
    pub fn of_status(
        tls: Option<&TlsSettings>,
        addresses: &AddressRules,
        health: Health,
        registry: &mut Registry,
    ) -> Result<Self, TlsError> {
        let part = registry.sub_registry_with_prefix("tillrace_status");
        let tls = tls.map(|tls| TlsLayer::open(tls, Protocols::Http1, "status", health, part));
        Ok(Self::new(addresses.clone(), tls.transpose()?, part))
    }

    fn new(addresses: AddressRules, tls: Option<TlsLayer>, part: &mut Registry) -> Self {
        let refused = Family::<ListLabel, Counter>::default();
        part.register("refused_addresses", "Refusals by a list of addresses", refused.clone());
        Self {
            proxies: TrustedProxies::default(),
            proxy_protocol: ProxyProtocol::None,
            addresses,
            tls,
            refusal: reply::closing(Problem::AddressRefusedByListener),
            tls_required: reply::closing(Problem::TlsRequired),
            refused,
            invalid_proxy_headers: Counter::default(),
        }
    }

    /// Tells whether connections are encrypted.
    pub fn speaks_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns the address whose share a connection counts for; `None` for a trusted proxy, which has many clients.
    pub(crate) fn sharer(&self, address: IpAddr) -> Option<IpAddr> {
        (!self.proxies.contains(address)).then_some(address)
    }

    /// Takes a connection through the layers; `None` if it was turned away, told why where that is possible.
    ///
    /// `attribute` is told of the client that a PROXY header names, and says whether it may have one more connection.
    pub async fn enter(
        &self,
        mut stream: TcpStream,
        from: SocketAddr,
        attribute: impl FnOnce(IpAddr) -> bool,
    ) -> Option<Session> {
        let mut address = from.ip().to_canonical();
        let mut sharer = self.sharer(address);
        if sharer.is_none() && self.proxy_protocol == ProxyProtocol::Required {
            match preamble::read(&mut stream).await {
                Ok(Some(client)) => {
                    address = client.ip().to_canonical();
                    sharer = self.sharer(address);
                    if sharer.is_some_and(|client| !attribute(client)) {
                        return None;
                    }
                }
                // The proxy speaks for itself.
                Ok(None) => {}
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::debug!(error, "a trusted proxy sent no sound PROXY header");
                    self.invalid_proxy_headers.inc();
                    return None;
                }
            }
        }
        // What a proxy forwards is judged by its client, request by request.
        if !self.proxies.contains(address) && !self.addresses.admits(Some(address)) {
            self.count_refused(AddressList::Listener);
            if self.tls.is_none() {
                close_with(stream, &self.refusal).await;
            }
            return None;
        }
        let Some(tls) = &self.tls else {
            let peer = Peer { address, identity: None };
            return Some(Session { stream: Transport::Plain(stream), peer, is_http2: None });
        };
        match tls.acceptor.accept(stream, || tls.begin(sharer)).await {
            Handshake::Done(secure) => {
                let peer = Peer { address, identity: secure.identity };
                let stream = Transport::Tls(Box::new(secure.stream));
                Some(Session { stream, peer, is_http2: Some(secure.is_http2) })
            }
            Handshake::PlainText(stream) => {
                close_with(stream, &self.tls_required).await;
                None
            }
            Handshake::Failed => None,
        }
    }

    /// Returns the address of a request's client, if it is known.
    pub(crate) fn client_address(&self, peer: &Peer, headers: &HeaderMap) -> Option<IpAddr> {
        self.proxies.client_address(peer.address, headers)
    }

    /// Holds the address of a request's client against the listener's list.
    ///
    /// # Errors
    /// The [`Problem`] if it is not let in.
    pub(crate) fn check_listener(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        self.check(AddressList::Listener, &self.addresses, address)
    }

    /// Holds the address of a request's client against a list.
    ///
    /// # Errors
    /// The [`Problem`] if it is not let in.
    pub(crate) fn check(
        &self,
        list: AddressList,
        rules: &AddressRules,
        address: Option<IpAddr>,
    ) -> Result<(), Problem> {
        if rules.admits(address) {
            return Ok(());
        }
        self.count_refused(list);
        Err(match list {
            AddressList::Listener => Problem::AddressRefusedByListener,
            AddressList::Tenant => Problem::AddressRefusedByTenant,
            AddressList::Key => Problem::AddressRefusedByKey,
        })
    }

    fn count_refused(&self, list: AddressList) {
        let list = match list {
            AddressList::Listener => "listener",
            AddressList::Tenant => "tenant",
            AddressList::Key => "key",
        };
        self.refused.get_or_create(&ListLabel { list }).inc();
    }
}

impl TlsLayer {
    fn open(
        settings: &TlsSettings,
        protocols: Protocols,
        component: &'static str,
        health: Health,
        registry: &mut Registry,
    ) -> Result<Self, TlsError> {
        let certificates = Certificates::open(settings, protocols, component, health, registry)?;
        let limiter = ConnectionLimiter::new(settings.max_handshakes, HANDSHAKE_SHARE_PERCENT);
        Ok(Self { acceptor: TlsAcceptor::new(certificates), handshakes: Arc::new(limiter) })
    }

    /// Takes a place among the handshakes under way, if one is free.
    fn begin(&self, sharer: Option<IpAddr>) -> Option<impl Sized + use<>> {
        match self.handshakes.admit(sharer) {
            Admission::Served(slot) => Some(slot),
            Admission::Reserved(..) | Admission::Closed(_) => None,
        }
    }
}

/// Tells a peer why it is turned away. A connection with unread bytes would be reset when it is closed, and the answer lost.
async fn close_with(mut stream: TcpStream, answer: &[u8]) {
    let closing = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Whether it listens is its business.
    drop(timeout(LINGER, closing).await);
}
