//! How many connections there may be: in all, and from one address; with a reserve for those past the caps.
//!
//! A connection past a cap is not left waiting in the kernel's queue: it gets one of a few reserved slots, where health
//! checks are answered and everything else is told to come back. Only past the reserve too is it closed unheard.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Reserved slots, for health checks and quick refusals.
pub const RESERVED_CONNECTIONS: usize = 64;
/// Reserved slots of one address, so that a sender past its cap does not take them from a load balancer's health check.
const RESERVED_OF_ADDRESS: usize = 16;

/// Counts connections; accepting one is the only time that it is asked.
#[derive(Debug)]
pub(crate) struct ConnectionLimiter {
    most: usize,
    most_of_address: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: Counts,
    /// Addresses with a connection, hence no more of them than connections.
    by_address: HashMap<IpAddr, Counts>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    served: usize,
    reserved: usize,
}

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cap {
    /// As many as there may be are open.
    All,
    /// As many as its address may have are open.
    Address,
}

impl Cap {
    /// Its name in the metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "max_connections",
            Self::Address => "address_share",
        }
    }
}

/// What becomes of a connection.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It is served.
    Served(Slot),
    /// It is told that it is past a cap.
    Reserved(Slot, Cap),
    /// It is closed.
    Closed(Cap),
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    limiter: Arc<ConnectionLimiter>,
    /// Absent as long as its client is not known, as behind a trusted proxy.
    network: Option<IpAddr>,
    is_reserved: bool,
}

impl ConnectionLimiter {
    pub(crate) fn new(max_connections: usize, address_share_percent: u8) -> Self {
        let most_of_address = max_connections * usize::from(address_share_percent) / 100;
        Self {
            most: max_connections,
            most_of_address: most_of_address.max(1),
            open: Mutex::default(),
        }
    }

    /// Decides about a connection from `peer`; `None` is a proxy's, which has many clients: the share of one address is not held
    /// against it.
    pub(crate) fn admit(self: &Arc<Self>, peer: Option<IpAddr>) -> Admission {
        let network = peer.map(network);
        let mut open = self.open.lock();
        let of_address = network.and_then(|network| open.by_address.get(&network).copied());
        let of_address = of_address.unwrap_or_default();
        let cap = if open.all.served >= self.most {
            Some(Cap::All)
        } else if of_address.served >= self.most_of_address {
            Some(Cap::Address)
        } else {
            None
        };
        if let Some(cap) = cap
            && (open.all.reserved >= RESERVED_CONNECTIONS
                || of_address.reserved >= RESERVED_OF_ADDRESS)
        {
            return Admission::Closed(cap);
        }
        let is_reserved = cap.is_some();
        open.all.add(is_reserved);
        if let Some(network) = network {
            open.by_address.entry(network).or_default().add(is_reserved);
        }
        drop(open);
        let slot = Slot { limiter: Arc::clone(self), network, is_reserved };
        match cap {
            None => Admission::Served(slot),
            Some(cap) => Admission::Reserved(slot, cap),
        }
    }
}

impl Slot {
    /// Counts a proxy's connection for the client it turned out to be of; false if that one has its share already.
    pub(crate) fn attribute(&mut self, client: IpAddr) -> bool {
        let network = network(client);
        let mut open = self.limiter.open.lock();
        let of_address = open.by_address.get(&network).copied().unwrap_or_default();
        let is_over = if self.is_reserved {
            of_address.reserved >= RESERVED_OF_ADDRESS
        } else {
            of_address.served >= self.limiter.most_of_address
        };
        if self.network.is_some() || is_over {
            return !is_over;
        }
        open.by_address.entry(network).or_default().add(self.is_reserved);
        self.network = Some(network);
        true
    }
}

impl Counts {
    fn add(&mut self, is_reserved: bool) {
        *self.of(is_reserved) += 1;
    }

    fn of(&mut self, is_reserved: bool) -> &mut usize {
        if is_reserved { &mut self.reserved } else { &mut self.served }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.limiter.open.lock();
        *open.all.of(self.is_reserved) -= 1;
        if let Some(network) = self.network
            && let Some(counts) = open.by_address.get_mut(&network)
        {
            *counts.of(self.is_reserved) -= 1;
            if *counts == Counts::default() {
                open.by_address.remove(&network);
            }
        }
    }
}

/// What counts as one address: of IPv6 the first 64 bits, since a single host has the rest to choose from.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            [a, b, c, d, 0, 0, 0, 0].into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(admission: &Admission) -> Option<Cap> {
        match admission {
            Admission::Served(_) => None,
            Admission::Reserved(_, cap) | Admission::Closed(cap) => Some(*cap),
        }
    }

    #[test]
    fn an_address_has_its_share_and_everybody_the_rest() {
        let limiter = Arc::new(ConnectionLimiter::new(4, 50));
        let admit = |peer: &str| limiter.admit(Some(peer.parse().unwrap()));
        let mut first: Vec<_> = (0..3).map(|_| admit("10.0.0.1")).collect();
        assert_eq!(first.iter().map(told).collect::<Vec<_>>(), [None, None, Some(Cap::Address)]);
        let others = ["10.0.0.2", "::ffff:10.0.0.3", "10.0.0.4"].map(admit);
        assert_eq!(others.each_ref().map(told), [None, None, Some(Cap::All)]);
        first.remove(0);
        assert_eq!(told(&admit("10.0.0.4")), None, "what was given back is there for others");
        drop((first, others));
        assert_eq!(limiter.open.lock().by_address.len(), 0);
        assert_eq!(limiter.open.lock().all, Counts::default());
    }

    #[test]
    fn a_host_with_many_ipv6_addresses_is_one() {
        let limiter = Arc::new(ConnectionLimiter::new(4, 50));
        let admit = |peer: &str| limiter.admit(Some(peer.parse().unwrap()));
        let all = ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3", "2001:db8:0:1::1"].map(admit);
        assert_eq!(all.each_ref().map(told), [None, None, Some(Cap::Address), None]);
    }

    #[test]
    fn one_address_does_not_take_the_reserve_from_others() {
        let limiter = Arc::new(ConnectionLimiter::new(1, 100));
        let admit = |peer: &str| limiter.admit(Some(peer.parse().unwrap()));
        let _served = admit("10.0.0.1");
        let flood: Vec<_> = (0..100).map(|_| admit("10.0.0.1")).collect();
        let heard = flood.iter().filter(|one| matches!(one, Admission::Reserved(..))).count();
        assert_eq!(heard, RESERVED_OF_ADDRESS);
        assert!(matches!(admit("10.0.0.2"), Admission::Reserved(_, Cap::All)));
        let many: Vec<_> =
            (3..=200).flat_map(|n| [0, 1].map(|_| admit(&format!("10.0.0.{n}")))).collect();
        let heard = many.iter().filter(|one| matches!(one, Admission::Reserved(..))).count();
        assert_eq!(heard, RESERVED_CONNECTIONS - RESERVED_OF_ADDRESS);
    }

    #[test]
    fn a_proxys_connections_count_for_their_clients_once_these_are_known() {
        let limiter = Arc::new(ConnectionLimiter::new(4, 50));
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let mut slots: Vec<Slot> = (0..4)
            .map(|_| match limiter.admit(None) {
                Admission::Served(slot) => slot,
                other => panic!("{other:?}"),
            })
            .collect();
        let attributed: Vec<bool> = slots.iter_mut().map(|slot| slot.attribute(client)).collect();
        assert_eq!(attributed, [true, true, false, false]);
        assert!(matches!(limiter.admit(None), Admission::Reserved(_, Cap::All)));
        drop(slots);
        assert_eq!(limiter.open.lock().by_address.len(), 0);
        assert_eq!(limiter.open.lock().all, Counts::default());
    }
}
