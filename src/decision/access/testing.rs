//! For tests: keys, and tokens signed with them, good and bad.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::{IdentityProvider, jwt};

pub const ISSUER: &str = "https://id.example.com";
pub const AUDIENCE: &str = "orders";
pub const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// What signs tokens in tests. The pairs are made once, for making an RSA key takes long.
pub enum Signer {
    Rsa,
    RsaPss,
    P256,
    P384,
    Ed25519,
    Hmac(Vec<u8>),
}

pub static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static P256: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
static P384: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap());
static ED25519: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

/// The moment at which tests take place.
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// Seconds since 1970, `offset` from [`now`].
pub fn at(offset: i64) -> i64 {
    1_700_000_000 + offset
}

/// Claims that every check accepts.
pub fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": at(300), "scope": "orders.read", "roles": ["clerk"]})
}

/// An identity that accepts tokens with [`claims`], signed with [`Signer::P256`].
pub fn corp() -> Arc<IdentityProvider> {
    let rules = jwt::JwtRules {
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        client_ids: Vec::new(),
        algorithms: vec![Algorithm::ES256],
        keys: jwt::key_set::parse_jwks(jwks().to_string().as_bytes()).unwrap().keys,
        longest: 16 << 10,
        leeway: 0,
        header: None,
        principal_claim: "sub".to_owned(),
        scope_claim: "scope".to_owned(),
        roles_claim: "roles".to_owned(),
    };
    Arc::new(IdentityProvider { name: "corp".into(), fingerprint: 0, method: rules.into() })
}

/// A token over `header` and `claims`, signed by `signer` whatever the header says.
pub fn token(header: &Value, claims: &Value, signer: &Signer) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    sign(&format!("{}.{}", encode(header), encode(claims)), signer)
}

/// Puts a signature behind `message`.
pub fn sign(message: &str, signer: &Signer) -> String {
    let random = SystemRandom::new();
    let bytes = message.as_bytes();
    let rsa = |padding: &'static dyn aws_lc_rs::signature::RsaEncoding| {
        let mut signature = vec![0; RSA.public_modulus_len()];
        RSA.sign(padding, &random, bytes, &mut signature).unwrap();
        signature
    };
    let signature = match signer {
        Signer::Rsa => rsa(&RSA_PKCS1_SHA256),
        Signer::RsaPss => rsa(&RSA_PSS_SHA256),
        Signer::P256 => P256.sign(&random, bytes).unwrap().as_ref().to_vec(),
        Signer::P384 => P384.sign(&random, bytes).unwrap().as_ref().to_vec(),
        Signer::Ed25519 => ED25519.sign(bytes).as_ref().to_vec(),
        Signer::Hmac(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), bytes).as_ref().to_vec(),
    };
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The public keys as a set; the `kid`s are `rsa`, `p256`, `p384` and `ed25519`.
pub fn jwks() -> Value {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let public = RSA.public_key();
    let ec = |kid: &str, crv: &str, pair: &EcdsaKeyPair| {
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        json!({"kty": "EC", "kid": kid, "crv": crv, "x": encode(x), "y": encode(y)})
    };
    json!({"keys": [
        {
            "kty": "RSA", "kid": "rsa", "use": "sig",
            "n": encode(public.modulus().big_endian_without_leading_zero()),
            "e": encode(public.exponent().big_endian_without_leading_zero()),
        },
        ec("p256", "P-256", &P256),
        ec("p384", "P-384", &P384),
        {"kty": "OKP", "kid": "ed25519", "crv": "Ed25519", "x": encode(ED25519.public_key().as_ref())},
    ]})
}

/// The RSA public key as SubjectPublicKeyInfo.
pub fn rsa_pem() -> String {
    pem("PUBLIC KEY", RSA.public_key().as_der().unwrap().as_ref())
}

/// The P-256 public key as SubjectPublicKeyInfo.
pub fn p256_pem() -> String {
    pem("PUBLIC KEY", P256.public_key().as_der().unwrap().as_ref())
}

/// The Ed25519 public key as SubjectPublicKeyInfo.
pub fn ed25519_pem() -> String {
    pem("PUBLIC KEY", ED25519.public_key().as_der().unwrap().as_ref())
}

pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
