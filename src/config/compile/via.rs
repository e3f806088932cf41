//! Compile: `via`.

use super::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::decision::request::Via;

/// Longer than any host name.
const MAX_PSEUDONYM_BYTES: usize = 253;

/// What the gateway calls itself in `Via`; its default where that can't be.
pub fn via(ctx: &mut CompileContext, raw: &raw::Config) -> Via {
    let pseudonym = raw.via.pseudonym.as_deref().unwrap_or(Via::DEFAULT_PSEUDONYM);
    let on_responses = raw.via.responses.unwrap_or(true);
    Via::new(pseudonym, on_responses).filter(|_| pseudonym.len() <= MAX_PSEUDONYM_BYTES).unwrap_or_else(|| {
        ctx.error_with_help(
            &DocPath::root().key("via").key("pseudonym"),
            "invalid_pseudonym",
            format!("`{pseudonym}` is not a pseudonym of `Via`, which is a token (RFC 9110 section 5.6.2)"),
            "use letters, digits and `-`, such as `edge-1`",
        );
        Via::default()
    })
}
