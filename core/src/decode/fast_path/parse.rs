//! Parses the bytes between two values one by one, where the shape cache has no transition for them.

use super::grammar::{Grammar, MemberType, START};
use super::object_stack::ObjectStack;
use super::shape_cache::{NestingChange, NextValue, Transition};

/// Parses the bytes from the end of a value to the next one.
///
/// `None`: they are not JSON, or not what the fast path supports.
pub(super) fn transition(
    text: &[u8],
    at: u32,
    state: usize,
    stack: &ObjectStack,
) -> Option<Transition> {
    let at = at as usize;
    let mut cursor = Cursor { text, at };
    let mut nesting = NestingChange {
        next: NextValue::End,
        ends: 0,
        is_next_element: false,
        begins: 0,
        fields: [0; 2],
    };
    let mut objects = stack.objects();
    let (mut grammar, mut field_in_outer) = objects.next()?;
    if state == usize::from(START) {
        cursor.skip_space();
        cursor.expect(b'{')?;
    } else {
        if grammar.is_after_text(state) {
            cursor.expect(b'"')?;
        }
        while !cursor.skip(b',') {
            cursor.expect(b'}')?;
            nesting.ends += 1;
            let Some((outer, outer_field)) = objects.next() else {
                return Transition::new(cursor.at - at, 0, START, nesting);
            };
            if outer.is_list(field_in_outer) {
                if cursor.skip(b',') {
                    cursor.expect(b'{')?;
                    nesting.is_next_element = true;
                    break;
                }
                cursor.expect(b']')?;
            }
            (grammar, field_in_outer) = (outer, outer_field);
        }
    }
    let (field, next) = cursor.member(&mut grammar, &mut nesting)?;
    nesting.next = next;
    let state = match next {
        NextValue::Absent => grammar.after_absent(field),
        _ => grammar.after(field),
    };
    Transition::new(cursor.at - at, field, state, nesting)
}

/// An offset in a text.
struct Cursor<'d> {
    text: &'d [u8],
    at: usize,
}

impl Cursor<'_> {
    /// Parses a member up to its value. Where the value is an object, goes on with the first member of that.
    fn member(
        &mut self,
        grammar: &mut &'static Grammar,
        nesting: &mut NestingChange,
    ) -> Option<(u8, NextValue)> {
        loop {
            let (field, member_type) = grammar.member(self.name()?)?;
            self.expect(b':')?;
            self.skip_space();
            if self.skip_word(b"null") {
                return Some((field, NextValue::Absent));
            }
            let next = match member_type {
                MemberType::Text if self.skip_here(b'"') => NextValue::Text,
                MemberType::Integer if self.text.get(self.at)?.is_ascii_digit() => {
                    NextValue::Integer
                }
                MemberType::Flag if self.skip_word(b"true") => NextValue::True,
                MemberType::Flag if self.skip_word(b"false") => NextValue::False,
                MemberType::Text | MemberType::Integer | MemberType::Flag | MemberType::Open => {
                    return None;
                }
                MemberType::List(inner) | MemberType::Object(inner) => {
                    if matches!(member_type, MemberType::List(_)) {
                        self.expect(b'[')?;
                        if self.skip(b']') {
                            return Some((field, NextValue::Absent));
                        }
                    }
                    self.expect(b'{')?;
                    *nesting.fields.get_mut(usize::from(nesting.begins))? = field;
                    nesting.begins += 1;
                    *grammar = inner;
                    continue;
                }
            };
            return Some((field, next));
        }
    }

    /// Returns the name of a member as its bytes stand, so that a name with an escape is an unknown one.
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
