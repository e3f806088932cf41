//! Rewrite: what the origin is shown, and where a redirect points.

mod forwarded;
mod redirect;
mod rules;
#[cfg(test)]
mod tests;

pub use self::forwarded::{Edit, Edits, forwarded};
pub use self::redirect::{Redirect, RedirectTarget};
pub use self::rules::{PathRewrite, Piece, RewriteRules, Template};
