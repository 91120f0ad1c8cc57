//! Which addresses are let in.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;
use tillrace_log::setting::Inspection;

use super::Network;

/// Networks in one list: they are looked through one by one.
const MAX_NETWORKS: usize = 256;

/// Which addresses are let in: none that `deny` has, and if `allow` has any, only those.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AddressRules {
    /// Networks that are let in, such as `10.0.0.0/8` or `2001:db8::/32`; without any, all are.
    pub allow: Vec<Network>,
    /// Networks that are kept out, also where `allow` has them.
    pub deny: Vec<Network>,
}

/// Whose list an address is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressList {
    /// That of the listener.
    Listener,
    /// That of the caller's tenant.
    Tenant,
    /// That of the caller's key.
    Key,
}

impl AddressRules {
    /// Tells whether an address is let in. One that is not known is only where every address is.
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return self.is_empty() };
        let holds = |networks: &[Network]| networks.iter().any(|one| one.contains(address));
        !holds(&self.deny) && (self.allow.is_empty() || holds(&self.allow))
    }

    /// Tells whether every address is let in.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Notes what the types cannot say.
    pub fn inspect(&self, found: &mut Inspection) {
        for (key, networks) in [("allow", &self.allow), ("deny", &self.deny)] {
            let remedy = format!("write at most {MAX_NETWORKS}, joined where they are neighbours");
            found.require(networks.len() <= MAX_NETWORKS, key, "has too many networks", remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> AddressRules {
        let read = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        AddressRules { allow: read(allow), deny: read(deny) }
    }

    #[test]
    fn what_is_denied_stays_out_and_what_is_not_allowed_too() {
        for (allow, deny, address, is_in) in [
            (&[][..], &[][..], "192.0.2.1", true),
            (&["192.0.2.0/24"], &[], "192.0.2.1", true),
            (&["192.0.2.0/24"], &[], "::ffff:192.0.2.1", true),
            (&["192.0.2.0/24"], &[], "198.51.100.1", false),
            (&["192.0.2.0/24"], &[], "2001:db8::1", false),
            (&["192.0.2.0/24"], &["192.0.2.1"], "192.0.2.1", false),
            (&["192.0.2.0/24"], &["192.0.2.1"], "192.0.2.2", true),
            (&[], &["2001:db8::/32"], "2001:db8:1::1", false),
            (&[], &["2001:db8::/32"], "2001:db9::1", true),
        ] {
            let admitted = rules(allow, deny).admits(Some(address.parse().unwrap()));
            assert_eq!(admitted, is_in, "{allow:?} {deny:?} {address}");
        }
    }

    #[test]
    fn an_unknown_address_is_let_in_only_where_every_address_is() {
        assert!(rules(&[], &[]).admits(None));
        assert!(!rules(&["0.0.0.0/0", "::/0"], &[]).admits(None));
        assert!(!rules(&[], &["192.0.2.1"]).admits(None));
    }

    #[test]
    fn a_list_has_a_bound() {
        let long = vec!["192.0.2.1"; MAX_NETWORKS + 1];
        let errors = Inspection::of("addresses", |found| rules(&long, &[]).inspect(found));
        assert_eq!(errors.unwrap_err().all()[0].path, "addresses.allow");
    }
}
