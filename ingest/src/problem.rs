//! Everything that can be wrong with a request, or with an event in it.
//!
//! Each problem has a stable code. [`Rejection reasons`](Reason) concern one event and stand in a
//! batch's exceptions as well; [`Problem`] concerns a whole request.

use http::StatusCode;
use tillrace_core::decode::RejectCode;

/// What a sender does about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Send the same again after `Retry-After`, which goes with every answer of this kind.
    Retry,
    /// Keep the events, tell people, and send again when the request, the key or the configuration was corrected.
    Correct,
    /// Keep the event aside for people; sent again as it is, it will be refused again.
    SetAside,
}

/// Why one event is refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It is not a canonical event, or breaks a rule that its tenant enforces.
    Event(RejectCode),
    /// The key may not send for this store.
    StoreNotAllowed,
    /// The key may not send for this terminal.
    TerminalNotAllowed,
}

impl Reason {
    /// Reasons of the gateway's own, beside the codes of the canonical event.
    pub const OWN: [Self; 2] = [Self::StoreNotAllowed, Self::TerminalNotAllowed];

    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Event(code) => code.as_str(),
            Self::StoreNotAllowed => "store_not_allowed",
            Self::TerminalNotAllowed => "terminal_not_allowed",
        }
    }

    /// Returns a sentence for people; it holds nothing of the event.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Event(code) => code.detail(),
            Self::StoreNotAllowed => "This key may not send events for this store.",
            Self::TerminalNotAllowed => "This key may not send events for this terminal.",
        }
    }

    /// Returns what its sender does about it.
    pub fn remedy(self) -> Remedy {
        match self {
            Self::Event(RejectCode::TenantMismatch)
            | Self::StoreNotAllowed
            | Self::TerminalNotAllowed => Remedy::Correct,
            Self::Event(_) => Remedy::SetAside,
        }
    }

    /// Tells whether an event refused so may leave a marker in the journal: not one that is another
    /// tenant's or store's business.
    pub(crate) fn leaves_marker(self) -> bool {
        matches!(self, Self::Event(code) if code != RejectCode::TenantMismatch)
    }

    /// Returns the status of a reply to a single event that was refused so.
    pub fn status(self) -> StatusCode {
        match self {
            Self::StoreNotAllowed | Self::TerminalNotAllowed => StatusCode::FORBIDDEN,
            Self::Event(RejectCode::EventTooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Event(code) if code.is_malformed() => StatusCode::BAD_REQUEST,
            Self::Event(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the detail of each says what it is")]
pub enum Problem {
    MalformedHead,
    UnsupportedTransferEncoding,
    MalformedBatch,
    MalformedEncoding,
    BodyCut,
    Unauthorized,
    KeyExpired,
    ScopeMissing,
    AmbiguousKey,
    ClientCertificateRequired,
    TlsRequired,
    AddressRefusedByListener,
    AddressRefusedByTenant,
    AddressRefusedByKey,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    ExpansionLimit,
    UnsupportedMediaType,
    UnsupportedEncoding,
    RateLimited,
    TooManyStores,
    TooManyTerminals,
    TooManyParked,
    Unavailable,
}

impl Problem {
    /// All problems.
    pub const ALL: [Self; 25] = [
        Self::MalformedHead,
        Self::UnsupportedTransferEncoding,
        Self::MalformedBatch,
        Self::MalformedEncoding,
        Self::BodyCut,
        Self::Unauthorized,
        Self::KeyExpired,
        Self::ScopeMissing,
        Self::AmbiguousKey,
        Self::ClientCertificateRequired,
        Self::TlsRequired,
        Self::AddressRefusedByListener,
        Self::AddressRefusedByTenant,
        Self::AddressRefusedByKey,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::ExpansionLimit,
        Self::UnsupportedMediaType,
        Self::UnsupportedEncoding,
        Self::RateLimited,
        Self::TooManyStores,
        Self::TooManyTerminals,
        Self::TooManyParked,
        Self::Unavailable,
    ];

    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::MalformedHead => "malformed_head",
            Self::UnsupportedTransferEncoding => "unsupported_transfer_encoding",
            Self::MalformedBatch => "malformed_batch",
            Self::MalformedEncoding => "malformed_encoding",
            Self::BodyCut => "body_cut",
            Self::Unauthorized => "unauthorized",
            Self::KeyExpired => "key_expired",
            Self::ScopeMissing => "scope_missing",
            Self::AmbiguousKey => "ambiguous_key",
            Self::ClientCertificateRequired => "client_certificate_required",
            Self::TlsRequired => "tls_required",
            Self::AddressRefusedByListener => "address_refused_by_listener",
            Self::AddressRefusedByTenant => "address_refused_by_tenant",
            Self::AddressRefusedByKey => "address_refused_by_key",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::ExpansionLimit => "expansion_limit",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::RateLimited => "rate_limited",
            Self::TooManyStores => "too_many_stores",
            Self::TooManyTerminals => "too_many_terminals",
            Self::TooManyParked => "too_many_parked",
            Self::Unavailable => "unavailable",
        }
    }

    /// Returns the status of the reply.
    pub fn status(self) -> StatusCode {
        match self {
            Self::MalformedHead
            | Self::MalformedBatch
            | Self::MalformedEncoding
            | Self::BodyCut
            | Self::AmbiguousKey
            | Self::TlsRequired => StatusCode::BAD_REQUEST,
            Self::UnsupportedTransferEncoding => StatusCode::NOT_IMPLEMENTED,
            Self::Unauthorized | Self::KeyExpired | Self::ClientCertificateRequired => {
                StatusCode::UNAUTHORIZED
            }
            Self::ScopeMissing
            | Self::AddressRefusedByListener
            | Self::AddressRefusedByTenant
            | Self::AddressRefusedByKey => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::ExpansionLimit => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType | Self::UnsupportedEncoding => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::RateLimited
            | Self::TooManyStores
            | Self::TooManyTerminals
            | Self::TooManyParked => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns what its sender does about it: what the same request may get past is tried again, and no event is to
    /// be dropped for what is wrong with the request around it.
    pub fn remedy(self) -> Remedy {
        match self {
            Self::BodyCut
            | Self::RequestTimeout
            | Self::RateLimited
            | Self::TooManyStores
            | Self::TooManyTerminals
            | Self::TooManyParked
            | Self::Unavailable => Remedy::Retry,
            Self::MalformedHead
            | Self::UnsupportedTransferEncoding
            | Self::MalformedBatch
            | Self::MalformedEncoding
            | Self::Unauthorized
            | Self::KeyExpired
            | Self::ScopeMissing
            | Self::AmbiguousKey
            | Self::ClientCertificateRequired
            | Self::TlsRequired
            | Self::AddressRefusedByListener
            | Self::AddressRefusedByTenant
            | Self::AddressRefusedByKey
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::ExpansionLimit
            | Self::UnsupportedMediaType
            | Self::UnsupportedEncoding => Remedy::Correct,
        }
    }

    /// Returns a sentence for people.
    pub fn detail(self) -> &'static str {
        match self {
            Self::MalformedHead => {
                "Send one valid Host, and chunked as Transfer-Encoding no more than once."
            }
            Self::UnsupportedTransferEncoding => {
                "Send no Transfer-Encoding but chunked; compress with Content-Encoding."
            }
            Self::MalformedBatch => "The JSON array around the events is malformed or cut short.",
            Self::MalformedEncoding => "The body does not match its Content-Encoding.",
            Self::BodyCut => "The body ended before its declared end.",
            Self::Unauthorized => {
                "Send a known API key as Authorization: Bearer KEY or as X-Api-Key: KEY."
            }
            Self::KeyExpired => {
                "The time of this API key is over; use the newer one of this client."
            }
            Self::ScopeMissing => "This client was not granted the scope that this path demands.",
            Self::AmbiguousKey => {
                "Send one API key, in one header: two that differ, or one header twice, are not taken."
            }
            Self::ClientCertificateRequired => {
                "This API key is taken only over TLS with the client certificate it is bound to."
            }
            Self::TlsRequired => "This port speaks TLS only; use https.",
            Self::AddressRefusedByListener => {
                "Requests from this address are not let in, by the address list of the listener."
            }
            Self::AddressRefusedByTenant => {
                "Requests from this address are not let in, by the address list of the tenant."
            }
            Self::AddressRefusedByKey => {
                "Requests from this address are not let in, by the address list of the API key."
            }
            Self::NotFound => "This path does not exist.",
            Self::MethodNotAllowed => "This path does not support this method; see Allow.",
            Self::RequestTimeout => "The body did not arrive in time.",
            Self::ExpansionLimit => "The compressed body exceeds the expansion limit.",
            Self::UnsupportedMediaType => {
                "Send application/json, or application/x-ndjson for a batch of lines."
            }
            Self::UnsupportedEncoding => "Send gzip, zstd or identity as Content-Encoding.",
            Self::RateLimited => "The rate limit is exceeded; retry after Retry-After.",
            Self::TooManyStores => {
                "The store is new, and the gateway has reached its limit of stores; the operator has been notified."
            }
            Self::TooManyTerminals => {
                "The terminal is new, and the gateway has reached its limit of terminals; the operator has been notified."
            }
            Self::TooManyParked => {
                "Too many events of this tenant that break a rule are being kept at once; retry after Retry-After."
            }
            Self::Unavailable => "Events cannot be made durable now; retry after Retry-After.",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Codes that are both an event's reason and a request's problem would be told apart by nobody.
    #[test]
    fn every_code_has_one_meaning() {
        let problems = Problem::ALL.iter().map(|problem| problem.code());
        let reasons = Reason::OWN.iter().map(|reason| reason.code());
        let events = RejectCode::ALL.iter().map(|code| code.as_str());
        let all: Vec<_> = problems.chain(reasons).chain(events).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
