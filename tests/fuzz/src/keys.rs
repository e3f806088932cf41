//! Keys that everybody may know, and tokens signed with them: by those whom the gateway trusts, and by those it must not.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
pub const API_KEY: &str = "pk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// The base point of P-256 (SEC 2 §2.4.2), which is the public key of the private key 1.
const P256_PUBLIC: [u8; 65] = *b"\x04\
    \x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96\
    \x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5";

static P256: LazyLock<EcdsaKeyPair> = LazyLock::new(|| {
    let mut private = [0; 32];
    private[31] = 1;
    EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &P256_PUBLIC)
        .expect("a key pair")
});
static ED25519: LazyLock<Ed25519KeyPair> = LazyLock::new(|| ed25519(1));
static STRANGER: LazyLock<Ed25519KeyPair> = LazyLock::new(|| ed25519(2));
static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("a key pair"));

fn ed25519(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a key pair")
}

/// Who puts a signature behind a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    Secret,
    Ed25519,
    P256,
    Rsa,
    /// The public key, which everyone has, taken for a shared secret: as bytes, and as a PEM file.
    PublicKey,
    PublicPem,
    /// A shared secret of no bytes.
    Empty,
    /// No signature at all.
    Nobody,
    /// A key of the right kind that the gateway does not know.
    Stranger,
}

impl Signer {
    pub const ALL: &[Signer] = &[
        Signer::Secret,
        Signer::Ed25519,
        Signer::P256,
        Signer::Rsa,
        Signer::PublicKey,
        Signer::PublicPem,
        Signer::Empty,
        Signer::Nobody,
        Signer::Stranger,
    ];

    /// The signer that the first byte of an input names (`0` to `8`), and the rest.
    pub fn choose(input: &[u8]) -> Option<(Signer, &[u8])> {
        let (first, rest) = input.split_first()?;
        Some((*Signer::ALL.get(usize::from(first.checked_sub(b'0')?))?, rest))
    }

    /// The issuer whose tokens it may sign, the algorithm and the key's `kid`; `None` for those who may sign nothing.
    pub fn serves(self) -> Option<(&'static str, &'static str, Option<&'static str>)> {
        match self {
            Signer::Secret => Some(("shared", "HS256", None)),
            Signer::Ed25519 => Some(("corp", "EdDSA", Some("ed"))),
            Signer::P256 => Some(("corp", "ES256", Some("ec"))),
            Signer::Rsa => Some(("corp", "RS256", Some("rsa"))),
            _ => None,
        }
    }

    /// The plainest header for it.
    pub fn header(self) -> &'static [u8] {
        match self {
            Signer::Ed25519 | Signer::Stranger => br#"{"alg":"EdDSA"}"#,
            Signer::P256 => br#"{"alg":"ES256"}"#,
            Signer::Rsa => br#"{"alg":"RS256"}"#,
            Signer::Nobody => br#"{"alg":"none"}"#,
            Signer::Secret | Signer::PublicKey | Signer::PublicPem | Signer::Empty => br#"{"alg":"HS256"}"#,
        }
    }

    /// A token over `header` and `claims`, whatever they are.
    pub fn token(self, header: &[u8], claims: &[u8]) -> Vec<u8> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let message = format!("{}.{}", encode(header), encode(claims));
        format!("{message}.{}", encode(&self.sign(message.as_bytes()))).into_bytes()
    }

    fn sign(self, message: &[u8]) -> Vec<u8> {
        let hmac = |secret: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec();
        match self {
            Signer::Secret => hmac(SECRET),
            Signer::Ed25519 => ED25519.sign(message).as_ref().to_vec(),
            Signer::Stranger => STRANGER.sign(message).as_ref().to_vec(),
            Signer::P256 => P256.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec(),
            Signer::Rsa => {
                let mut signature = vec![0; RSA.public_modulus_len()];
                RSA.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("a signature");
                signature
            }
            Signer::PublicKey => hmac(ED25519.public_key().as_ref()),
            Signer::PublicPem => hmac(ed25519_pem().as_bytes()),
            Signer::Empty => hmac(b""),
            Signer::Nobody => Vec::new(),
        }
    }
}

/// The public keys as a set.
pub fn jwks() -> Value {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let rsa = RSA.public_key();
    json!({"keys": [
        {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": encode(ED25519.public_key().as_ref())},
        {"kty": "EC", "kid": "ec", "crv": "P-256", "x": encode(&P256_PUBLIC[1..33]), "y": encode(&P256_PUBLIC[33..])},
        {
            "kty": "RSA", "kid": "rsa", "use": "sig",
            "n": encode(rsa.modulus().big_endian_without_leading_zero()),
            "e": encode(rsa.exponent().big_endian_without_leading_zero()),
        },
    ]})
}

/// A public key as SubjectPublicKeyInfo.
pub fn ed25519_pem() -> String {
    let der = ED25519.public_key().as_der().expect("a public key");
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()))
}

/// A file of API keys, of which [`API_KEY`] is one.
pub fn api_keys() -> String {
    let hash: String = digest(&SHA256, API_KEY.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("keys: [{{ id: example-partner, hash: 'sha256:{hash}', scopes: [orders.read] }}]\n")
}
