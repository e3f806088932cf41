//! Redirects that lead back to their own route.

use http::HeaderValue;

use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::decision::policy::{Action, Route};
use crate::decision::request::{Scheme, host, path};
use crate::decision::rewrite::{Redirect, RedirectTarget};
use crate::decision::route::{Arrival, Match, Parameters, SampleRequest, Table};

/// Reports redirects whose target their own route takes: an error where only the scheme is changed, and the request had it
/// already; a warning otherwise, since the name may lead elsewhere. `places` are the routes' places by
/// [`crate::decision::ids::RouteId`], `arrivals` the ways by which requests come.
pub fn check_redirects(
    ctx: &mut CompileContext,
    table: &Table,
    routes: &[Route],
    places: &[DocPath],
    arrivals: &[Arrival],
) {
    for matched in table.matches() {
        let index = matched.route.0 as usize;
        let (Some(route), Some(place)) = (routes.get(index), places.get(index)) else { continue };
        let Action::Redirect(redirect) = &route.action else { continue };
        let place = place.key("redirect");
        if let Some(scheme) = scheme_alone(redirect) {
            if comes_with(scheme, table, matched, arrivals) {
                scheme_loop(ctx, &place, scheme);
            }
        } else if let Some(location) = leads_back(redirect, table, matched, arrivals) {
            ctx.warning(
                &place,
                "redirect_loop",
                format!("the redirect leads to `{location}`, which this route takes again"),
                "narrow `match`, or give the target a route of its own",
            );
        }
    }
}

/// The scheme of a redirect that changes nothing else.
fn scheme_alone(redirect: &Redirect) -> Option<Scheme> {
    match &redirect.target {
        RedirectTarget::Parts { scheme: Some(scheme), host: None, path: None, keep_query: true } => Some(*scheme),
        RedirectTarget::Parts { .. } | RedirectTarget::Fixed(_) => None,
    }
}

fn scheme_loop(ctx: &mut CompileContext, place: &DocPath, scheme: Scheme) {
    let (name, other) = match scheme {
        Scheme::Http => ("http", "https"),
        Scheme::Https => ("https", "http"),
    };
    ctx.error_with_help(
        &place.key("scheme"),
        "redirect_loop",
        format!("the route takes {name} requests too, and would send them where they came from, without end"),
        format!("give the route `match: {{scheme: {other}}}`"),
    );
}

/// Whether the route takes requests that have come with `scheme` already.
fn comes_with(scheme: Scheme, table: &Table, matched: &Match, arrivals: &[Arrival]) -> bool {
    let paths = matched.sample_paths();
    let mut arrivals = arrivals.iter().filter(|arrival| arrival.scheme == scheme);
    if paths.is_empty() {
        // What a regular expression matches is not to be guessed: its conditions decide.
        return arrivals.any(|arrival| matched.admits(arrival));
    }
    arrivals.any(|arrival| {
        paths.iter().flat_map(|path| matched.samples(path)).any(|sample| takes(table, matched, &sample, arrival))
    })
}

fn takes(table: &Table, matched: &Match, sample: &SampleRequest, arrival: &Arrival) -> bool {
    sample.find(table, arrival).is_some_and(|(id, ..)| id == matched.route)
}

/// A location that the route gives and takes. What a regular expression matches is not to be guessed, so that such a route is
/// taken to be asked for `/`: where it sends its clients may not depend on that.
fn leads_back(redirect: &Redirect, table: &Table, matched: &Match, arrivals: &[Arrival]) -> Option<String> {
    let mut paths = matched.sample_paths();
    let guessed = paths.is_empty();
    if guessed {
        paths.push("/".to_owned());
    }
    let samples = || paths.iter().flat_map(|path| matched.samples(path));
    arrivals.iter().flat_map(|arrival| samples().map(move |sample| (arrival, sample))).find_map(|(arrival, sample)| {
        let (parameters, normal) = match sample.find(table, arrival) {
            Some((id, parameters, normal)) if id == matched.route => (parameters, normal),
            _ if guessed && matched.admits(arrival) => (Parameters::new(), sample.normal(arrival)),
            _ => return None,
        };
        let location = redirect.location(&normal, &parameters);
        let (scheme, target) = followed(&location, arrival.scheme, &sample)?;
        let mut again = arrivals.iter().filter(|arrival| arrival.scheme == scheme);
        let back = again.any(|arrival| takes(table, matched, &target, arrival));
        back.then(|| String::from_utf8_lossy(location.as_bytes()).into_owned())
    })
}

/// The request that a client sends who follows `location`, which was the answer to `asked`. Its port is left out, since what maps
/// ports before the gateway is not known.
fn followed(location: &HeaderValue, scheme: Scheme, asked: &SampleRequest) -> Option<(Scheme, SampleRequest)> {
    let text = location.to_str().ok()?.split('#').next()?;
    let (scheme, rest) = match text.split_once("://") {
        Some(("https", rest)) => (Scheme::Https, Some(rest)),
        Some(("http", rest)) => (Scheme::Http, Some(rest)),
        _ => (scheme, None),
    };
    let (host, target) = match rest {
        None => (asked.host.clone(), text),
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            (host::parse(&rest[..end]).ok()?.host, &rest[end..])
        }
    };
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let path = path::read(if path.is_empty() { b"/" } else { path.as_bytes() }).ok()?;
    let request = SampleRequest {
        method: asked.method.clone(),
        host,
        path: path.path.into_owned(),
        spelling: path.spelling,
        query: query.map(str::to_owned),
        headers: asked.headers.clone(),
    };
    Some((scheme, request))
}
