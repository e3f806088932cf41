//! Pingora's heads as `decision` edits them.

use http::{HeaderName, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};
use smallvec::SmallVec;

use crate::decision::response::HeaderSection;

macro_rules! editor {
    ($(#[doc = $doc:literal] $name:ident edits $head:ident;)*) => {
        $(
            #[doc = $doc]
            pub struct $name<'a>(pub &'a mut $head);

            impl HeaderSection for $name<'_> {
                fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
                    self.0.headers.get_all(name).iter().map(HeaderValue::as_bytes)
                }

                fn contains(&self, name: &HeaderName) -> bool {
                    self.0.headers.contains_key(name)
                }

                fn remove(&mut self, name: &HeaderName) {
                    self.0.remove_header(name);
                }

                fn rename(&mut self, old: &HeaderName, new: &HeaderName) {
                    if !self.contains(old) {
                        return;
                    }
                    let values: SmallVec<[HeaderValue; 4]> = self.0.headers.get_all(old).iter().cloned().collect();
                    self.0.remove_header(old);
                    for value in &values {
                        self.append(new, value);
                    }
                }

                fn set(&mut self, name: &HeaderName, value: &HeaderValue) {
                    // Pingora refuses only names and values that can't be parsed; these are parsed already.
                    let _ = self.0.insert_header(name, value.clone());
                }

                fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
                    let _ = self.0.append_header(name, value.clone());
                }
            }
        )*
    };
}

editor! {
    /// The head of a request.
    RequestHeaderEditor edits RequestHeader;
    /// The head of an answer.
    ResponseHeaderEditor edits ResponseHeader;
}
