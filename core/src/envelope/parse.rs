//! Reading an envelope back: one pass over a fixed order of attributes.

use std::borrow::Cow;

use super::{Admission, DATA_SCHEMA, Envelope, Scope, Settled, SettledVerdict};

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

impl<'a> Envelope<'a> {
    /// Reads an envelope written by [`Envelope::write`].
    ///
    /// `data` is returned as it stands and is not looked into.
    ///
    /// # Errors
    /// [`EnvelopeError::UnknownSchema`] for another `dataschema`; otherwise the attribute that is not as expected.
    pub fn parse(value: &'a [u8]) -> Result<Self, EnvelopeError> {
        let rest = value.strip_prefix(br#"{"specversion":"1.0""#).ok_or(fault("specversion"))?;
        let mut cursor = Cursor { rest };
        let id = cursor.text("id")?;
        let source = cursor.text("source")?;
        let event_type = cursor.text("type")?;
        let time = cursor.optional("time")?;
        if cursor.text("dataschema")? != DATA_SCHEMA {
            return Err(EnvelopeError::UnknownSchema);
        }
        cursor.text("datacontenttype")?;
        Ok(Self {
            id,
            source,
            event_type,
            time,
            tenant: cursor.text("tenant")?,
            store: cursor.text("store")?,
            terminal: cursor.optional("terminal")?,
            epoch: cursor.optional("epoch")?,
            sequence: cursor.sequence()?,
            event_id: cursor.optional("eventid")?,
            business_date: cursor.optional("businessdate")?,
            received_time: cursor.text("receivedtime")?,
            content_hash: cursor.content_hash()?,
            scope: cursor.scope()?,
            policy_revision: cursor.text("policyrevision")?,
            flags: cursor.optional("flags")?,
            admission: cursor.admission()?,
            gateway: cursor.text("gateway")?,
            traceparent: cursor.optional("traceparent")?,
            settled: cursor.settled()?,
            data: cursor.data()?,
        })
    }
}

const fn fault(attribute: &'static str) -> EnvelopeError {
    EnvelopeError::Attribute { attribute }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Steps over `,"name":` if it comes next.
    fn name(&mut self, name: &str) -> bool {
        let after = self
            .rest
            .strip_prefix(b",\"")
            .and_then(|rest| rest.strip_prefix(name.as_bytes()))
            .and_then(|rest| rest.strip_prefix(b"\":"));
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn text(&mut self, name: &'static str) -> Result<Cow<'a, str>, EnvelopeError> {
        self.optional(name)?.ok_or(fault(name))
    }

    fn optional(&mut self, name: &'static str) -> Result<Option<Cow<'a, str>>, EnvelopeError> {
        if !self.name(name) {
            return Ok(None);
        }
        let rest = self.rest.strip_prefix(b"\"").ok_or(fault(name))?;
        let plain =
            rest.iter().position(|&byte| byte == b'"' || byte == b'\\').ok_or(fault(name))?;
        let (text, after) = rest.split_at_checked(plain).ok_or(fault(name))?;
        if let Some(after) = after.strip_prefix(b"\"") {
            self.rest = after;
            return std::str::from_utf8(text)
                .map(|text| Some(Cow::Borrowed(text)))
                .map_err(|_utf8| fault(name));
        }
        let (text, after) = unescape(rest).ok_or(fault(name))?;
        self.rest = after;
        Ok(Some(Cow::Owned(text)))
    }

    fn integer(&mut self, name: &'static str) -> Result<u64, EnvelopeError> {
        if !self.name(name) {
            return Err(fault(name));
        }
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at_checked(digits).ok_or(fault(name))?;
        self.rest = rest;
        decimal(number).ok_or(fault(name))
    }

    fn sequence(&mut self) -> Result<Option<u64>, EnvelopeError> {
        match self.optional("sequence")? {
            None => Ok(None),
            Some(digits) => decimal(digits.as_bytes()).map(Some).ok_or(fault("sequence")),
        }
    }

    fn content_hash(&mut self) -> Result<Option<u128>, EnvelopeError> {
        let Some(text) = self.optional("contenthash")? else { return Ok(None) };
        let digits = text
            .strip_prefix("h1:")
            .filter(|digits| digits.len() == 32)
            .ok_or(fault("contenthash"))?;
        u128::from_str_radix(digits, 16).map(Some).map_err(|_not_hex| fault("contenthash"))
    }

    fn scope(&mut self) -> Result<Scope, EnvelopeError> {
        let text = self.text("scope")?;
        Scope::parse(&text).ok_or(fault("scope"))
    }

    fn admission(&mut self) -> Result<Admission, EnvelopeError> {
        match &*self.text("admission")? {
            "live" => Ok(Admission::Live),
            "flood" => Ok(Admission::Flood),
            _ => Err(fault("admission")),
        }
    }

    fn settled(&mut self) -> Result<Option<Settled>, EnvelopeError> {
        let Some(verdict) = self.optional("verdict")? else { return Ok(None) };
        let verdict = match &*verdict {
            "first" => SettledVerdict::First,
            "released" => SettledVerdict::Released,
            _ => return Err(fault("verdict")),
        };
        let partition = u32::try_from(self.integer("sourcepartition")?)
            .map_err(|_too_large| fault("sourcepartition"))?;
        Ok(Some(Settled { verdict, partition, offset: self.integer("sourceoffset")? }))
    }

    fn data(&mut self) -> Result<&'a [u8], EnvelopeError> {
        if !self.name("data") {
            return Err(fault("data"));
        }
        self.rest.strip_suffix(b"}").filter(|data| !data.is_empty()).ok_or(fault("data"))
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
fn unescape(text: &[u8]) -> Option<(String, &[u8])> {
    let mut end = 0;
    while *text.get(end)? != b'"' {
        end += if *text.get(end)? == b'\\' { 2 } else { 1 };
    }
    let quoted = [b"\"", text.get(..end)?, b"\""].concat();
    let string = serde_json::from_slice(&quoted).ok()?;
    Some((string, text.get(end + 1..)?))
}
