//! Masking card numbers in an event's text before it is decoded.
//!
//! It walks the text as JSON without checking it: the decoder does that, and rejects all card data that is left. A defect here
//! can thus fail to mask a number, but not let one through.

use std::borrow::Cow;

use super::rules::{CardPolicy, CardRules, TextClass, is_authentication_name, is_identity_name};
use crate::reject_code::RejectCode;

/// Deepest nesting followed; the decoder refuses more.
const MAX_DEPTH: usize = 64;

/// Masks the card numbers in an event's text, if its tenant's policy says so.
///
/// In text and member names every digit becomes `*`; a JSON number becomes `0`. Borrowed where there
/// was nothing to mask, so an owned result says that the event is to be flagged `card_masked`. Left as it is, for the
/// decoder to refuse: text with card authentication data in it, and a card number in the event's
/// own `store`, `terminal`, `epoch`, `event_id` or `sequence`, where masking would make it another event.
pub fn mask<'t>(text: &'t [u8], rules: &CardRules) -> Cow<'t, [u8]> {
    if rules.policy != CardPolicy::Mask {
        return Cow::Borrowed(text);
    }
    let mut masker =
        Masker { text, rules, replacements: Vec::new(), token: StringToken::default() };
    match masker.walk() {
        Some(()) if !masker.replacements.is_empty() => Cow::Owned(masker.masked()),
        _ => Cow::Borrowed(text),
    }
}

struct Masker<'t, 'r> {
    text: &'t [u8],
    rules: &'r CardRules,
    /// Ranges to replace, in order, each with its replacement.
    replacements: Vec<(usize, usize, u8)>,
    token: StringToken,
}

/// The object or array that the walk is in.
#[derive(Debug, Clone, Copy)]
struct Container {
    is_object: bool,
    /// The member named last, or for an array the member that it is.
    member: Member,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    class: TextClass,
    /// Part of the event's identity.
    is_identity: bool,
    is_authentication: bool,
}

impl Member {
    const NONE: Self =
        Self { class: TextClass::Free, is_identity: false, is_authentication: false };

    fn named(name: &str, depth: usize) -> Self {
        Self {
            class: TextClass::of(name),
            is_identity: depth == 1 && is_identity_name(name),
            is_authentication: is_authentication_name(name),
        }
    }
}

impl Masker<'_, '_> {
    /// Finds what to replace; `None` if the text is malformed or must be rejected as a whole.
    fn walk(&mut self) -> Option<()> {
        let mut containers: Vec<Container> = Vec::with_capacity(8);
        let mut at = 0;
        while let Some(&byte) = self.text.get(at) {
            let member = containers.last().map_or(Member::NONE, |container| container.member);
            match byte {
                b'{' | b'[' => {
                    if member.is_authentication || containers.len() == MAX_DEPTH {
                        return None;
                    }
                    let is_object = byte == b'{';
                    containers.push(Container {
                        is_object,
                        member: if is_object { Member::NONE } else { member },
                    });
                    at += 1;
                }
                b'}' | b']' => {
                    containers.pop();
                    at += 1;
                }
                b'"' => {
                    let end = self.token.read(self.text, at + 1)?;
                    let is_name = containers.last().is_some_and(|container| container.is_object)
                        && self.next_is_colon(end);
                    let member = if is_name { self.name(&mut containers) } else { member };
                    self.string(member, is_name)?;
                    at = end;
                }
                b'-' | b'0'..=b'9' => at = self.number(at, member)?,
                b't' | b'f' if member.is_authentication => return None,
                _ => at += 1,
            }
        }
        Some(())
    }

    fn next_is_colon(&self, from: usize) -> bool {
        let rest = self.text.get(from..).unwrap_or_default();
        rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
    }

    /// Takes the token as the name of the member whose value comes next; a name is text like any other.
    fn name(&self, containers: &mut [Container]) -> Member {
        let depth = containers.len();
        let name = std::str::from_utf8(&self.token.bytes).unwrap_or_default();
        if let Some(container) = containers.last_mut() {
            container.member = Member::named(name, depth);
        }
        Member::NONE
    }

    fn string(&mut self, member: Member, is_name: bool) -> Option<()> {
        if member.is_authentication && !is_name {
            return None;
        }
        if member.is_identity {
            return Some(());
        }
        let token = &self.token;
        let mut digits = Vec::new();
        let mut must_reject = false;
        self.rules.for_each_finding(&token.bytes, member.class, |code, candidate| {
            must_reject |= code == RejectCode::AuthenticationData;
            let inside = candidate.range.clone();
            digits.extend(inside.filter(|&at| token.bytes.get(at).is_some_and(u8::is_ascii_digit)));
        });
        if must_reject {
            return None;
        }
        digits.sort_unstable();
        digits.dedup();
        let ranges = digits.iter().filter_map(|&at| token.source_range(at));
        self.replacements.extend(ranges.map(|(from, to)| (from, to, b'*')));
        Some(())
    }

    fn number(&mut self, start: usize, member: Member) -> Option<usize> {
        if member.is_authentication {
            return None;
        }
        let rest = self.text.get(start..)?;
        let length = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        let end = start + length;
        let number = std::str::from_utf8(rest.get(..length)?).ok()?;
        if !member.is_identity && self.rules.is_card_literal(number) {
            self.replacements.push((start, end, b'0'));
        }
        Some(end)
    }

    fn masked(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len());
        let mut at = 0;
        for &(from, to, replacement) in &self.replacements {
            out.extend_from_slice(self.text.get(at..from).unwrap_or_default());
            out.push(replacement);
            at = to;
        }
        out.extend_from_slice(self.text.get(at..).unwrap_or_default());
        out
    }
}

/// A JSON string with its escapes decoded, and the offset of each of its bytes in the text.
#[derive(Debug, Default)]
struct StringToken {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    end: usize,
}

impl StringToken {
    /// Reads the content of a string; returns the offset after its closing quote.
    ///
    /// Of escapes only ASCII's matter here; another one becomes a byte that is in no number.
    fn read(&mut self, text: &[u8], start: usize) -> Option<usize> {
        self.bytes.clear();
        self.starts.clear();
        let mut at = start;
        loop {
            let (byte, length) = match text.get(at..)? {
                [b'"', ..] => break,
                [b'\\', b'u', hex @ ..] => {
                    let hex = std::str::from_utf8(hex.get(..4)?).ok()?;
                    let code = u16::from_str_radix(hex, 16).ok()?;
                    (u8::try_from(code).unwrap_or(b'\\'), 6)
                }
                [b'\\', byte, ..] => (*byte, 2),
                [byte, ..] => (*byte, 1),
                [] => return None,
            };
            self.bytes.push(byte);
            self.starts.push(at);
            at += length;
        }
        self.end = at;
        Some(at + 1)
    }

    /// Returns the range of the text that a byte of the token came from.
    fn source_range(&self, at: usize) -> Option<(usize, usize)> {
        let from = *self.starts.get(at)?;
        Some((from, self.starts.get(at + 1).copied().unwrap_or(self.end)))
    }
}
