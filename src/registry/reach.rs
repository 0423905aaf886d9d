//! Decides which addresses a registry may send golden to: redirects, upload locations and token
//! servers. Pure.
//!
//! A remote registry must not make golden send requests to this machine or its network (server-side
//! request forgery), and must not downgrade https to http.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// The network zone of an address, ordered from near to far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Zone {
    /// An address of this machine.
    Loopback = 1,
    /// An address of the local link, such as a cloud metadata service.
    LinkLocal,
    /// A private network.
    Private,
    /// Any other address.
    Public,
}

impl Zone {
    /// The zone that an address belongs to.
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            // 0.0.0.0/8 is this host.
            [0 | 127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            // Private networks, shared address space (RFC 6598), protocol assignments, benchmarks,
            // multicast, reserved.
            [10 | 224..=255, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [100, 64..=127, ..]
            | [192, 0, 0, _]
            | [198, 18..=19, ..] => Self::Private,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let parts = address.segments();
        let v4 = |high: u16, low: u16| {
            Self::of_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        };
        match parts {
            _ if address.is_loopback() || address.is_unspecified() => Self::Loopback,
            // IPv4-mapped, IPv4-translated, IPv4-compatible, NAT64 (RFC 6052).
            [0, 0, 0, 0, 0, 0xffff | 0, high, low]
            | [0, 0, 0, 0, 0xffff, 0, high, low]
            | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
            // 6to4.
            | [0x2002, high, low, ..] => v4(high, low),
            // Teredo inverts the address.
            [0x2001, 0, .., high, low] => v4(!high, !low),
            [first, ..] if first & 0xffc0 == 0xfe80 => Self::LinkLocal,
            _ if is_local_v6(parts) => Self::Private,
            _ => Self::Public,
        }
    }

    /// The zone of a URL with an address. `None` for a host name, which is checked when it is
    /// resolved.
    pub(super) fn of_url(url: &Url) -> Option<Self> {
        match url.host()? {
            url::Host::Ipv4(address) => Some(Self::of(IpAddr::V4(address))),
            url::Host::Ipv6(address) => Some(Self::of(IpAddr::V6(address))),
            url::Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                (name == "localhost" || name.ends_with(".localhost")).then_some(Self::Loopback)
            }
        }
    }

    /// True if a registry in this zone may send golden to `other`: to a farther zone, or to its
    /// own. A link-local address is allowed only for a link-local registry.
    pub(super) fn may_lead_to(self, other: Self) -> bool {
        other == self || other == Self::Public || (self == Self::Loopback && other == Self::Private)
    }
}

/// Local NAT64 prefixes, the discard prefix, unique local, site-local and multicast addresses.
fn is_local_v6(parts: [u16; 8]) -> bool {
    let first = parts[0];
    let is_local = first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 || first >= 0xff00;
    is_local || parts[..3] == [0x64, 0xff9b, 1] || parts[..4] == [0x100, 0, 0, 0]
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "an address of this machine",
            Self::LinkLocal => "a link-local address",
            Self::Private => "an address of a private network",
            Self::Public => "a public address",
        })
    }
}

/// True if both URLs have the same host and port.
pub(super) fn is_same_host(one: &Url, other: &Url) -> bool {
    one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// The error for a host name that resolves to an address to which the registry must not send
/// golden.
#[derive(Debug, thiserror::Error)]
#[error("{name} has {zone} ({address}), and the registry is elsewhere")]
pub(super) struct RefusedAddress {
    pub(super) name: String,
    pub(super) address: IpAddr,
    pub(super) zone: Zone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_internal_address_is_recognised() {
        for (address, zone) in [
            ("127.0.0.1", Zone::Loopback),
            ("127.9.9.9", Zone::Loopback),
            ("0.0.0.0", Zone::Loopback),
            ("::1", Zone::Loopback),
            ("::", Zone::Loopback),
            ("::ffff:127.0.0.1", Zone::Loopback),
            ("::127.0.0.1", Zone::Loopback),
            ("64:ff9b::7f00:1", Zone::Loopback),
            ("2002:7f00:1::", Zone::Loopback),
            ("169.254.169.254", Zone::LinkLocal),
            ("::ffff:169.254.169.254", Zone::LinkLocal),
            ("fe80::1", Zone::LinkLocal),
            ("10.1.2.3", Zone::Private),
            ("172.31.0.1", Zone::Private),
            ("192.168.0.1", Zone::Private),
            ("100.64.0.1", Zone::Private),
            ("198.18.0.1", Zone::Private),
            ("239.1.1.1", Zone::Private),
            ("255.255.255.255", Zone::Private),
            ("fd00::1", Zone::Private),
            ("fec0::1", Zone::Private),
            ("ff02::1", Zone::Private),
            ("::ffff:10.0.0.1", Zone::Private),
            ("2001:0:1:2:3:4:f5ff:fffe", Zone::Private),
            ("8.8.8.8", Zone::Public),
            ("100.128.0.1", Zone::Public),
            ("172.32.0.1", Zone::Public),
            ("::ffff:8.8.8.8", Zone::Public),
            ("2606:4700::1", Zone::Public),
        ] {
            assert_eq!(Zone::of(address.parse().unwrap()), zone, "{address}");
        }
    }

    #[test]
    fn every_spelling_of_this_machine_in_a_url_is_recognised() {
        for (url, zone) in [
            ("http://localhost/", Some(Zone::Loopback)),
            ("http://LOCALHOST./", Some(Zone::Loopback)),
            ("http://a.localhost/", Some(Zone::Loopback)),
            ("http://2130706433/", Some(Zone::Loopback)),
            ("http://0x7f.1/", Some(Zone::Loopback)),
            ("http://0177.0.0.1/", Some(Zone::Loopback)),
            ("http://[::ffff:7f00:1]/", Some(Zone::Loopback)),
            ("http://0/", Some(Zone::Loopback)),
            ("http://example.com/", None),
        ] {
            assert_eq!(Zone::of_url(&Url::parse(url).unwrap()), zone, "{url}");
        }
    }

    #[test]
    fn a_registry_sends_golden_only_to_its_own_or_a_farther_zone() {
        let all = [Zone::Loopback, Zone::LinkLocal, Zone::Private, Zone::Public];
        let allowed = |from: Zone| all.map(|to| from.may_lead_to(to));
        assert_eq!(allowed(Zone::Loopback), [true, false, true, true]);
        assert_eq!(allowed(Zone::LinkLocal), [false, true, false, true]);
        assert_eq!(allowed(Zone::Private), [false, false, true, true]);
        assert_eq!(allowed(Zone::Public), [false, false, false, true]);
    }
}
