//! Authorization by scopes, roles and claims.

use crate::diagnostics::Place;

/// What a recognised caller must have. Every condition given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// All of them.
    pub scopes: Vec<String>,
    /// Any one, unless empty.
    pub roles: Vec<String>,
    /// Every claim, with any of its values.
    pub claims: Vec<(String, Vec<String>)>,
    /// Where the file says so, for `explain`.
    pub place: Place,
}
