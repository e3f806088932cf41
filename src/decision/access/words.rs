//! Who may come in, in words, for `diff`.

use std::fmt;

use super::{Rules, allow};

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules::Identified(rules) = self else { return f.write_str("public") };
        let names: Vec<&str> = rules.identities.iter().map(|identity| &*identity.name).collect();
        write!(f, "{}{}", names.join(" or "), rules.allow)
    }
}

/// What follows the names of the identities; nothing where being recognised is enough.
impl fmt::Display for allow::Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allow::Rules { scopes, roles, claims, place: _ } = self;
        if !scopes.is_empty() {
            write!(f, ", with scope {}", scopes.join(" and "))?;
        }
        if !roles.is_empty() {
            write!(f, ", with role {}", roles.join(" or "))?;
        }
        claims.iter().try_for_each(|(name, accepted)| write!(f, ", with claim {name} = {}", accepted.join(" or ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_is_said() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let claims = vec![("tier".to_owned(), words(&["gold", "silver"]))];
        let allow =
            allow::Rules { scopes: words(&["a", "b"]), roles: words(&["x", "y"]), claims, ..Default::default() };
        let said = ", with scope a and b, with role x or y, with claim tier = gold or silver";
        assert_eq!(allow.to_string(), said);
        assert_eq!(allow::Rules::default().to_string(), "");
        assert_eq!(Rules::Public.to_string(), "public");
    }
}
