//! What stands between two values, read byte by byte where it was not met before.

use super::grammar::{Grammar, Holds, START};
use super::levels::Levels;
use super::paths::{Step, Then, Turn};

/// Reads from behind a value to the next one.
///
/// `None`: it is not JSON, or not what the speculation takes.
pub(super) fn step(text: &[u8], at: u32, state: usize, levels: &Levels) -> Option<Step> {
    let at = at as usize;
    let mut cursor = Cursor { text, at };
    let mut turn = Turn { then: Then::End, ends: 0, is_next: false, begins: 0, fields: [0; 2] };
    let mut objects = levels.objects();
    let (mut grammar, mut within) = objects.next()?;
    if state == usize::from(START) {
        cursor.skip_space();
        cursor.expect(b'{')?;
    } else {
        if grammar.is_behind_text(state) {
            cursor.expect(b'"')?;
        }
        while !cursor.skip(b',') {
            cursor.expect(b'}')?;
            turn.ends += 1;
            let Some((outer, outer_within)) = objects.next() else {
                return Step::new(cursor.at - at, 0, START, turn);
            };
            if outer.is_list(within) {
                if cursor.skip(b',') {
                    cursor.expect(b'{')?;
                    turn.is_next = true;
                    break;
                }
                cursor.expect(b']')?;
            }
            (grammar, within) = (outer, outer_within);
        }
    }
    let (field, then) = cursor.member(&mut grammar, &mut turn)?;
    turn.then = then;
    let state = match then {
        Then::Nothing => grammar.after_nothing(field),
        _ => grammar.after(field),
    };
    Step::new(cursor.at - at, field, state, turn)
}

/// A place in a text.
struct Cursor<'d> {
    text: &'d [u8],
    at: usize,
}

impl Cursor<'_> {
    /// Reads a member up to its value, or the first member of the object that it holds.
    fn member(&mut self, grammar: &mut &'static Grammar, turn: &mut Turn) -> Option<(u8, Then)> {
        loop {
            let (field, holds) = grammar.member(self.name()?)?;
            self.expect(b':')?;
            self.skip_space();
            if self.skip_word(b"null") {
                return Some((field, Then::Nothing));
            }
            let then = match holds {
                Holds::Text if self.skip_here(b'"') => Then::Text,
                Holds::Integer if self.text.get(self.at)?.is_ascii_digit() => Then::Integer,
                Holds::Flag if self.skip_word(b"true") => Then::True,
                Holds::Flag if self.skip_word(b"false") => Then::False,
                Holds::Text | Holds::Integer | Holds::Flag => return None,
                Holds::List(inner) | Holds::Object(inner) => {
                    if matches!(holds, Holds::List(_)) {
                        self.expect(b'[')?;
                        if self.skip(b']') {
                            return Some((field, Then::Nothing));
                        }
                    }
                    self.expect(b'{')?;
                    *turn.fields.get_mut(usize::from(turn.begins))? = field;
                    turn.begins += 1;
                    *grammar = inner;
                    continue;
                }
            };
            return Some((field, then));
        }
    }

    /// Reads the name of a member; one with an escape is none that the schema knows by its bytes.
    fn name(&mut self) -> Option<&[u8]> {
        self.expect(b'"')?;
        let rest = self.text.get(self.at..)?;
        let length = rest.iter().position(|byte| *byte == b'"')?;
        self.at += length + 1;
        rest.get(..length)
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    /// Skips white space, and the byte after it if it is this one.
    fn skip(&mut self, byte: u8) -> bool {
        self.skip_space();
        self.skip_here(byte)
    }

    fn skip_here(&mut self, byte: u8) -> bool {
        self.skip_word(&[byte])
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip(byte).then_some(())
    }

    fn skip_word(&mut self, word: &[u8]) -> bool {
        let is_next = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        if is_next {
            self.at += word.len();
        }
        is_next
    }
}
