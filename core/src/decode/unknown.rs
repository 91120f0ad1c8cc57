//! Members that the schema does not know: kept as they are, hashed, and held to the rules of JSON and
//! of card data like all others.

use super::place::Place;
use super::tape::{Members, Shape, Value};
use super::{Code, Refusal, Scratch};
use crate::card::{CardRules, TextClass, is_authentication_name};
use crate::hash::{MemberSum, Scalar};

/// Names of objects with fewer members are sorted on the stack.
const FEW_MEMBERS: usize = 32;

/// What every step of a walk needs.
pub(super) struct Walk<'s> {
    pub(super) scratch: &'s mut Scratch,
    pub(super) cards: Option<&'s CardRules>,
    /// Whether all texts are known to be printable ASCII.
    pub(super) is_plain: bool,
}

impl Walk<'_> {
    /// Says what card data is in a text.
    pub(super) fn finding(&self, text: &str, class: TextClass) -> Option<Code> {
        self.cards.and_then(|cards| cards.finding(text, class))
    }

    /// Refuses a text with card data in it.
    fn clear(&self, text: &str, class: TextClass, place: &Place<'_>) -> Result<(), Refusal> {
        match self.finding(text, class) {
            Some(code) => Err(Refusal::at(code, place)),
            None => Ok(()),
        }
    }

    /// Sums up those members of an object that `is_known` does not know.
    pub(super) fn members(
        &mut self,
        members: &Members<'_, '_>,
        is_known: impl Fn(&str) -> bool + Copy,
        place: &Place<'_>,
    ) -> Result<MemberSum, Refusal> {
        let unknown = members.clone().filter(|(name, _)| !is_known(name));
        if let Some(name) = repeated_name(unknown.clone().map(|(name, _)| name)) {
            return Err(Refusal::at(Code::DuplicateMember, &place.member(name)));
        }
        let mut sum = MemberSum::default();
        for (name, value) in unknown {
            let place = place.member(name);
            self.clear(name, TextClass::Free, &place)?;
            if self.cards.is_some() && is_authentication_name(name) && !value.is_null() {
                return Err(Refusal::at(Code::AuthenticationData, &place));
            }
            let begun = self.scratch.fingerprint.begin_member(name);
            self.value(value, TextClass::of(name), &place)?;
            sum.add(self.scratch.fingerprint.end_member(begun));
        }
        Ok(sum)
    }

    /// Adds a value to the fingerprint. Recursion is as deep as the text, which has a limit.
    fn value(
        &mut self,
        value: Value<'_, '_>,
        class: TextClass,
        place: &Place<'_>,
    ) -> Result<(), Refusal> {
        match value.shape() {
            Shape::Scalar(scalar) => {
                self.clear_scalar(scalar, class, place)?;
                self.scratch.fingerprint.value(scalar, class);
            }
            Shape::Array(elements) => {
                self.scratch.fingerprint.array(elements.len());
                for (index, element) in elements.enumerate() {
                    self.value(element, class, &place.element(index))?;
                }
            }
            Shape::Object(members) => {
                let sum = self.members(&members, |_| false, place)?;
                self.scratch.fingerprint.object(sum);
            }
        }
        Ok(())
    }

    fn clear_scalar(
        &self,
        scalar: Scalar<'_>,
        class: TextClass,
        place: &Place<'_>,
    ) -> Result<(), Refusal> {
        let Some(cards) = self.cards else { return Ok(()) };
        let is_card = match scalar {
            Scalar::Text(text) => return self.clear(text, class, place),
            Scalar::Integer(value) => cards.is_card_integer(value),
            Scalar::Double(value) => cards.is_card_double(value),
            Scalar::Null | Scalar::Bool(_) => false,
        };
        if is_card { Err(Refusal::at(Code::CardData, place)) } else { Ok(()) }
    }
}

/// Returns a name that occurs twice. Names are sorted, so that a hostile object costs no more than
/// n log n comparisons; memory is taken only where there are many.
fn repeated_name<'d>(names: impl Iterator<Item = &'d str> + Clone) -> Option<&'d str> {
    let mut few = [""; FEW_MEMBERS];
    let mut many = Vec::new();
    let mut count = 0;
    for (place, name) in few.iter_mut().zip(names.clone()) {
        *place = name;
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
