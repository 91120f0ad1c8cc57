//! A JSON pointer (RFC 6901) to a member, as a chain on the stack; it becomes text only for a rejection.

/// Longest pointer, in bytes: a reply holds up to a thousand of them.
const MAX_POINTER_BYTES: usize = 512;

/// One reference token of a pointer and the pointer that it extends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonPointer<'p> {
    parent: Option<&'p JsonPointer<'p>>,
    token: ReferenceToken<'p>,
}

#[derive(Debug, Clone, Copy)]
enum ReferenceToken<'p> {
    Root,
    Member(&'p str),
    Element(usize),
}

impl<'p> JsonPointer<'p> {
    /// The event itself.
    pub(crate) const ROOT: JsonPointer<'static> =
        JsonPointer { parent: None, token: ReferenceToken::Root };

    /// Tells whether this is the event itself.
    pub(crate) fn is_root(&self) -> bool {
        matches!(self.token, ReferenceToken::Root)
    }

    pub(crate) fn member(&'p self, name: &'p str) -> Self {
        Self { parent: Some(self), token: ReferenceToken::Member(name) }
    }

    pub(crate) fn element(&'p self, index: usize) -> Self {
        Self { parent: Some(self), token: ReferenceToken::Element(index) }
    }

    /// Writes the pointer as text.
    ///
    /// Names are the sender's and may be long: a pointer that would exceed its limit names the nearest outer object or array
    /// that fits instead.
    pub(crate) fn render(&self) -> String {
        let mut pointer = String::new();
        self.append(&mut pointer);
        pointer
    }

    /// Appends the pointer; tells whether it fits.
    fn append(&self, pointer: &mut String) -> bool {
        if !self.parent.is_none_or(|parent| parent.append(pointer)) {
            return false;
        }
        let token = match self.token {
            ReferenceToken::Root => return true,
            ReferenceToken::Member(name) if name.len() > MAX_POINTER_BYTES => return false,
            ReferenceToken::Member(name) => {
                format!("/{}", name.replace('~', "~0").replace('/', "~1"))
            }
            ReferenceToken::Element(index) => format!("/{index}"),
        };
        let fits = pointer.len() + token.len() <= MAX_POINTER_BYTES;
        if fits {
            pointer.push_str(&token);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_rfc_6901_has_it() {
        let lines = JsonPointer::ROOT.member("lines");
        let line = lines.element(12);
        assert_eq!(line.member("a/b~c").render(), "/lines/12/a~1b~0c");
        assert_eq!(JsonPointer::ROOT.render(), "");
        assert_eq!(JsonPointer::ROOT.member("").render(), "/");
    }

    #[test]
    fn a_pointer_that_is_too_long_names_an_outer_object() {
        let long = "x".repeat(400);
        let near = JsonPointer::ROOT.member("near");
        let far = near.member(&long);
        let farther = far.member(&long);
        assert_eq!(far.render().len(), "/near/".len() + 400);
        assert_eq!(farther.member("a").render(), far.render());
    }
}
