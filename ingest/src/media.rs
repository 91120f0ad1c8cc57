//! What a body says of itself: its media type and its content coding (RFC 9110, section 8).
//!
//! Parameters are read by the grammar and then ignored: JSON knows none, and a `charset` "has no effect on compliant
//! recipients" (RFC 8259, section 11). Bytes that are not UTF-8 are the decoder's business.
//!
//! Stands before the body is read.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};

use crate::body::Encoding;
use crate::split::Format;

/// Tells how the events of a batch follow one another; `None` where the media type is another, or none.
pub(crate) fn batch_format(headers: &HeaderMap) -> Option<Format> {
    let essence = media_type(only(headers, CONTENT_TYPE)?)?;
    match essence {
        _ if essence.eq_ignore_ascii_case("application/json") => Some(Format::Array),
        _ if essence.eq_ignore_ascii_case("application/x-ndjson") => Some(Format::Lines),
        _ => None,
    }
}

/// Tells whether the body is one JSON text.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let essence = only(headers, CONTENT_TYPE).and_then(media_type);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

/// Returns the body's content coding; `None` for one that is not understood.
pub(crate) fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    if !headers.contains_key(CONTENT_ENCODING) {
        return Some(Encoding::Identity);
    }
    match only(headers, CONTENT_ENCODING)?.to_ascii_lowercase().as_str() {
        "" | "identity" => Some(Encoding::Identity),
        "gzip" | "x-gzip" => Some(Encoding::Gzip),
        "zstd" => Some(Encoding::Zstd),
        _ => None,
    }
}

/// Returns the text of a header that stands there once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| value.trim_ascii())
}

/// Returns type and subtype of a media type (RFC 9110, section 8.3.1), if all of it is well-formed.
fn media_type(value: &str) -> Option<&str> {
    let (essence, parameters) = value.split_at(value.find(';').unwrap_or(value.len()));
    let essence = essence.trim_ascii_end();
    let (main, sub) = essence.split_once('/')?;
    (is_token(main) && is_token(sub) && are_parameters(parameters)).then_some(essence)
}

/// Checks `*( OWS ";" OWS [ parameter ] )` (RFC 9110, section 5.6.6): a semicolon may have nothing behind it.
fn are_parameters(mut text: &str) -> bool {
    while let Some(rest) = text.strip_prefix(';') {
        text = rest.trim_ascii_start();
        if text.is_empty() || text.starts_with(';') {
            continue;
        }
        let Some((name, value)) = text.split_once('=') else { return false };
        let Some(rest) = after_value(value) else { return false };
        if !is_token(name) {
            return false;
        }
        text = rest.trim_ascii_start();
    }
    text.is_empty()
}

/// Returns what stands behind a parameter's value, which is a token or a quoted string (RFC 9110, section 5.6.4).
fn after_value(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_token_char(c)).unwrap_or(text.len());
        return (end > 0).then(|| text.split_at(end).1);
    };
    let mut characters = quoted.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return quoted.get(place + 1..),
            '\\' => drop(characters.next()?),
            _ => {}
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

fn is_token_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn parameters_of_a_media_type_have_no_effect() {
        for value in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=utf8",
            "application/json; charset=\"utf-8\"",
            "application/json;",
            "application/json ; ; charset=utf-8 ;",
            "application/json; charset=latin1",
            "application/json; profile=\"https://example.org/a;b\\\"c\"; v=1",
        ] {
            let headers = headers(&CONTENT_TYPE, &[value]);
            assert!(is_json(&headers), "{value}");
            assert_eq!(batch_format(&headers), Some(Format::Array), "{value}");
        }
        let lines = headers(&CONTENT_TYPE, &["application/x-ndjson; charset=utf-8"]);
        assert_eq!((batch_format(&lines), is_json(&lines)), (Some(Format::Lines), false));
    }

    #[test]
    fn what_is_no_media_type_or_another_is_not_taken() {
        for value in [
            "",
            "text/plain",
            "application/json, application/json",
            "application/json charset=utf-8",
            "application/json; charset",
            "application/json; charset=",
            "application/json; charset = utf-8",
            "application/json; charset=\"utf-8",
            "application/json; charset=utf-8 x",
        ] {
            let headers = headers(&CONTENT_TYPE, &[value]);
            assert_eq!((batch_format(&headers), is_json(&headers)), (None, false), "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
        assert!(!is_json(&headers(&CONTENT_TYPE, &["application/json", "text/plain"])));
    }

    #[test]
    fn encodings_are_told_apart() {
        let of = |value| encoding(&headers(&CONTENT_ENCODING, &[value]));
        assert_eq!(encoding(&HeaderMap::new()), Some(Encoding::Identity));
        assert_eq!(of("GZIP"), Some(Encoding::Gzip));
        assert_eq!(of("zstd"), Some(Encoding::Zstd));
        assert_eq!(of("identity"), Some(Encoding::Identity));
        assert_eq!(of("br"), None);
        assert_eq!(of("gzip, zstd"), None);
        assert_eq!(encoding(&headers(&CONTENT_ENCODING, &["gzip", "zstd"])), None);
    }
}
