//! The cookies of a request.

use super::fields::{COOKIE, Fields};

/// The values of every cookie called `name` (RFC 6265 §4.2.1; HTTP/2 may split the field, RFC 9113 §8.2.3).
pub fn cookies<'a>(fields: Fields<'a>, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let pairs = fields.get_all(&COOKIE).flat_map(|field| field.split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| cookie_value(pair, name))
}

/// The value in `name=value`, with spaces around it.
pub fn cookie_value<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"=")
}
