//! The rules that a parked event must keep to be readmitted: those of the schema and of its tenant, and its identity.

use std::fmt;

use tillrace_core::card::CardRules;
use tillrace_core::check::{CheckFlags, CheckRules, check};
use tillrace_core::decode::{Decoder, Rejection};
use tillrace_core::envelope::{Envelope, Scope};
use tillrace_core::event::Event;
use tillrace_ingest::TenantSettings;

/// Why an event stays parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BrokenRule {
    /// The schema's, or one of its tenant's.
    Rejected(Rejection),
    /// It is another event than the one that was parked.
    OtherIdentity,
}

impl fmt::Display for BrokenRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(formatter),
            Self::OtherIdentity => formatter.write_str("identity_changed at \"\""),
        }
    }
}

/// Decodes the text of a parked event, which is as it was or mended, and checks it by today's rules.
///
/// # Errors
/// The first rule that it breaks.
pub(super) fn judge<'d>(
    decoder: &'d mut Decoder,
    tenants: &[TenantSettings],
    parked: &Envelope<'_>,
    text: &'d [u8],
) -> Result<(Event<'d>, CheckFlags), BrokenRule> {
    let tenant = tenants.iter().find(|tenant| *tenant.id == *parked.tenant);
    let event = match tenant {
        // By chance, a hashed loyalty id may have the digits of a card number; the text was checked before it was hashed.
        Some(tenant) if tenant.loyalty_secret.is_some() => decoder.decode(text),
        // A mapping may move digits to where they are taken for a card number.
        Some(tenant) => decoder.admit(text, &tenant.cards),
        None => decoder.admit(text, &CardRules::default()),
    };
    let event = event.map_err(BrokenRule::Rejected)?;
    let rules = tenant.map_or_else(CheckRules::default, |tenant| tenant.rules);
    if !is_same(&event, parked) {
        return Err(BrokenRule::OtherIdentity);
    }
    let flags = check(&event, &rules).map_err(BrokenRule::Rejected)?;
    Ok((event, flags))
}

/// Tells whether an event is the one that was parked, by its identity.
fn is_same(event: &Event<'_>, parked: &Envelope<'_>) -> bool {
    let date = event.business_date.to_string();
    let epoch = match (parked.scope, event.epoch) {
        (Scope::BusinessDate, Some(epoch)) => Some(format!("{epoch}@{date}")),
        (Scope::BusinessDate, None) => Some(date.clone()),
        (Scope::Terminal | Scope::Wrapping(_), epoch) => epoch.map(str::to_owned),
    };
    event.store == parked.store
        && Some(event.terminal) == parked.terminal.as_deref()
        && Some(event.event_id) == parked.event_id.as_deref()
        && event.sequence == parked.sequence
        && epoch.as_deref() == parked.epoch.as_deref().filter(|epoch| !epoch.is_empty())
        && parked.business_date.as_deref().is_none_or(|parked| parked == date)
}
