//! Sticky sessions: a signed cookie that leads a client back to the endpoint that it met first.
//!
//! The value is the base64url (RFC 4648 §5) of an endpoint's id, the second in which the cookie expires, and the first 128
//! bits of an HMAC-SHA256 (RFC 2104, truncated as its §5 allows) over both and the upstream's name. The id is an HMAC of
//! the endpoint's address: it says nothing to whoever has no key, and all gateways with the same key agree on it.

use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use crate::decision::request::cookies::{cookie_value, cookies};
use crate::decision::request::fields::Fields;

const ID_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
const TOKEN_BYTES: usize = ID_BYTES + 8 + TAG_BYTES;
/// Length of a token in base64 without padding.
const VALUE_BYTES: usize = TOKEN_BYTES.div_ceil(3) * 4 - 1;

/// Shortest key, in bytes: what the hash gives (RFC 2104 §3).
pub const MIN_KEY_BYTES: usize = 32;

/// The cookie, as the owner wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sticky {
    /// Its name.
    pub name: String,
    /// For how long a client comes back. `None`: until it closes its browser.
    pub lifetime: Option<Duration>,
    /// For which paths the client brings it.
    pub path: String,
    /// Whether it goes with requests that other sites cause.
    pub same_site: SameSite,
    /// Whether it goes over TLS only. `None`: if the client came by TLS.
    pub secure: Option<bool>,
}

/// `SameSite` (RFC 6265bis §4.1.2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    Lax,
    Strict,
    None,
}

/// Makes and reads the cookies of one upstream.
#[derive(Debug)]
pub struct Signer {
    /// Its `Debug` names the algorithm alone, and AWS-LC overwrites it when it is dropped.
    key: hmac::Key,
    upstream: Box<str>,
}

/// An endpoint, to those who have the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointId([u8; ID_BYTES]);

/// What a cookie says that is genuine and in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StickyCookie {
    /// Whom it names.
    pub endpoint: EndpointId,
    /// Whether so much of its time is over that it should be given anew.
    pub old: bool,
}

impl Signer {
    /// Signs with `key` for the upstream of this name.
    pub fn new(key: &[u8], upstream: &str) -> Self {
        Signer { key: hmac::Key::new(hmac::HMAC_SHA256, key), upstream: upstream.into() }
    }

    /// The id of the endpoint at `address`.
    pub fn id(&self, address: SocketAddr) -> EndpointId {
        let tag = self.tag(b"endpoint", address.to_string().as_bytes());
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&tag.as_ref()[..ID_BYTES]);
        EndpointId(id)
    }

    /// What the client's cookie says, `now` being in seconds since 1970. What is forged, foreign or expired says nothing.
    pub fn read(&self, sticky: &Sticky, fields: Fields<'_>, now: u64) -> Option<StickyCookie> {
        cookies(fields, sticky.name.as_bytes()).find_map(|value| self.open(sticky, value, now))
    }

    fn open(&self, sticky: &Sticky, value: &[u8], now: u64) -> Option<StickyCookie> {
        if value.len() != VALUE_BYTES {
            return None;
        }
        let mut token = [0; TOKEN_BYTES + 3];
        let length = URL_SAFE_NO_PAD.decode_slice(value, &mut token).ok()?;
        let (signed, tag) = token.get(..length)?.split_at_checked(ID_BYTES + 8)?;
        constant_time::verify_slices_are_equal(&self.tag(b"cookie", signed).as_ref()[..TAG_BYTES], tag).ok()?;
        let (id, expires) = signed.split_at(ID_BYTES);
        let endpoint = EndpointId(id.try_into().ok()?);
        let expires = u64::from_be_bytes(expires.try_into().ok()?);
        if expires <= now {
            return None;
        }
        // A file that now says another lifetime has it apply at once.
        let old = match sticky.lifetime {
            Some(lifetime) => expires - now < lifetime.as_secs().div_ceil(2) || expires - now > lifetime.as_secs(),
            None => expires != NEVER,
        };
        Some(StickyCookie { endpoint, old })
    }

    /// `Set-Cookie` that leads back to `endpoint`. `tls`: the client came by TLS.
    pub fn write(&self, sticky: &Sticky, endpoint: EndpointId, now: u64, tls: bool) -> Option<HeaderValue> {
        let expires = sticky.lifetime.map_or(NEVER, |lifetime| now.saturating_add(lifetime.as_secs()));
        let mut token = [0; TOKEN_BYTES];
        token[..ID_BYTES].copy_from_slice(&endpoint.0);
        token[ID_BYTES..ID_BYTES + 8].copy_from_slice(&expires.to_be_bytes());
        let tag = self.tag(b"cookie", &token[..ID_BYTES + 8]);
        token[ID_BYTES + 8..].copy_from_slice(&tag.as_ref()[..TAG_BYTES]);
        let mut cookie = format!("{}=", sticky.name);
        URL_SAFE_NO_PAD.encode_string(token, &mut cookie);
        cookie.extend(["; Path=", &sticky.path]);
        if let Some(lifetime) = sticky.lifetime {
            cookie.push_str(&format!("; Max-Age={}", lifetime.as_secs()));
        }
        cookie.push_str("; HttpOnly; SameSite=");
        cookie.push_str(sticky.same_site.as_str());
        if sticky.secure.unwrap_or(tls) {
            cookie.push_str("; Secure");
        }
        HeaderValue::try_from(cookie).ok()
    }

    fn tag(&self, what: &[u8], bytes: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        // Each part but the last ends with a byte that it can't hold.
        for part in [what, b"\0", self.upstream.as_bytes(), b"\0", bytes] {
            context.update(part);
        }
        context.sign()
    }
}

/// The expiry of a cookie that lasts as long as the browser is open.
const NEVER: u64 = u64::MAX;

impl SameSite {
    const fn as_str(self) -> &'static str {
        match self {
            SameSite::Lax => "Lax",
            SameSite::Strict => "Strict",
            SameSite::None => "None",
        }
    }
}

/// A `Cookie` field without the cookies called `name`: what is left of it, or `None` if it has none of them. It may be empty.
pub fn without(field: &[u8], name: &str) -> Option<Vec<u8>> {
    let name = name.as_bytes();
    let pairs = || field.split(|byte| *byte == b';');
    pairs().find_map(|pair| cookie_value(pair, name))?;
    let kept: Vec<&[u8]> =
        pairs().map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty() && cookie_value(pair, name).is_none()).collect();
    Some(kept.join(&b"; "[..]))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::COOKIE;
    use proptest::prelude::*;

    use super::*;

    fn sticky() -> Sticky {
        Sticky {
            name: "route".to_owned(),
            lifetime: Some(Duration::from_secs(100)),
            path: "/".to_owned(),
            same_site: SameSite::Lax,
            secure: None,
        }
    }

    fn signer() -> Signer {
        Signer::new(&[7; 32], "orders")
    }

    fn id(signer: &Signer) -> EndpointId {
        signer.id("10.0.0.1:80".parse().unwrap())
    }

    /// The `Cookie` of a client that got `set`.
    fn brought(set: &HeaderValue) -> HeaderMap {
        let pair = set.to_str().unwrap().split(';').next().unwrap();
        let cookie = HeaderValue::try_from(format!("a=1; {pair}; b=2")).unwrap();
        HeaderMap::from_iter([(COOKIE, cookie)])
    }

    #[test]
    fn a_cookie_leads_back_until_it_expires() {
        let (signer, sticky) = (signer(), sticky());
        let endpoint = id(&signer);
        let set = signer.write(&sticky, endpoint, 1000, true).unwrap();
        let headers = brought(&set);
        assert_eq!(signer.read(&sticky, (&headers).into(), 1010), Some(StickyCookie { endpoint, old: false }));
        assert_eq!(signer.read(&sticky, (&headers).into(), 1080), Some(StickyCookie { endpoint, old: true }));
        assert_eq!(signer.read(&sticky, (&headers).into(), 1100), None);
    }

    #[test]
    fn another_lifetime_applies_at_once() {
        let signer = signer();
        let (hundred, session) = (sticky(), Sticky { lifetime: None, ..sticky() });
        let of_session = brought(&signer.write(&session, id(&signer), 0, true).unwrap());
        assert!(!signer.read(&session, (&of_session).into(), 1 << 40).unwrap().old);
        assert!(signer.read(&hundred, (&of_session).into(), 0).unwrap().old);
        let of_hundred = brought(&signer.write(&hundred, id(&signer), 0, true).unwrap());
        assert!(signer.read(&session, (&of_hundred).into(), 0).unwrap().old);
    }

    #[test]
    fn the_attributes_are_the_owners() {
        let signer = signer();
        let set = |sticky: &Sticky, tls| {
            let set = signer.write(sticky, id(&signer), 0, tls).unwrap().to_str().unwrap().to_owned();
            set.split_once(';').unwrap().1.to_owned()
        };
        assert_eq!(set(&sticky(), true), " Path=/; Max-Age=100; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(set(&sticky(), false), " Path=/; Max-Age=100; HttpOnly; SameSite=Lax");
        let other = Sticky {
            lifetime: None,
            path: "/shop".to_owned(),
            same_site: SameSite::None,
            secure: Some(true),
            ..sticky()
        };
        assert_eq!(set(&other, false), " Path=/shop; HttpOnly; SameSite=None; Secure");
    }

    #[test]
    fn a_foreign_signature_says_nothing() {
        let (ours, sticky) = (signer(), sticky());
        let headers = brought(&ours.write(&sticky, id(&ours), 0, true).unwrap());
        assert!(Signer::new(&[8; 32], "orders").read(&sticky, (&headers).into(), 0).is_none());
        assert!(Signer::new(&[7; 32], "users").read(&sticky, (&headers).into(), 0).is_none());
        assert!(ours.read(&Sticky { name: "other".to_owned(), ..sticky }, (&headers).into(), 0).is_none());
    }

    #[test]
    fn of_several_cookies_the_genuine_one_counts() {
        let (signer, sticky) = (signer(), sticky());
        let mut headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("route=forged; x=1"))]);
        assert_eq!(signer.read(&sticky, (&headers).into(), 0), None);
        for (_, value) in brought(&signer.write(&sticky, id(&signer), 0, true).unwrap()) {
            headers.append(COOKIE, value);
        }
        assert!(signer.read(&sticky, (&headers).into(), 0).is_some());
    }

    #[test]
    fn the_cookie_is_taken_out_and_the_others_stay() {
        assert_eq!(without(b"a=1; b=2", "route"), None);
        assert_eq!(without(b"a=1; route=x; b=2;route=y", "route"), Some(b"a=1; b=2".to_vec()));
        assert_eq!(without(b"route=x", "route"), Some(Vec::new()));
        assert_eq!(without(b"xroute=1; route2=1; route", "route"), None);
    }

    proptest! {
        #[test]
        fn no_changed_value_is_believed(at in 0usize..VALUE_BYTES, byte in any::<u8>()) {
            let (signer, sticky) = (signer(), sticky());
            let set = signer.write(&sticky, id(&signer), 0, true).unwrap();
            let mut value = set.as_bytes()["route=".len()..][..VALUE_BYTES].to_vec();
            prop_assert!(signer.open(&sticky, &value, 0).is_some());
            prop_assume!(value[at] != byte);
            value[at] = byte;
            prop_assert_eq!(signer.open(&sticky, &value, 0), None);
        }

        #[test]
        fn any_cookie_is_read_without_a_panic(value in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(signer().open(&sticky(), &value, 0), None);
            let _ = without(&value, "route");
        }
    }
}
