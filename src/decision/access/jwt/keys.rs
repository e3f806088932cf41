//! Verification keys out of PEM files and shared secrets, and the checks of those out of [key sets](super::key_set).
//!
//! Every key is checked when it is read: a weak or broken one is refused here, not discovered by a request.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

/// The fewest bytes of a shared secret, for HS256 (RFC 7518 §3.2).
pub const MIN_SECRET_BYTES: usize = 32;

pub(super) const RSA: &[Algorithm] =
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

/// Why keys can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(String);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyError {}

impl KeyError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        KeyError(reason.into())
    }
}

pub(super) fn wrong<T>(reason: impl Into<String>) -> Result<T, KeyError> {
    Err(KeyError::new(reason))
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

/// RFC 7518 §3.3: 2048 bits or more. With an exponent of 1, anyone could sign.
pub(super) fn check_rsa(key: &DecodingKey) -> Result<(), KeyError> {
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
pub(super) fn check_point(key: &DecodingKey, algorithm: Algorithm) -> Result<(), KeyError> {
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
