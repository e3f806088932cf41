//! How long a request's body is: one answer, or a refusal.
//!
//! What two parties could measure differently is how requests are smuggled (RFC 9112 §11.2), so everything but the plain
//! cases is refused.

use http::Version;

use super::fields::{CONTENT_LENGTH, Fields, TRANSFER_ENCODING};
use super::syntax::{is_token, malformed};
use crate::decision::outcome::{Cause, Denial};

/// Where a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// As the chunks say (RFC 9112 §7.1).
    Chunked,
}

/// What the fields of a head say about its body, gathered one by one.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyFraming {
    length: Option<u64>,
    chunked: bool,
}

impl BodyFraming {
    /// How long the body is of a message of `version` with `fields`.
    ///
    /// # Errors
    /// As those of [`BodyFraming::length`], [`BodyFraming::coding`] and [`BodyFraming::framing`].
    pub fn of(fields: Fields<'_>, version: Version) -> Result<BodyLength, Denial> {
        let mut measure = BodyFraming::default();
        fields.get_all(&CONTENT_LENGTH).try_for_each(|value| measure.length(value))?;
        fields.get_all(&TRANSFER_ENCODING).try_for_each(|value| measure.coding(value))?;
        measure.framing(version)
    }

    /// Takes note of a `Content-Length`.
    ///
    /// # Errors
    /// [`Cause::MalformedRequest`] for a second one, even an equal one, and for anything but digits.
    pub fn length(&mut self, value: &[u8]) -> Result<(), Denial> {
        if self.length.is_some() {
            return malformed("more than one Content-Length");
        }
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return malformed("Content-Length is not a number");
        }
        let number = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
        self.length = Some(number.map_or_else(|| malformed("Content-Length is too large for any body"), Ok)?);
        Ok(())
    }

    /// Takes note of a `Transfer-Encoding`.
    ///
    /// # Errors
    /// [`Cause::TransferCodingUnknown`] for codings that this gateway does not know (RFC 9112 §6.1), and
    /// [`Cause::MalformedRequest`] for what is not a list of plain codings, or names `chunked` before the last.
    pub fn coding(&mut self, value: &[u8]) -> Result<(), Denial> {
        if self.chunked {
            return malformed("more than one Transfer-Encoding");
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        let mut codings: Vec<_> = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
        let last = codings.pop();
        let foreign = |name: &[u8]| is_token(name) && !name.eq_ignore_ascii_case(b"chunked");
        if !last.is_some_and(is_token) || !codings.into_iter().all(foreign) {
            return malformed("Transfer-Encoding is not exactly `chunked`");
        }
        Err(Denial::new(Cause::TransferCodingUnknown, "a transfer coding other than `chunked`"))
    }

    /// The one length that everything agrees on.
    ///
    /// # Errors
    /// [`Cause::MalformedRequest`] for both a length and chunks, and for chunks outside of HTTP/1.1.
    pub fn framing(self, version: Version) -> Result<BodyLength, Denial> {
        match (self.chunked, self.length) {
            (true, Some(_)) => malformed("both Content-Length and Transfer-Encoding"),
            (true, None) if version == Version::HTTP_11 => Ok(BodyLength::Chunked),
            (true, None) => malformed("Transfer-Encoding belongs to HTTP/1.1 alone"),
            (false, Some(length)) => Ok(BodyLength::Length(length)),
            (false, None) => Ok(BodyLength::None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(lengths: &[&str], codings: &[&str], version: Version) -> Result<BodyLength, Cause> {
        let mut measure = BodyFraming::default();
        let noted = lengths.iter().try_for_each(|value| measure.length(value.as_bytes()));
        let noted = noted.and_then(|()| codings.iter().try_for_each(|value| measure.coding(value.as_bytes())));
        noted.and_then(|()| measure.framing(version)).map_err(|denial| denial.cause)
    }

    #[test]
    fn a_body_has_one_length() {
        assert_eq!(framing(&[], &[], Version::HTTP_11), Ok(BodyLength::None));
        assert_eq!(framing(&["0"], &[], Version::HTTP_10), Ok(BodyLength::Length(0)));
        assert_eq!(framing(&["0042"], &[], Version::HTTP_11), Ok(BodyLength::Length(42)));
        assert_eq!(framing(&[], &["chunked"], Version::HTTP_11), Ok(BodyLength::Chunked));
        assert_eq!(framing(&[], &["ChunkeD"], Version::HTTP_11), Ok(BodyLength::Chunked));
    }

    #[test]
    fn two_lengths_are_malformed() {
        for (lengths, codings, version) in [
            (&["5", "5"][..], &[][..], Version::HTTP_11),
            (&["5, 5"], &[], Version::HTTP_11),
            (&["5"], &["chunked"], Version::HTTP_11),
            (&[], &["chunked", "chunked"], Version::HTTP_11),
            (&[], &["chunked, chunked"], Version::HTTP_11),
            (&[], &["chunked, gzip"], Version::HTTP_11),
            (&[], &["chunked"], Version::HTTP_10),
            (&[], &["chunked"], Version::HTTP_2),
        ] {
            assert_eq!(framing(lengths, codings, version), Err(Cause::MalformedRequest), "{lengths:?} {codings:?}");
        }
    }

    #[test]
    fn what_is_no_length_is_malformed() {
        for length in ["", "+5", "-5", " 5", "5 ", "0x5", "5.0", "5;", "\u{665}", "18446744073709551616"] {
            assert_eq!(framing(&[length], &[], Version::HTTP_11), Err(Cause::MalformedRequest), "{length}");
        }
    }

    #[test]
    fn unknown_codings_are_told_from_malformed_ones() {
        for coding in ["gzip", "gzip, chunked", "identity", "x-chunked", "gzip,deflate,chunked"] {
            assert_eq!(framing(&[], &[coding], Version::HTTP_11), Err(Cause::TransferCodingUnknown), "{coding}");
        }
        for coding in ["", ",", "chunked,", ",chunked", "chunked;q=1", "chunk ed", "\"chunked\"", "\u{b}chunked"] {
            assert_eq!(framing(&[], &[coding], Version::HTTP_11), Err(Cause::MalformedRequest), "{coding}");
        }
    }
}
