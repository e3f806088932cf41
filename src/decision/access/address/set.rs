//! A set of addresses that is built once and asked often.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

/// IPv4 and IPv6 addresses, as disjoint ranges in order: a search among 100,000 is 17 comparisons.
///
/// IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2) are the IPv4 addresses that they stand for, in the
/// set and in questions. A wider IPv6 range, `::/0` included, holds no IPv4 address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    entries: usize,
}

/// Ranges in order, of which no two overlap or touch. The two slices are equally long: a search reads only where ranges
/// begin, which keeps what it reads close together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ranges<T> {
    firsts: Box<[T]>,
    lasts: Box<[T]>,
}

/// An address (as the range of itself alone) or a range in CIDR notation (RFC 4632 §3.1), as written: bits beyond its
/// length are kept.
pub fn parse_range(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Addresses of one version from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// Two addresses with a `-` between them, such as `10.0.0.1-10.0.0.9`. `None` too where the second is below the first.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        let ordered = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => first <= last,
            (IpAddr::V6(first), IpAddr::V6(last)) => first <= last,
            _ => false,
        };
        ordered.then_some(AddressRange { first, last })
    }
}

impl From<IpNet> for AddressRange {
    fn from(range: IpNet) -> Self {
        AddressRange { first: range.network(), last: range.broadcast() }
    }
}

impl AddressSet {
    /// Whether `address` is in one of the ranges.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }

    /// Whether `other` holds every address of this set.
    pub fn is_within(&self, other: &AddressSet) -> bool {
        self.v4.is_within(&other.v4) && self.v6.is_within(&other.v6)
    }

    /// The fewest ranges that make up the set: IPv4 before IPv6, in order.
    pub fn ranges(&self) -> impl Iterator<Item = IpNet> {
        let v4 =
            self.v4.pairs().flat_map(|(first, last)| Ipv4Subnets::new(first.into(), last.into(), 0).map(IpNet::V4));
        let v6 =
            self.v6.pairs().flat_map(|(first, last)| Ipv6Subnets::new(first.into(), last.into(), 0).map(IpNet::V6));
        v4.chain(v6)
    }

    /// How many addresses and ranges it was built from.
    pub fn entries(&self) -> usize {
        self.entries
    }
}

impl FromIterator<IpNet> for AddressSet {
    fn from_iter<I: IntoIterator<Item = IpNet>>(ranges: I) -> Self {
        ranges.into_iter().map(AddressRange::from).collect()
    }
}

impl FromIterator<AddressRange> for AddressSet {
    fn from_iter<I: IntoIterator<Item = AddressRange>>(ranges: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let mut entries = 0;
        for AddressRange { first, last } in ranges {
            entries += 1;
            // All mapped addresses share their first 96 bits: a range with one mapped end is wider, and holds no IPv4 address.
            match (first.to_canonical(), last.to_canonical()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.to_bits(), last.to_bits())),
                _ => {
                    if let (IpAddr::V6(first), IpAddr::V6(last)) = (first, last) {
                        v6.push((first.to_bits(), last.to_bits()));
                    }
                }
            }
        }
        AddressSet {
            v4: Ranges::join(v4, |last| last.checked_add(1)),
            v6: Ranges::join(v6, |last| last.checked_add(1)),
            entries,
        }
    }
}

impl<T: Copy + Ord> Ranges<T> {
    /// Puts pairs of first and last into order, and makes one of those that overlap or touch.
    fn join(mut pairs: Vec<(T, T)>, next: impl Fn(T) -> Option<T>) -> Self {
        pairs.sort_unstable();
        let (mut firsts, mut lasts) = (Vec::with_capacity(pairs.len()), Vec::<T>::with_capacity(pairs.len()));
        for (first, last) in pairs {
            match lasts.last_mut() {
                Some(end) if next(*end).is_none_or(|next| first <= next) => *end = last.max(*end),
                _ => {
                    firsts.push(first);
                    lasts.push(last);
                }
            }
        }
        Ranges { firsts: firsts.into(), lasts: lasts.into() }
    }

    fn pairs(&self) -> impl Iterator<Item = (T, T)> {
        self.firsts.iter().copied().zip(self.lasts.iter().copied())
    }

    /// As no two ranges touch, each lies within one of the other's or is not within them.
    fn is_within(&self, other: &Self) -> bool {
        self.pairs().all(|(first, last)| {
            let begun = other.firsts.partition_point(|begin| *begin <= first);
            begun.checked_sub(1).is_some_and(|index| last <= other.lasts[index])
        })
    }

    fn contains(&self, address: T) -> bool {
        // Only the last range that begins at the address or before it can hold it.
        let begun = self.firsts.partition_point(|first| *first <= address);
        begun.checked_sub(1).is_some_and(|index| address <= self.lasts[index])
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use ipnet::{Ipv4Net, Ipv6Net};
    use proptest::prelude::*;

    use super::*;

    fn set(ranges: &[&str]) -> AddressSet {
        ranges.iter().map(|range| parse_range(range).unwrap()).collect()
    }

    fn has(set: &AddressSet, address: &str) -> bool {
        set.contains(address.parse().unwrap())
    }

    #[test]
    fn a_range_holds_its_ends_and_nothing_beside_them() {
        let set = set(&["192.0.2.64/26", "2001:db8::/126", "10.0.0.1"]);
        for inside in ["192.0.2.64", "192.0.2.127", "2001:db8::", "2001:db8::3", "10.0.0.1"] {
            assert!(has(&set, inside), "{inside}");
        }
        for outside in ["192.0.2.63", "192.0.2.128", "2001:db8::4", "2001:db7:ffff::", "10.0.0.0", "10.0.0.2", "::"] {
            assert!(!has(&set, outside), "{outside}");
        }
    }

    #[test]
    fn everything_and_nothing_are_sets_too() {
        let (all, none) = (set(&["0.0.0.0/0", "::/0"]), set(&[]));
        for address in ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            assert!(has(&all, address) && !has(&none, address), "{address}");
        }
    }

    #[test]
    fn ranges_that_overlap_or_touch_become_one() {
        let set = set(&["10.0.1.0/24", "10.0.0.0/24", "10.0.0.7", "10.0.2.0/23", "10.0.5.0/24"]);
        assert_eq!(set.v4.firsts.len(), 2);
        assert_eq!(set.entries(), 5);
        assert!(has(&set, "10.0.3.255") && !has(&set, "10.0.4.0") && has(&set, "10.0.5.0"));
    }

    #[test]
    fn a_range_may_be_written_by_its_ends() {
        let range = |text| AddressRange::parse(text);
        let set: AddressSet = ["10.0.0.1-10.0.0.9", "2001:db8::1 - 2001:db8::ff", "::ffff:192.0.2.1-::ffff:192.0.2.2"]
            .into_iter()
            .map(|text| range(text).unwrap())
            .collect();
        for inside in ["10.0.0.1", "10.0.0.9", "2001:db8::1", "2001:db8::ff", "192.0.2.2"] {
            assert!(has(&set, inside), "{inside}");
        }
        for outside in ["10.0.0.0", "10.0.0.10", "2001:db8::", "2001:db8::100", "192.0.2.3"] {
            assert!(!has(&set, outside), "{outside}");
        }
        assert_eq!(set.ranges().count(), 14);
        for wrong in ["10.0.0.9-10.0.0.1", "10.0.0.1-::1", "10.0.0.1-", "-", "10.0.0.0/8-10.0.0.9", "a-b", "1-2-3"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4_addresses() {
        let mapped = set(&["::ffff:192.0.2.0/120"]);
        assert!(has(&mapped, "192.0.2.9") && has(&mapped, "::ffff:192.0.2.9") && !has(&mapped, "192.0.3.0"));
        assert!(has(&set(&["192.0.2.0/24"]), "::ffff:192.0.2.9"));
        for wide in ["::/0", "::/64", "::ffff:0:0/95"] {
            assert!(!has(&set(&[wide]), "192.0.2.9"), "{wide}");
        }
    }

    /// Ranges and addresses that meet often: of both kinds, and mapped, with few bits that differ.
    fn address() -> impl Strategy<Value = IpAddr> {
        let few = prop_oneof![any::<u8>().prop_map(u32::from), any::<u8>().prop_map(|b| u32::MAX - u32::from(b))];
        prop_oneof![
            few.clone().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
            few.clone().prop_map(|bits| Ipv4Addr::from_bits(bits).to_ipv6_mapped().into()),
            few.prop_map(|bits| Ipv6Addr::from_bits(u128::from(bits) << 96 | u128::from(bits)).into()),
            any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
            any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        ]
    }

    fn range() -> impl Strategy<Value = IpNet> {
        (address(), any::<u8>(), any::<bool>()).prop_map(|(address, length, narrow)| match address {
            IpAddr::V4(address) => {
                let length = if narrow { 24 + length % 9 } else { length % 33 };
                IpNet::V4(Ipv4Net::new(address, length).unwrap())
            }
            IpAddr::V6(address) => {
                let length = if narrow { 96 + length % 33 } else { length % 129 };
                IpNet::V6(Ipv6Net::new(address, length).unwrap())
            }
        })
    }

    /// Compares bit by bit what the two have in common, one range after the other.
    fn scan(ranges: &[IpNet], address: IpAddr) -> bool {
        ranges.iter().any(|range| {
            let (network, length) = match (range.addr(), range.prefix_len()) {
                (IpAddr::V6(network), length @ 96..) if network.to_ipv4_mapped().is_some() => {
                    (IpAddr::V6(network).to_canonical(), length - 96)
                }
                (network, length) => (network, length),
            };
            let differ = |a: u128, b: u128, bits: u8| (a ^ b).checked_shr(u32::from(bits - length)).unwrap_or(0) != 0;
            match (network, address.to_canonical()) {
                (IpAddr::V4(a), IpAddr::V4(b)) => !differ(a.to_bits().into(), b.to_bits().into(), 32),
                (IpAddr::V6(a), IpAddr::V6(b)) => !differ(a.to_bits(), b.to_bits(), 128),
                _ => false,
            }
        })
    }

    proptest! {
        #[test]
        fn a_set_holds_exactly_what_a_scan_finds(
            ranges in prop::collection::vec(range(), 0..40), asked in prop::collection::vec(address(), 1..40),
        ) {
            let set: AddressSet = ranges.iter().copied().collect();
            let ends = ranges.iter().flat_map(|range| [range.network(), range.broadcast()]);
            for address in asked.into_iter().chain(ends) {
                prop_assert_eq!(set.contains(address), scan(&ranges, address), "{} in {:?}", address, ranges);
            }
        }

        #[test]
        fn a_set_is_made_up_of_its_ranges(ranges in prop::collection::vec(range(), 0..40)) {
            let set: AddressSet = ranges.iter().copied().collect();
            let again: AddressSet = set.ranges().collect();
            prop_assert_eq!((&set.v4, &set.v6), (&again.v4, &again.v6));
        }

        #[test]
        fn a_set_is_within_another_if_each_of_its_ranges_is(
            ranges in prop::collection::vec(range(), 0..9), others in prop::collection::vec(range(), 0..9),
        ) {
            let set: AddressSet = ranges.iter().copied().collect();
            let other: AddressSet = others.iter().copied().collect();
            let both: AddressSet = ranges.iter().chain(&others).copied().collect();
            // What adds nothing to a set was within it.
            prop_assert_eq!(set.is_within(&other), (&both.v4, &both.v6) == (&other.v4, &other.v6));
            prop_assert!(set.is_within(&both) && other.is_within(&both));
        }

        #[test]
        fn the_order_of_the_ranges_does_not_matter(ranges in prop::collection::vec(range(), 0..40)) {
            let forth: AddressSet = ranges.iter().copied().collect();
            let back: AddressSet = ranges.iter().rev().copied().collect();
            prop_assert_eq!(forth, back);
        }
    }
}
