//! Tokens as an identity provider would issue them.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub const ISSUER: &str = "https://id.example.com";
pub const AUDIENCE: &str = "orders";
/// 32 bytes, the least that HS256 takes.
pub const SECRET: &str = "a-secret-of-thirty-two-bytes-xyz";

/// One signing key with its name in the key set.
pub struct Key {
    pub id: &'static str,
    pub algorithm: Algorithm,
    key: EncodingKey,
    public_pem: String,
}

/// The issuer's RSA key, in [`jwks`] as `rsa`.
pub static RSA: LazyLock<Key> = LazyLock::new(|| Key::rsa("rsa"));
/// The issuer's P-256 key, in [`jwks`] as `ec`.
pub static EC: LazyLock<Key> = LazyLock::new(|| Key::ec("ec"));
/// An RSA key that claims to be `rsa` and is not in [`jwks`].
pub static FORGED: LazyLock<Key> = LazyLock::new(|| Key::rsa("rsa"));
/// The shared secret [`SECRET`].
pub static SHARED: LazyLock<Key> = LazyLock::new(|| Key {
    id: "shared",
    algorithm: Algorithm::HS256,
    key: EncodingKey::from_secret(SECRET.as_bytes()),
    public_pem: String::new(),
});

impl Key {
    fn rsa(id: &'static str) -> Key {
        let key = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
        let der: Pkcs8V1Der<'_> = key.as_der().expect("a PKCS#8 encoding");
        let pair = rcgen::KeyPair::try_from(der.as_ref()).expect("a key that rcgen knows");
        let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).expect("an RSA key");
        Key { id, algorithm: Algorithm::RS256, key, public_pem: pair.public_key_pem() }
    }

    fn ec(id: &'static str) -> Key {
        let pair = rcgen::KeyPair::generate().expect("a P-256 key");
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).expect("an EC key");
        Key { id, algorithm: Algorithm::ES256, key, public_pem: pair.public_key_pem() }
    }

    /// Signs `claims` as they are.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(self.id, claims)
    }

    /// Signs `claims` under another key id.
    pub fn sign_as(&self, id: &str, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(id.to_owned());
        jsonwebtoken::encode(&header, claims, &self.key).expect("a token")
    }

    /// The public half, for a setting that takes one PEM key.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a public key");
        jwk.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(jwk).expect("JSON")
    }
}

/// The issuer's key set: [`RSA`] and [`EC`].
pub fn jwks() -> String {
    json!({ "keys": [RSA.public(), EC.public()] }).to_string()
}

/// Claims that [`ISSUER`] would sign for `subject`, good for an hour, with `extra` over them.
pub fn claims(subject: &str, extra: Value) -> Value {
    let mut claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": now() + 3600 });
    if let (Value::Object(claims), Value::Object(extra)) = (&mut claims, extra) {
        for (name, value) in extra {
            match value {
                Value::Null => claims.remove(&name),
                value => claims.insert(name, value),
            };
        }
    }
    claims
}

/// A good token for `subject` with these scopes.
pub fn token(subject: &str, scope: &str) -> String {
    RSA.sign(&claims(subject, json!({ "scope": scope })))
}

/// `Bearer TOKEN`
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}
