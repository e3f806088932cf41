//! What an operator may ask of a running gateway: the commands, how they are written as requests, and who may give them.
//!
//! Looking (`GET`) is for whoever may read the listener. Changing (`POST`) is for whoever has shown who they are: by the
//! token, or by the user of the process where the request came over a socket that only that user can reach. A listener
//! without a token changes nothing, since any page that a browser on this machine shows could send it a `POST`.

use std::time::Duration;

use http::{Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::config::raw::units::Span;
use crate::decision::rollout::Terms;

/// A question to, or an order for, the running gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `GET /status`: the process, the configuration in force, and what is under way.
    Status,
    /// `GET /upstreams`: every endpoint and whether it takes requests.
    Upstreams,
    /// `POST /reload`: read the configuration again, and serve it if nothing is wrong with it. With `?canary=5%25` only to
    /// that share of the requests, by the [`Terms`] that the query has: `for=60s`, `min_requests=100`, `max_errors=1%25`,
    /// `max_refusals=5%25`, `max_latency=1.5`.
    Reload(Option<Terms>),
    /// `POST /rollback`, or `POST /rollback?to=3`: serve the configuration again that was in force before, or that generation.
    RollBack(Option<u64>),
    /// `POST /rollout/keep` and `POST /rollout/revert`: end the trial of a configuration.
    EndRollout { keep: bool },
    /// `POST /drain`: take no more requests, finish those that are under way, and end.
    Drain,
    /// `POST /upstreams/{upstream}/endpoints/{endpoint}/drain` and `…/restore`: whether an endpoint gets new requests.
    Endpoint { upstream: String, endpoint: String, draining: bool },
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// 200 when it was done, 404 where it names what is not there, 409 where it can't be done now, 422 where the
    /// configuration is wrong.
    pub status: StatusCode,
    /// For people and programs alike.
    pub body: Value,
}

/// Whoever carries commands out. It may block: it is never called on a thread that serves requests.
pub trait Control: Send + Sync {
    /// Does what `command` says, or says why not.
    fn handle(&self, command: Command) -> Outcome;
}

impl Command {
    /// The command that `uri` names, or what is wrong with its query, and the method that gives it. `None`: no command.
    pub fn named(uri: &Uri) -> Option<(Method, Result<Command, String>)> {
        let segments: Vec<&str> = uri.path().strip_prefix('/')?.split('/').collect();
        let mut query = Query::new(uri);
        let (method, command) = match segments.as_slice() {
            ["status"] => (Method::GET, Ok(Command::Status)),
            ["upstreams"] => (Method::GET, Ok(Command::Upstreams)),
            ["reload"] => (Method::POST, query.terms().map(Command::Reload)),
            ["rollback"] => (Method::POST, query.take("to", number).map(Command::RollBack)),
            ["rollout", end @ ("keep" | "revert")] => (Method::POST, Ok(Command::EndRollout { keep: *end == "keep" })),
            ["drain"] => (Method::POST, Ok(Command::Drain)),
            ["upstreams", upstream, "endpoints", endpoint, verb @ ("drain" | "restore")] => {
                let (upstream, endpoint) = (decoded(upstream)?, decoded(endpoint)?);
                (Method::POST, Ok(Command::Endpoint { upstream, endpoint, draining: *verb == "drain" }))
            }
            _ => return None,
        };
        Some((method, command.and_then(|command| query.end().map(|()| command))))
    }
}

/// What a query says, each word once.
struct Query(Vec<(String, String)>);

impl Query {
    fn new(uri: &Uri) -> Self {
        let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name).unwrap_or_default(), decoded(value).unwrap_or_default())
        };
        Query(pairs.map(pair).collect())
    }

    fn terms(&mut self) -> Result<Option<Terms>, String> {
        let usual = Terms::default();
        // A trial on nobody must not be taken for a reload without one.
        let some = |text: &str| share(text).filter(|share| *share > 0.0);
        let Some(canary) = self.take("canary", some)? else { return Ok(None) };
        Ok(Some(Terms {
            share: canary,
            duration: self.take("for", span)?.unwrap_or(usual.duration),
            min_requests: self.take("min_requests", number)?.unwrap_or(usual.min_requests),
            max_errors: self.take("max_errors", share)?.unwrap_or(usual.max_errors),
            max_refusals: self.take("max_refusals", share)?.unwrap_or(usual.max_refusals),
            max_latency: self.take("max_latency", factor)?.unwrap_or(usual.max_latency),
        }))
    }

    /// Takes the value of `name` out, read by `read`.
    fn take<T>(&mut self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, String> {
        let Some(at) = self.0.iter().position(|(known, _)| known == name) else { return Ok(None) };
        let (_, value) = self.0.swap_remove(at);
        read(&value).map(Some).ok_or_else(|| format!("`{value}` is no value for `{name}`"))
    }

    /// What nobody took is a mistake, not a wish that is passed over.
    fn end(&self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("`{name}` is not known here")),
        }
    }
}

/// `5%`, from 0 to 100.
fn share(text: &str) -> Option<f64> {
    let share = text.strip_suffix('%')?.trim().parse::<f64>().ok()? / 100.0;
    (0.0..=1.0).contains(&share).then_some(share)
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn factor(text: &str) -> Option<f64> {
    text.parse().ok().filter(|factor: &f64| (1.0..=1000.0).contains(factor))
}

fn span(text: &str) -> Option<Duration> {
    Span::parse(text).ok().map(|span| span.0)
}

fn decoded(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn named(uri: &str) -> Option<(Method, Result<Command, String>)> {
        Command::named(&uri.parse().unwrap())
    }

    #[test]
    fn a_path_names_a_command_and_its_method() {
        assert_eq!(named("/reload"), Some((Method::POST, Ok(Command::Reload(None)))));
        assert_eq!(named("/status"), Some((Method::GET, Ok(Command::Status))));
        assert_eq!(named("/rollback?to=3"), Some((Method::POST, Ok(Command::RollBack(Some(3))))));
        assert_eq!(named("/drain"), Some((Method::POST, Ok(Command::Drain))));
        let endpoint = Command::Endpoint { upstream: "a".into(), endpoint: "[::1]:80".into(), draining: true };
        assert_eq!(named("/upstreams/a/endpoints/%5B::1%5D:80/drain"), Some((Method::POST, Ok(endpoint))));
        for none in ["/", "/reload/", "/rollout", "/upstreams/a/endpoints/b/kill", "/upstreams/%FF/endpoints/b/drain"] {
            assert_eq!(named(none), None, "{none}");
        }
    }

    #[test]
    fn the_terms_of_a_roll_out_stand_in_the_query() {
        let query = "canary=5%25&for=90s&min_requests=7&max_errors=2%25&max_refusals=0%25&max_latency=3";
        let terms = Terms {
            share: 0.05,
            duration: Duration::from_secs(90),
            min_requests: 7,
            max_errors: 0.02,
            max_refusals: 0.0,
            max_latency: 3.0,
        };
        assert_eq!(named(&format!("/reload?{query}")), Some((Method::POST, Ok(Command::Reload(Some(terms))))));
        for wrong in
            ["canary=5", "canary=101%25", "canary=0%25", "canary=5%25&for=soon", "for=5s", "to=1", "canary=5%25&x"]
        {
            assert!(matches!(named(&format!("/reload?{wrong}")), Some((_, Err(_)))), "{wrong}");
        }
    }
}
