//! Members that the schema does not know: the event keeps and hashes them, and the rules of JSON and of card data hold
//! for them as for all others.

use super::json_pointer::JsonPointer;
use super::tape::{Members, Shape, Value};
use super::{RejectCode, Rejection, Scratch};
use crate::card::{CardRules, TextClass, is_authentication_name};
use crate::content_hash::{MemberSum, Scalar};

/// Names of objects with fewer members are sorted on the stack.
const FEW_MEMBERS: usize = 32;

/// What every rule needs besides the member that it reads.
pub(super) struct DecodeContext<'s> {
    pub(super) scratch: &'s mut Scratch,
    pub(super) cards: Option<&'s CardRules>,
    /// Whether all texts are known to be printable ASCII.
    pub(super) is_plain: bool,
}

impl DecodeContext<'_> {
    /// Returns the code for card data in a text.
    pub(super) fn finding(&self, text: &str, class: TextClass) -> Option<RejectCode> {
        self.cards.and_then(|cards| cards.finding(text, class))
    }

    /// Rejects a text that contains card data.
    fn check_card_data(
        &self,
        text: &str,
        class: TextClass,
        pointer: &JsonPointer<'_>,
    ) -> Result<(), Rejection> {
        match self.finding(text, class) {
            Some(code) => Err(Rejection::at(code, pointer)),
            None => Ok(()),
        }
    }

    /// Hashes those members of an object that `is_known` does not know.
    pub(super) fn members(
        &mut self,
        members: &Members<'_, '_>,
        is_known: impl Fn(&str) -> bool + Copy,
        pointer: &JsonPointer<'_>,
    ) -> Result<MemberSum, Rejection> {
        let unknown = members.clone().filter(|(name, _)| !is_known(name));
        if let Some(name) = repeated_name(unknown.clone().map(|(name, _)| name)) {
            return Err(Rejection::at(RejectCode::DuplicateMember, &pointer.member(name)));
        }
        let mut sum = MemberSum::default();
        for (name, value) in unknown {
            let pointer = pointer.member(name);
            self.check_card_data(name, TextClass::Free, &pointer)?;
            if self.cards.is_some() && is_authentication_name(name) && !value.is_null() {
                return Err(Rejection::at(RejectCode::AuthenticationData, &pointer));
            }
            let member = self.scratch.fingerprint.begin_member(name);
            self.value(value, TextClass::of(name), &pointer)?;
            sum.add(self.scratch.fingerprint.end_member(member));
        }
        Ok(sum)
    }

    /// Adds a value to the fingerprint. Recursion is as deep as the text, whose depth simd-json has limited.
    fn value(
        &mut self,
        value: Value<'_, '_>,
        class: TextClass,
        pointer: &JsonPointer<'_>,
    ) -> Result<(), Rejection> {
        match value.shape() {
            Shape::Scalar(scalar) => {
                self.check_scalar(scalar, class, pointer)?;
                self.scratch.fingerprint.value(scalar, class);
            }
            Shape::Array(elements) => {
                self.scratch.fingerprint.array(elements.len());
                for (index, element) in elements.enumerate() {
                    self.value(element, class, &pointer.element(index))?;
                }
            }
            Shape::Object(members) => {
                let sum = self.members(&members, |_| false, pointer)?;
                self.scratch.fingerprint.object(sum);
            }
        }
        Ok(())
    }

    fn check_scalar(
        &self,
        scalar: Scalar<'_>,
        class: TextClass,
        pointer: &JsonPointer<'_>,
    ) -> Result<(), Rejection> {
        let Some(cards) = self.cards else { return Ok(()) };
        let is_card = match scalar {
            Scalar::Text(text) => return self.check_card_data(text, class, pointer),
            Scalar::Integer(value) => cards.is_card_integer(value),
            Scalar::Double(value) => cards.is_card_double(value),
            Scalar::Null | Scalar::Bool(_) => false,
        };
        if is_card { Err(Rejection::at(RejectCode::CardData, pointer)) } else { Ok(()) }
    }
}

/// Returns a name that occurs twice. Names are sorted, so that a hostile object costs no more than
/// n log n comparisons; memory is taken only where there are many.
fn repeated_name<'d>(names: impl Iterator<Item = &'d str> + Clone) -> Option<&'d str> {
    let mut few = [""; FEW_MEMBERS];
    let mut many = Vec::new();
    let mut count = 0;
    for (slot, name) in few.iter_mut().zip(names.clone()) {
        *slot = name;
        count += 1;
    }
    let names = if count < FEW_MEMBERS {
        few.get_mut(..count).unwrap_or_default()
    } else {
        many.extend(names);
        many.as_mut_slice()
    };
    names.sort_unstable();
    names.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    })
}
