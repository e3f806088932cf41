//! JSON Web Key Sets (RFC 7517 §5).
//!
//! One bad key does not take its set down: what can't be used is left out, and told by name, so that its owner learns of it
//! before a token does. No member of a key is told, since it may be a secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::keys::{KeyError, RSA, VerificationKey, check_point, check_rsa, shared_secret, wrong};
use super::token::excerpt;

/// The most keys that one set may hold: a token without `kid` is tried with every key that fits.
pub const MAX_KEYS: usize = 64;

/// The keys of a set, and what an owner should know about it.
#[derive(Debug)]
pub struct KeySet {
    /// Never empty.
    pub keys: Vec<VerificationKey>,
    /// Keys that can't be used, though nothing says that they are for something else.
    pub left_out: Vec<UnusableKey>,
    /// Whether a key comes with its private half, which a verifier should not have.
    pub has_private: bool,
}

/// A key of a set that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableKey {
    /// Its index in the set and its `kid`, such as ``keys[1] (`a`)``.
    pub name: String,
    /// Why it can't be used.
    pub reason: String,
}

/// Why a key does not verify signatures here.
enum Excluded {
    /// It says that it is for something else.
    OtherPurpose(&'static str),
    Unusable(KeyError),
}

impl From<KeyError> for Excluded {
    fn from(error: KeyError) -> Self {
        Excluded::Unusable(error)
    }
}

/// Reads a JSON Web Key Set. Keys that are malformed, weak, of an unknown type or for an unknown algorithm are left out.
///
/// # Errors
/// What is no set, or has no key that can be used.
pub fn parse_jwks(content: &[u8]) -> Result<KeySet, KeyError> {
    let set: Value = match serde_json::from_slice(content) {
        Ok(set) => set,
        // serde_json tells what it expected and where, and not what it found.
        Err(error) => return wrong(format!("not a JSON Web Key Set: {error}")),
    };
    let Some(listed) = set.get("keys").and_then(Value::as_array) else {
        return wrong("not a JSON Web Key Set: a JSON object with a list `keys` (RFC 7517 section 5)");
    };
    if listed.len() > MAX_KEYS {
        return wrong(format!("{} keys are more than the {MAX_KEYS} that a set may hold", listed.len()));
    }
    let mut set = KeySet { keys: Vec::new(), left_out: Vec::new(), has_private: false };
    let mut others = Vec::new();
    for (index, key) in listed.iter().enumerate() {
        set.has_private |= key.get("d").is_some();
        let name = match key.get("kid").and_then(Value::as_str) {
            Some(id) => format!("keys[{index}] (`{}`)", excerpt(id)),
            None => format!("keys[{index}]"),
        };
        match key.as_object().map(Jwk) {
            None => set.left_out.push(UnusableKey { name, reason: "not a JSON object".to_owned() }),
            Some(jwk) => match jwk.verification_key() {
                Ok(key) => set.keys.push(key),
                Err(Excluded::OtherPurpose(purpose)) => others.push(format!("{name}: {purpose}")),
                Err(Excluded::Unusable(error)) => {
                    set.left_out.push(UnusableKey { name, reason: error.to_string() });
                }
            },
        }
    }
    if set.keys.is_empty() {
        let unusable = set.left_out.iter().map(|key| format!("{}: {}", key.name, key.reason));
        let reasons: Vec<String> = unusable.chain(others).collect();
        return wrong(match reasons.is_empty() {
            true => "no key in it can verify signatures: the list is empty".to_owned(),
            false => format!("no key in it can verify signatures: {}", reasons.join("; ")),
        });
    }
    Ok(set)
}

/// A JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
struct Jwk<'a>(&'a Map<String, Value>);

impl Jwk<'_> {
    fn verification_key(&self) -> Result<VerificationKey, Excluded> {
        self.check_purpose()?;
        let mut key = match (self.required("kty")?, self.text("crv")?) {
            ("RSA", _) => self.rsa()?,
            ("EC", Some("P-256")) => self.ec(32, Algorithm::ES256)?,
            ("EC", Some("P-384")) => self.ec(48, Algorithm::ES384)?,
            ("OKP", Some("Ed25519")) => self.ed25519()?,
            ("oct", _) => shared_secret(&self.decoded("k")?)?,
            ("EC" | "OKP", None) => return Err(KeyError::new("`crv` is missing").into()),
            ("EC" | "OKP", Some(curve)) => return Err(unknown("crv", curve)),
            (kind, _) => return Err(unknown("kty", kind)),
        };
        if let Some(name) = self.text("alg")? {
            match name.parse::<Algorithm>() {
                Err(_) => return Err(unknown("alg", name)),
                Ok(algorithm) if key.algorithms.contains(&algorithm) => key.algorithms = vec![algorithm],
                Ok(_) => return Err(KeyError::new(format!("`alg` is {name}, which does not fit this key")).into()),
            }
        }
        key.id = self.text("kid")?.map(str::to_owned);
        Ok(key)
    }

    /// RFC 7517 §4.2 and §4.3: a key that is for encryption, or for signing alone, is not ours.
    fn check_purpose(&self) -> Result<(), Excluded> {
        match self.text("use")? {
            None | Some("sig") => {}
            Some("enc") => return Err(Excluded::OtherPurpose("it is for encryption")),
            Some(other) => return Err(unknown("use", other)),
        }
        match self.0.get("key_ops") {
            None => Ok(()),
            Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => Ok(()),
            Some(Value::Array(_)) => Err(Excluded::OtherPurpose("`key_ops` does not list `verify`")),
            Some(_) => Err(KeyError::new("`key_ops` is not a list").into()),
        }
    }

    fn rsa(&self) -> Result<VerificationKey, KeyError> {
        let (n, e) = (self.decoded("n")?, self.decoded("e")?);
        let key = DecodingKey::from_rsa_raw_components(without_leading_zeros(&n), without_leading_zeros(&e));
        check_rsa(&key)?;
        Ok(VerificationKey { id: None, algorithms: RSA.to_vec(), key })
    }

    /// RFC 7518 §6.2.1: both coordinates have the full length of the field.
    fn ec(&self, length: usize, algorithm: Algorithm) -> Result<VerificationKey, KeyError> {
        let (x, y) = (self.decoded("x")?, self.decoded("y")?);
        if x.len() != length || y.len() != length {
            return wrong(format!("`x` and `y` must have {length} bytes each"));
        }
        let key = DecodingKey::from_ec_der(&[&[0x04], x.as_slice(), y.as_slice()].concat());
        check_point(&key, algorithm)?;
        Ok(VerificationKey { id: None, algorithms: vec![algorithm], key })
    }

    fn ed25519(&self) -> Result<VerificationKey, KeyError> {
        let key = DecodingKey::from_ed_der(&self.decoded("x")?);
        check_point(&key, Algorithm::EdDSA)?;
        Ok(VerificationKey { id: None, algorithms: vec![Algorithm::EdDSA], key })
    }

    fn text(&self, member: &str) -> Result<Option<&str>, KeyError> {
        match self.0.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => wrong(format!("`{member}` is not text")),
        }
    }

    fn required(&self, member: &str) -> Result<&str, KeyError> {
        self.text(member)?.ok_or_else(|| KeyError::new(format!("`{member}` is missing")))
    }

    fn decoded(&self, member: &str) -> Result<Vec<u8>, KeyError> {
        let decoded = URL_SAFE_NO_PAD.decode(self.required(member)?);
        decoded.map_err(|_| KeyError::new(format!("`{member}` is not valid base64url")))
    }
}

/// A value that nothing here knows. It is shown if it is a registered name: anything else may be a key in the wrong member.
fn unknown(member: &str, value: &str) -> Excluded {
    let message = match REGISTERED.contains(&value) {
        true => format!("`{member}` is `{value}`, which is not supported"),
        false => format!("`{member}` has a value that is not supported"),
    };
    KeyError::new(message).into()
}

/// Names of key types, curves and algorithms in the registries of RFC 7518 §7 that are not used here.
const REGISTERED: &[&str] = &[
    "A128KW",
    "A192KW",
    "A256KW",
    "AKP",
    "ECDH-ES",
    "ECDH-ES+A128KW",
    "ECDH-ES+A256KW",
    "ES256K",
    "ES512",
    "Ed25519",
    "Ed448",
    "ML-DSA-44",
    "ML-DSA-65",
    "ML-DSA-87",
    "P-521",
    "RSA-OAEP",
    "RSA-OAEP-256",
    "RSA1_5",
    "X25519",
    "X448",
    "dir",
    "secp256k1",
];

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|&&byte| byte == 0).count()..]
}
