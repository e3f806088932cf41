//! What the compilation of a method of identification gives, and what all of them need for it.

use aws_lc_rs::digest::{Context, SHA256};
use http::HeaderName;

use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::decision::access::IdentificationMethod;
use crate::decision::request::fields::FieldName;

/// The header that carries a credential, or a diagnostic at `path`.
pub fn header(ctx: &mut CompileContext, path: &DocPath, name: &str) -> Option<FieldName> {
    let header = HeaderName::from_bytes(name.as_bytes()).ok();
    if header.is_none() {
        ctx.error(path, "header_invalid", format!("`{name}` is not a header name"));
    }
    header.map(|name| ctx.field(name))
}

/// A method, compiled, with the fingerprint of what it was compiled from.
pub type Compiled = (IdentificationMethod, Fingerprint);

/// A number that changes with everything that was added to it. It holds no copy of that, which may be a secret.
pub struct Fingerprint(Context);

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint(Context::new(&SHA256))
    }
}

impl Fingerprint {
    /// Each part goes behind its length, so that moving a byte from one to the next makes a difference.
    pub fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    pub fn finish(self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0.finish().as_ref()[..8]);
        u64::from_be_bytes(first)
    }
}
