//! The objects of the schema: the names in each, and what stands behind a name.

use Holds::{Flag, Integer, List, Object, Text};

use crate::decode::{header, line, parts};

/// What a member holds, when it is not null.
#[derive(Debug, Clone, Copy)]
pub(super) enum Holds {
    Text,
    Integer,
    Flag,
    Object(&'static Grammar),
    List(&'static Grammar),
}

/// One object of the schema.
#[derive(Debug)]
pub(super) struct Grammar {
    /// Number of the first of its states: where it begins, after each field, after a null in each.
    first_state: usize,
    names: &'static [&'static str],
    holds: &'static [Holds],
}

impl Grammar {
    /// Returns a member by its name, with its field.
    pub(super) fn member(&self, name: &[u8]) -> Option<(usize, Holds)> {
        let field = self.names.iter().position(|known| known.as_bytes() == name)?;
        Some((field, *self.holds.get(field)?))
    }

    /// Returns what the objects are that a field holds.
    #[inline]
    pub(super) fn inner(&self, field: usize) -> Option<&'static Self> {
        match self.holds.get(field)? {
            Object(inner) | List(inner) => Some(inner),
            Text | Integer | Flag => None,
        }
    }

    /// Returns the state in which an object begins.
    #[inline]
    pub(super) fn start(&self) -> usize {
        self.first_state
    }

    /// Returns the state behind a field's value; a text still has its last quotation mark ahead.
    #[inline]
    pub(super) fn after(&self, field: usize) -> usize {
        self.first_state + 1 + field
    }

    /// Returns the state behind a field's null.
    #[inline]
    pub(super) fn after_null(&self, field: usize) -> usize {
        self.after(self.names.len() + field)
    }

    #[inline]
    pub(super) fn fields(&self) -> usize {
        self.names.len()
    }

    /// The first state of the grammar after this.
    const fn end(&self) -> usize {
        self.first_state + 1 + 2 * self.names.len()
    }
}

/// Number of states of all grammars.
pub(super) const STATES: usize = EVENT.end();

static DISCOUNT: Grammar =
    Grammar { first_state: 0, names: &line::DISCOUNT_NAMES, holds: &[Text, Text] };
static TAX: Grammar =
    Grammar { first_state: 5, names: &line::TAX_NAMES, holds: &[Text, Text, Text, Flag] };
static LINE: Grammar = Grammar {
    first_state: 14,
    names: &line::NAMES,
    holds: &[
        Integer,
        Text,
        Text,
        Text,
        Text,
        Text,
        Text,
        Text,
        Text,
        Text,
        Text,
        List(&DISCOUNT),
        List(&TAX),
        Text,
        Flag,
    ],
};
static TENDER: Grammar =
    Grammar { first_state: 45, names: &parts::TENDER_NAMES, holds: &[Text, Text, Text, Text] };
static TOTALS: Grammar = Grammar {
    first_state: 54,
    names: &parts::TOTALS_NAMES,
    holds: &[Text, Text, Text, Text, Integer],
};
static REFERENCE: Grammar = Grammar {
    first_state: 65,
    names: &parts::REFERENCE_NAMES,
    holds: &[Text, Text, Text, Integer, Text, Text, Text],
};
/// The event itself.
pub(super) static EVENT: Grammar = Grammar {
    first_state: 80,
    names: &header::NAMES,
    holds: &[
        Text,
        Text,
        Text,
        Integer,
        Text,
        Text,
        Text,
        Text,
        Text,
        Text,
        Text,
        Text,
        Object(&REFERENCE),
        Flag,
        Text,
        List(&LINE),
        List(&TENDER),
        Object(&TOTALS),
        Text,
        Integer,
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_holds_something_and_no_state_serves_twice() {
        let mut next = 0;
        for grammar in [&DISCOUNT, &TAX, &LINE, &TENDER, &TOTALS, &REFERENCE, &EVENT] {
            assert_eq!(grammar.names.len(), grammar.holds.len());
            assert!(grammar.names.len() < 32, "a mask of 32 bits tells which are there");
            assert_eq!(grammar.first_state, next);
            next = grammar.end();
        }
        assert_eq!(next, STATES);
    }
}
