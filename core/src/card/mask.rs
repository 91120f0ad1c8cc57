//! Masking card numbers in an event's text before it is decoded.
//!
//! It walks the text as JSON but does not check it: the decoder does, and refuses whatever card data
//! was left. So this can only fail to mask, never let a number through.

use std::borrow::Cow;

use super::rules::{CardPolicy, CardRules, TextClass, is_authentication_name, is_identity_name};
use crate::decode::RejectCode;

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
    let mut masker = Masker { text, rules, hidden: Vec::new(), token: Token::default() };
    match masker.walk() {
        Some(()) if !masker.hidden.is_empty() => Cow::Owned(masker.masked()),
        _ => Cow::Borrowed(text),
    }
}

struct Masker<'t, 'r> {
    text: &'t [u8],
    rules: &'r CardRules,
    /// Stretches to replace, in order, with what stands for them.
    hidden: Vec<(usize, usize, u8)>,
    token: Token,
}

/// The object or array that the walk is in.
#[derive(Debug, Clone, Copy)]
struct Frame {
    is_object: bool,
    /// What the member last named is, or for an array what the array is.
    member: Member,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    class: TextClass,
    /// Part of what says which event this is.
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
    /// Finds what to hide; `None` if the text is malformed or is to be refused as a whole.
    fn walk(&mut self) -> Option<()> {
        let mut frames: Vec<Frame> = Vec::with_capacity(8);
        let mut at = 0;
        while let Some(&byte) = self.text.get(at) {
            let member = frames.last().map_or(Member::NONE, |frame| frame.member);
            match byte {
                b'{' | b'[' => {
                    if member.is_authentication || frames.len() == MAX_DEPTH {
                        return None;
                    }
                    let is_object = byte == b'{';
                    frames.push(Frame {
                        is_object,
                        member: if is_object { Member::NONE } else { member },
                    });
                    at += 1;
                }
                b'}' | b']' => {
                    frames.pop();
                    at += 1;
                }
                b'"' => {
                    let end = self.token.read(self.text, at + 1)?;
                    let is_name = frames.last().is_some_and(|frame| frame.is_object)
                        && self.next_is_colon(end);
                    let member = if is_name { self.name(&mut frames) } else { member };
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
    fn name(&self, frames: &mut [Frame]) -> Member {
        let depth = frames.len();
        let name = std::str::from_utf8(&self.token.bytes).unwrap_or_default();
        if let Some(frame) = frames.last_mut() {
            frame.member = Member::named(name, depth);
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
        let mut refused = false;
        self.rules.for_each_finding(&token.bytes, member.class, |code, candidate| {
            refused |= code == RejectCode::AuthenticationData;
            let inside = candidate.range.clone();
            digits.extend(inside.filter(|&at| token.bytes.get(at).is_some_and(u8::is_ascii_digit)));
        });
        if refused {
            return None;
        }
        digits.sort_unstable();
        digits.dedup();
        let spans = digits.iter().filter_map(|&at| token.span(at));
        self.hidden.extend(spans.map(|(from, to)| (from, to, b'*')));
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
            self.hidden.push((start, end, b'0'));
        }
        Some(end)
    }

    fn masked(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len());
        let mut at = 0;
        for &(from, to, stand_in) in &self.hidden {
            out.extend_from_slice(self.text.get(at..from).unwrap_or_default());
            out.push(stand_in);
            at = to;
        }
        out.extend_from_slice(self.text.get(at..).unwrap_or_default());
        out
    }
}

/// A JSON string without its escapes, and where each byte of it came from.
#[derive(Debug, Default)]
struct Token {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    end: usize,
}

impl Token {
    /// Reads a string's inside; returns the place after its closing quote.
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

    /// Returns where in the text a byte of the token stands.
    fn span(&self, at: usize) -> Option<(usize, usize)> {
        let from = *self.starts.get(at)?;
        Some((from, self.starts.get(at + 1).copied().unwrap_or(self.end)))
    }
}
