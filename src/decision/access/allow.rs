//! Authorization by scopes, roles and claims.

use std::fmt;

use serde_json::Value;

use super::principal::{Principal, claim};
use crate::decision::outcome::{Cause, Denial};
use crate::diagnostics::Place;

/// What a recognised caller must have. Every condition given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AllowRules {
    /// All of them.
    pub scopes: Vec<String>,
    /// Any one, unless empty.
    pub roles: Vec<String>,
    /// Every claim, with any of its values.
    pub claims: Vec<(String, Vec<String>)>,
    /// Where the file says so, for `explain`.
    pub place: Place,
}

impl AllowRules {
    /// Refuses a caller that lacks something, and names it.
    pub fn check(&self, principal: &Principal) -> Result<(), Denial> {
        if let Some(missing) = self.scopes.iter().find(|scope| !principal.scopes.contains(scope)) {
            return Err(Denial::new(Cause::ScopeMissing, format!("`{}` lacks the scope `{missing}`", principal.id)));
        }
        if !self.roles.is_empty() && !self.roles.iter().any(|role| principal.roles.contains(role)) {
            let roles = self.roles.join("`, `");
            return Err(Denial::new(Cause::RoleMissing, format!("`{}` has none of the roles `{roles}`", principal.id)));
        }
        for (name, accepted) in &self.claims {
            let Some(value) = claim(&principal.claims, name) else {
                return Err(Denial::new(Cause::ClaimMismatch, format!("`{}` lacks the claim `{name}`", principal.id)));
            };
            if !accepted.iter().any(|accepted| is(value, accepted)) {
                let detail = format!("the claim `{name}` of `{}` has none of the accepted values", principal.id);
                return Err(Denial::new(Cause::ClaimMismatch, detail));
            }
        }
        Ok(())
    }
}

/// What follows the names of the identities; nothing where being recognised is enough.
impl fmt::Display for AllowRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AllowRules { scopes, roles, claims, place: _ } = self;
        if !scopes.is_empty() {
            write!(f, ", with scope {}", scopes.join(" and "))?;
        }
        if !roles.is_empty() {
            write!(f, ", with role {}", roles.join(" or "))?;
        }
        claims.iter().try_for_each(|(name, accepted)| write!(f, ", with claim {name} = {}", accepted.join(" or ")))
    }
}

/// Whether `value` is `accepted`, or a list that contains it. Numbers and booleans are compared by their JSON text.
fn is(value: &Value, accepted: &str) -> bool {
    match value {
        Value::String(text) => text == accepted,
        Value::Bool(true) => accepted == "true",
        Value::Bool(false) => accepted == "false",
        Value::Number(number) => number.to_string() == accepted,
        Value::Array(values) => values.iter().any(|value| !value.is_array() && is(value, accepted)),
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn caller() -> Principal {
        let claims = json!({
            "tier": "gold", "level": 3, "staff": true, "groups": ["a", "b"], "nested": {"deep": {"x": "y"}},
            "a.b": "literal", "a": {"b": "path"}, "nothing": null,
        });
        let Value::Object(claims) = claims else { unreachable!("an object was written") };
        Principal {
            id: "ann".to_owned(),
            identity: "corp".into(),
            scopes: vec!["read".to_owned(), "write".to_owned()],
            roles: vec!["admin".to_owned()],
            claims,
            expires: None,
        }
    }

    fn cause(rules: &AllowRules) -> Option<Cause> {
        rules.check(&caller()).err().map(|denial| denial.cause)
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn claims(name: &str, accepted: &[&str]) -> AllowRules {
        AllowRules { claims: vec![(name.to_owned(), words(accepted))], ..AllowRules::default() }
    }

    #[test]
    fn no_conditions_let_every_recognised_caller_pass() {
        assert_eq!(cause(&AllowRules::default()), None);
    }

    #[test]
    fn every_scope_is_needed_and_any_role_will_do() {
        assert_eq!(cause(&AllowRules { scopes: words(&["read", "write"]), ..AllowRules::default() }), None);
        assert_eq!(
            cause(&AllowRules { scopes: words(&["read", "erase"]), ..AllowRules::default() }),
            Some(Cause::ScopeMissing)
        );
        assert_eq!(cause(&AllowRules { roles: words(&["owner", "admin"]), ..AllowRules::default() }), None);
        assert_eq!(cause(&AllowRules { roles: words(&["owner"]), ..AllowRules::default() }), Some(Cause::RoleMissing));
    }

    #[test]
    fn the_detail_names_what_lacks() {
        let denial =
            AllowRules { scopes: words(&["read", "erase"]), ..AllowRules::default() }.check(&caller()).unwrap_err();
        assert_eq!(denial.detail, "`ann` lacks the scope `erase`");
    }

    #[test]
    fn claims_are_compared_by_their_text() {
        assert_eq!(cause(&claims("tier", &["silver", "gold"])), None);
        assert_eq!(cause(&claims("level", &["3"])), None);
        assert_eq!(cause(&claims("staff", &["true"])), None);
        assert_eq!(cause(&claims("groups", &["b"])), None);
        for (name, accepted) in [("tier", "Gold"), ("level", "3.0"), ("staff", "1"), ("groups", "c"), ("none", "x")] {
            assert_eq!(cause(&claims(name, &[accepted])), Some(Cause::ClaimMismatch), "{name}");
        }
        assert_eq!(cause(&claims("nothing", &["null"])), Some(Cause::ClaimMismatch));
    }

    #[test]
    fn a_dotted_name_is_a_path_unless_a_claim_has_that_name() {
        assert_eq!(cause(&claims("nested.deep.x", &["y"])), None);
        assert_eq!(cause(&claims("a.b", &["literal"])), None);
        assert_eq!(cause(&claims("a.b", &["path"])), Some(Cause::ClaimMismatch));
        assert_eq!(cause(&claims("nested.none.x", &["y"])), Some(Cause::ClaimMismatch));
    }

    #[test]
    fn every_condition_is_said() {
        let claims = vec![("tier".to_owned(), words(&["gold", "silver"]))];
        let allow =
            AllowRules { scopes: words(&["a", "b"]), roles: words(&["x", "y"]), claims, ..AllowRules::default() };
        let said = ", with scope a and b, with role x or y, with claim tier = gold or silver";
        assert_eq!(allow.to_string(), said);
        assert_eq!(AllowRules::default().to_string(), "");
    }
}
