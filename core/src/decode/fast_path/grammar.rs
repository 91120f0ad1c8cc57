//! The objects of the schema: the names in each, and the type of each member.

use MemberType::{Flag, Integer, List, Object, Open, Text};

use crate::decode::{details, event_fields, line, parts};

/// The type of a member that is not null.
#[derive(Debug, Clone, Copy)]
pub(super) enum MemberType {
    Text,
    Integer,
    Flag,
    Object(&'static Grammar),
    List(&'static Grammar),
    /// An object of any members, on which the scan gives up.
    Open,
}

/// One object of the schema.
#[derive(Debug)]
pub(super) struct Grammar {
    /// Number of the first of its states: after each field, then after a null in each.
    first_state: u8,
    names: &'static [&'static str],
    types: &'static [MemberType],
}

impl Grammar {
    /// Returns a member by its name, with its field.
    pub(super) fn member(&self, name: &[u8]) -> Option<(u8, MemberType)> {
        let field = self.names.iter().position(|known| known.as_bytes() == name)?;
        Some((u8::try_from(field).ok()?, *self.types.get(field)?))
    }

    /// Tells whether a field holds a list.
    pub(super) fn is_list(&self, field: u8) -> bool {
        matches!(self.types.get(usize::from(field)), Some(List(_)))
    }

    /// Returns what the objects are that a field holds.
    pub(super) fn inner(&self, field: u8) -> Option<&'static Self> {
        match self.types.get(usize::from(field))? {
            Object(inner) | List(inner) => Some(inner),
            Text | Integer | Flag | Open => None,
        }
    }

    /// Returns the state after a field's value; the closing quotation mark of a text is still to come.
    pub(super) fn after(&self, field: u8) -> u8 {
        self.first_state + field
    }

    /// Returns the state after a null or an empty list in a field.
    pub(super) fn after_absent(&self, field: u8) -> u8 {
        self.after(field) + self.fields()
    }

    /// Tells whether the closing quotation mark of a text is still to come in one of its states.
    pub(super) fn is_after_text(&self, state: usize) -> bool {
        let field = state.checked_sub(usize::from(self.first_state));
        matches!(field.and_then(|field| self.types.get(field)), Some(Text))
    }

    /// Returns how many fields it has.
    pub(super) const fn fields(&self) -> u8 {
        #[expect(clippy::cast_possible_truncation, reason = "a few dozen at most, as a test says")]
        let fields = self.names.len() as u8;
        fields
    }

    /// The first state of the grammar after this.
    const fn end(&self) -> u8 {
        self.first_state + 2 * self.fields()
    }
}

/// The state in which an event begins.
pub(super) const START: u8 = EVENT.end();
/// More than there are states, and a power of two, so that an index needs no check of bounds.
pub(super) const STATES: usize = 256;
/// Deepest nesting of objects, the event being the outermost.
pub(super) const SCHEMA_DEPTH: usize = 3;

static DISCOUNT: Grammar =
    Grammar { first_state: 0, names: &line::DISCOUNT_NAMES, types: &[Text, Text] };
static TAX: Grammar =
    Grammar { first_state: 4, names: &line::TAX_NAMES, types: &[Text, Text, Text, Flag] };
static COMPONENT: Grammar = Grammar {
    first_state: 12,
    names: &line::COMPONENT_NAMES,
    types: &[Text, Text, Text, Text, Text],
};
static AGE_CHECK: Grammar =
    Grammar { first_state: 22, names: &line::AGE_CHECK_NAMES, types: &[Integer, Text] };
static TAX_EXEMPTION: Grammar =
    Grammar { first_state: 26, names: &line::TAX_EXEMPTION_NAMES, types: &[Text, Text] };
static LINE: Grammar = Grammar {
    first_state: 30,
    names: &line::NAMES,
    types: &[
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
        Text,
        Text,
        Text,
        Text,
        Text,
        Text,
        Text,
        Text,
        List(&COMPONENT),
        Object(&AGE_CHECK),
        Object(&TAX_EXEMPTION),
        Open,
    ],
};
static STORED_VALUE: Grammar =
    Grammar { first_state: 84, names: &parts::STORED_VALUE_NAMES, types: &[Text] };
static FOREIGN: Grammar =
    Grammar { first_state: 86, names: &parts::FOREIGN_NAMES, types: &[Text, Text, Text] };
static TENDER: Grammar = Grammar {
    first_state: 92,
    names: &parts::TENDER_NAMES,
    types: &[Text, Text, Text, Text, Text, Text, Object(&STORED_VALUE), Text, Object(&FOREIGN)],
};
static TOTALS: Grammar = Grammar {
    first_state: 110,
    names: &parts::TOTALS_NAMES,
    types: &[Text, Text, Text, Text, Integer, Text, Text],
};
static REFERENCE: Grammar = Grammar {
    first_state: 124,
    names: &parts::REFERENCE_NAMES,
    types: &[Text, Text, Text, Integer, Text, Text, Text],
};
static SESSION: Grammar =
    Grammar { first_state: 138, names: &details::SESSION_NAMES, types: &[Text, Text] };
static ORDER: Grammar = Grammar { first_state: 142, names: &details::ORDER_NAMES, types: &[Text] };
static FISCAL: Grammar = Grammar {
    first_state: 144,
    names: &details::FISCAL_NAMES,
    types: &[Text, Text, Integer, Text, Text, Text],
};
static APPROVAL: Grammar =
    Grammar { first_state: 156, names: &details::APPROVAL_NAMES, types: &[Text, Text, Text] };
static DECLARATION: Grammar = Grammar {
    first_state: 162,
    names: &details::DECLARATION_NAMES,
    types: &[Text, Text, Integer, Text],
};
/// The event itself.
pub(super) static EVENT: Grammar = Grammar {
    first_state: 170,
    names: &event_fields::NAMES,
    types: &[
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
        Text,
        Text,
        Object(&SESSION),
        Object(&ORDER),
        Object(&FISCAL),
        List(&APPROVAL),
        List(&DECLARATION),
        Open,
    ],
};

#[cfg(test)]
mod tests {
    use super::super::field_table::{FRAME, INNER_FRAME};
    use super::*;

    #[test]
    fn every_name_has_a_type_and_no_state_serves_twice() {
        let mut next = 0;
        let all = [
            &DISCOUNT,
            &TAX,
            &COMPONENT,
            &AGE_CHECK,
            &TAX_EXEMPTION,
            &LINE,
            &STORED_VALUE,
            &FOREIGN,
            &TENDER,
            &TOTALS,
            &REFERENCE,
            &SESSION,
            &ORDER,
            &FISCAL,
            &APPROVAL,
            &DECLARATION,
            &EVENT,
        ];
        for grammar in all {
            assert_eq!(grammar.names.len(), grammar.types.len());
            assert!(grammar.names.len() < 32, "a mask of 32 bits tells which are there");
            let frame =
                if grammar.first_state == EVENT.first_state { FRAME } else { INNER_FRAME as usize };
            assert!(grammar.names.len() < frame, "a frame has a header besides");
            assert_eq!(grammar.first_state, next);
            next = grammar.end();
        }
        assert_eq!(next, START);
        assert!(usize::from(START) < STATES);
    }
}
