//! `portcullis explain`: what would happen to a request, and why, without sending one.

mod claims;
pub mod report;
#[cfg(test)]
mod tests;
mod text;

use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use clap::Args;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use self::report::{ExplainReport, ListenerReport};
use super::check;
use super::output::{ExitStatus, OutputFormat, Printer};
use crate::config;
use crate::config::load::SystemEnvironment;
use crate::config::snapshot::{ListenerConfig, Snapshot};
use crate::decision::access::BucketHasher;
use crate::decision::explain as decision;
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::request::{RawRequest, Scheme};

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The configuration: a YAML file, or a folder of them.
    file: String,
    method: String,
    /// Such as `https://api.example.com/v1/orders/7`; or a path alone, with `-H 'Host: …'`.
    url: String,
    /// A request header. May be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Where the request comes from.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    client_ip: IpAddr,
    /// The listener that the request comes by. Default: the first whose TLS fits the URL's scheme.
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// A file with a JSON object of claims, of 1 MiB at most: the caller counts as authenticated with them, as if by a valid token.
    #[arg(long, value_name = "FILE")]
    claims: Option<String>,
    /// How to report.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
}

/// A request as the arguments describe it.
#[derive(Debug)]
struct ExplainedRequest {
    method: Method,
    /// `None` where only a path was given.
    scheme: Option<Scheme>,
    target: String,
    headers: HeaderMap,
}

/// Prints the report. Succeeds whatever the verdict is.
pub fn explain(args: &ExplainArgs, printer: &mut Printer) -> ExitStatus {
    let (request, claims) =
        match request(args).and_then(|request| Ok((request, args.claims.as_deref().map(claims::read).transpose()?))) {
            Ok(parsed) => parsed,
            Err(reason) => {
                printer.message(format_args!("error: {reason}"));
                return ExitStatus::Failure;
            }
        };
    let (snapshot, diagnostics) = config::open(&args.file, &SystemEnvironment);
    let Some(snapshot) = snapshot else {
        check::report(&diagnostics, printer);
        return ExitStatus::Configuration;
    };
    let connection = match connection(args, &snapshot, &request) {
        Ok(connection) => connection,
        Err(reason) => {
            printer.message(format_args!("error: {reason}"));
            return ExitStatus::Failure;
        }
    };
    let explanation = decision::explain(
        &snapshot.rules,
        &request.raw(&connection),
        claims,
        SystemTime::now(),
        &BucketHasher::new(RandomState::new(), RandomState::new()),
    );
    let report =
        ExplainReport::new(&explanation, &snapshot, listeners(&snapshot, args.client_ip), &connection.listener);
    match args.format {
        OutputFormat::Text => printer.data(report),
        OutputFormat::Json => {
            let json = serde_json::to_string_pretty(&report).expect("BUG: the report is structs, lists and strings");
            printer.data(format_args!("{json}\n"));
        }
    }
    ExitStatus::Success
}

/// The connection that the request comes by.
fn connection(args: &ExplainArgs, snapshot: &Snapshot, request: &ExplainedRequest) -> Result<ConnectionFacts, String> {
    let scheme = |listener: &ListenerConfig| if listener.tls.is_some() { Scheme::Https } else { Scheme::Http };
    let mut asked = request.scheme;
    let listener = match &args.listener {
        Some(name) => Some(snapshot.listener(name).ok_or_else(|| {
            let names: Vec<&str> = snapshot.listeners.iter().map(|listener| &*listener.name).collect();
            format!("there is no listener `{name}`; the listeners are `{}`", names.join("`, `"))
        })?),
        None => {
            let fits = |listener: &&ListenerConfig| asked.is_none_or(|asked| scheme(listener) == asked);
            snapshot.listeners.iter().find(fits)
        }
    };
    if let Some(listener) = listener {
        let own = scheme(listener);
        if *asked.get_or_insert(own) != own {
            return Err(format!(
                "requests on the listener `{}` are {own} to the gateway; for a client of a proxy that ends TLS, give the URL as \
                 {own}, the proxy as --client-ip, and -H 'X-Forwarded-Proto: …'",
                listener.name,
                own = own.as_str(),
            ));
        }
    }
    let mut connection = ConnectionFacts::supposed(args.client_ip, asked.unwrap_or(Scheme::Http));
    if let Some(listener) = listener {
        connection.listener = listener.name.clone();
    }
    Ok(connection)
}

/// What the address rules of each listener that has some decide on `peer`.
fn listeners(snapshot: &Snapshot, peer: IpAddr) -> Vec<ListenerReport> {
    let lists = snapshot.rules.address_lists.as_slice();
    let ruled = snapshot.listeners.iter().filter_map(|listener| {
        let rules = listener.addresses.as_ref()?;
        let refused = rules.check(peer, lists).err();
        Some(ListenerReport {
            name: listener.name.to_string(),
            may_connect: refused.is_none(),
            detail: refused.map(|denial| denial.detail.to_string()),
            place: rules.place.to_string(),
        })
    });
    ruled.collect()
}

impl ExplainedRequest {
    fn raw<'a>(&'a self, connection: &'a ConnectionFacts) -> RawRequest<'a> {
        RawRequest {
            method: &self.method,
            target: self.target.as_bytes(),
            authority: None,
            fields: (&self.headers).into(),
            version: http::Version::HTTP_11,
            connection,
        }
    }
}

/// Splits the URL without normalising it, so that what is wrong with it is explained and not hidden.
fn request(args: &ExplainArgs) -> Result<ExplainedRequest, String> {
    let method =
        Method::from_bytes(args.method.as_bytes()).map_err(|_| format!("`{}` is not a method", args.method))?;
    let (scheme, rest) = match args.url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(Scheme::Https), Some(rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(Scheme::Http), Some(rest)),
        _ if args.url.starts_with('/') || args.url == "*" => (None, None),
        _ => return Err(format!("`{}` begins neither with http://, https:// nor /", args.url)),
    };
    let (authority, target) = match rest {
        None => (None, args.url.as_str()),
        Some(rest) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
    };
    // A client keeps the fragment for itself (RFC 9110 §7.1).
    let target = target.split('#').next().unwrap_or_default();
    let target = if target.starts_with(['/', '*']) { target.to_owned() } else { format!("/{target}") };

    let mut headers = HeaderMap::new();
    for header in &args.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| format!("`{header}` is not `name: value`"))?;
        let name =
            HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| format!("`{name}` is not a header name"))?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes())
            .map_err(|_| format!("the value of `{name}` is not fit for a header"))?;
        headers.append(name, value);
    }
    if let Some(authority) = authority
        && !headers.contains_key(HOST)
    {
        let host = HeaderValue::from_bytes(authority.as_bytes()).map_err(|_| format!("`{authority}` is not a host"))?;
        headers.insert(HOST, host);
    }
    Ok(ExplainedRequest { method, scheme, target, headers })
}
