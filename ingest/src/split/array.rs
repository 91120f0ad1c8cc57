//! One JSON array (RFC 8259): its elements are found by brackets and quotes alone.

use super::{Malformed, Splitter};

/// Where in the array the scan stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ArrayState {
    /// Before the opening bracket.
    #[default]
    Before,
    /// After the opening bracket: an element or the end.
    First,
    /// After a comma: an element.
    Next,
    /// Inside an element, `depth` brackets deep.
    Inside { depth: u32, in_string: bool },
    /// After an element: a comma or the end.
    Between,
    /// After the closing bracket.
    After,
}

impl Splitter {
    pub(super) fn scan_array(&mut self, ended: bool) -> Result<bool, Malformed> {
        while self.pieces.len() < self.max_pieces {
            if let ArrayState::Inside { depth, in_string } = self.array {
                if !self.scan_element(depth, in_string) {
                    break;
                }
                continue;
            }
            let Some(&byte) = self.text.get(self.scanned) else { break };
            self.array = match (self.array, byte) {
                (_, b' ' | b'\t' | b'\r' | b'\n') => self.array,
                (ArrayState::Before, b'[') => ArrayState::First,
                (ArrayState::First | ArrayState::Between, b']') => ArrayState::After,
                (ArrayState::Between, b',') => ArrayState::Next,
                (ArrayState::First | ArrayState::Next, first) if !matches!(first, b',' | b']') => {
                    self.start = self.scanned;
                    self.array = ArrayState::Inside { depth: 0, in_string: false };
                    continue;
                }
                _ => return Err(Malformed),
            };
            self.scanned += 1;
            self.start = self.scanned;
        }
        let looked_at_everything = self.pieces.len() < self.max_pieces;
        if looked_at_everything && ended && self.array != ArrayState::After {
            return Err(Malformed);
        }
        Ok(looked_at_everything)
    }

    /// Looks for the end of the element at hand; false when it is not in the buffer yet.
    fn scan_element(&mut self, mut depth: u32, mut in_string: bool) -> bool {
        let mut at = self.scanned;
        while let Some(&byte) = self.text.get(at) {
            if in_string {
                let Some(end) = end_of_string(&self.text, at) else { break };
                in_string = false;
                at = end;
                if depth == 0 {
                    return self.finish_element(at);
                }
                continue;
            }
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => depth = depth.saturating_add(1),
                b'}' | b']' if depth > 1 => depth -= 1,
                b'}' | b']' if depth == 1 => return self.finish_element(at + 1),
                b',' | b']' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => {
                    return self.finish_element(at);
                }
                _ => {}
            }
            at += 1;
        }
        self.scanned = if in_string { self.escape_aligned_end(at) } else { self.text.len() };
        self.array = ArrayState::Inside { depth, in_string };
        false
    }

    fn finish_element(&mut self, end: usize) -> bool {
        self.finish(end, end);
        self.array = ArrayState::Between;
        true
    }

    /// Where to go on inside an unfinished string: at the end, or at a backslash whose second half
    /// has not come yet.
    fn escape_aligned_end(&self, string_at: usize) -> usize {
        let tail = self.text.get(string_at..).unwrap_or_default();
        let backslashes = tail.iter().rev().take_while(|&&byte| byte == b'\\').count();
        self.text.len() - backslashes % 2
    }
}

/// Returns the place after the closing quote of the string whose inside begins at `from`.
fn end_of_string(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[found] == b'"' {
            return Some(found + 1);
        }
        at = found + 2;
    }
}
