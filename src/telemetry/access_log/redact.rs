//! Removes credentials from URIs before they are logged.
//!
//! RFC 6750 §2.3 advises against access tokens in the URI because URIs are logged, but clients send them there. The names below
//! are those that standards, frameworks and the large clouds use, compared as whole words: `key` matches, `sort_key` does not.
//! Some of them (`code`, `key`) also name other values, which are then replaced without need. A template without `query` and
//! `referer` excludes credentials under any name.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::percent_decode;

/// Parameters whose value is a credential, in lower case, with `_` for `-`.
const CREDENTIALS: &[&[u8]] = &[
    b"access_key",
    b"access_token",
    b"api_key",
    b"apikey",
    b"assertion",
    b"auth",
    b"auth_token",
    b"authorization",
    b"client_assertion",
    b"client_secret",
    // The authorization code of OAuth (RFC 6749 §4.1.2), good for a token.
    b"code",
    b"code_verifier",
    b"id_token",
    b"id_token_hint",
    b"jsessionid",
    b"jwt",
    b"key",
    b"logout_token",
    b"otp",
    b"passwd",
    b"password",
    b"phpsessid",
    b"pwd",
    b"refresh_token",
    b"samlresponse",
    b"secret",
    b"secret_key",
    b"session",
    b"session_id",
    b"session_token",
    b"sessionid",
    b"sid",
    b"sig",
    b"signature",
    b"ticket",
    b"token",
    b"x_amz_security_token",
    b"x_amz_signature",
    b"x_api_key",
    b"x_goog_signature",
];

const REDACTED: &[u8] = b"[redacted]";

/// The query with the values of credentials replaced.
pub fn query(query: &[u8]) -> Cow<'_, [u8]> {
    // Some servers treat `;` as a separator. `?` and `#` occur where a client concatenated two URIs.
    replace(query, |byte| matches!(byte, b'&' | b';' | b'?' | b'#'))
}

/// The path with the values of credentials replaced in its parameters (RFC 3986 §3.3), such as `;jsessionid=…`.
pub fn path(path: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = path.iter().position(|&byte| byte == b';') else { return Cow::Borrowed(path) };
    let (before, parameters) = path.split_at(first + 1);
    join(path, &[before.into(), replace(parameters, |byte| matches!(byte, b';' | b'/'))])
}

/// A URI reference, such as that of `Referer`, with the values of credentials and the user information replaced.
pub fn reference(reference: &[u8]) -> Cow<'_, [u8]> {
    // A fragment may hold a token (RFC 6749 §4.2.2). RFC 9110 §10.1.3 forbids fragment and user information in `Referer`.
    let mark = reference.iter().position(|&byte| matches!(byte, b'?' | b'#')).map_or(reference.len(), |mark| mark + 1);
    let (hierarchy, parameters) = reference.split_at(mark);
    match user(hierarchy) {
        None => join(reference, &[path(hierarchy), query(parameters)]),
        Some(user) => {
            Cow::Owned([&hierarchy[..user.start], REDACTED, &path(&hierarchy[user.end..]), &query(parameters)].concat())
        }
    }
}

/// The range of the user information of an authority (RFC 3986 §3.2.1), without its `@`.
fn user(hierarchy: &[u8]) -> Option<Range<usize>> {
    let start = hierarchy.windows(2).position(|window| window == b"//")? + 2;
    let authority = hierarchy[start..].split(|&byte| byte == b'/').next()?;
    let at = authority.iter().rposition(|&byte| byte == b'@')?;
    Some(start..start + at)
}

/// `parts` concatenated; borrowed from `whole` if nothing was replaced in them.
fn join<'a>(whole: &'a [u8], parts: &[Cow<'a, [u8]>]) -> Cow<'a, [u8]> {
    if parts.iter().all(|part| matches!(part, Cow::Borrowed(_))) {
        return Cow::Borrowed(whole);
    }
    Cow::Owned(parts.concat())
}

fn replace(text: &[u8], is_separator: fn(&u8) -> bool) -> Cow<'_, [u8]> {
    if !text.split(is_separator).any(|parameter| credential_name(parameter).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut redacted = Vec::with_capacity(text.len());
    for parameter in text.split_inclusive(is_separator) {
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

/// The name of a parameter that carries a credential, as written.
fn credential_name(parameter: &[u8]) -> Option<&[u8]> {
    let end = parameter.iter().position(|&byte| byte == b'=')?;
    let name = &parameter[..end];
    let decoded = if name.contains(&b'%') { Cow::from(percent_decode(name)) } else { Cow::Borrowed(name) };
    // `token[]`, `token[0]` and `user[password]`, as PHP and Rails write lists and records.
    let mut words = decoded.split(|byte| matches!(byte, b'[' | b']')).filter(|word| !word.is_empty());
    let is_credential = words.next().is_some_and(is_known) || words.next_back().is_some_and(is_known);
    is_credential.then_some(name)
}

fn is_known(name: &[u8]) -> bool {
    let folded = |byte: &u8| if *byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    CREDENTIALS.iter().any(|known| known.len() == name.len() && name.iter().map(folded).eq(known.iter().copied()))
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
        check("X-Amz-Signature=a&x-api-key=b", "X-Amz-Signature=[redacted]&x-api-key=[redacted]");
        check("code=a&state=b&SID=c", "code=[redacted]&state=b&SID=[redacted]");
    }

    #[test]
    fn names_of_lists_and_records_are_looked_into() {
        check("token[]=a&token[0]=b", "token[]=[redacted]&token[0]=[redacted]");
        check(
            "user[password]=a&data%5Buser%5D%5Bsecret%5D=b",
            "user[password]=[redacted]&data%5Buser%5D%5Bsecret%5D=[redacted]",
        );
        check("page[size]=5&[]=6", "page[size]=5&[]=6");
    }

    #[test]
    fn everything_else_stays_as_written() {
        for text in
            ["", "a", "token", "tokens=5", "page=1&&sort=%2d;", "=token", "sort_key=a&keys=b&encode=c&zipcode=d"]
        {
            check(text, text);
        }
    }

    #[test]
    fn a_reference_keeps_its_path() {
        assert_eq!(&*reference(b"https://a/token=1?token=2"), b"https://a/token=1?token=[redacted]");
        assert_eq!(&*reference(b"https://a/token=1"), b"https://a/token=1");
    }

    #[test]
    fn a_reference_loses_its_user_and_what_its_fragment_holds() {
        let check = |written: &str, logged: &str| {
            assert_eq!(String::from_utf8_lossy(&reference(written.as_bytes())), logged);
        };
        check("https://ann:s3cret@a/b@c?d@e", "https://[redacted]@a/b@c?d@e");
        check("https://s3:cr@et@a/?token=1", "https://[redacted]@a/?token=[redacted]");
        check("//ann@a/", "//[redacted]@a/");
        check("https://a/cb#access_token=s3cret&state=1", "https://a/cb#access_token=[redacted]&state=1");
        check("https://a/@b", "https://a/@b");
    }

    #[test]
    fn a_session_in_the_path_is_replaced() {
        assert_eq!(&*path(b"/a;jsessionid=s3cret/b;v=1"), b"/a;jsessionid=[redacted]/b;v=1");
        assert_eq!(&*path(b"/token=1/b;c"), b"/token=1/b;c");
    }

    #[test]
    fn the_known_names_are_as_they_are_compared() {
        assert!(CREDENTIALS.iter().all(|name| name.iter().all(|b| b.is_ascii_lowercase() || *b == b'_')));
        assert!(CREDENTIALS.is_sorted());
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
