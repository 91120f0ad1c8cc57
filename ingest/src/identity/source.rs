//! A terminal, as settings name it: with its store.

use tillrace_core::text::check_id;

/// Reads `STORE/TERMINAL`; a slash or a percent sign within an id is written `%2F` or `%25`, as in the keys of topics.
pub(super) fn source_of(text: &str) -> Option<(String, String)> {
    let (store, terminal) = text.split_once('/')?;
    let is_id = |id: &String| check_id(id).is_ok();
    let named = (decoded(store)?, decoded(terminal)?);
    (!terminal.contains('/') && is_id(&named.0) && is_id(&named.1)).then_some(named)
}

fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut decoded = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        decoded.push(match digits {
            "2F" | "2f" => '/',
            "25" => '%',
            _ => return None,
        });
        decoded.push_str(rest);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_named_with_its_store() {
        let source = |store: &str, terminal: &str| Some((store.to_owned(), terminal.to_owned()));
        assert_eq!(source_of("7/3"), source("7", "3"));
        assert_eq!(source_of("a%2Fb/100%25"), source("a/b", "100%"));
        for wrong in ["7", "7/", "/3", "7/3/4", "7/%", "7/%41", "7/3%2", "", "é%é/1"] {
            assert_eq!(source_of(wrong), None, "{wrong}");
        }
    }
}
