//! The event itself: identity, kind, times, and what hangs on the kind.

use simd_json::Node;

use super::event_fields::{
    AMOUNT, ATTEMPT, BLIND, BUSINESS_DATE, CURRENCY, EPOCH, EVENT_ID, EventFields, KIND, LINES,
    LOYALTY_ID, NAMES, OCCURRED_AT, OPERATOR_ID, PERSON, REASON, REFERENCE, SENT_AT, SEQUENCE,
    STORE, TENANT, TENDERS, TERMINAL, TOTALS,
};
use super::fields::Fields;
use super::json_pointer::JsonPointer;
use super::kinds::{self, Presence};
use super::members::Element;
use super::tape::{Members, Value};
use super::unknown_members::DecodeContext;
use super::{
    LooseEvent, MAX_LINES, MAX_TENDERS, PartialIdentity, RejectCode, Rejection, Scratch, line,
    parts,
};
use crate::card::{CardRules, TextClass};
use crate::event::{Event, EventBuffers, Kind, Line, LineDetails, Reference};
use crate::text::{Currency, Date, check_id};

/// Reads the event that a tape holds.
pub(super) fn event<'d>(
    tape: &[Node<'d>],
    scratch: &mut Scratch,
    cards: Option<&CardRules>,
    event_buffers: &mut EventBuffers,
) -> Result<Event<'d>, Rejection> {
    let root = Value::first(tape);
    let (root, members) = root
        .and_then(|root| Some((root, root.object()?)))
        .ok_or_else(|| Rejection::whole(RejectCode::NotAnObject))?;
    let mut context = DecodeContext { scratch, cards, is_plain: false };
    let fields = Fields::open(&mut context, root, &NAMES, &JsonPointer::ROOT)?;
    complete(fields, event_buffers)
        .map_err(|rejection| rejection.with_identity(identity(members, cards)))
}

/// Checks a text of which only the identity is an event's: JSON with unique names and without card data.
#[cold]
pub(super) fn loose_event<'d>(
    tape: &[Node<'d>],
    scratch: &mut Scratch,
    cards: &CardRules,
) -> Result<LooseEvent<'d>, Rejection> {
    let root = Value::first(tape).and_then(Value::object);
    let members = root.ok_or_else(|| Rejection::whole(RejectCode::NotAnObject))?;
    let mut context = DecodeContext { scratch, cards: Some(cards), is_plain: false };
    context.scratch.fingerprint.clear();
    context.members(&members, |_| false, &JsonPointer::ROOT)?;
    let mut loyalty = members.filter(|(name, value)| *name == "loyalty_id" && !value.is_null());
    Ok(match loyalty.next() {
        None => LooseEvent { loyalty_id: None, is_loyalty_id_unclear: false },
        Some((_, value)) => {
            LooseEvent { loyalty_id: value.text(), is_loyalty_id_unclear: value.text().is_none() }
        }
    })
}

/// Reads the event of a root element that is known to be an object.
#[inline]
pub(super) fn event_of<'d, E: Element<'d>>(
    root: E,
    context: &mut DecodeContext<'_>,
    event_buffers: &mut EventBuffers,
) -> Result<Event<'d>, E::Error> {
    complete(Fields::open(context, root, &NAMES, &JsonPointer::ROOT)?, event_buffers)
}

/// Applies all rules to an event.
#[inline]
fn complete<'d, E: Element<'d>>(
    mut fields: EventFields<'_, '_, 'd, E>,
    event_buffers: &mut EventBuffers,
) -> Result<Event<'d>, E::Error> {
    fields.context.scratch.fingerprint.clear();
    let mut event = read(&mut fields, event_buffers)?;
    fields.finish()?;
    if E::HASHED {
        event.hash = fields.context.scratch.fingerprint.finish();
    }
    Ok(event)
}

#[inline]
fn read<'d, E: Element<'d>>(
    fields: &mut EventFields<'_, '_, 'd, E>,
    event_buffers: &mut EventBuffers,
) -> Result<Event<'d>, E::Error> {
    let tenant = fields.id(TENANT)?;
    let store = fields.required_id(STORE)?;
    let terminal = fields.required_id(TERMINAL)?;
    let sequence = fields.sequence(SEQUENCE)?;
    let epoch = fields.id(EPOCH)?;
    let event_id = fields.required_id(EVENT_ID)?;
    let kind =
        fields.known(KIND, RejectCode::UnknownKind, |text| Kind::parse_sent(text.as_str()))?;
    let kind = fields.required(KIND, kind)?;
    let occurred_at = fields.time(OCCURRED_AT)?;
    let occurred_at = fields.required(OCCURRED_AT, occurred_at)?;
    let business_date = fields.date(BUSINESS_DATE)?;
    let business_date = fields.required(BUSINESS_DATE, business_date)?;
    let currency = fields.currency(CURRENCY)?;
    let operator_id = fields.id(OPERATOR_ID)?;
    let loyalty_id = fields.personal_id(LOYALTY_ID)?;
    let (reference, blind) = reference(fields, kind)?;
    let amount = fields.money(AMOUNT, currency)?;
    if amount.is_none() && kinds::needs_amount(kind) {
        return Err(fields.reject(AMOUNT, RejectCode::MissingField));
    }
    let mut line_details = std::mem::take(&mut event_buffers.line_details);
    let lines = std::mem::take(&mut event_buffers.lines);
    let lines = self::lines(fields, kind, currency, lines, &mut line_details)?;
    let tenders = std::mem::take(&mut event_buffers.tenders);
    let tenders = self::tenders(fields, currency, tenders)?;
    let totals = match fields.object(TOTALS)? {
        Some(totals) => {
            let pointer = JsonPointer::ROOT.member("totals");
            Some(parts::totals(fields.context, totals, currency, &pointer)?)
        }
        None => None,
    };
    fields.transport_time(SENT_AT)?;
    fields.transport_integer(ATTEMPT)?;
    let mut declarations = std::mem::take(&mut event_buffers.declarations);
    let mut details = std::mem::take(&mut event_buffers.details);
    if fields.has_from(REASON) || kinds::needs_details(kind) {
        details.push(super::details::details(fields, kind)?);
        super::details::declarations(fields, kind, currency, &mut declarations)?;
        fields.personal_object(PERSON)?;
    }
    Ok(Event {
        tenant,
        store,
        terminal,
        epoch,
        sequence,
        event_id,
        kind,
        occurred_at,
        business_date,
        currency,
        operator_id,
        loyalty_id,
        reference,
        blind,
        lines,
        tenders,
        totals,
        amount,
        declarations,
        line_details,
        details,
        hash: 0,
    })
}

fn reference<'d, E: Element<'d>>(
    fields: &mut EventFields<'_, '_, 'd, E>,
    kind: Kind,
) -> Result<(Option<Reference<'d>>, bool), E::Error> {
    let pointer = JsonPointer::ROOT.member("reference");
    let reference = match fields.object(REFERENCE)? {
        Some(element) => Some(parts::reference(fields.context, element, kind, &pointer)?),
        None => None,
    };
    let blind = fields.flag(BLIND)?;
    if reference.is_none() && kinds::needs_reference(kind, blind) {
        return Err(fields.reject(REFERENCE, RejectCode::ReferenceRequired));
    }
    Ok((reference, blind))
}

/// Reads the lines. Not inlined, so that their loop has the registers: decoding takes 3 % fewer instructions.
#[inline(never)]
fn lines<'d, E: Element<'d>>(
    fields: &mut EventFields<'_, '_, 'd, E>,
    kind: Kind,
    currency: Option<Currency>,
    mut lines: Vec<Line<'d>>,
    line_details: &mut Vec<LineDetails<'d>>,
) -> Result<Vec<Line<'d>>, E::Error> {
    let Some(elements) = fields.list(LINES, MAX_LINES, RejectCode::TooManyLines)? else {
        return match kinds::lines(kind) {
            Presence::Required => Err(fields.reject(LINES, RejectCode::MissingField)),
            Presence::Optional | Presence::Forbidden => Ok(lines),
        };
    };
    if kinds::lines(kind) == Presence::Forbidden {
        return Err(fields.reject(LINES, RejectCode::LinesNotAllowed));
    }
    let pointer = JsonPointer::ROOT.member("lines");
    lines.reserve(elements.len());
    for (index, element) in elements.enumerate() {
        let pointer = pointer.element(index);
        lines.push(line::line(fields.context, element, kind, currency, &pointer, line_details)?);
    }
    match line::repeated_number(&lines, &mut fields.context.scratch.order) {
        Some(index) => {
            Err(E::error(RejectCode::DuplicateLine, &pointer.element(index).member("line")))
        }
        None => Ok(lines),
    }
}

/// Reads the tenders. Not inlined for the same reason.
#[inline(never)]
fn tenders<'d, E: Element<'d>>(
    fields: &mut EventFields<'_, '_, 'd, E>,
    currency: Option<Currency>,
    mut tenders: Vec<crate::event::Tender<'d>>,
) -> Result<Vec<crate::event::Tender<'d>>, E::Error> {
    let Some(elements) = fields.list(TENDERS, MAX_TENDERS, RejectCode::TooManyTenders)? else {
        return Ok(tenders);
    };
    let pointer = JsonPointer::ROOT.member("tenders");
    tenders.reserve(elements.len());
    for (index, element) in elements.enumerate() {
        tenders.push(parts::tender(fields.context, element, currency, &pointer.element(index))?);
    }
    Ok(tenders)
}

/// Reads the identity of a rejected event, as far as it can be read and may be kept.
#[cold]
fn identity(members: Members<'_, '_>, cards: Option<&CardRules>) -> PartialIdentity {
    let mut identity = PartialIdentity::default();
    for (name, value) in members {
        let id = || {
            let text = value.text().filter(|text| check_id(text).is_ok())?;
            let finding = cards.and_then(|cards| cards.finding(text, TextClass::of(name)));
            finding.is_none().then(|| text.to_owned())
        };
        let is_known = match name {
            "store" => set(&mut identity.store, id()),
            "terminal" => set(&mut identity.terminal, id()),
            "epoch" => {
                let is_known = set(&mut identity.epoch, id());
                identity.is_epoch_lost = !is_known && !value.is_null();
                is_known
            }
            "event_id" => set(&mut identity.event_id, id()),
            "sequence" => set(&mut identity.sequence, sequence(value, cards)),
            "business_date" => {
                identity.business_date = value.text().and_then(|text| Date::parse(text.as_bytes()));
                continue;
            }
            _ => continue,
        };
        identity.is_unclear |= !is_known && !value.is_null();
    }
    identity
}

/// Sets what was read, and tells whether anything was.
fn set<T>(member: &mut Option<T>, value: Option<T>) -> bool {
    *member = value;
    member.is_some()
}

fn sequence(value: Value<'_, '_>, cards: Option<&CardRules>) -> Option<u64> {
    let sequence = value.integer().and_then(|sequence| u64::try_from(sequence).ok())?;
    let is_card = || cards.is_some_and(|cards| cards.is_card_integer(sequence.into()));
    (sequence <= super::fields::MAX_INTEGER.cast_unsigned() && !is_card()).then_some(sequence)
}
