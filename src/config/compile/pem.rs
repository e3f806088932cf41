//! Certificates and private keys in PEM files (RFC 7468).

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw::key_file::KeyFile;

/// The certificates in `file`, at least one, or a diagnostic at `path`.
pub(super) fn certificates(
    ctx: &mut CompileContext,
    path: &DocPath,
    file: &str,
) -> Option<Vec<CertificateDer<'static>>> {
    let pem = ctx.read_file(path, file)?;
    let message = match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => return Some(certificates),
        Ok(_) => format!("`{file}` holds no certificate"),
        Err(error) => format!("`{file}` is not PEM: {error}"),
    };
    let help = "name a PEM file, which has lines such as `-----BEGIN CERTIFICATE-----`";
    ctx.error_with_help(path, "invalid_certificate", message, help);
    None
}

/// The first private key in `file`, as PKCS#8, PKCS#1 or SEC1, or a diagnostic at `path`.
pub(super) fn private_key(ctx: &mut CompileContext, path: &DocPath, file: &KeyFile) -> Option<PrivateKeyDer<'static>> {
    let pem = ctx.read_key_file(path, file)?;
    let message = match PrivateKeyDer::from_pem_slice(pem.expose()) {
        Ok(key) => return Some(key),
        Err(_) if is_encrypted(pem.expose()) => {
            let message = format!("the key in `{file}` is encrypted, and nobody is there to type its passphrase");
            let help = format!(
                "decrypt it with `openssl pkey -in {file} -out KEY`, and let its owner alone read the new file"
            );
            ctx.error_with_help(path, "key_encrypted", message, help);
            return None;
        }
        Err(Error::NoItemsFound) => format!("`{file}` holds no private key"),
        // What stands in a key's file is not shown.
        Err(_) => format!("`{file}` is not PEM"),
    };
    let help = "write the key as PKCS#8, for example with `openssl pkcs8 -topk8 -nocrypt`";
    ctx.error_with_help(path, "invalid_key", message, help);
    None
}

/// Whether a private key is encrypted: as PKCS#8 (RFC 5958 §3), or by the headers of RFC 1421 §4.6.1.1, as OpenSSL writes
/// PKCS#1 and SEC1.
fn is_encrypted(pem: &[u8]) -> bool {
    contains(pem, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || pem.split(|byte| *byte == b'\n').any(|line| {
            let line = line.trim_ascii();
            line.starts_with(b"Proc-Type:") && line.ends_with(b",ENCRYPTED")
        })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
