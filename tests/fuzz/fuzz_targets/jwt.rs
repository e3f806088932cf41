//! Credentials: nobody is recognised but by a signature over exactly what was sent, made with the key for that algorithm.
//!
//! The first byte of the input chooses what the rest is:
//!
//! * `t`: a token as it is sent, byte for byte;
//! * `s`: a signer, then a token's header and, after a line feed, its claims, to be signed;
//! * `e`: a signer, then where and how to change the token that it signed;
//! * `h`: lines `name:value` of header fields, in which `%T` stands for a good token and `%K` for a good key.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use portcullis::config::snapshot::Snapshot;
use portcullis::decision::access::address::List;
use portcullis::decision::access::jwt::Token;
use portcullis::decision::access::stages::{Authenticated, LimitChecked, check_address};
use portcullis::decision::access::{self, Principal};
use portcullis::decision::outcome::{Cause, Denial};
use portcullis_fuzz::keys::{API_KEY, Signer};
use portcullis_fuzz::{files, now, snapshot};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((b't', token)) => as_sent(token),
        Some((b's', rest)) => signed(rest),
        Some((b'e', rest)) => changed(rest),
        Some((b'h', lines)) => in_headers(lines),
        _ => {}
    }
});

/// `corp` has public keys, `shared` a secret; both read `Authorization`. `partners` have API keys, and `inner` reads a
/// header of its own.
static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let text = "
version: 1
listeners: [{ name: public, address: '127.0.0.1:8080' }]
upstreams: { app: { endpoints: ['127.0.0.1:9001'] } }
identities:
  corp: { jwt: { issuer: corp, audience: [a, b], keys: { jwks_file: jwks.json }, algorithms: [RS256, ES256, EdDSA] } }
  shared: { jwt: { issuer: shared, audience: a, keys: { secret: { file: secret } } } }
  partners: { api_key: { header: x-api-key, keys: { file: keys.yaml } } }
  inner: { jwt: { issuer: inner, audience: a, keys: { pem_file: ed25519.pem }, header: x-token, algorithms: EdDSA } }
routes: [{ name: all, access: { identity: [corp, shared, partners, inner] }, upstream: app }]
";
    snapshot(text, &files())
});

/// A request whose client may use the route, before anyone asks who it is.
fn checked() -> LimitChecked {
    const NO_LISTS: &[List] = &[];
    let checked = check_address(None, NO_LISTS, [192, 0, 2, 1].into()).expect("every address may come in");
    checked.check_limits(&[], &[], &[]).expect("there is no limit")
}

fn rules() -> &'static access::AccessRules {
    &SNAPSHOT.rules.routes[0].access
}

/// Who the gateway takes the sender of `headers` for.
fn identify(headers: &HeaderMap, remembered: Option<Arc<Principal>>) -> Result<Authenticated, Denial> {
    checked().authenticate(rules(), headers.into(), remembered, now())
}

/// Shows `token` as a bearer token. What can't stand in a header field can't be shown.
fn show(token: &[u8]) -> Option<Result<Authenticated, Denial>> {
    let value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    let shown = identify(&headers, None);
    if let Ok(caller) = &shown {
        remembers(caller, &headers);
    }
    Some(shown)
}

/// A token that was verified is found again under the digest that is asked for, and names the same caller.
fn remembers(caller: &Authenticated, headers: &HeaderMap) {
    let Some((digest, principal)) = caller.verified() else { panic!("a verified token is to be remembered") };
    assert_eq!(Some(digest), checked().token_digest(rules(), headers.into()));
    let again = identify(headers, Some(principal)).expect("known, and not expired");
    assert_eq!(again.principal(), caller.principal());
}

fn as_sent(token: &[u8]) {
    // Also what no header field could carry is taken apart without harm.
    let _ = Token::parse(token);
    if let Some(Ok(caller)) = show(token) {
        panic!("nobody signed this, yet it is {:?}", caller.principal());
    }
}

fn signed(rest: &[u8]) {
    let Some((signer, text)) = Signer::choose(rest) else { return };
    let end = text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len());
    let (header, claims) = (&text[..end], text.get(end + 1..).unwrap_or_default());
    let Some(shown) = show(&signer.token(header, claims)) else { return };
    let expected = expected(signer, header, claims);
    match (shown, expected) {
        (Ok(caller), Some(expected)) => {
            let principal = caller.principal().expect("a recognised caller");
            assert_eq!((&*principal.identity, principal.id.as_str()), (expected.0, expected.1.as_str()));
        }
        (Ok(caller), None) => panic!("{:?} must not be recognised", caller.principal()),
        // A header that serde_json reads and the gateway does not: repeated members, or a `kid` that is no text.
        (Err(denial), Some(_)) if denial.cause == Cause::TokenMalformed => {
            assert_ne!(header, signer.header(), "{denial:?}");
        }
        (Err(denial), Some(_)) => panic!("{denial:?}"),
        (Err(denial), None) => assert!(denial.challenge.is_some(), "{denial:?}"),
    }
}

/// The identity and the caller that the token stands for; `None` if it must be refused. A second reading of RFC 7515, 7519
/// and 8725, over values instead of types.
fn expected(signer: Signer, header: &[u8], claims: &[u8]) -> Option<(&'static str, String)> {
    let header: Header = serde_json::from_slice(header).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(claims).ok()?;
    let (identity, algorithm, key_id) = signer.serves()?;
    let key_fits = match &header.kid {
        None => true,
        Some(Value::String(named)) => key_id.is_none_or(|own| own == named),
        Some(_) => false,
    };
    let audience = |value: &Value| value == "a" || (identity == "corp" && value == "b");
    let audiences = match claims.get("aud")? {
        Value::Array(list) => list.iter().any(audience),
        one => audience(one),
    };
    let leeway = Duration::from_secs(30);
    let started = match claims.get("nbf") {
        None => true,
        Some(from) => time(from)? <= now() + leeway,
    };
    let id = claims.get("sub")?.as_str()?.to_owned();
    let valid = header.alg == algorithm
        && !header.crit
        && key_fits
        && claims.get("iss")? == identity
        && audiences
        && time(claims.get("exp")?)? > now() - leeway
        && started
        && !id.is_empty();
    valid.then_some((identity, id))
}

#[derive(Deserialize)]
struct Header {
    alg: Value,
    kid: Option<Value>,
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Seconds since 1970, as far as they can be told.
fn time(value: &Value) -> Option<SystemTime> {
    let since = match value.as_u64() {
        Some(seconds) => Duration::from_secs(seconds),
        None => Duration::try_from_secs_f64(value.as_f64()?).ok()?,
    };
    SystemTime::UNIX_EPOCH.checked_add(since)
}

fn changed(rest: &[u8]) {
    let Some((signer, edit)) = Signer::choose(rest) else { return };
    let Some(good) = GOOD.iter().find(|(own, _)| *own == signer).map(|(_, token)| token) else { return };
    let [kind, high, low, new @ ..] = edit else { return };
    let place = usize::from(u16::from_be_bytes([*high, *low])) % good.len();
    let mut token = good.clone();
    match kind {
        b'r' => drop(token.splice(place..(place + new.len()).min(good.len()), new.iter().copied())),
        b'i' => drop(token.splice(place..place, new.iter().copied())),
        b'd' => drop(token.drain(place..(place + 1 + new.len()).min(good.len()))),
        _ => return,
    }
    // Space around a token is not a part of it (RFC 9110 §5.5).
    if token.trim_ascii() != good.as_slice()
        && let Some(Ok(caller)) = show(&token)
    {
        panic!("{:?} signed something else", caller.principal());
    }
}

/// A good token of every signer that has one.
static GOOD: LazyLock<Vec<(Signer, Vec<u8>)>> = LazyLock::new(|| {
    let good = Signer::ALL.iter().filter_map(|&signer| {
        let (issuer, ..) = signer.serves()?;
        let claims = json!({"iss": issuer, "aud": "a", "sub": "ann", "exp": 1_700_000_300_u64});
        let token = signer.token(signer.header(), claims.to_string().as_bytes());
        assert!(show(&token).is_some_and(|shown| shown.is_ok()), "{signer:?} signs good tokens");
        Some((signer, token))
    });
    good.collect()
});

fn in_headers(text: &[u8]) {
    let good = &GOOD.iter().find(|(signer, _)| *signer == Signer::Secret).expect("a good token").1;
    let mut headers = HeaderMap::new();
    for line in text.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return };
        let value = replaced(&replaced(&line[colon + 1..], b"%T", good), b"%K", API_KEY.as_bytes());
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&value)) else {
            return;
        };
        headers.append(name, value);
    }
    let found = identify(&headers, None).ok();
    let found = found.as_ref().and_then(Authenticated::principal).map(|principal| &*principal.identity);
    assert_eq!(found, expected_of(&headers, good));
}

/// Who stands behind header fields: the first identity whose credential is there decides, and only if it is there once.
fn expected_of(headers: &HeaderMap, token: &[u8]) -> Option<&'static str> {
    let values = |name: &str| headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect::<Vec<_>>();
    match values("authorization").as_slice() {
        [] => {}
        [value] => {
            let (scheme, rest) = value.split_at(value.len().min(6));
            if scheme.eq_ignore_ascii_case(b"bearer") && (rest.is_empty() || rest[0] == b' ') {
                return (rest.trim_ascii() == token).then_some("shared");
            }
        }
        _ => return None,
    }
    match values("x-api-key").as_slice() {
        [] => None,
        [value] => (value == API_KEY.as_bytes()).then_some("partners"),
        _ => None,
    }
}

fn replaced(text: &[u8], mark: &[u8; 2], with: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|pair| pair == mark) {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(with);
        rest = &rest[at + 2..];
    }
    result.extend_from_slice(rest);
    result
}
