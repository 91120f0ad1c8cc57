//! What an issuer's access tokens must claim, by the shape that it gives them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::claims::Claims;
use super::fault::TokenFault;
use super::parse::UnverifiedToken;
use super::signature::TokenAlgorithm;

/// The shape of an issuer's access tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenProfile {
    /// The standard, RFC 9068: `typ` is `at+jwt`, and `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` are there.
    #[default]
    Rfc9068,
    /// Microsoft Entra ID: `typ` is `JWT`; the client is `azp` (version 2) or `appid`; rights are `scp` or `roles`.
    EntraId,
    /// Amazon Cognito: no `typ` and no `aud`; `token_use` is `access`, and `client_id` is held against the audiences.
    Cognito,
    /// Keycloak: `typ` is `JWT` or `at+jwt`; the claim `typ` is `Bearer`; the client is `azp` or `client_id`.
    Keycloak,
}

/// What a token of an issuer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// Its `iss`, character by character.
    pub issuer: String,
    /// One of these must be among its audiences.
    pub audiences: Vec<String>,
    /// Its shape.
    pub profile: TokenProfile,
    /// The algorithms that it may be signed by.
    pub algorithms: Vec<TokenAlgorithm>,
    /// How far the issuer's clock may be from ours, seconds.
    pub skew_s: i64,
}

impl TokenRules {
    /// Holds what a token says against the rules at `now_s`, seconds since the Unix epoch. Nothing is proved by it: it only
    /// spares the cost of verifying what would be refused in any case.
    ///
    /// # Errors
    /// The first [`TokenFault`].
    pub fn check(&self, token: &UnverifiedToken<'_>, now_s: i64) -> Result<(), TokenFault> {
        if !self.algorithms.contains(&token.algorithm) {
            return Err(TokenFault::Algorithm);
        }
        let claims = &token.claims;
        if claims.text("iss").ok_or(TokenFault::Claim)? != self.issuer {
            return Err(TokenFault::Issuer);
        }
        if !self.profile.is_access_token(token.media_type.as_deref(), claims) {
            return Err(TokenFault::Type);
        }
        let (audience, required) = self.profile.claims();
        if !required.iter().all(|name| claims.has_text(name))
            || self.profile.client(claims).is_none()
        {
            return Err(TokenFault::Claim);
        }
        let named = match claims.0.get(audience) {
            // A space is a character of an audience, not between two.
            Some(serde_json::Value::String(one)) => vec![one.as_str()],
            Some(_) => claims.values(audience).ok_or(TokenFault::Claim)?,
            None => return Err(TokenFault::Claim),
        };
        if !named.iter().any(|one| self.audiences.iter().any(|audience| audience == one)) {
            return Err(TokenFault::Audience);
        }
        self.check_times(claims, now_s)
    }

    /// Holds the times of claims against the clock. A verified token is held against it again with every request.
    ///
    /// # Errors
    /// [`TokenFault::Expired`], [`TokenFault::NotYet`], or [`TokenFault::Claim`] where a time is no number of seconds.
    pub fn check_times(&self, claims: &Claims, now_s: i64) -> Result<(), TokenFault> {
        let expires = claims.time("exp")?.ok_or(TokenFault::Claim)?;
        let issued = claims.time("iat")?;
        if issued.is_none() && self.profile != TokenProfile::EntraId {
            return Err(TokenFault::Claim);
        }
        if now_s.saturating_sub(self.skew_s) >= expires {
            return Err(TokenFault::Expired);
        }
        let latest = now_s.saturating_add(self.skew_s);
        let is_ahead = |time: Option<i64>| time.is_some_and(|time| time > latest);
        if is_ahead(claims.time("nbf")?) || is_ahead(issued) {
            return Err(TokenFault::NotYet);
        }
        Ok(())
    }
}

impl TokenProfile {
    /// Returns the client that a token was issued to.
    pub fn client(self, claims: &Claims) -> Option<&str> {
        let names: &[&str] = match self {
            Self::Rfc9068 | Self::Cognito => &["client_id"],
            Self::EntraId => &["azp", "appid"],
            Self::Keycloak => &["client_id", "azp"],
        };
        names.iter().filter_map(|name| claims.text(name)).find(|id| !id.is_empty())
    }

    /// Returns the scopes that a token was given.
    pub fn scopes(self, claims: &Claims) -> Vec<&str> {
        let names: &[&str] = match self {
            Self::Rfc9068 | Self::Cognito | Self::Keycloak => &["scope"],
            Self::EntraId => &["scp", "roles"],
        };
        names.iter().filter_map(|name| claims.values(name)).flatten().collect()
    }

    fn is_access_token(self, media_type: Option<&str>, claims: &Claims) -> bool {
        let is = |name: &str, value: &str| claims.text(name) == Some(value);
        match self {
            Self::Rfc9068 => media_type == Some("at+jwt"),
            // Identity tokens have neither of the two.
            Self::EntraId => {
                media_type == Some("jwt")
                    && (claims.0.contains_key("scp") || claims.0.contains_key("roles"))
            }
            Self::Cognito => matches!(media_type, None | Some("jwt")) && is("token_use", "access"),
            Self::Keycloak => matches!(media_type, Some("jwt" | "at+jwt")) && is("typ", "Bearer"),
        }
    }

    /// Returns the claim that is held against the audiences, and the texts that must be there.
    fn claims(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Rfc9068 => ("aud", &["sub", "client_id", "jti"]),
            Self::EntraId => ("aud", &["sub"]),
            Self::Cognito => ("client_id", &["sub", "jti"]),
            Self::Keycloak => ("aud", &["sub", "jti"]),
        }
    }
}
