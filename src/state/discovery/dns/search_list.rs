//! The search list of resolv.conf(5): the absolute names that a relative one may stand for.

use hickory_resolver::config::ResolverConfig;
use hickory_resolver::proto::rr::Name;

/// Most names that one name may stand for.
const MOST: usize = 8;

/// Completes names without a dot at their end.
///
/// hickory has a search list too, but applies it to each record type separately: it could join the A record of one name with
/// the AAAA record of another.
pub(super) struct SearchList {
    suffixes: Vec<Name>,
    ndots: usize,
}

impl SearchList {
    pub fn new(config: &ResolverConfig, ndots: usize) -> Self {
        // As in resolv.conf(5), `search` replaces `domain`.
        let mut suffixes = config.search().to_vec();
        if suffixes.is_empty() {
            suffixes.extend(config.domain().cloned());
        }
        suffixes.retain(|suffix| !suffix.is_root());
        suffixes.truncate(MOST - 1);
        SearchList { suffixes, ndots }
    }

    /// The absolute names to look up, in order, until one exists.
    pub fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut absolute = name.clone();
        absolute.set_fqdn(true);
        if name.is_fqdn() || name.is_localhost() {
            return vec![absolute];
        }
        let completed = self.suffixes.iter().filter_map(|suffix| {
            let mut name = name.clone().append_domain(suffix).ok()?;
            name.set_fqdn(true);
            Some(name)
        });
        let mut candidates: Vec<Name> = completed.collect();
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let position = if dots >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(position, absolute);
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(domains: &[&str], ndots: usize) -> SearchList {
        let domains = domains.iter().map(|domain| Name::from_ascii(domain).unwrap()).collect();
        SearchList::new(&ResolverConfig::from_parts(None, domains, Vec::new()), ndots)
    }

    fn candidates(search: &SearchList, name: &str) -> Vec<String> {
        search.candidates(&Name::from_ascii(name).unwrap()).iter().map(Name::to_ascii).collect()
    }

    #[test]
    fn a_name_with_enough_dots_is_asked_for_as_it_is_first() {
        let cluster = search(&["shop.svc.cluster.local", "svc.cluster.local."], 5);
        assert_eq!(
            candidates(&cluster, "orders"),
            ["orders.shop.svc.cluster.local.", "orders.svc.cluster.local.", "orders."]
        );
        let plain = search(&["internal"], 1);
        assert_eq!(candidates(&plain, "a.b"), ["a.b.", "a.b.internal."]);
        assert_eq!(candidates(&plain, "a"), ["a.internal.", "a."]);
    }

    #[test]
    fn an_absolute_name_is_not_searched_for() {
        let search = search(&["internal"], 5);
        assert_eq!(candidates(&search, "a.b."), ["a.b."]);
        assert_eq!(candidates(&search, "localhost"), ["localhost."]);
    }

    #[test]
    fn the_list_is_bounded() {
        let domains: Vec<String> = (0..40).map(|n| format!("d{n}.internal")).collect();
        let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
        assert_eq!(candidates(&search(&domains, 1), "a").len(), MOST);
    }
}
