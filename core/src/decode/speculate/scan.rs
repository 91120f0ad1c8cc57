//! One pass over a text, from member to member.
//!
//! Wherever the text is not what RFC 8259 and the schema's types allow, or merely unusual, the scan
//! gives up; it never says what is wrong. Depth is that of the schema.

use super::block::{BLOCK, marks};
use super::grammar::{Grammar, Holds};
use super::paths::{Paths, Step, Then};
use super::sheet::{Sheet, pair};

/// Most digits of an integer of the schema.
const MOST_DIGITS: usize = 16;

/// A place in a text, what was learned of such texts, and what was found in this one.
pub(super) struct Scan<'s, 'd> {
    text: &'d [u8],
    at: usize,
    paths: &'s mut Paths,
    sheet: &'s mut Sheet,
    is_plain: bool,
}

impl<'s, 'd> Scan<'s, 'd> {
    /// Begins a scan. The text is UTF-8.
    pub(super) fn new(text: &'d [u8], paths: &'s mut Paths, sheet: &'s mut Sheet) -> Self {
        sheet.clear();
        Self { text, at: 0, paths, sheet, is_plain: true }
    }

    /// Reads the whole text as one object and returns its frame.
    pub(super) fn whole(&mut self, grammar: &'static Grammar) -> Option<usize> {
        let frame = self.object(grammar)?;
        self.skip_space();
        (self.at == self.text.len()).then_some(frame)
    }

    /// Tells whether all texts met are printable ASCII.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Reads an object; recursion is as deep as the schema.
    fn object(&mut self, grammar: &'static Grammar) -> Option<usize> {
        let frame = self.sheet.add(grammar.fields())?;
        let (mut state, mut met, mut present) = (grammar.start(), 0_u32, 0_u32);
        let mut after_text = false;
        loop {
            let Step { field, then } = self.step(grammar, state, after_text)?;
            if then == Then::End {
                break;
            }
            let field = usize::from(field);
            let bit = 1_u32 << field;
            if met & bit != 0 {
                return None;
            }
            met |= bit;
            state = grammar.after(field);
            after_text = then == Then::Text;
            let value = match then {
                Then::Text => {
                    let from = self.at;
                    self.string()?;
                    pair(from, self.at)
                }
                Then::Integer => self.integer()?,
                Then::True => 1,
                Then::False => 0,
                Then::Object => self.object(grammar.inner(field)?)? as u64,
                Then::List => match self.list(grammar.inner(field)?)? {
                    0 => continue,
                    list => list,
                },
                Then::Null | Then::End => {
                    state = grammar.after_null(field);
                    continue;
                }
            };
            present |= bit;
            self.sheet.fill(frame, field, value);
        }
        self.sheet.close(frame, present);
        Some(frame)
    }

    /// Reads the objects of a list; returns the first one's frame and their number, 0 for none.
    fn list(&mut self, grammar: &'static Grammar) -> Option<u64> {
        if self.next_is(b']') {
            return Some(0);
        }
        let first = self.object(grammar)?;
        let (mut last, mut count) = (first, 1);
        while self.next_is(b',') {
            let next = self.object(grammar)?;
            self.sheet.link(last, next);
            last = next;
            count += 1;
        }
        self.next_is(b']').then(|| pair(first, count))
    }

    #[inline]
    fn step(&mut self, grammar: &'static Grammar, state: usize, after_text: bool) -> Option<Step> {
        let Some((step, length)) = self.paths.step(state, self.text, self.at) else {
            return self.unforeseen(grammar, state, after_text);
        };
        self.at += length;
        Some(step)
    }

    /// Reads what stands between two members, and learns it.
    #[inline(never)]
    fn unforeseen(
        &mut self,
        grammar: &'static Grammar,
        state: usize,
        after_text: bool,
    ) -> Option<Step> {
        let from = self.at;
        if state == grammar.start() {
            self.skip_space();
            self.expect(b'{')?;
        } else if after_text {
            self.expect(b'"')?;
        }
        let step = self.read_step(grammar, state)?;
        self.paths.learn(state, self.text.get(from..self.at)?, step);
        Some(step)
    }

    fn read_step(&mut self, grammar: &'static Grammar, state: usize) -> Option<Step> {
        if self.next_is(b'}') {
            return Some(Step { field: 0, then: Then::End });
        }
        if state != grammar.start() {
            self.expect(b',')?;
            self.skip_space();
        }
        self.expect(b'"')?;
        let name = self.at;
        self.string()?;
        let (field, holds) = grammar.member(self.text.get(name..self.at)?)?;
        self.expect(b'"')?;
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        let then = if self.skip_word(b"null") {
            Then::Null
        } else {
            match holds {
                Holds::Text => {
                    self.expect(b'"')?;
                    Then::Text
                }
                Holds::Integer => Then::Integer,
                Holds::Flag if self.skip_word(b"true") => Then::True,
                Holds::Flag if self.skip_word(b"false") => Then::False,
                Holds::Flag => return None,
                Holds::Object(_) => Then::Object,
                Holds::List(_) => {
                    self.expect(b'[')?;
                    Then::List
                }
            }
        };
        Some(Step { field: u8::try_from(field).ok()?, then })
    }

    /// Moves to the quotation mark that ends a string.
    #[inline]
    fn string(&mut self) -> Option<()> {
        let (text, mut at) = (self.text, self.at);
        loop {
            let marks = marks(text, at);
            // What stands before the first quotation mark, and the mark itself.
            let before = marks.quotes ^ marks.quotes.wrapping_sub(1);
            if marks.odd & before != 0 {
                self.at = at;
                return self.odd_string();
            }
            if marks.quotes != 0 {
                self.at = at + marks.quotes.trailing_zeros() as usize;
                return Some(());
            }
            at += BLOCK;
        }
    }

    /// The same a byte at a time, from where there is something odd on.
    #[cold]
    fn odd_string(&mut self) -> Option<()> {
        loop {
            match self.text.get(self.at)? {
                b'"' => return Some(()),
                b'\\' | ..0x20 => return None,
                0x20..0x7f => {}
                0x7f.. => self.is_plain = false,
            }
            self.at += 1;
        }
    }

    /// Reads an integer that no JSON reader would take for another number.
    #[inline]
    fn integer(&mut self) -> Option<u64> {
        let (mut value, from) = (0_u64, self.at);
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at) {
            if self.at - from == MOST_DIGITS {
                return None;
            }
            value = value * 10 + u64::from(digit - b'0');
            self.at += 1;
        }
        let digits = self.at - from;
        let has_zero_in_front = digits > 1 && self.text.get(from) == Some(&b'0');
        (digits > 0 && !has_zero_in_front).then_some(value)
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    /// Skips white space, and the byte after it if it is this one.
    #[inline]
    fn next_is(&mut self, byte: u8) -> bool {
        if self.text.get(self.at) != Some(&byte) {
            self.skip_space();
        }
        self.skip(byte)
    }

    #[inline]
    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
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
