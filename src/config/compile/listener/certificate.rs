//! Compile: certificates of TLS listeners.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::config::compile::{CompileContext, pem};
use crate::config::doc_path::DocPath;
use crate::config::raw::listener::Certificate as Files;
use crate::config::snapshot::Certificate;

/// How long before its end a certificate deserves a word.
const SOON: Duration = Duration::from_secs(7 * 86_400);

/// The certificate and key in `files`, which must fit each other, or diagnostics below `path`.
pub(super) fn load(ctx: &mut CompileContext, path: &DocPath, files: &Files) -> Option<Certificate> {
    let (cert_path, key_path) = (path.key("cert"), path.key("key"));
    let chain = pem::certificates(ctx, &cert_path, &files.cert);
    let key = pem::private_key(ctx, &key_path, &files.key);
    let chain = chain?;
    let names = chain.first().and_then(|own| describe(ctx, &cert_path, &files.cert, own));
    let certified = match CertifiedKey::from_der(chain, key?, &aws_lc_rs::default_provider()) {
        Ok(certified) => Arc::new(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let message = format!("the key in `{}` does not belong to the certificate in `{}`", files.key, files.cert);
            let help = "the server's own certificate must be the first of its file";
            ctx.error_with_help(&key_path, "key_mismatch", message, help);
            return None;
        }
        Err(error) => {
            ctx.error(&key_path, "invalid_key", format!("the key in `{}` can't be used: {error}", files.key));
            return None;
        }
    };
    Some(Certificate { names: names?, certified })
}

/// The names that `certificate` is good for, with a word about its time.
fn describe(ctx: &mut CompileContext, path: &DocPath, file: &str, certificate: &CertificateDer) -> Option<Vec<String>> {
    let parsed = match X509Certificate::from_der(certificate) {
        Ok((_, parsed)) => parsed,
        Err(error) => {
            ctx.error(path, "invalid_certificate", format!("the certificate in `{file}` can't be read: {error}"));
            return None;
        }
    };
    check_time(ctx, path, file, &parsed);

    let alternatives = match parsed.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.as_slice(),
        Ok(None) | Err(_) => &[],
    };
    let names: Vec<String> = alternatives
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    let by_address = alternatives.iter().any(|name| matches!(name, GeneralName::IPAddress(_)));
    if names.is_empty() && !by_address {
        let help = "clients look for their name in the subject alternative names only";
        ctx.warning(path, "certificate_nameless", format!("the certificate in `{file}` has no name"), help);
    }
    Some(names)
}

fn check_time(ctx: &mut CompileContext, path: &DocPath, file: &str, certificate: &X509Certificate) {
    let now = ctx.now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
    let (from, until) = (certificate.validity().not_before, certificate.validity().not_after);
    let (code, message) = if now > until.timestamp() {
        ("certificate_expired", format!("the certificate in `{file}` has expired: {until}"))
    } else if now < from.timestamp() {
        ("certificate_early", format!("the certificate in `{file}` is not valid yet: {from}"))
    } else if until.timestamp() - now < SOON.as_secs() as i64 {
        ("certificate_expires", format!("the certificate in `{file}` expires soon: {until}"))
    } else {
        return;
    };
    ctx.warning(path, code, message, "clients refuse it outside its time; put a new one into the file");
}
