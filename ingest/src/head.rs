//! What RFC 9112 and RFC 9113 ask of a request's head and hyper leaves to its user: the host, and how the body is coded.
//!
//! A server that takes a head another one reads differently is what request smuggling lives on, even where, as here,
//! nothing depends on the host.
//!
//! A request with both Content-Length and Transfer-Encoding is not refused here, as hyper takes the length away before it hands
//! the head over: it reads the chunks alone and closes the connection after the answer, as RFC 9112, section 6.3, demands. A
//! test on a socket holds it to that.

use http::header::{HOST, TRANSFER_ENCODING};
use http::{Request, Version};

use crate::problem::Problem;

/// Finds what is wrong with a head; nothing of the request can be trusted then, its end included.
pub(crate) fn fault<B>(request: &Request<B>) -> Option<Problem> {
    if !has_sound_host(request) {
        return Some(Problem::MalformedHead);
    }
    let mut codings = request
        .headers()
        .get_all(TRANSFER_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(only), None) if only.eq_ignore_ascii_case(b"chunked") => None,
        // Chunked twice is malformed, any other coding is one that is not understood (RFC 9112, section 6.1).
        (Some(first), Some(_)) if first.eq_ignore_ascii_case(b"chunked") => {
            Some(Problem::MalformedHead)
        }
        _ => Some(Problem::UnsupportedTransferEncoding),
    }
}

/// One host, and a valid one (RFC 9112, section 3.2; RFC 9113, section 8.3.1). HTTP/1.0 knew none.
fn has_sound_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let is_http2 = request.version() == Version::HTTP_2;
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => false,
        (Some(host), None) => {
            let is_same = authority
                .is_none_or(|authority| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()));
            is_host(host.as_bytes()) && (is_same || !is_http2)
        }
        (None, None) => match request.version() {
            Version::HTTP_2 => authority.is_some(),
            Version::HTTP_11 => false,
            _ => true,
        },
    }
}

/// `uri-host [ ":" port ]` (RFC 9110, section 7.2); empty where the target has no authority.
fn is_host(host: &[u8]) -> bool {
    let is_literal = host.starts_with(b"[");
    let end = if is_literal {
        host.iter().position(|byte| *byte == b']').map(|bracket| bracket + 1)
    } else {
        Some(host.iter().position(|byte| *byte == b':').unwrap_or(host.len()))
    };
    let Some((name, port)) = end.and_then(|end| host.split_at_checked(end)) else { return false };
    let is_name_sound = match name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")) {
        Some(address) => {
            !address.is_empty()
                && address.iter().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte))
        }
        None => name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte)),
    };
    let is_port_sound = match port.split_first() {
        None => true,
        Some((colon, digits)) => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    };
    is_name_sound && is_port_sound
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(version: Version, uri: &str, headers: &[(&str, &str)]) -> Option<Problem> {
        let mut request = Request::get(uri).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        fault(&request.body(()).unwrap())
    }

    #[test]
    fn a_request_has_one_sound_host() {
        let malformed = Some(Problem::MalformedHead);
        for (hosts, expected) in [
            (&["till.example.com"][..], None),
            (&["till.example.com:8080"], None),
            (&["10.0.0.1:80"], None),
            (&["[::1]:8080"], None),
            (&["[::ffff:10.0.0.1]"], None),
            (&["x:"], None),
            (&[""], None),
            (&[], malformed),
            (&["a", "a"], malformed),
            (&["a", "b"], malformed),
            (&["user@host"], malformed),
            (&["a b"], malformed),
            (&["a/b"], malformed),
            (&["a, b"], malformed),
            (&["a:80:80"], malformed),
            (&["a:http"], malformed),
            (&["[::1"], malformed),
            (&["[]"], malformed),
            (&["[::1]x"], malformed),
            (&["http://a"], malformed),
        ] {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            assert_eq!(fault_of(Version::HTTP_11, "/", &headers), expected, "{hosts:?}");
        }
        assert_eq!(fault_of(Version::HTTP_10, "/", &[]), None);
        assert_eq!(fault_of(Version::HTTP_10, "/", &[("host", "a"), ("host", "b")]), malformed);
        let absolute = "http://a/";
        assert_eq!(fault_of(Version::HTTP_11, absolute, &[]), malformed);
        assert_eq!(fault_of(Version::HTTP_11, absolute, &[("host", "b")]), None, "the target wins");
        assert_eq!(fault_of(Version::HTTP_2, absolute, &[]), None);
        assert_eq!(fault_of(Version::HTTP_2, absolute, &[("host", "A")]), None);
        assert_eq!(fault_of(Version::HTTP_2, absolute, &[("host", "b")]), malformed);
        assert_eq!(fault_of(Version::HTTP_2, "/", &[]), malformed);
        assert_eq!(fault_of(Version::HTTP_2, "/", &[("host", "b")]), None);
    }

    #[test]
    fn a_body_is_chunked_once_and_coded_in_no_other_way() {
        let unsupported = Some(Problem::UnsupportedTransferEncoding);
        for (codings, expected) in [
            (&["chunked"][..], None),
            (&["Chunked "], None),
            (&["gzip, chunked"], unsupported),
            (&["gzip", "chunked"], unsupported),
            (&["identity"], unsupported),
            (&["chunked, chunked"], Some(Problem::MalformedHead)),
            (&["chunked", "chunked"], Some(Problem::MalformedHead)),
        ] {
            let mut headers = vec![("host", "x")];
            headers.extend(codings.iter().map(|coding| ("transfer-encoding", *coding)));
            assert_eq!(fault_of(Version::HTTP_11, "/", &headers), expected, "{codings:?}");
        }
    }
}
