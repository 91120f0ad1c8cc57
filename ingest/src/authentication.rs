//! Authentication: from the headers of a request to its principal.

use http::header::{AUTHORIZATION, GetAll, HeaderMap, HeaderName, HeaderValue};

use crate::clock::CurrentTime;
use crate::problem::Problem;
use crate::tenant::{Principal, Tenants};

static KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// Returns the principal of a request, from `Authorization: Bearer KEY` or `X-Api-Key: KEY`.
///
/// # Errors
/// The [`Problem`] of a request whose key is missing, unknown, expired, or not the only one: which of two is meant is not
/// guessed (RFC 6750, section 3.1).
pub(crate) fn authenticate(
    tenants: &Tenants,
    headers: &HeaderMap,
    now: CurrentTime,
) -> Result<Principal, Problem> {
    let plain = only(&headers.get_all(&KEY_HEADER))?;
    let token = only(&headers.get_all(AUTHORIZATION))?.and_then(bearer);
    let key = match (plain, token) {
        (Some(plain), Some(token)) if plain != token => return Err(Problem::AmbiguousKey),
        (Some(key), _) | (None, Some(key)) => key,
        (None, None) => return Err(Problem::Unauthorized),
    };
    tenants.by_key(key, now)
}

/// Returns the value of a header that may stand there once.
fn only<'a>(values: &GetAll<'a, HeaderValue>) -> Result<Option<&'a [u8]>, Problem> {
    let mut values = values.iter();
    let value = values.next().map(HeaderValue::as_bytes);
    if values.next().is_some() { Err(Problem::AmbiguousKey) } else { Ok(value) }
}

/// Takes the token of the Bearer scheme (RFC 6750, section 2.1); schemes ignore case.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::identity::api_key::hash_key;

    const NOW: CurrentTime = CurrentTime { wall_ms: 0, steady_ns: 0 };

    fn key(name: &str, key: &str, stores: &[&str]) -> Value {
        json!({"name": name, "hash": hash_key(key), "stores": stores})
    }

    fn tenants(settings: Value) -> Tenants {
        Tenants::new(serde_json::from_value(settings).unwrap()).unwrap()
    }

    #[test]
    fn a_caller_is_found_by_key_and_bound_to_its_stores() {
        let tenants = tenants(json!([
            {"id": "a", "keys": [key("till", "k1", &["7", "8"]), key("hq", "k2", &["*"])]},
            {"id": "b", "keys": [key("till", "k3", &["*"])]},
        ]));
        let caller = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).unwrap();
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value)]);
            authenticate(&tenants, &headers, NOW)
        };
        let till = caller("authorization", "bEARER k1").unwrap();
        assert_eq!(till.tenant.settings.id, "a");
        assert!(till.may_send_for("8") && !till.may_send_for("9") && !till.may_send_for("*"));
        assert!(caller("x-api-key", "k2").unwrap().may_send_for("9"));
        assert_eq!(caller("x-api-key", "k3").unwrap().tenant.settings.id, "b");
        for (name, value) in [
            ("x-api-key", "K1"),
            ("x-api-key", ""),
            ("authorization", "Basic k1"),
            ("cookie", "k1"),
        ] {
            assert_eq!(caller(name, value).unwrap_err(), Problem::Unauthorized, "{name}: {value}");
        }
    }

    #[test]
    fn two_keys_are_one_too_many_unless_they_are_the_same() {
        let tenants = tenants(json!([
            {"id": "a", "keys": [key("till", "k1", &["7"]), key("hq", "k2", &["*"])]},
        ]));
        let caller = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let found = authenticate(&tenants, &headers, NOW);
            found.map(|caller| caller.client_name().to_owned())
        };
        let (plain, token) = ("x-api-key", "authorization");
        let hq = || Ok("hq".to_owned());
        assert_eq!(caller(&[(plain, "k2"), (token, "Bearer k2")]), hq());
        assert_eq!(caller(&[(plain, "k2"), (token, "Basic YTpi")]), hq(), "no key of ours");
        for pairs in [
            [(plain, "k1"), (token, "Bearer k2")],
            [(plain, "unknown"), (token, "Bearer k2")],
            [(plain, ""), (token, "Bearer k2")],
            [(plain, "k1"), (plain, "k1")],
            [(token, "Bearer k1"), (token, "Bearer k2")],
            [(token, "Basic YTpi"), (token, "Bearer k2")],
        ] {
            assert_eq!(caller(&pairs), Err(Problem::AmbiguousKey), "{pairs:?}");
        }
    }
}
