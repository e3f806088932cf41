//! TLS to the endpoints.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{Error, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

use super::super::{CompileContext, pem};
use crate::config::doc_path::DocPath;
use crate::config::raw;
use crate::config::snapshot::{ClientCertificate, UpstreamTls};
use crate::secret::Secret;

/// `None` comes with an error, which refuses the configuration: it never means that the upstream goes without TLS.
pub(super) fn tls(ctx: &mut CompileContext, path: &DocPath, raw: &raw::upstream::UpstreamTls) -> Option<UpstreamTls> {
    // Each of them reports by itself, so all are asked before any may end this.
    let sni = sni(ctx, &path.key("sni"), &raw.sni);
    let authorities = raw.ca.as_deref().map(|file| authorities(ctx, &path.key("ca"), file));
    let certificate = raw.client_certificate.as_ref();
    let certificate = certificate.map(|raw| client_certificate(ctx, &path.key("client_certificate"), raw));
    Some(UpstreamTls {
        sni: sni?,
        authorities: match authorities {
            Some(authorities) => Some(authorities?),
            None => None,
        },
        client_certificate: match certificate {
            Some(certificate) => Some(certificate?),
            None => None,
        },
    })
}

fn sni(ctx: &mut CompileContext, path: &DocPath, written: &str) -> Option<String> {
    if ServerName::try_from(written).is_ok() {
        return Some(written.to_ascii_lowercase());
    }
    let message = if written.is_empty() {
        "the name to verify is empty, which would switch verification off".to_owned()
    } else {
        format!("`{written}` is neither a DNS name nor an IP address")
    };
    let help = "write the name in the endpoints' certificate, such as `orders.internal`";
    ctx.error_with_help(path, "invalid_sni", message, help);
    None
}

fn authorities(ctx: &mut CompileContext, path: &DocPath, file: &str) -> Option<Vec<CertificateDer<'static>>> {
    let certificates = pem::certificates(ctx, path, file)?;
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        if let Err(error) = store.add(certificate.clone()) {
            let message = format!("certificate {} in `{file}` can't be an authority: {error}", index + 1);
            ctx.error(path, "invalid_certificate", message);
            return None;
        }
    }
    check_authorities(ctx, path, file, &certificates);
    Some(certificates)
}

/// Warns of authorities by which no endpoint's certificate can be verified.
fn check_authorities(ctx: &mut CompileContext, path: &DocPath, file: &str, certificates: &[CertificateDer<'static>]) {
    let parsed = certificates.iter().filter_map(|der| X509Certificate::from_der(der).ok());
    let parsed: Vec<X509Certificate> = parsed.map(|(_, certificate)| certificate).collect();
    if !parsed.iter().any(may_have_issued) {
        let message =
            format!("`{file}` has no certificate of an authority, so that none of an endpoint can be verified by it");
        let help = "put the certificate into it that has issued those of the endpoints, not one of theirs";
        ctx.warning(path, "ca_without_authority", message, help);
    }
    let now = ctx.now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
    let expired = parsed.iter().filter(|certificate| certificate.validity().not_after.timestamp() < now).count();
    if expired > 0 {
        let message = match expired == parsed.len() {
            true => format!("every certificate in `{file}` has expired"),
            false => format!("{expired} of {} certificates in `{file}` have expired", parsed.len()),
        };
        let help =
            "what they have issued has most likely expired too; put the authority's new certificate into the file";
        ctx.warning(path, "certificate_expired", message, help);
    }
}

/// Whether `certificate` is that of an authority, or may stand for the endpoint that made it itself. The first version of X.509
/// does not say what a certificate is for.
fn may_have_issued(certificate: &X509Certificate) -> bool {
    let authority = || matches!(certificate.basic_constraints(), Ok(Some(constraints)) if constraints.value.ca);
    certificate.version() == X509Version::V1 || certificate.subject() == certificate.issuer() || authority()
}

fn client_certificate(
    ctx: &mut CompileContext,
    path: &DocPath,
    raw: &raw::listener::Certificate,
) -> Option<ClientCertificate> {
    let chain = pem::certificates(ctx, &path.key("cert"), &raw.cert);
    let key = pem::private_key(ctx, &path.key("key"), &raw.key);
    let (chain, key) = (chain?, key?);
    match CertifiedKey::from_der(chain.clone(), key.clone_key(), &aws_lc_rs::default_provider()) {
        Ok(_) => Some(ClientCertificate {
            chain: chain.iter().map(|certificate| certificate.to_vec()).collect(),
            key: Arc::new(Secret::new(key.secret_der().to_vec())),
        }),
        Err(Error::InconsistentKeys(_)) => {
            ctx.error_with_help(
                &path.key("key"),
                "key_mismatch",
                format!("the key in `{}` does not belong to the first certificate in `{}`", raw.key, raw.cert),
                "put the client's own certificate first, and name its key",
            );
            None
        }
        Err(error) => {
            let message = format!("`{}` and `{}` can't be used together: {error}", raw.cert, raw.key);
            ctx.error(path, "invalid_certificate", message);
            None
        }
    }
}
