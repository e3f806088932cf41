//! Address rules: who may come in, by where the client is.
//!
//! `deny` goes before `allow`, and where something is allowed, everything else is refused. The addresses stand in the
//! configuration, or in list files that change while the gateway runs: what those hold now is a fact, which the adapter
//! brings as [`Lists`].

pub mod list;
mod set;

use std::net::IpAddr;
use std::sync::Arc;

use crate::decision::outcome::{Cause, Denial};
use crate::diagnostics::Place;
pub use set::{AddressRange, AddressSet, parse_range};

/// Index into [`crate::decision::policy::Policy::address_lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListId(pub u32);

/// A list file that some rule names.
#[derive(Clone, Debug)]
pub struct List {
    /// As written.
    pub file: Arc<str>,
    /// What it held when the configuration was loaded.
    pub loaded: Arc<AddressSet>,
}

/// What the list files hold now. The ids are those of the rules that ask.
pub trait Lists {
    /// Whether the list `id` names `address`, itself or by a range.
    fn contains(&self, id: ListId, address: IpAddr) -> bool;
}

/// The lists as they were loaded.
impl Lists for [List] {
    fn contains(&self, id: ListId, address: IpAddr) -> bool {
        self[id.0 as usize].loaded.contains(address)
    }
}

/// Which addresses may come in.
#[derive(Clone, Debug)]
pub struct AddressRules {
    /// Only these. `None`: all that are not denied.
    pub allow: Option<Addresses>,
    /// Never these, whatever is allowed.
    pub deny: Addresses,
    /// Decide, log and count, but let the request pass.
    pub report_only: bool,
    /// Where the file says so, for `explain`.
    pub place: Place,
}

/// Addresses from the configuration and from list files.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// Those that stand in the configuration itself.
    pub ranges: AddressSet,
    /// The list files: each id with the file's name, for the detail of a refusal.
    pub lists: Vec<(ListId, Arc<str>)>,
}

impl AddressRules {
    /// Refuses a `client` that may not come in ([`Cause::AddressDenied`]), whether the rule is enforced or only reports.
    pub fn check(&self, client: IpAddr, lists: &(impl Lists + ?Sized)) -> Result<(), Denial> {
        let client = client.to_canonical();
        let refuse = |detail| Err(Denial::new(Cause::AddressDenied, detail));
        match self.deny.find(client, lists) {
            Some(ListMatch::InConfiguration) => return refuse(format!("{client} is denied")),
            Some(ListMatch::InList(file)) => return refuse(format!("{client} is denied by `{file}`")),
            None => {}
        }
        match &self.allow {
            Some(allow) if allow.find(client, lists).is_none() => {
                refuse(format!("{client} is not among the allowed addresses"))
            }
            _ => Ok(()),
        }
    }
}

/// Where an address stands.
enum ListMatch<'a> {
    InConfiguration,
    InList(&'a str),
}

impl Addresses {
    fn find(&self, address: IpAddr, lists: &(impl Lists + ?Sized)) -> Option<ListMatch<'_>> {
        if self.ranges.contains(address) {
            return Some(ListMatch::InConfiguration);
        }
        let (_, file) = self.lists.iter().find(|(id, _)| lists.contains(*id, address))?;
        Some(ListMatch::InList(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[&str]) -> AddressSet {
        ranges.iter().map(|range| parse_range(range).unwrap()).collect()
    }

    fn addresses(ranges: &[&str], lists: &[u32]) -> Addresses {
        let lists = lists.iter().map(|&id| (ListId(id), format!("{id}.txt").into())).collect();
        Addresses { ranges: set(ranges), lists }
    }

    fn rules(allow: Option<Addresses>, deny: Addresses) -> AddressRules {
        AddressRules { allow, deny, report_only: false, place: Place::default() }
    }

    /// What is said to a client at `address`; nothing if it may come in.
    fn said(rules: &AddressRules, address: &str) -> String {
        let list = |file: &str, ranges| List { file: file.into(), loaded: Arc::new(set(ranges)) };
        let lists = [list("0.txt", &["192.0.2.0/28", "2001:db8:bad::/48"]), list("1.txt", &["198.51.100.7"])];
        let denial = rules.check(address.parse().unwrap(), &lists[..]).err();
        denial.map_or(String::new(), |denial| {
            assert_eq!(denial.cause, Cause::AddressDenied);
            denial.detail.into_owned()
        })
    }

    #[test]
    fn without_rules_for_it_an_address_passes() {
        let rules = rules(None, addresses(&["192.0.2.0/24"], &[]));
        assert_eq!(said(&rules, "198.51.100.1"), "");
        assert_eq!(said(&rules, "2001:db8::1"), "");
        assert_eq!(said(&rules, "192.0.2.255"), "192.0.2.255 is denied");
    }

    #[test]
    fn where_something_is_allowed_the_rest_is_refused() {
        let rules = rules(Some(addresses(&["10.0.0.0/8"], &[1])), Addresses::default());
        assert_eq!(said(&rules, "10.255.0.1"), "");
        assert_eq!(said(&rules, "198.51.100.7"), "");
        assert_eq!(said(&rules, "198.51.100.8"), "198.51.100.8 is not among the allowed addresses");
        assert_eq!(said(&rules, "::1"), "::1 is not among the allowed addresses");
    }

    #[test]
    fn a_denial_goes_before_an_allowance_and_names_its_list() {
        let rules = rules(Some(addresses(&["192.0.2.0/24", "2001:db8::/32"], &[])), addresses(&[], &[1, 0]));
        assert_eq!(said(&rules, "192.0.2.15"), "192.0.2.15 is denied by `0.txt`");
        assert_eq!(said(&rules, "2001:db8:bad::1"), "2001:db8:bad::1 is denied by `0.txt`");
        assert_eq!(said(&rules, "192.0.2.16"), "");
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        let rules = rules(None, addresses(&["192.0.2.1"], &[]));
        assert_eq!(said(&rules, "::ffff:192.0.2.1"), "192.0.2.1 is denied");
    }

    #[test]
    fn allowing_nothing_lets_nobody_in() {
        let rules = rules(Some(Addresses::default()), Addresses::default());
        assert_ne!(said(&rules, "127.0.0.1"), "");
    }
}
