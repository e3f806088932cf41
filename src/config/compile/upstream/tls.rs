//! TLS to the endpoints.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{Error, RootCertStore};

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
    Some(certificates)
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
