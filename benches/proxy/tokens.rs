//! The token of the JWT scenario, its key, and the certificate of every proxy.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use crate::wire::SERVER_NAME;

pub const ISSUER: &str = "https://id.example.com";
pub const AUDIENCE: &str = "orders";

/// Writes `jwt.pem`, the public RSA key, and gives a token that is good for a day.
pub fn write_jwt(dir: &Path) -> io::Result<String> {
    let key = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).map_err(io::Error::other)?;
    let der: Pkcs8V1Der<'_> = key.as_der().map_err(io::Error::other)?;
    let key = rcgen::KeyPair::try_from(der.as_ref()).map_err(io::Error::other)?;
    fs::write(dir.join("jwt.pem"), key.public_key_pem())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?.as_secs();
    let claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "scope": "orders.read", "exp": now + 86_400, "iat": now });
    let signing = EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).map_err(io::Error::other)?;
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &signing).map_err(io::Error::other)
}

/// Writes `edge.pem` and `edge.key` (ECDSA P-256), and both in `edge.both` as HAProxy wants them.
pub fn write_certificate(dir: &Path) -> io::Result<()> {
    let made = rcgen::generate_simple_self_signed(vec![SERVER_NAME.to_owned()]).map_err(io::Error::other)?;
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    fs::write(dir.join("edge.pem"), &cert)?;
    fs::write(dir.join("edge.key"), &key)?;
    fs::write(dir.join("edge.both"), cert + &key)
}
