//! Credentials in query strings do not reach the log.
//!
//! RFC 6750 §2.3 warns of access tokens in the URI because URIs are logged; clients send them there all the same. The names
//! below are those that standards and the large clouds use; a template without `query` and `referer` is the way to keep
//! everything else out.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// Parameters whose value is a credential, in lower case.
const CREDENTIALS: &[&[u8]] = &[
    b"access_token",
    b"api-key",
    b"api_key",
    b"apikey",
    b"auth",
    b"authorization",
    b"client_assertion",
    b"client_secret",
    b"id_token",
    b"jwt",
    b"passwd",
    b"password",
    b"refresh_token",
    b"secret",
    b"sig",
    b"signature",
    b"token",
    b"x-amz-security-token",
    b"x-amz-signature",
    b"x-api-key",
    b"x-goog-signature",
];

const REDACTED: &[u8] = b"[redacted]";

/// The query with the values of credentials replaced.
pub fn query(query: &[u8]) -> Cow<'_, [u8]> {
    if !query.split(is_separator).any(|parameter| credential_name(parameter).is_some()) {
        return Cow::Borrowed(query);
    }
    let mut redacted = Vec::with_capacity(query.len());
    for parameter in query.split_inclusive(is_separator) {
        match credential_name(parameter) {
            Some(name) => {
                redacted.extend_from_slice(name);
                redacted.push(b'=');
                redacted.extend_from_slice(REDACTED);
                redacted.extend(parameter.last().filter(|last| is_separator(last)));
            }
            None => redacted.extend_from_slice(parameter),
        }
    }
    Cow::Owned(redacted)
}

/// The same for a URI reference, such as that of `Referer`.
pub fn reference(reference: &[u8]) -> Cow<'_, [u8]> {
    let Some(mark) = reference.iter().position(|&byte| byte == b'?') else { return Cow::Borrowed(reference) };
    let (path, after) = reference.split_at(mark + 1);
    match query(after) {
        Cow::Borrowed(_) => Cow::Borrowed(reference),
        Cow::Owned(redacted) => Cow::Owned([path, &redacted].concat()),
    }
}

/// `;` separates too: some servers still read it so.
fn is_separator(byte: &u8) -> bool {
    matches!(byte, b'&' | b';')
}

/// The name of a parameter that carries a credential, as written.
fn credential_name(parameter: &[u8]) -> Option<&[u8]> {
    let end = parameter.iter().position(|&byte| byte == b'=')?;
    let name = &parameter[..end];
    // The longest name, if every character of it is percent-encoded, is three times as long.
    if name.len() > 3 * 20 {
        return None;
    }
    let is_credential = if name.contains(&b'%') { is_known(&Cow::from(percent_decode(name))) } else { is_known(name) };
    is_credential.then_some(name)
}

fn is_known(name: &[u8]) -> bool {
    CREDENTIALS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(written: &str, logged: &str) {
        assert_eq!(String::from_utf8(query(written.as_bytes()).into_owned()).unwrap(), logged);
    }

    #[test]
    fn the_value_of_a_credential_is_replaced() {
        check("page=1&access_token=s3cret&x=y", "page=1&access_token=[redacted]&x=y");
        check("Token=s3cret", "Token=[redacted]");
        check("a=b;sig=s=3=cret;c", "a=b;sig=[redacted];c");
        check("access%5Ftoken=s3cret", "access%5Ftoken=[redacted]");
    }

    #[test]
    fn everything_else_stays_as_written() {
        for text in ["", "a", "token", "tokens=5", "page=1&&sort=%2d;", "=token"] {
            check(text, text);
        }
    }

    #[test]
    fn a_reference_keeps_its_path() {
        assert_eq!(&*reference(b"https://a/token=1?token=2"), b"https://a/token=1?token=[redacted]");
        assert_eq!(&*reference(b"https://a/token=1"), b"https://a/token=1");
    }

    #[test]
    fn no_known_name_is_too_long_to_be_looked_at() {
        assert!(CREDENTIALS.iter().all(|name| name.len() <= 20));
    }

    proptest! {
        #[test]
        fn no_credential_survives(before in "[a-z=&]{0,20}", name in 0..CREDENTIALS.len(), after in "[a-z=]{0,9}") {
            let name = std::str::from_utf8(CREDENTIALS[name]).unwrap();
            let written = format!("{before}&{name}=S3CRET{after}&x=1");
            prop_assert!(!String::from_utf8_lossy(&query(written.as_bytes())).contains("S3CRET"));
        }
    }
}
