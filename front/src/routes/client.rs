//! Whose request it is: the client's address, seen through the proxies that are trusted.

use super::limits::FORWARDED_MAX;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// An address or a CIDR network of the `http.trusted_proxies` setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Reads `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32`. Nothing if it is none of these.
    fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            Some(_) => return None,
        };
        (prefix <= longest).then_some(Network { address, prefix })
    }

    /// Whether the address lies in the network.
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                u32::from(net) & mask == u32::from(address) & mask
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                u128::from(net) & mask == u128::from(address) & mask
            }
            _ => false,
        }
    }
}

/// The client's address: the socket's, or, if that is a trusted proxy's, the rightmost address of
/// `X-Forwarded-For` that is not. What stands left of it could have been made up by anyone, and a
/// chain that cannot be read is believed only up to where it breaks.
pub(super) fn address<'a>(
    peer: IpAddr,
    trusted: &[String],
    forwarded: impl Iterator<Item = &'a str>,
) -> IpAddr {
    let mut client = peer.to_canonical();
    if trusted.is_empty() {
        return client;
    }
    let networks: Vec<Network> = trusted.iter().filter_map(|text| Network::parse(text)).collect();
    let is_trusted = |address| networks.iter().any(|network| network.contains(address));
    let lines: Vec<&str> = forwarded.collect();
    let chain = lines.iter().rev().flat_map(|line| line.rsplit(','));
    for entry in chain.take(FORWARDED_MAX) {
        if !is_trusted(client) {
            break;
        }
        match entry_address(entry.trim()) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

/// Reads an address with or without a port, IPv6 with or without brackets.
fn entry_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address =
        bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()?;
    Some(IpAddr::to_canonical(&address))
}

/// The address as the link carries it.
pub(crate) fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => Ipv4Addr::octets(&address).to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, address};

    #[test]
    fn forwarded_addresses_count_only_behind_trusted_proxies() {
        let proxies = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"];
        #[rustfmt::skip]
        let table: &[(&str, &[&str], &str)] = &[
            // From the socket.
            ("203.0.113.9", &[], "203.0.113.9"),
            ("::ffff:203.0.113.9", &[], "203.0.113.9"),
            ("10.1.1.1", &[], "10.1.1.1"),
            // A stranger's header is not looked at.
            ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            ("192.0.2.2", &["198.51.100.1"], "192.0.2.2"),
            // A trusted proxy's is, from the right.
            ("10.1.1.1", &["198.51.100.1"], "198.51.100.1"),
            ("192.0.2.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.1.1.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.1.1.1", &["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            ("10.1.1.1", &["6.6.6.6, 198.51.100.1, 10.2.2.2"], "198.51.100.1"),
            ("10.1.1.1", &["6.6.6.6", "198.51.100.1", "10.2.2.2"], "198.51.100.1"),
            ("10.1.1.1", &["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
            // With ports and brackets.
            ("10.1.1.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("2001:db8::1", &["[2001:470::1]:4711"], "2001:470::1"),
            ("2001:db8::1", &["[2001:470::1]"], "2001:470::1"),
            ("2001:db8::1", &["2001:470::1"], "2001:470::1"),
            ("10.1.1.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            // What cannot be read ends the chain.
            ("10.1.1.1", &["198.51.100.1, unknown"], "10.1.1.1"),
            ("10.1.1.1", &["198.51.100.1, unknown, 10.2.2.2"], "10.2.2.2"),
            ("10.1.1.1", &["198.51.100.1,"], "10.1.1.1"),
            ("10.1.1.1", &[""], "10.1.1.1"),
        ];
        let trusted = proxies.map(str::to_owned);
        for (peer, lines, expected) in table {
            let found = address(peer.parse().expect("address"), &trusted, lines.iter().copied());
            assert_eq!(found.to_string(), *expected, "{peer} {lines:?}");
        }
        let found = address("10.1.1.1".parse().expect("address"), &[], ["1.2.3.4"].into_iter());
        assert_eq!(found.to_string(), "10.1.1.1", "no proxy is trusted unless listed");
    }

    #[test]
    fn networks_are_read_strictly() {
        for bad in ["", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0/8", "::/129", "a/8"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
        let all = Network::parse("0.0.0.0/0").expect("valid");
        assert!(all.contains("203.0.113.9".parse().expect("address")));
        assert!(!all.contains("::1".parse().expect("address")));
        assert!(Network::parse("::/0").expect("valid").contains("::1".parse().expect("address")));
    }
}
