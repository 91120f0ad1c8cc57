//! Why a token is not taken.

/// Why a token is not taken. It holds nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenFault {
    /// It is longer than a header should be.
    #[error("the token is longer than 8 KiB")]
    TooLarge,
    /// It is not three parts in base64url, or a part is not one JSON object whose members have different names.
    #[error("the token is no signed JWT in compact form")]
    Malformed,
    /// It is encrypted, or its claims are another token.
    #[error("the token is nested or encrypted")]
    Nested,
    /// Its algorithm is none of those that its issuer may use.
    #[error("the token's algorithm is not allowed for its issuer")]
    Algorithm,
    /// Its header brings a key, or says where to fetch one, or demands what is not understood.
    #[error(
        "the token's header has a member that is not taken: jwk, jku, x5c, x5u, crit, b64 or zip"
    )]
    Header,
    /// It is another kind of token: an identity token, a refresh token.
    #[error("the token is no access token of this issuer's kind")]
    Type,
    /// A claim that it must have is absent or of another type.
    #[error("a claim that the token must have is absent, or is not of the type that it must be")]
    Claim,
    /// It is another issuer's.
    #[error("the token is another issuer's")]
    Issuer,
    /// It was issued for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// No key of its issuer has its key id, or the one that does is for another algorithm or use.
    #[error("the token's key is not among its issuer's")]
    UnknownKey,
    /// Its signature does not match.
    #[error("the token's signature does not match")]
    Signature,
}

impl TokenFault {
    /// All faults.
    pub const ALL: [Self; 13] = [
        Self::TooLarge,
        Self::Malformed,
        Self::Nested,
        Self::Algorithm,
        Self::Header,
        Self::Type,
        Self::Claim,
        Self::Issuer,
        Self::Audience,
        Self::Expired,
        Self::NotYet,
        Self::UnknownKey,
        Self::Signature,
    ];

    /// Tells whether newer keys of the issuer could make the token good.
    pub fn may_end_with_new_keys(self) -> bool {
        self == Self::UnknownKey
    }
}
