//! Verification keys out of key sets (RFC 7517), PEM files and shared secrets.
//!
//! Every key is checked when it is read: a weak or broken one is refused here, not discovered by a request.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;

/// The most keys that one set may hold: a token without `kid` is tried with every key that fits.
pub const MAX_KEYS: usize = 64;

/// The fewest bytes of a shared secret, for HS256 (RFC 7518 §3.2).
pub const MIN_SECRET_BYTES: usize = 32;

const RSA: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// A verification key with what its set says about it.
#[derive(Debug)]
pub struct VerificationKey {
    /// `kid`
    pub id: Option<String>,
    /// The algorithms that this key may be used with: its `alg`, or all that fit its type and curve.
    pub algorithms: Vec<Algorithm>,
    pub key: DecodingKey,
}

/// The keys of a set, and what an owner should know about it.
#[derive(Debug)]
pub struct KeySet {
    pub keys: Vec<VerificationKey>,
    /// Whether a key comes with its private half, which a verifier should not have.
    pub has_private: bool,
}

/// Why keys can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(String);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyError {}

fn wrong<T>(reason: impl Into<String>) -> Result<T, KeyError> {
    Err(KeyError(reason.into()))
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

/// A JSON Web Key with the members that verification needs (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    d: Option<Value>,
}

/// Reads a JSON Web Key Set (RFC 7517 §5). Keys for other purposes and of unknown types are left out, as §5 asks; a key
/// that is meant for us and can't be used is an error.
pub fn parse_jwks(content: &[u8]) -> Result<KeySet, KeyError> {
    let set: Set = match serde_json::from_slice(content) {
        Ok(set) => set,
        Err(error) => return wrong(format!("not a JSON Web Key Set: {error}")),
    };
    if set.keys.len() > MAX_KEYS {
        return wrong(format!("{} keys are more than the {MAX_KEYS} that a set may hold", set.keys.len()));
    }
    let mut keys = Vec::new();
    let mut has_private = false;
    for (index, jwk) in set.keys.into_iter().enumerate() {
        has_private |= jwk.d.is_some();
        let name = match &jwk.kid {
            Some(id) => format!("keys[{index}] (`{id}`)"),
            None => format!("keys[{index}]"),
        };
        match jwk.into_key() {
            Ok(key) => keys.extend(key),
            Err(KeyError(reason)) => return wrong(format!("{name}: {reason}")),
        }
    }
    if keys.is_empty() {
        return wrong("no key in it can verify signatures");
    }
    Ok(KeySet { keys, has_private })
}

/// Reads a PEM file with one public key, as SubjectPublicKeyInfo (`PUBLIC KEY`) or PKCS #1 (`RSA PUBLIC KEY`).
pub fn parse_pem(content: &[u8]) -> Result<VerificationKey, KeyError> {
    let text = std::str::from_utf8(content).map_err(|_| KeyError("not a PEM file".to_owned()))?;
    let mut labels = text.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
    match (labels.next(), labels.next()) {
        (None, _) => return wrong("not a PEM file"),
        (Some(_), Some(_)) => return wrong("more than one PEM block; give one public key"),
        (Some("PUBLIC KEY" | "RSA PUBLIC KEY"), None) => {}
        (Some(label), None) if label.ends_with("PRIVATE KEY") => {
            return wrong("a private key; give the public key alone (`openssl pkey -in FILE -pubout`)");
        }
        (Some("CERTIFICATE"), None) => {
            return wrong("a certificate; give its public key (`openssl x509 -in FILE -noout -pubkey`)");
        }
        (Some(label), None) => return wrong(format!("a PEM block `{label}`, expected `PUBLIC KEY`")),
    }
    let (key, algorithms) = if let Ok(key) = DecodingKey::from_rsa_pem(content) {
        check_rsa(&key)?;
        (key, RSA)
    } else if let Ok(key) = DecodingKey::from_ec_pem(content) {
        let algorithms = match bytes(&key).len() {
            65 => &[Algorithm::ES256],
            97 => &[Algorithm::ES384],
            _ => return wrong("the curve is not supported; P-256 and P-384 are"),
        };
        check_point(&key, algorithms[0])?;
        (key, &algorithms[..])
    } else if let Ok(key) = DecodingKey::from_ed_pem(content) {
        check_point(&key, Algorithm::EdDSA)?;
        (key, &[Algorithm::EdDSA][..])
    } else {
        return wrong("not a public key of type RSA, EC or Ed25519");
    };
    Ok(VerificationKey { id: None, algorithms: algorithms.to_vec(), key })
}

/// A shared secret. It serves the algorithms whose hash is no longer than it (RFC 7518 §3.2).
pub fn shared_secret(secret: &[u8]) -> Result<VerificationKey, KeyError> {
    if secret.len() < MIN_SECRET_BYTES {
        return wrong(format!("a secret of {} bytes can be guessed; use {MIN_SECRET_BYTES} or more", secret.len()));
    }
    let fitting = [(32, Algorithm::HS256), (48, Algorithm::HS384), (64, Algorithm::HS512)];
    let algorithms = fitting.iter().filter(|(size, _)| secret.len() >= *size).map(|(_, algorithm)| *algorithm);
    Ok(VerificationKey { id: None, algorithms: algorithms.collect(), key: DecodingKey::from_secret(secret) })
}

impl Jwk {
    /// The key, or none if it is meant for something else.
    fn into_key(self) -> Result<Option<VerificationKey>, KeyError> {
        if self.usage.as_deref().is_some_and(|usage| usage != "sig")
            || self.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify"))
        {
            return Ok(None);
        }
        let mut key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => self.rsa()?,
            ("EC", Some("P-256")) => self.ec(32, Algorithm::ES256)?,
            ("EC", Some("P-384")) => self.ec(48, Algorithm::ES384)?,
            ("OKP", Some("Ed25519")) => self.ed25519()?,
            ("EC" | "OKP", None) => return wrong("`crv` is missing"),
            ("oct", _) => shared_secret(&decode("k", &self.k)?)?,
            _ => return Ok(None),
        };
        if let Some(name) = self.alg {
            match name.parse::<Algorithm>() {
                // An algorithm for encryption, or one of the future.
                Err(_) => return Ok(None),
                Ok(algorithm) if key.algorithms.contains(&algorithm) => key.algorithms = vec![algorithm],
                Ok(_) => return wrong(format!("`alg` is {name}, which does not fit this key")),
            }
        }
        key.id = self.kid;
        Ok(Some(key))
    }

    fn rsa(&self) -> Result<VerificationKey, KeyError> {
        let (n, e) = (decode("n", &self.n)?, decode("e", &self.e)?);
        let key = DecodingKey::from_rsa_raw_components(without_leading_zeros(&n), without_leading_zeros(&e));
        check_rsa(&key)?;
        Ok(VerificationKey { id: None, algorithms: RSA.to_vec(), key })
    }

    /// RFC 7518 §6.2.1: both coordinates have the full length of the field.
    fn ec(&self, length: usize, algorithm: Algorithm) -> Result<VerificationKey, KeyError> {
        let (x, y) = (decode("x", &self.x)?, decode("y", &self.y)?);
        if x.len() != length || y.len() != length {
            return wrong(format!("`x` and `y` must have {length} bytes each"));
        }
        let key = DecodingKey::from_ec_der(&[&[0x04], x.as_slice(), y.as_slice()].concat());
        check_point(&key, algorithm)?;
        Ok(VerificationKey { id: None, algorithms: vec![algorithm], key })
    }

    fn ed25519(&self) -> Result<VerificationKey, KeyError> {
        let key = DecodingKey::from_ed_der(&decode("x", &self.x)?);
        check_point(&key, Algorithm::EdDSA)?;
        Ok(VerificationKey { id: None, algorithms: vec![Algorithm::EdDSA], key })
    }
}

fn decode(name: &str, member: &Option<String>) -> Result<Vec<u8>, KeyError> {
    let Some(text) = member else { return wrong(format!("`{name}` is missing")) };
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError(format!("`{name}` is not valid base64url")))
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|&&byte| byte == 0).count()..]
}

/// RFC 7518 §3.3: 2048 bits or more. With an exponent of 1, anyone could sign.
fn check_rsa(key: &DecodingKey) -> Result<(), KeyError> {
    let invalid = || KeyError("not a valid RSA public key".to_owned());
    let (modulus, exponent) = match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, e } => {
            let parsed = RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256);
            parsed.map_err(|_| invalid())?;
            (n.clone(), e.clone())
        }
        DecodingKeyKind::SecretOrDer(der) => {
            let parsed = aws_lc_rs::rsa::PublicKey::from_der(der).map_err(|_| invalid())?;
            (
                parsed.modulus().big_endian_without_leading_zero().to_vec(),
                parsed.exponent().big_endian_without_leading_zero().to_vec(),
            )
        }
    };
    let odd = exponent.last().is_some_and(|last| last & 1 == 1);
    if !odd || exponent == [1] || exponent.len() > 8 {
        return wrong("the RSA key's exponent is not a sound one");
    }
    match bit_length(&modulus) {
        2048..=8192 => Ok(()),
        bits => wrong(format!("an RSA key of {bits} bits; 2048 to 8192 are accepted")),
    }
}

fn bit_length(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// Makes sure that the key is a point of its curve.
fn check_point(key: &DecodingKey, algorithm: Algorithm) -> Result<(), KeyError> {
    let (curve, name): (&'static dyn VerificationAlgorithm, _) = match algorithm {
        Algorithm::ES256 => (&ECDSA_P256_SHA256_FIXED, "P-256"),
        Algorithm::ES384 => (&ECDSA_P384_SHA384_FIXED, "P-384"),
        _ => (&ED25519, "Ed25519"),
    };
    match ParsedPublicKey::new(curve, bytes(key)) {
        Ok(_) => Ok(()),
        Err(_) => wrong(format!("not a valid {name} public key")),
    }
}

impl VerificationKey {
    /// Whether a token that names `algorithm` and `id` may be checked with this key. Where either side gives no `kid`, the
    /// key's type decides.
    pub(super) fn fits(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        let same = match (&self.id, id) {
            (Some(own), Some(named)) => own == named,
            _ => true,
        };
        same && self.algorithms.contains(&algorithm)
    }

    /// Tells keys apart without showing them: SHA-256 over the key's material.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        match self.key.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => context.update(bytes),
            DecodingKeyKind::RsaModulusExponent { n, e } => [n, e].into_iter().for_each(|part| context.update(part)),
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        fingerprint
    }
}

fn bytes(key: &DecodingKey) -> &[u8] {
    match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => bytes,
        DecodingKeyKind::RsaModulusExponent { n, .. } => n,
    }
}
