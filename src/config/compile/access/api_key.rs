//! Compile: an identity's `api_key`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderName;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::compiled::{Compiled, Fingerprint, header};
use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::load::load_secret_mapping;
use crate::config::raw::access::{ApiKey, ApiKeyEntry, ApiKeyFile, ApiKeys};
use crate::decision::access::Principal;
use crate::decision::access::api_key::ApiKeyRules;

pub(super) fn compile(ctx: &mut CompileContext, path: &DocPath, name: &str, raw: &ApiKey) -> Option<Compiled> {
    let header = match raw.header.as_deref() {
        None => Some(ctx.field(HeaderName::from_static("x-api-key"))),
        Some(name) if name.eq_ignore_ascii_case("authorization") => {
            ctx.error_with_help(
                &path.key("header"),
                "header_reserved",
                "`Authorization` carries a scheme and its credentials, not a bare key",
                "use a header of its own, such as `X-Api-Key`",
            );
            None
        }
        Some(name) => header(ctx, &path.key("header"), name),
    };
    let path = path.key("keys");
    let keys = match &raw.keys {
        ApiKeys::List(entries) => {
            let source = Source { path: path.key("list"), file: None };
            principals(ctx, &source, name, entries)
        }
        ApiKeys::File(file) => {
            let path = path.key("file");
            let content = ctx.read_trusted_file(&path, file)?;
            match load_secret_mapping::<ApiKeyFile>(file, &content) {
                Ok(read) => principals(ctx, &Source { path, file: Some(file) }, name, &read.keys),
                Err(mut found) => {
                    for diagnostic in &mut found {
                        let form = "the file has one list, `keys`, with entries as `portcullis keys new` prints them";
                        diagnostic.code = "api_keys_invalid";
                        diagnostic.help.get_or_insert_with(|| form.to_owned());
                    }
                    ctx.report_found(&path, found);
                    None
                }
            }
        }
    };
    let rules = ApiKeyRules::new(header?, keys?);
    let mut print = Fingerprint::default();
    let mut hashes: Vec<_> = rules.keys.iter().collect();
    hashes.sort_unstable_by_key(|(hash, _)| **hash);
    print.add(rules.header.as_str().as_bytes());
    for (hash, principal) in hashes {
        print.add(hash);
        print.add(format!("{principal:?}").as_bytes());
    }
    Some((rules.into(), print))
}

/// Where entries come from: the configuration itself, or a file that it names.
struct Source<'a> {
    path: DocPath,
    file: Option<&'a str>,
}

impl Source<'_> {
    /// The path and the words that name a field of an entry.
    fn name(&self, index: usize, entry: &ApiKeyEntry, field: &str) -> (DocPath, String) {
        match self.file {
            None => (self.path.index(index).key(field), String::new()),
            Some(file) => (self.path.clone(), format!("`{file}`: keys[{index}] (`{}`): {field}: ", entry.id)),
        }
    }
}

fn principals(
    ctx: &mut CompileContext,
    source: &Source,
    identity: &str,
    entries: &[ApiKeyEntry],
) -> Option<HashMap<[u8; 32], Arc<Principal>>> {
    let now = ctx.now();
    let identity: Arc<str> = identity.into();
    let mut keys: HashMap<[u8; 32], Arc<Principal>> = HashMap::new();
    let mut valid = true;
    for (index, entry) in entries.iter().enumerate() {
        let id = check_id(ctx, source, index, entries);
        let hash = hash(ctx, source, index, entry);
        let expires = expires(ctx, source, index, entry, now);
        let (Some(()), Some(hash), Some(expires)) = (id, hash, expires) else {
            valid = false;
            continue;
        };
        let claims = entry.claims.0.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
        let principal = Principal {
            id: entry.id.clone(),
            identity: Arc::clone(&identity),
            scopes: entry.scopes.clone(),
            roles: entry.roles.clone(),
            claims: claims.collect(),
            expires,
        };
        if let Some(earlier) = keys.insert(hash, Arc::new(principal)) {
            let (path, prefix) = source.name(index, entry, "hash");
            ctx.error_with_help(
                &path,
                "duplicate_api_key",
                format!("{prefix}this key is already that of `{}`", earlier.id),
                "a key has one owner; make another with `portcullis keys new`",
            );
            valid = false;
        }
    }
    if entries.is_empty() {
        let message = "the list of keys is empty, so no key is accepted";
        ctx.warning(&source.path, "no_api_keys", message, "make a key with `portcullis keys new --id NAME`");
    }
    valid.then_some(keys)
}

/// Two keys of one caller are how keys are replaced without a gap, and also what copying an entry leaves behind.
fn check_id(ctx: &mut CompileContext, source: &Source, index: usize, entries: &[ApiKeyEntry]) -> Option<()> {
    let entry = &entries[index];
    let (path, prefix) = source.name(index, entry, "id");
    if entry.id.is_empty() {
        ctx.error(&path, "value_missing", format!("{prefix}the value is empty"));
        return None;
    }
    let earlier = entries[..index].iter().find(|earlier| earlier.id == entry.id);
    if earlier.is_some_and(|earlier| earlier.expires.is_none() && entry.expires.is_none()) {
        ctx.warning(
            &path,
            "duplicate_api_key_id",
            format!("{prefix}`{}` has two keys, and neither expires", entry.id),
            "to replace a key, give the old one an `expires`; other callers need an `id` of their own",
        );
    }
    Some(())
}

fn hash(ctx: &mut CompileContext, source: &Source, index: usize, entry: &ApiKeyEntry) -> Option<[u8; 32]> {
    let parsed = entry.hash.strip_prefix("sha256:").and_then(hexadecimal);
    if parsed.is_none() {
        let (path, prefix) = source.name(index, entry, "hash");
        let help = match entry.hash.starts_with("pk_") {
            true => "this is the key itself, which is known to too many now: make another with `portcullis keys new`",
            false => "copy the entry that `portcullis keys new` printed",
        };
        // Says nothing of the value, which may be a key.
        let message = format!("{prefix}not a hash: expected `sha256:` and 64 hexadecimal digits");
        ctx.error_with_help(&path, "api_key_hash_invalid", message, help);
    }
    parsed
}

fn hexadecimal(digits: &str) -> Option<[u8; 32]> {
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(value(pair[0])? * 16 + value(pair[1])?).ok()?;
    }
    Some(bytes)
}

fn expires(
    ctx: &mut CompileContext,
    source: &Source,
    index: usize,
    entry: &ApiKeyEntry,
    now: SystemTime,
) -> Option<Option<SystemTime>> {
    let Some(text) = &entry.expires else { return Some(None) };
    let (path, prefix) = source.name(index, entry, "expires");
    match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(time) => {
            let time = SystemTime::from(time);
            if time <= now {
                let message = format!("{prefix}the key of `{}` expired on {text}", entry.id);
                ctx.warning(&path, "api_key_expired", message, "remove the entry, or make a new key");
            }
            Some(Some(time))
        }
        Err(_) => {
            ctx.error_with_help(
                &path,
                "time_invalid",
                format!("{prefix}`{text}` is not a time"),
                "write it as RFC 3339 does, such as `2027-01-31T00:00:00Z`",
            );
            None
        }
    }
}
