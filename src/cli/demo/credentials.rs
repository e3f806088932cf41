//! A token and an API key for the demo, new at every start.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use crate::cli::keys::{self, NewKey};

/// The credentials of the callers of the demo.
pub struct Credentials {
    pub token: String,
    pub token_file: PathBuf,
    /// The public key that the gateway verifies the token with.
    pub key_file: PathBuf,
    pub api_key: String,
    pub api_keys_file: PathBuf,
}

/// Makes the credentials and writes the files that the configuration names into `folder`.
pub fn make(folder: &Path) -> Result<Credentials, String> {
    let failed = |what: &str| format!("cannot make the demo's {what}");
    let random = SystemRandom::new();
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| failed("signing key"))?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref())
        .map_err(|_| failed("signing key"))?;
    let public = pair.public_key().as_der().map_err(|_| failed("public key"))?;
    let token = sign(pkcs8.as_ref())?;
    let partner =
        NewKey { id: "demo-partner".into(), scopes: vec!["orders.read".into()], roles: Vec::new(), expires: None };
    let (api_key, entry) = keys::make(&partner)?;

    Ok(Credentials {
        token_file: write(folder, "token.jwt", &token)?,
        key_file: write(folder, "issuer.pem", &pem(public.as_ref()))?,
        api_keys_file: write(folder, "api-keys.yaml", &format!("keys:\n{entry}"))?,
        token,
        api_key: api_key.expose().clone(),
    })
}

fn sign(pkcs8: &[u8]) -> Result<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let claims = serde_json::json!({
        "iss": "https://id.example.test",
        "aud": "demo",
        "sub": "alice",
        "scope": "orders.read",
        "iat": now,
        "exp": now + 8 * 3600,
    });
    jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &EncodingKey::from_ec_der(pkcs8))
        .map_err(|e| format!("cannot sign the demo's token: {e}"))
}

/// RFC 7468 §13
fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN PUBLIC KEY-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END PUBLIC KEY-----\n");
    text
}

fn write(folder: &Path, name: &str, content: &str) -> Result<PathBuf, String> {
    let file = folder.join(name);
    std::fs::write(&file, content).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    Ok(file)
}
