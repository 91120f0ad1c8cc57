//! An object on the tape, its members in the order of the schema.

use super::json_pointer::JsonPointer;
use super::members::{Element, Members, TextValue, WrongType};
use super::tape::{self, Elements, Value};
use super::unknown_members::DecodeContext;
use super::{RejectCode, Rejection};

/// The members of one object on the tape.
pub(super) struct SortedMembers<'t, 'd, const N: usize> {
    names: &'static [&'static str; N],
    members: tape::Members<'t, 'd>,
    values: [Option<Value<'t, 'd>>; N],
    has_unknown: bool,
}

impl<'t, 'd, const N: usize> SortedMembers<'t, 'd, N> {
    fn value(&self, field: usize) -> Option<Value<'t, 'd>> {
        self.values.get(field).copied().flatten().filter(|value| !value.is_null())
    }
}

impl<'t, 'd> Element<'d> for Value<'t, 'd> {
    const HASHED: bool = true;
    type Members<const N: usize> = SortedMembers<'t, 'd, N>;
    type Error = Rejection;

    fn open<const N: usize>(
        self,
        names: &'static [&'static str; N],
        pointer: &JsonPointer<'_>,
    ) -> Result<SortedMembers<'t, 'd, N>, Rejection> {
        let members = self.object().ok_or_else(|| Rejection::at(RejectCode::WrongType, pointer))?;
        let mut values = [None; N];
        let mut has_unknown = false;
        let mut expected = 0;
        for (name, value) in members.clone() {
            let Some(index) = index_of(names, name, expected) else {
                has_unknown = true;
                continue;
            };
            expected = index + 1;
            if let Some(slot @ None) = values.get_mut(index) {
                *slot = Some(value);
            } else {
                return Err(Rejection::at(RejectCode::DuplicateMember, &pointer.member(name)));
            }
        }
        Ok(SortedMembers { names, members, values, has_unknown })
    }

    fn error(code: RejectCode, pointer: &JsonPointer<'_>) -> Rejection {
        Rejection::at(code, pointer)
    }
}

impl<'t, 'd, const N: usize> Members<'d> for SortedMembers<'t, 'd, N> {
    type Element = Value<'t, 'd>;
    type List = Elements<'t, 'd>;

    fn has(&self, field: usize) -> bool {
        self.value(field).is_some()
    }

    fn has_from(&self, field: usize) -> bool {
        (field..N).any(|field| self.has(field))
    }

    fn text_value(&self, field: usize) -> Result<Option<TextValue<'d>>, WrongType> {
        self.value(field)
            .map(|value| value.text().map(TextValue::whole).ok_or(WrongType))
            .transpose()
    }

    fn integer(&self, field: usize) -> Result<Option<i64>, WrongType> {
        let Some(value) = self.value(field) else { return Ok(None) };
        if !value.is_number() {
            return Err(WrongType);
        }
        let integer = value.integer().and_then(|integer| i64::try_from(integer).ok());
        Ok(Some(integer.unwrap_or(-1)))
    }

    fn flag(&self, field: usize) -> Result<Option<bool>, WrongType> {
        self.value(field).map(|value| value.bool().ok_or(WrongType)).transpose()
    }

    fn list(&self, field: usize) -> Result<Option<Elements<'t, 'd>>, WrongType> {
        self.value(field).map(|value| value.array().ok_or(WrongType)).transpose()
    }

    fn object(&self, field: usize) -> Result<Option<Value<'t, 'd>>, WrongType> {
        let object = self.value(field).map(|value| value.object().map(|_| value).ok_or(WrongType));
        object.transpose()
    }

    fn check_open_object(
        &self,
        field: usize,
        context: &mut DecodeContext<'_>,
        pointer: &JsonPointer<'_>,
    ) -> Result<(), Rejection> {
        let Some(value) = self.value(field) else { return Ok(()) };
        let members =
            value.object().ok_or_else(|| Rejection::at(RejectCode::WrongType, pointer))?;
        context.members(&members, |_| false, pointer).map(drop)
    }

    fn add_unknown(
        &self,
        context: &mut DecodeContext<'_>,
        pointer: &JsonPointer<'_>,
    ) -> Result<(), Rejection> {
        if self.has_unknown {
            let is_known = |name: &str| self.names.contains(&name);
            let sum = context.members(&self.members, is_known, pointer)?;
            context.scratch.fingerprint.unknown(sum);
        }
        Ok(())
    }
}

/// Returns the index of a name, trying first the one that is next in the schema.
fn index_of<const N: usize>(names: &[&str; N], name: &str, expected: usize) -> Option<usize> {
    if names.get(expected).is_some_and(|next| *next == name) {
        return Some(expected);
    }
    names.iter().position(|known| *known == name)
}
