//! A token taken apart (RFC 7515 §7.1).

use std::borrow::Cow;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::decision::access::principal::Claims;
use crate::decision::outcome::{Cause, Denial};

/// A token taken apart. Nothing in it is believed yet.
pub struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    /// Header and payload as sent: what the signature is over.
    pub(super) message: &'a str,
    payload: &'a str,
    pub(super) signature: &'a str,
}

/// The header parameters that matter (RFC 7515 §4.1). Those that point to keys (`jku`, `jwk`, `x5u`, `x5c`) do not: keys
/// come from the owner alone.
#[derive(Deserialize)]
struct JoseHeader<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

impl<'a> Token<'a> {
    /// Takes a JWS in compact serialization apart (RFC 7515 §7.1).
    pub fn parse(token: &'a [u8]) -> Result<Self, Denial> {
        let text = std::str::from_utf8(token).map_err(|_| malformed("the token is not ASCII text"))?;
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("the token has not three parts"));
        };
        let decoded =
            URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed("the token's header is not valid base64url"))?;
        let header: JoseHeader<'_> =
            serde_json::from_slice(&decoded).map_err(|_| malformed("the token's header is not valid"))?;
        if header.crit {
            // RFC 7515 §4.1.11: an extension that is critical and not understood makes the token invalid.
            return Err(malformed("the token's header has critical extensions, and none is supported"));
        }
        let algorithm = Algorithm::from_str(&header.alg).map_err(|_| algorithm_refused(&header.alg))?;
        let message = &text[..text.len() - signature.len() - 1];
        Ok(Token { algorithm, key_id: header.kid, message, payload, signature })
    }

    /// Who the token says it is from. Only good for choosing whose keys to check it with.
    pub(super) fn unverified_issuer(&self) -> Option<String> {
        match self.claims().ok()?.remove("iss")? {
            Value::String(issuer) => Some(issuer),
            _ => None,
        }
    }

    pub(super) fn claims(&self) -> Result<Claims, Denial> {
        let decoded = URL_SAFE_NO_PAD
            .decode(self.payload)
            .map_err(|_| malformed("the token's payload is not valid base64url"))?;
        serde_json::from_slice(&decoded).map_err(|_| malformed("the token's payload is not a JSON object"))
    }
}

pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Denial {
    Denial::new(Cause::TokenMalformed, detail)
}

pub(super) fn algorithm_refused(name: &str) -> Denial {
    Denial::new(Cause::TokenAlgorithmRefused, format!("the algorithm `{}` is not accepted", excerpt(name)))
}

/// The beginning of what a stranger wrote, short and plain enough for a log line.
pub(super) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() {
        short.push('…');
    }
    short
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}
