//! Where in the event the decoder is, as a chain on the stack; text is made of it only for a refusal.

/// Longest pointer, in bytes: a reply holds up to a thousand of them.
const MAX_POINTER_BYTES: usize = 512;

/// One step of a path and what it hangs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    step: Step<'p>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Root,
    Member(&'p str),
    Element(usize),
}

impl<'p> Place<'p> {
    /// The event itself.
    pub(crate) const ROOT: Place<'static> = Place { parent: None, step: Step::Root };

    /// Tells whether this is the event itself.
    pub(crate) fn is_root(&self) -> bool {
        matches!(self.step, Step::Root)
    }

    pub(crate) fn member(&'p self, name: &'p str) -> Self {
        Self { parent: Some(self), step: Step::Member(name) }
    }

    pub(crate) fn element(&'p self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Element(index) }
    }

    /// Writes the path as a JSON pointer (RFC 6901).
    ///
    /// Names are the sender's and may be long: where the pointer would exceed its limit it names the
    /// nearest object or array around the place instead.
    pub(crate) fn pointer(&self) -> String {
        let mut pointer = String::new();
        self.append(&mut pointer);
        pointer
    }

    /// Appends the path; tells whether it fits.
    fn append(&self, pointer: &mut String) -> bool {
        if !self.parent.is_none_or(|parent| parent.append(pointer)) {
            return false;
        }
        let step = match self.step {
            Step::Root => return true,
            Step::Member(name) if name.len() > MAX_POINTER_BYTES => return false,
            Step::Member(name) => format!("/{}", name.replace('~', "~0").replace('/', "~1")),
            Step::Element(index) => format!("/{index}"),
        };
        let fits = pointer.len() + step.len() <= MAX_POINTER_BYTES;
        if fits {
            pointer.push_str(&step);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_as_rfc_6901_has_it() {
        let lines = Place::ROOT.member("lines");
        let line = lines.element(12);
        assert_eq!(line.member("a/b~c").pointer(), "/lines/12/a~1b~0c");
        assert_eq!(Place::ROOT.pointer(), "");
        assert_eq!(Place::ROOT.member("").pointer(), "/");
    }

    #[test]
    fn what_is_too_long_is_named_by_what_stands_around_it() {
        let long = "x".repeat(400);
        let near = Place::ROOT.member("near");
        let far = near.member(&long);
        let farther = far.member(&long);
        assert_eq!(far.pointer().len(), "/near/".len() + 400);
        assert_eq!(farther.member("a").pointer(), far.pointer());
    }
}
