//! The field section of an HTTP/2 message (RFC 9113 §8), judged as bytes before any library reads it: what [`super::head`] is for
//! HTTP/1.
//!
//! A library that refuses a field resets its stream, or ends the connection with every other stream on it, and no log line says so.
//! So whatever a library would refuse is found here first. What breaks HTTP/2 itself makes the message malformed, a stream error
//! (RFC 9113 §8.1.1). What breaks the rules that HTTP/1 has too is answered like there.

#[cfg(test)]
mod tests;

use super::framing::{BodyFraming, BodyLength};
use super::head::MAX_METHOD_BYTES;
pub use super::syntax::is_text;
use super::syntax::is_token;
use super::{host, target};
use crate::decision::outcome::{Cause, Denial};

/// What becomes of a field section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionVerdict {
    /// It passes as it is.
    Plain,
    /// It passes once its target has the escapes that it lacks ([`target::encode`]).
    RawTarget,
    /// The request is to be answered.
    Refused(SectionRefusal),
    /// The message is malformed, a stream error (RFC 9113 §8.1.1). Why, for the log.
    Malformed(&'static str),
}

macro_rules! refusals {
    ($($name:ident $cause:ident $detail:literal;)*) => {
        /// Why a request is refused that HTTP/2 itself has nothing against.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum SectionRefusal {
            $(#[doc = $detail] $name,)*
        }

        impl SectionRefusal {
            /// All of them.
            pub const ALL: &[SectionRefusal] = &[$(SectionRefusal::$name,)*];

            pub fn denial(self) -> Denial {
                match self {
                    $(SectionRefusal::$name => Denial::new(Cause::$cause, $detail),)*
                }
            }
        }
    };
}

refusals! {
    MethodCharacter MalformedRequest "the method has a character that no method may have";
    MethodTooLong MethodTooLong "the method is longer than any that is registered";
    SchemeUnknown MalformedRequest "the scheme is neither http nor https";
    TargetCharacter PathInvalid "the request target has a character that no target may have";
    TargetForm PathInvalid "the request target is neither a path nor `*`";
    TargetRaw PathInvalid "the target contains a character that must be percent-encoded, as `request.target` says";
    TargetTooLong UriTooLong "the request target is longer than any that can be read";
    HostMissing HostMissing "neither `:authority` nor Host is present";
    HostInvalid HostInvalid "`:authority` or Host is neither a name nor an address";
    TwoHosts MalformedRequest "more than one Host";
    HostsDisagree MalformedRequest "Host and `:authority` disagree";
    LengthInvalid MalformedRequest "Content-Length is not one number";
    FieldsTooLarge HeadersTooLarge "the header fields are larger than `bounds.header_bytes`";
}

/// The fields that decide how a request is read.
#[derive(Default)]
struct RequestFields<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    length: BodyFraming,
    /// Found in a regular field.
    refused: Option<SectionRefusal>,
}

/// Judges the header section of a request. `ends`: no body follows. `strict`: a target without the escapes that it should have is
/// refused.
pub fn request<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>, ends: bool, strict: bool) -> SectionVerdict {
    judged(fields, ends, strict).unwrap_or_else(|verdict| verdict)
}

/// Judges a trailer section: regular fields alone (RFC 9113 §8.1).
pub fn trailers<'a>(mut fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> SectionVerdict {
    let checked = fields.try_for_each(|(name, value)| match name {
        [b':', ..] => malformed("a pseudo-header field in the trailers"),
        _ => regular(name, value),
    });
    checked.err().unwrap_or(SectionVerdict::Plain)
}

fn judged<'a>(
    mut fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ends: bool,
    strict: bool,
) -> Result<SectionVerdict, SectionVerdict> {
    let mut request = RequestFields::default();
    let mut regular_began = false;
    fields.try_for_each(|(name, value)| {
        if name.first() == Some(&b':') {
            if regular_began {
                return malformed("a pseudo-header field after a regular one");
            }
            return request.pseudo(name, value);
        }
        regular_began = true;
        regular(name, value)?;
        request.note(name, value);
        Ok(())
    })?;
    request.conclude(ends, strict)
}

impl<'a> RequestFields<'a> {
    fn pseudo(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), SectionVerdict> {
        let place = match name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            _ => return malformed("a pseudo-header field that no request has"),
        };
        if place.replace(value).is_some() {
            return malformed("a pseudo-header field twice");
        }
        text(value)
    }

    fn note(&mut self, name: &[u8], value: &'a [u8]) {
        match name {
            b"host" if self.host.is_some() => self.refused = Some(SectionRefusal::TwoHosts),
            b"host" => self.host = Some(value),
            b"content-length" if self.length.length(value).is_err() => {
                self.refused = Some(SectionRefusal::LengthInvalid);
            }
            _ => {}
        }
    }

    fn conclude(&self, ends: bool, strict: bool) -> Result<SectionVerdict, SectionVerdict> {
        let Some(method) = self.method else { return malformed("no `:method`") };
        if method == b"CONNECT" {
            if self.scheme.is_some() || self.path.is_some() {
                return malformed("CONNECT with `:scheme` or `:path`");
            }
        } else if self.scheme.is_none() {
            return malformed("no `:scheme`");
        } else if self.path.is_none_or(<[u8]>::is_empty) {
            return malformed("no `:path`");
        }
        if ends && matches!(self.length.framing(http::Version::HTTP_2), Ok(BodyLength::Length(1..))) {
            return malformed("a Content-Length, and no body");
        }
        if !is_token(method) {
            return Err(SectionVerdict::Refused(SectionRefusal::MethodCharacter));
        }
        if method.len() > MAX_METHOD_BYTES {
            return Err(SectionVerdict::Refused(SectionRefusal::MethodTooLong));
        }
        if let Some(refused) = self.refused {
            return Err(SectionVerdict::Refused(refused));
        }
        let known = |scheme: &[u8]| scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
        if !self.scheme.is_none_or(known) {
            return Err(SectionVerdict::Refused(SectionRefusal::SchemeUnknown));
        }
        self.one_host().map_err(SectionVerdict::Refused)?;
        match self.path {
            None => Ok(SectionVerdict::Plain),
            Some(path) => judge_target(path, strict).map_err(SectionVerdict::Refused),
        }
    }

    fn one_host(&self) -> Result<(), SectionRefusal> {
        match (self.authority, self.host) {
            (None, None) => Err(SectionRefusal::HostMissing),
            (Some(authority), Some(host)) if authority != host => Err(SectionRefusal::HostsDisagree),
            (Some(authority), _) if !is_authority(authority) => Err(SectionRefusal::HostInvalid),
            (None, Some(host)) if host.contains(&b'@') => Err(SectionRefusal::HostInvalid),
            _ => Ok(()),
        }
    }
}

/// Whether `text` has the form of a host and a port. Which host it is, is read later, from what is left of it.
fn is_authority(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    if text.is_empty() || !text.iter().all(plain) {
        return false;
    }
    let colons = text.iter().filter(|byte| **byte == b':').count();
    let simple = colons <= 1 && !text.contains(&b'[') && !text.contains(&b']');
    simple || std::str::from_utf8(text).is_ok_and(|text| host::parse(text).is_ok())
}

fn judge_target(path: &[u8], strict: bool) -> Result<SectionVerdict, SectionRefusal> {
    if path[0] != b'/' && path != b"*" {
        return Err(SectionRefusal::TargetForm);
    }
    let mut raw = 0;
    for &byte in path {
        if target::is_raw(byte) {
            raw += 1;
        } else if !byte.is_ascii_graphic() || byte == b'#' {
            return Err(SectionRefusal::TargetCharacter);
        }
    }
    if raw > 0 && std::str::from_utf8(path).is_err() {
        return Err(SectionRefusal::TargetCharacter);
    }
    if path.len() + 2 * raw > target::HARD_MAX_TARGET {
        return Err(SectionRefusal::TargetTooLong);
    }
    match raw {
        0 => Ok(SectionVerdict::Plain),
        _ if strict => Err(SectionRefusal::TargetRaw),
        _ => Ok(SectionVerdict::RawTarget),
    }
}

/// Checks a field that is no pseudo-header field (RFC 9113 §8.2).
fn regular(name: &[u8], value: &[u8]) -> Result<(), SectionVerdict> {
    if !is_token(name) {
        return malformed("a field name with a character that no name may have");
    }
    if name.iter().any(u8::is_ascii_uppercase) {
        return malformed("a field name in upper case");
    }
    match name {
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
            return malformed("a field that belongs to a connection of HTTP/1");
        }
        b"te" if value != b"trailers" => return malformed("a TE other than `trailers`"),
        _ => {}
    }
    text(value)
}

fn text(value: &[u8]) -> Result<(), SectionVerdict> {
    if value.iter().all(|byte| is_text(*byte)) {
        return Ok(());
    }
    malformed("a field value with a control character")
}

fn malformed<T>(why: &'static str) -> Result<T, SectionVerdict> {
    Err(SectionVerdict::Malformed(why))
}
