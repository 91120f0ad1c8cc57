//! Reading an envelope back: one pass over a fixed order of attributes.
//!
//! The parser searches for the beginning of `data` first: no attribute can contain that text, because its quotes would be
//! escaped. It checks once that the attributes before it are UTF-8, and then only slices them.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use wide::u8x16;

use super::{
    Admission, DATA_SCHEMA, Envelope, ParkedMark, Readmission, Scope, SourceVerdict, VerdictKind,
};
use crate::text::thirty_two_hex_digits;

/// Why a record's value is not an envelope of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// An attribute is missing, out of order or malformed.
    #[error("attribute {attribute} is missing or malformed")]
    Attribute {
        /// Its name.
        attribute: &'static str,
    },
    /// The data follows a schema this binary does not know.
    #[error("data follows another schema than {DATA_SCHEMA}")]
    UnknownSchema,
}

/// An attribute: its name, and the text before its value, with and without a quote.
#[derive(Clone, Copy)]
struct Attribute {
    name: &'static str,
    before_text: &'static str,
    before: &'static str,
}

macro_rules! attribute {
    ($name:literal) => {
        Attribute {
            name: $name,
            before_text: concat!(",\"", $name, "\":\""),
            before: concat!(",\"", $name, "\":"),
        }
    };
}

impl<'a> Envelope<'a> {
    /// Reads an envelope written by [`Envelope::write`].
    ///
    /// Returns `data` unchanged and unchecked.
    ///
    /// # Errors
    /// [`EnvelopeError::UnknownSchema`] for another `dataschema`; otherwise the attribute that is not as expected.
    pub fn parse(value: &'a [u8]) -> Result<Self, EnvelopeError> {
        let split = BEFORE_DATA.find(value).unwrap_or(value.len());
        let (head, data) = value.split_at_checked(split).unwrap_or_default();
        let (head, data) = match simdutf8::compat::from_utf8(head) {
            Ok(head) => (head, data),
            // Truncated where it stops being UTF-8, it fails at the attribute that the error should name.
            Err(error) => {
                let valid = head.get(..error.valid_up_to()).unwrap_or_default();
                (std::str::from_utf8(valid).unwrap_or_default(), [].as_slice())
            }
        };
        let mut cursor = Cursor { value, head, at: 0 };
        if !cursor.follows(r#"{"specversion":"1.0""#) {
            return Err(fault("specversion"));
        }
        let id = cursor.text(attribute!("id"))?;
        let source = cursor.text(attribute!("source"))?;
        let event_type = cursor.text(attribute!("type"))?;
        let time = cursor.optional(attribute!("time"))?;
        if !cursor.follows(FIXED) {
            if cursor.text(attribute!("dataschema"))? != DATA_SCHEMA {
                return Err(EnvelopeError::UnknownSchema);
            }
            cursor.text(attribute!("datacontenttype"))?;
        }
        Ok(Self {
            id,
            source,
            event_type,
            time,
            tenant: cursor.text(attribute!("tenant"))?,
            store: cursor.text(attribute!("store"))?,
            terminal: cursor.optional(attribute!("terminal"))?,
            epoch: cursor.optional(attribute!("epoch"))?,
            sequence: cursor.sequence()?,
            event_id: cursor.optional(attribute!("eventid"))?,
            business_date: cursor.optional(attribute!("businessdate"))?,
            received_time: cursor.text(attribute!("receivedtime"))?,
            content_hash: cursor.hash(attribute!("contenthash"), "h2:")?,
            data_hash: cursor.hash(attribute!("datahash"), "x3:")?,
            scope: cursor.scope()?,
            policy_revision: cursor.text(attribute!("policyrevision"))?,
            flags: cursor.optional(attribute!("flags"))?,
            admission: cursor.admission()?,
            gateway: cursor.text(attribute!("gateway"))?,
            traceparent: cursor.optional(attribute!("traceparent"))?,
            parked: cursor.parked()?,
            readmission: cursor.readmission()?,
            transforms: cursor.optional(attribute!("transforms"))?,
            source_verdict: cursor.source_verdict()?,
            data: cursor.data(data)?,
        })
    }
}

const fn fault(attribute: &'static str) -> EnvelopeError {
    EnvelopeError::Attribute { attribute }
}

/// The text before the event.
static BEFORE_DATA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#","data":"#));

/// The two attributes that are the same in every envelope.
const FIXED: &str = r#","dataschema":"urn:tillrace:event:v1","datacontenttype":"application/json""#;

/// An offset in the attributes.
struct Cursor<'a> {
    /// The whole record, of which the attributes are the head.
    value: &'a [u8],
    head: &'a str,
    at: usize,
}

#[expect(clippy::inline_always, reason = "names are then compared as the constants that they are")]
impl<'a> Cursor<'a> {
    /// Tells whether a text is next.
    #[inline(always)]
    fn is_at(&self, text: &str) -> bool {
        let rest = self.head.as_bytes().get(self.at..);
        rest.is_some_and(|rest| rest.starts_with(text.as_bytes()))
    }

    /// Skips a text if it is next.
    #[inline(always)]
    fn follows(&mut self, text: &str) -> bool {
        let follows = self.is_at(text);
        self.at += if follows { text.len() } else { 0 };
        follows
    }

    fn rest(&self) -> &'a str {
        self.head.get(self.at..).unwrap_or_default()
    }

    #[inline(always)]
    fn text(&mut self, attribute: Attribute) -> Result<Cow<'a, str>, EnvelopeError> {
        self.optional(attribute)?.ok_or(fault(attribute.name))
    }

    #[inline(always)]
    fn optional(&mut self, attribute: Attribute) -> Result<Option<Cow<'a, str>>, EnvelopeError> {
        if self.follows(attribute.before_text) {
            return self.value().map(Some).ok_or(fault(attribute.name));
        }
        if self.is_at(attribute.before) { Err(fault(attribute.name)) } else { Ok(None) }
    }

    /// Reads a text up to its closing quote, sixteen bytes at a time. The last block may reach into the event.
    #[inline(always)]
    fn value(&mut self) -> Option<Cow<'a, str>> {
        const BLOCK: usize = 16;
        let mut end = self.at;
        while let Some(block) = self.value.get(end..).and_then(<[u8]>::first_chunk::<BLOCK>) {
            let bytes = u8x16::new(*block);
            let quotes = bytes.simd_eq(u8x16::splat(b'"')).to_bitmask();
            let found = quotes | bytes.simd_eq(u8x16::splat(b'\\')).to_bitmask();
            if found != 0 {
                end += found.trailing_zeros() as usize;
                if found & found.wrapping_neg() & quotes == 0 {
                    break;
                }
                let text = self.head.get(self.at..end)?;
                self.at = end + 1;
                return Some(Cow::Borrowed(text));
            }
            end += BLOCK;
        }
        self.escaped()
    }

    /// The same a byte at a time, for a text with escapes and at the end of a record.
    #[cold]
    fn escaped(&mut self) -> Option<Cow<'a, str>> {
        let (text, after) = unescape(self.rest())?;
        self.at = self.head.len() - after.len();
        Some(text)
    }

    fn integer(&mut self, attribute: Attribute) -> Result<u64, EnvelopeError> {
        let fault = fault(attribute.name);
        if !self.follows(attribute.before) {
            return Err(fault);
        }
        let rest = self.rest().as_bytes();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        rest.get(..digits).and_then(decimal).ok_or(fault)
    }

    fn sequence(&mut self) -> Result<Option<u64>, EnvelopeError> {
        self.decimal(attribute!("sequence"))
    }

    /// Reads a number that is written as text, because not every JSON reader keeps all 64 bits.
    fn decimal(&mut self, attribute: Attribute) -> Result<Option<u64>, EnvelopeError> {
        match self.optional(attribute)? {
            None => Ok(None),
            Some(digits) => decimal(digits.as_bytes()).map(Some).ok_or(fault(attribute.name)),
        }
    }

    /// Reads a hash: the version of its algorithm, and 32 digits. They are taken by their number, without a search for the quote.
    #[inline(always)]
    fn hash(&mut self, attribute: Attribute, version: &str) -> Result<Option<u128>, EnvelopeError> {
        if !self.follows(attribute.before_text) {
            return if self.is_at(attribute.before) {
                Err(fault(attribute.name))
            } else {
                Ok(None)
            };
        }
        let rest = self.head.as_bytes().get(self.at..).unwrap_or_default();
        let digits = rest.strip_prefix(version.as_bytes()).and_then(<[u8]>::first_chunk);
        let hash = digits.and_then(thirty_two_hex_digits).ok_or(fault(attribute.name))?;
        self.at += version.len() + 32;
        if self.follows("\"") { Ok(Some(hash)) } else { Err(fault(attribute.name)) }
    }

    fn parked(&mut self) -> Result<Option<ParkedMark<'a>>, EnvelopeError> {
        let Some(code) = self.optional(attribute!("parkedcode"))? else { return Ok(None) };
        let pointer = self.text(attribute!("parkedpointer"))?;
        Ok(Some(ParkedMark { code, pointer }))
    }

    fn readmission(&mut self) -> Result<Option<Readmission>, EnvelopeError> {
        let Some(offset) = self.decimal(attribute!("parkedoffset"))? else { return Ok(None) };
        let text_hash = self.hash(attribute!("parkedhash"), "x3:")?;
        let text_hash = text_hash.ok_or(fault("parkedhash"))?;
        Ok(Some(Readmission { offset, text_hash }))
    }

    fn scope(&mut self) -> Result<Scope, EnvelopeError> {
        let text = self.text(attribute!("scope"))?;
        Scope::parse(&text).ok_or(fault("scope"))
    }

    fn admission(&mut self) -> Result<Admission, EnvelopeError> {
        match &*self.text(attribute!("admission"))? {
            "live" => Ok(Admission::Live),
            "flood" => Ok(Admission::Flood),
            _ => Err(fault("admission")),
        }
    }

    fn source_verdict(&mut self) -> Result<Option<SourceVerdict>, EnvelopeError> {
        let Some(verdict) = self.optional(attribute!("verdict"))? else { return Ok(None) };
        let verdict = match &*verdict {
            "first" => VerdictKind::First,
            "released" => VerdictKind::Released,
            "parked" => VerdictKind::Parked,
            _ => return Err(fault("verdict")),
        };
        let partition = u32::try_from(self.integer(attribute!("sourcepartition"))?)
            .map_err(|_too_large| fault("sourcepartition"))?;
        Ok(Some(SourceVerdict {
            verdict,
            partition,
            offset: self.integer(attribute!("sourceoffset"))?,
        }))
    }

    /// Reads the event after the last attribute.
    fn data(&self, rest: &'a [u8]) -> Result<&'a [u8], EnvelopeError> {
        let data = rest.strip_prefix(br#","data":"#).filter(|_| self.at == self.head.len());
        let data = data.and_then(|data| data.strip_suffix(b"}"));
        data.filter(|data| !data.is_empty()).ok_or(fault("data"))
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Reads a JSON string's inside up to its closing quote; returns it and what follows the quote.
fn unescape(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let (mut end, mut is_plain) = (0, true);
    while *text.as_bytes().get(end)? != b'"' {
        let is_escape = *text.as_bytes().get(end)? == b'\\';
        is_plain &= !is_escape;
        end += if is_escape { 2 } else { 1 };
    }
    let (inside, after) = (text.get(..end)?, text.get(end + 1..)?);
    if is_plain {
        return Some((Cow::Borrowed(inside), after));
    }
    let string: String = serde_json::from_str(&["\"", inside, "\""].concat()).ok()?;
    Some((Cow::Owned(string), after))
}
