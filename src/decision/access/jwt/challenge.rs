//! The challenges of bearer tokens (RFC 6750 §3).

use http::HeaderValue;

use crate::decision::outcome::Cause;
use crate::decision::request::fields::FieldName;

/// For a request without a token. `header`: where it is read, if not in `Authorization`.
pub(super) fn invitation(header: Option<&FieldName>) -> String {
    match header {
        None => r#"Bearer realm="portcullis""#.to_owned(),
        Some(header) => format!(r#"Bearer realm="portcullis", header="{header}""#),
    }
}

/// For a valid token that lacks one of `scopes`. `None` where a scope can't be written in a header; compiling refuses those.
pub(super) fn insufficient_scope(scopes: &[String]) -> Option<HeaderValue> {
    if scopes.is_empty() {
        return None;
    }
    let scopes = scopes.join(" ");
    HeaderValue::try_from(format!(r#"Bearer realm="portcullis", error="insufficient_scope", scope="{scopes}""#)).ok()
}

/// For a token refused for `cause`. It says no more than the cause's title.
pub(super) fn refusal(cause: Cause) -> HeaderValue {
    HeaderValue::from_static(cause.bearer_challenge().unwrap_or(r#"Bearer realm="portcullis""#))
}
