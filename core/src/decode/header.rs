//! The event itself: identity, kind, times, and what hangs on the kind.

use simd_json::Node;

use super::fields::Fields;
use super::kinds::{self, Presence};
use super::members::Element;
use super::place::Place;
use super::tape::{Members, Value};
use super::unknown::Walk;
use super::{Code, MAX_LINES, MAX_TENDERS, PartialIdentity, Refusal, Scratch, line, parts};
use crate::card::{CardRules, TextClass};
use crate::event::{Event, Kind, Line, Reference, Spare};
use crate::text::{Currency, Date, check_id};

/// Members in the order of the schema, which is the order of checks and of the content hash.
pub(super) const NAMES: [&str; 20] = [
    "tenant",
    "store",
    "terminal",
    "sequence",
    "epoch",
    "event_id",
    "kind",
    "occurred_at",
    "business_date",
    "currency",
    "operator_id",
    "loyalty_id",
    "reference",
    "blind",
    "amount",
    "lines",
    "tenders",
    "totals",
    "sent_at",
    "attempt",
];
const TENANT: usize = 0;
const STORE: usize = 1;
const TERMINAL: usize = 2;
const SEQUENCE: usize = 3;
const EPOCH: usize = 4;
const EVENT_ID: usize = 5;
const KIND: usize = 6;
const OCCURRED_AT: usize = 7;
const BUSINESS_DATE: usize = 8;
const CURRENCY: usize = 9;
const OPERATOR_ID: usize = 10;
const LOYALTY_ID: usize = 11;
const REFERENCE: usize = 12;
const BLIND: usize = 13;
const AMOUNT: usize = 14;
pub(super) const LINES: usize = 15;
pub(super) const TENDERS: usize = 16;
pub(super) const TOTALS: usize = 17;
const SENT_AT: usize = 18;
const ATTEMPT: usize = 19;

type EventFields<'r, 's, 'd, E> = Fields<'r, 's, 'd, E, { NAMES.len() }>;

/// Reads the event that a tape holds.
pub(super) fn event<'d>(
    tape: &[Node<'d>],
    scratch: &mut Scratch,
    cards: Option<&CardRules>,
    spare: &mut Spare,
) -> Result<Event<'d>, Refusal> {
    let root = Value::first(tape);
    let (root, members) = root
        .and_then(|root| Some((root, root.object()?)))
        .ok_or_else(|| Refusal::whole(Code::NotAnObject))?;
    let mut walk = Walk { scratch, cards, is_plain: false };
    let fields = Fields::open(&mut walk, root, &NAMES, &Place::ROOT)?;
    complete(fields, spare).map_err(|refusal| refusal.with_identity(identity(members, cards)))
}

/// Reads an event whose members were told apart before.
#[inline]
pub(super) fn event_of<'d, E: Element<'d>>(
    root: E,
    walk: &mut Walk<'_>,
    spare: &mut Spare,
) -> Result<Event<'d>, E::Fault> {
    complete(Fields::open(walk, root, &NAMES, &Place::ROOT)?, spare)
}

/// Holds an event to all rules.
#[inline]
fn complete<'d, E: Element<'d>>(
    mut fields: EventFields<'_, '_, 'd, E>,
    spare: &mut Spare,
) -> Result<Event<'d>, E::Fault> {
    fields.walk.scratch.fingerprint.clear();
    let mut event = read(&mut fields, spare)?;
    fields.finish()?;
    if E::HASHED {
        event.hash = fields.walk.scratch.fingerprint.finish();
    }
    Ok(event)
}

#[inline]
fn read<'d, E: Element<'d>>(
    fields: &mut EventFields<'_, '_, 'd, E>,
    spare: &mut Spare,
) -> Result<Event<'d>, E::Fault> {
    let tenant = fields.id(TENANT)?;
    let store = fields.required_id(STORE)?;
    let terminal = fields.required_id(TERMINAL)?;
    let sequence = fields.sequence(SEQUENCE)?;
    let epoch = fields.id(EPOCH)?;
    let event_id = fields.required_id(EVENT_ID)?;
    let kind = fields.known(KIND, Code::UnknownKind, |word| Kind::parse(word.text()))?;
    let kind = fields.required(KIND, kind)?;
    let occurred_at = fields.time(OCCURRED_AT)?;
    let occurred_at = fields.required(OCCURRED_AT, occurred_at)?;
    let business_date = fields.date(BUSINESS_DATE)?;
    let business_date = fields.required(BUSINESS_DATE, business_date)?;
    let currency = fields.currency(CURRENCY)?;
    let operator_id = fields.id(OPERATOR_ID)?;
    let loyalty_id = fields.id(LOYALTY_ID)?;
    let (reference, blind) = reference(fields, kind)?;
    let amount = fields.money(AMOUNT, currency)?;
    if amount.is_none() && kinds::needs_amount(kind) {
        return Err(fields.refuse(AMOUNT, Code::MissingField));
    }
    let lines = std::mem::take(&mut spare.lines);
    let lines = self::lines(fields, kind, currency, lines)?;
    let tenders = std::mem::take(&mut spare.tenders);
    let tenders = self::tenders(fields, currency, tenders)?;
    let totals = match fields.object(TOTALS)? {
        Some(totals) => {
            let place = Place::ROOT.member("totals");
            Some(parts::totals(fields.walk, totals, currency, &place)?)
        }
        None => None,
    };
    fields.transport_time(SENT_AT)?;
    fields.transport_integer(ATTEMPT)?;
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
        hash: 0,
    })
}

fn reference<'d, E: Element<'d>>(
    fields: &mut EventFields<'_, '_, 'd, E>,
    kind: Kind,
) -> Result<(Option<Reference<'d>>, bool), E::Fault> {
    let place = Place::ROOT.member("reference");
    let reference = match fields.object(REFERENCE)? {
        Some(element) => Some(parts::reference(fields.walk, element, kind, &place)?),
        None => None,
    };
    let blind = fields.flag(BLIND)?;
    if reference.is_none() && kinds::needs_reference(kind, blind) {
        return Err(fields.refuse(REFERENCE, Code::ReferenceRequired));
    }
    Ok((reference, blind))
}

/// Reads the lines. A function of its own, which gives their loop the registers: decoding takes 3 % fewer instructions.
#[inline(never)]
fn lines<'d, E: Element<'d>>(
    fields: &mut EventFields<'_, '_, 'd, E>,
    kind: Kind,
    currency: Option<Currency>,
    mut lines: Vec<Line<'d>>,
) -> Result<Vec<Line<'d>>, E::Fault> {
    let Some(elements) = fields.list(LINES, MAX_LINES, Code::TooManyLines)? else {
        return match kinds::lines(kind) {
            Presence::Required => Err(fields.refuse(LINES, Code::MissingField)),
            Presence::Optional | Presence::Forbidden => Ok(lines),
        };
    };
    if kinds::lines(kind) == Presence::Forbidden {
        return Err(fields.refuse(LINES, Code::LinesNotAllowed));
    }
    let place = Place::ROOT.member("lines");
    lines.reserve(elements.len());
    for (index, element) in elements.enumerate() {
        let place = place.element(index);
        lines.push(line::line(fields.walk, element, kind, currency, &place)?);
    }
    match line::repeated_number(&lines, &mut fields.walk.scratch.order) {
        Some(index) => Err(E::fault(Code::DuplicateLine, &place.element(index).member("line"))),
        None => Ok(lines),
    }
}

/// Reads the tenders, apart for the same reason.
#[inline(never)]
fn tenders<'d, E: Element<'d>>(
    fields: &mut EventFields<'_, '_, 'd, E>,
    currency: Option<Currency>,
    mut tenders: Vec<crate::event::Tender<'d>>,
) -> Result<Vec<crate::event::Tender<'d>>, E::Fault> {
    let Some(elements) = fields.list(TENDERS, MAX_TENDERS, Code::TooManyTenders)? else {
        return Ok(tenders);
    };
    let place = Place::ROOT.member("tenders");
    tenders.reserve(elements.len());
    for (index, element) in elements.enumerate() {
        tenders.push(parts::tender(fields.walk, element, currency, &place.element(index))?);
    }
    Ok(tenders)
}

/// Reads whose event it was, as far as it can be read and may be kept.
#[cold]
fn identity(members: Members<'_, '_>, cards: Option<&CardRules>) -> PartialIdentity {
    let mut identity = PartialIdentity::default();
    for (name, value) in members {
        let id = || {
            let text = value.text().filter(|text| check_id(text).is_ok())?;
            let finding = cards.and_then(|cards| cards.finding(text, TextClass::of(name)));
            finding.is_none().then(|| text.to_owned())
        };
        match name {
            "store" => identity.store = id(),
            "terminal" => identity.terminal = id(),
            "epoch" => {
                identity.epoch = id();
                identity.is_epoch_lost = identity.epoch.is_none() && !value.is_null();
            }
            "event_id" => identity.event_id = id(),
            "sequence" => {
                identity.sequence = value
                    .integer()
                    .and_then(|sequence| u64::try_from(sequence).ok())
                    .filter(|sequence| *sequence <= super::fields::MAX_INTEGER.cast_unsigned())
                    .filter(|&sequence| {
                        cards.is_none_or(|cards| !cards.is_card_integer(sequence.into()))
                    });
            }
            "business_date" => {
                identity.business_date = value.text().and_then(|text| Date::parse(text.as_bytes()));
            }
            _ => {}
        }
    }
    identity
}
