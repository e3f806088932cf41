//! Compile: an identity's `jwt`.

use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily};

use super::compiled::{Compiled, Fingerprint, header};
use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw::access::{Jwt, JwtKeys};
use crate::config::raw::units::Span;
use crate::decision::access::jwt::JwtRules;
use crate::decision::access::jwt::key_set::{UnusableKey, parse_jwks};
use crate::decision::access::jwt::keys::{self, KeyError, VerificationKey};
use crate::decision::bounds::Bounds;
use crate::decision::defaults;
use crate::diagnostics::nearest;

const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
];

/// Beyond this, `exp` would mean little.
const MAX_LEEWAY: Duration = Duration::from_secs(3600);

pub(super) fn compile(ctx: &mut CompileContext, path: &DocPath, raw: &Jwt, bounds: &Bounds) -> Option<Compiled> {
    let mut print = Fingerprint::default();
    let issuer = not_empty(ctx, &path.key("issuer"), &raw.issuer);
    let audiences = audiences(ctx, path, raw);
    let client_ids = each(ctx, &path.key("client_id"), &raw.client_id.0);
    let algorithms = algorithms(ctx, &path.key("algorithms"), raw);
    let keys = keys(ctx, &path.key("keys"), &raw.keys, &mut print);
    let leeway = leeway(ctx, &path.key("leeway"), raw.leeway);
    let header = match raw.header.as_deref() {
        // Where bearer tokens stand anyway, with their scheme before them.
        None => Some(None),
        Some(name) if name.eq_ignore_ascii_case("authorization") => Some(None),
        Some(name) => header(ctx, &path.key("header"), name).map(Some),
    };
    let mut claim = |field: &str, name: &Option<String>, default: &str| match name {
        None => Some(default.to_owned()),
        Some(name) => not_empty(ctx, &path.key(field), name),
    };
    let principal_claim = claim("principal_claim", &raw.principal_claim, "sub");
    let scope_claim = claim("scope_claim", &raw.scope_claim, "scope");
    let roles_claim = claim("roles_claim", &raw.roles_claim, "roles");

    let (keys, algorithms) = (keys?, algorithms?);
    check_fit(ctx, path, raw, &keys, &algorithms)?;
    let rules = JwtRules {
        issuer: issuer?,
        audiences: audiences?,
        client_ids: client_ids?,
        algorithms,
        keys,
        longest: bounds.token,
        leeway: leeway?,
        header: header?,
        principal_claim: principal_claim?,
        scope_claim: scope_claim?,
        roles_claim: roles_claim?,
    };
    print.add(rules.issuer.as_bytes());
    print.add(format!("{:?} {:?} {:?}", rules.audiences, rules.client_ids, rules.algorithms).as_bytes());
    print.add(&rules.leeway.to_be_bytes());
    print.add(rules.header.as_ref().map_or(b"", |header| header.as_str().as_bytes()));
    for claim in [&rules.principal_claim, &rules.scope_claim, &rules.roles_claim] {
        print.add(claim.as_bytes());
    }
    Some((rules.into(), print))
}

fn not_empty(ctx: &mut CompileContext, path: &DocPath, text: &str) -> Option<String> {
    if text.is_empty() {
        ctx.error(path, "value_missing", "the value is empty");
        return None;
    }
    Some(text.to_owned())
}

fn audiences(ctx: &mut CompileContext, path: &DocPath, raw: &Jwt) -> Option<Vec<String>> {
    let path = path.key("audience");
    if raw.audience.0.is_empty() && raw.client_id.0.is_empty() {
        ctx.error_with_help(
            &path,
            "audience_missing",
            "no audience is accepted, so no token could pass",
            "write the `aud` that the issuer puts into tokens for this service, or `client_id` if it puts none",
        );
        return None;
    }
    each(ctx, &path, &raw.audience.0)
}

fn each(ctx: &mut CompileContext, path: &DocPath, raw: &[String]) -> Option<Vec<String>> {
    raw.iter().enumerate().map(|(index, text)| not_empty(ctx, &path.index(index), text)).collect()
}

fn algorithms(ctx: &mut CompileContext, path: &DocPath, raw: &Jwt) -> Option<Vec<Algorithm>> {
    let Some(names) = &raw.algorithms else {
        return Some(match raw.keys {
            JwtKeys::Secret(_) => vec![Algorithm::HS256],
            JwtKeys::JwksFile(_) | JwtKeys::PemFile(_) => vec![Algorithm::RS256, Algorithm::ES256],
        });
    };
    let mut algorithms = Vec::new();
    for (index, name) in names.0.iter().enumerate() {
        match ALGORITHMS.iter().find(|(known, _)| known == name) {
            Some((_, algorithm)) => algorithms.push(*algorithm),
            None => unknown_algorithm(ctx, &path.index(index), name),
        }
    }
    if names.0.is_empty() {
        ctx.error(path, "algorithms_missing", "no algorithm is accepted, so no token could pass");
    }
    let shared = algorithms.iter().filter(|algorithm| algorithm.family() == AlgorithmFamily::Hmac).count();
    if shared != 0 && shared != algorithms.len() {
        // With both, a public key that everyone knows could be taken for the shared secret.
        ctx.error_with_help(
            path,
            "algorithms_mixed",
            "algorithms with a shared secret (HS…) and with public keys don't go together",
            "declare two identities",
        );
        return None;
    }
    (!algorithms.is_empty() && algorithms.len() == names.0.len()).then_some(algorithms)
}

fn unknown_algorithm(ctx: &mut CompileContext, path: &DocPath, name: &str) {
    let known = ALGORITHMS.map(|(known, _)| known);
    let help = match nearest(name, known) {
        _ if name.eq_ignore_ascii_case("none") => {
            "unsigned tokens prove nothing; name the issuer's algorithm".to_owned()
        }
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the algorithms are {}", known.join(", ")),
    };
    ctx.error_with_help(path, "unknown_algorithm", format!("unknown algorithm `{name}`"), help);
}

fn keys(
    ctx: &mut CompileContext,
    path: &DocPath,
    raw: &JwtKeys,
    print: &mut Fingerprint,
) -> Option<Vec<VerificationKey>> {
    match raw {
        JwtKeys::JwksFile(file) => {
            let path = path.key("jwks_file");
            let content = ctx.read_trusted_file(&path, file)?;
            print.add(&content);
            let set = reported(ctx, &path, "key_set_invalid", file, parse_jwks(&content))?;
            for UnusableKey { name, reason } in &set.left_out {
                let help =
                    "a token that is signed by it is refused; ask the issuer about the key, or remove it from the file";
                ctx.warning(&path, "key_left_out", format!("`{file}`: {name} is left out: {reason}"), help);
            }
            if set.has_private {
                ctx.warning(
                    &path,
                    "private_key_exposed",
                    format!("`{file}` holds a private key, and whoever reads it can sign tokens"),
                    "keep the public members only",
                );
            }
            Some(set.keys)
        }
        JwtKeys::PemFile(file) => {
            let path = path.key("pem_file");
            let content = ctx.read_trusted_file(&path, file)?;
            print.add(&content);
            reported(ctx, &path, "public_key_invalid", file, keys::parse_pem(&content)).map(|key| vec![key])
        }
        JwtKeys::Secret(source) => {
            let path = path.key("secret");
            let secret = ctx.read_secret(&path, source)?;
            print.add(secret.expose());
            match keys::shared_secret(secret.expose()) {
                Ok(key) => Some(vec![key]),
                Err(error) => {
                    let help = "make one with `openssl rand -base64 48`";
                    ctx.error_with_help(&path, "secret_too_short", error.to_string(), help);
                    None
                }
            }
        }
    }
}

fn reported<T>(
    ctx: &mut CompileContext,
    path: &DocPath,
    code: &'static str,
    file: &str,
    result: Result<T, KeyError>,
) -> Option<T> {
    result.map_err(|error| ctx.error(path, code, format!("`{file}`: {error}"))).ok()
}

/// Makes sure that some key can be used with some accepted algorithm.
fn check_fit(
    ctx: &mut CompileContext,
    path: &DocPath,
    raw: &Jwt,
    keys: &[VerificationKey],
    algorithms: &[Algorithm],
) -> Option<()> {
    if let (JwtKeys::Secret(_), [key]) = (&raw.keys, keys)
        && let Some(long) = algorithms
            .iter()
            .find(|algorithm| algorithm.family() == AlgorithmFamily::Hmac && !key.algorithms.contains(algorithm))
    {
        let least = if *long == Algorithm::HS384 { 48 } else { 64 };
        let message = format!("{long:?} needs a secret of {least} bytes or more (RFC 7518 section 3.2)");
        ctx.error(&path.key("keys").key("secret"), "secret_too_short", message);
        return None;
    }
    let mut usable: Vec<Algorithm> = Vec::new();
    for algorithm in keys.iter().flat_map(|key| &key.algorithms) {
        if !usable.contains(algorithm) {
            usable.push(*algorithm);
        }
    }
    if usable.iter().any(|algorithm| algorithms.contains(algorithm)) {
        return Some(());
    }
    ctx.error_with_help(
        &path.key("algorithms"),
        "key_unusable",
        format!("no key can be used with {}, so no token could pass", list(algorithms)),
        format!("the keys can be used with {}; name one of them in `algorithms`", list(&usable)),
    );
    None
}

fn list(algorithms: &[Algorithm]) -> String {
    algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect::<Vec<_>>().join(", ")
}

fn leeway(ctx: &mut CompileContext, path: &DocPath, raw: Option<Span>) -> Option<u64> {
    let leeway = raw.map_or(defaults::JWT_LEEWAY, |span| span.0);
    if leeway > MAX_LEEWAY {
        ctx.error_with_help(
            path,
            "leeway_too_long",
            "a leeway of more than an hour lets expired tokens in",
            "clocks that are kept in time need a minute at most; write `30s`",
        );
        return None;
    }
    Some(leeway.as_secs() + u64::from(leeway.subsec_nanos() > 0))
}
