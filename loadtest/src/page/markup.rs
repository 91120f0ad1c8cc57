//! Writes well-formed markup: XHTML and SVG that both an HTML and an XML parser read.
//!
//! Text and attribute values are escaped here and nowhere else, so nothing that a gateway or a file
//! name says can become markup. Every element that is opened is closed.

use std::fmt::{Display, Write as _};

/// Markup being written.
#[derive(Debug, Default)]
pub(super) struct Markup {
    text: String,
    open: Vec<&'static str>,
}

/// A start tag being written.
#[derive(Debug)]
pub(super) struct Tag<'a> {
    markup: &'a mut Markup,
    name: &'static str,
}

impl Markup {
    /// Begins a document with what stands before its first element.
    pub(super) fn begin(prologue: &str) -> Self {
        Self { text: prologue.to_owned(), open: Vec::new() }
    }

    /// Begins an element.
    pub(super) fn tag(&mut self, name: &'static str) -> Tag<'_> {
        self.text.push('<');
        self.text.push_str(name);
        Tag { markup: self, name }
    }

    /// Writes an element that has no attributes and holds text.
    pub(super) fn element(&mut self, name: &'static str, text: impl Display) {
        self.tag(name).holding(text);
    }

    /// Writes an element whose text stands as it is: our own style sheet, which has no markup.
    pub(super) fn verbatim(&mut self, name: &'static str, text: &'static str) {
        self.tag(name).open();
        self.text.push_str(text);
        self.close();
    }

    /// Writes text.
    pub(super) fn text(&mut self, text: impl Display) {
        self.escaped(text);
    }

    /// Ends the element that was opened last.
    pub(super) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.text.push_str("</");
            self.text.push_str(name);
            self.text.push_str(">\n");
        }
    }

    /// Ends all elements and returns the document.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }

    fn escaped(&mut self, text: impl Display) {
        // Writing to a `String` does not fail.
        if write!(EscapingWriter(&mut self.text), "{text}").is_err() {
            tracing::error!("a value of the report cannot be written");
        }
    }
}

impl Tag<'_> {
    /// Adds an attribute.
    pub(super) fn with(self, name: &str, value: impl Display) -> Self {
        self.markup.text.push(' ');
        self.markup.text.push_str(name);
        self.markup.text.push_str("=\"");
        self.markup.escaped(value);
        self.markup.text.push('"');
        self
    }

    /// Opens the element: what follows stands in it.
    pub(super) fn open(self) {
        self.markup.text.push('>');
        self.markup.open.push(self.name);
    }

    /// Closes the element with nothing in it. An HTML parser takes this from SVG, `meta` and the
    /// like only.
    pub(super) fn empty(self) {
        self.markup.text.push_str("/>\n");
    }

    /// Closes the element with text in it.
    pub(super) fn holding(self, text: impl Display) {
        self.markup.text.push('>');
        self.markup.open.push(self.name);
        self.markup.escaped(text);
        self.markup.close();
    }
}

/// Writes what XML 1.0 allows of a text, with its five special characters as references.
struct EscapingWriter<'a>(&'a mut String);

impl std::fmt::Write for EscapingWriter<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\t' | '\n' => self.0.push(character),
                '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_written_becomes_markup() {
        let mut markup = Markup::default();
        markup.tag("p").with("title", "\"><script>").open();
        markup.text("</p>&\u{1b}'");
        let expected = "<p title=\"&quot;&gt;&lt;script&gt;\">&lt;/p&gt;&amp;\u{fffd}&#39;</p>\n";
        assert_eq!(markup.finish(), expected);
    }

    #[test]
    fn what_was_opened_is_closed() {
        let mut markup = Markup::begin("<!DOCTYPE html>\n");
        markup.tag("html").open();
        markup.tag("body").open();
        markup.element("p", 1);
        markup.tag("hr").empty();
        assert_eq!(
            markup.finish(),
            "<!DOCTYPE html>\n<html><body><p>1</p>\n<hr/>\n</body>\n</html>\n"
        );
    }
}
