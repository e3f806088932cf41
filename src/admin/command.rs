//! The commands of an operator: what they are, and how they are written as requests.
//!
//! A command that only reads is a `GET`, one that changes something is a `POST`. Both sides of the wire use this file: the
//! `portcullis` commands write [`AdminCommand::method`] and [`AdminCommand::target`], and the admin listener reads
//! [`AdminCommand::parse`]. The answers are in [`super::api`].

use std::time::Duration;

use http::{Method, Uri};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::api::{AdminError, CommandAnswer, ErrorCode};
use crate::config::raw::units::Span;
use crate::decision::rollout::Terms;

/// A command to the running gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum AdminCommand {
    /// `GET /status`: the process, the configuration in force, and what is in progress.
    Status,
    /// `GET /upstreams`: every endpoint and whether it takes requests.
    Upstreams,
    /// `POST /reload`: read the configuration again, and serve it if it compiles. With `?canary=5%25` only to that share of
    /// the requests, by the [`Terms`] in the query: `for=60s`, `min_requests=100`, `max_errors=1%25`, `max_refusals=5%25`,
    /// `max_latency=1.5`.
    Reload(Option<Terms>),
    /// `POST /rollback`, or `POST /rollback?to=3`: serve the configuration again that was in force before, or that generation.
    RollBack(Option<u64>),
    /// `POST /rollout/keep` and `POST /rollout/revert`: end the roll-out of a configuration.
    EndRollout { keep: bool },
    /// `POST /drain`: accept no more requests, finish those in progress, and end the process.
    Drain,
    /// `POST /upstreams/{upstream}/endpoints/{endpoint}/drain` and `…/restore`: whether an endpoint gets new requests.
    Endpoint { upstream: String, endpoint: String, draining: bool },
}

/// What carries commands out. It may block: it is never called on a thread that serves requests.
pub trait CommandHandler: Send + Sync {
    /// Carries `command` out.
    ///
    /// # Errors
    /// Why it was not carried out.
    fn handle(&self, command: AdminCommand) -> Result<CommandAnswer, AdminError>;
}

impl AdminCommand {
    /// The command that the path of `uri` names, or what is wrong with its query, and the method that it needs. `None`: the
    /// path names no command.
    pub fn parse(uri: &Uri) -> Option<(Method, Result<AdminCommand, AdminError>)> {
        let segments: Vec<&str> = uri.path().strip_prefix('/')?.split('/').collect();
        let mut query = Query::new(uri);
        let (method, command) = match segments.as_slice() {
            ["status"] => (Method::GET, Ok(AdminCommand::Status)),
            ["upstreams"] => (Method::GET, Ok(AdminCommand::Upstreams)),
            ["reload"] => (Method::POST, query.terms().map(AdminCommand::Reload)),
            ["rollback"] => (Method::POST, query.take("to", parse_number).map(AdminCommand::RollBack)),
            ["rollout", end @ ("keep" | "revert")] => {
                (Method::POST, Ok(AdminCommand::EndRollout { keep: *end == "keep" }))
            }
            ["drain"] => (Method::POST, Ok(AdminCommand::Drain)),
            ["upstreams", upstream, "endpoints", endpoint, verb @ ("drain" | "restore")] => {
                let (upstream, endpoint) = (decoded(upstream)?, decoded(endpoint)?);
                (Method::POST, Ok(AdminCommand::Endpoint { upstream, endpoint, draining: *verb == "drain" }))
            }
            _ => return None,
        };
        let command = command.and_then(|command| query.end().map(|()| command));
        Some((method, command.map_err(|error| AdminError::new(ErrorCode::QueryInvalid, error))))
    }

    /// The method of the request.
    pub fn method(&self) -> Method {
        match self {
            AdminCommand::Status | AdminCommand::Upstreams => Method::GET,
            _ => Method::POST,
        }
    }

    /// The target of the request in origin form: path and query.
    pub fn target(&self) -> String {
        match self {
            AdminCommand::Status => "/status".to_owned(),
            AdminCommand::Upstreams => "/upstreams".to_owned(),
            AdminCommand::Reload(None) => "/reload".to_owned(),
            AdminCommand::Reload(Some(terms)) => format!("/reload?{}", terms_query(terms)),
            AdminCommand::RollBack(None) => "/rollback".to_owned(),
            AdminCommand::RollBack(Some(generation)) => format!("/rollback?to={generation}"),
            AdminCommand::EndRollout { keep: true } => "/rollout/keep".to_owned(),
            AdminCommand::EndRollout { keep: false } => "/rollout/revert".to_owned(),
            AdminCommand::Drain => "/drain".to_owned(),
            AdminCommand::Endpoint { upstream, endpoint, draining } => {
                let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
                let verb = if *draining { "drain" } else { "restore" };
                format!("/upstreams/{}/endpoints/{}/{verb}", encoded(upstream), encoded(endpoint))
            }
        }
    }
}

fn terms_query(terms: &Terms) -> String {
    let percent = |share: f64| format!("{}%25", (share * 1e8).round() / 1e6);
    let Terms { share, duration, min_requests, max_errors, max_refusals, max_latency } = terms;
    format!(
        "canary={}&for={}ms&min_requests={min_requests}&max_errors={}&max_refusals={}&max_latency={max_latency}",
        percent(*share),
        duration.as_millis(),
        percent(*max_errors),
        percent(*max_refusals),
    )
}

/// The parameters of a query, each taken once.
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
        let Some(canary) = self.take("canary", parse_canary)? else { return Ok(None) };
        Ok(Some(Terms {
            share: canary,
            duration: self.take("for", parse_duration)?.unwrap_or(usual.duration),
            min_requests: self.take("min_requests", parse_number)?.unwrap_or(usual.min_requests),
            max_errors: self.take("max_errors", parse_share)?.unwrap_or(usual.max_errors),
            max_refusals: self.take("max_refusals", parse_share)?.unwrap_or(usual.max_refusals),
            max_latency: self.take("max_latency", parse_factor)?.unwrap_or(usual.max_latency),
        }))
    }

    /// Removes the parameter `name` and parses its value.
    fn take<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
        let Some(at) = self.0.iter().position(|(known, _)| known == name) else { return Ok(None) };
        let (_, value) = self.0.swap_remove(at);
        parse(&value).map(Some).map_err(|error| format!("`{name}`: {error}"))
    }

    /// A parameter that nothing took is refused, not ignored.
    fn end(&self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("the parameter `{name}` is not known here")),
        }
    }
}

/// `5%`, from 0 to 100.
///
/// # Errors
/// The value is something else.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok()).map(|share| share / 100.0);
    share.filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| format!("`{text}` is not a share from 0% to 100%"))
}

/// `5%`, above 0: a roll-out to nobody must not be taken for a reload without one.
///
/// # Errors
/// The value is something else.
pub fn parse_canary(text: &str) -> Result<f64, String> {
    parse_share(text)
        .ok()
        .filter(|share| *share > 0.0)
        .ok_or_else(|| format!("`{text}` is not a share above 0%, up to 100%"))
}

/// `1.5`, from 1 to 1000.
///
/// # Errors
/// The value is something else.
pub fn parse_factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor: &f64| (1.0..=1000.0).contains(factor));
    factor.ok_or_else(|| format!("`{text}` is not a factor from 1 to 1000"))
}

/// `60s`, with the units of the configuration.
///
/// # Errors
/// The value is something else.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    Span::parse(text).map(|span| span.0)
}

fn parse_number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

fn decoded(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(uri: &str) -> Option<(Method, Result<AdminCommand, AdminError>)> {
        AdminCommand::parse(&uri.parse().unwrap())
    }

    fn every_command() -> Vec<AdminCommand> {
        let terms = Terms {
            share: 0.07,
            duration: Duration::from_millis(90_500),
            min_requests: 7,
            max_errors: 0.025,
            max_refusals: 0.0,
            max_latency: 3.5,
        };
        vec![
            AdminCommand::Status,
            AdminCommand::Upstreams,
            AdminCommand::Reload(None),
            AdminCommand::Reload(Some(terms)),
            AdminCommand::Reload(Some(Terms::default())),
            AdminCommand::RollBack(None),
            AdminCommand::RollBack(Some(3)),
            AdminCommand::EndRollout { keep: true },
            AdminCommand::EndRollout { keep: false },
            AdminCommand::Drain,
            AdminCommand::Endpoint { upstream: "a/b".into(), endpoint: "[::1]:80".into(), draining: true },
            AdminCommand::Endpoint { upstream: "a".into(), endpoint: "h:1".into(), draining: false },
        ]
    }

    #[test]
    fn what_a_client_writes_is_what_the_gateway_reads() {
        for command in every_command() {
            let target = command.target();
            assert_eq!(parsed(&target), Some((command.method(), Ok(command))), "{target}");
        }
    }

    #[test]
    fn a_path_names_a_command_and_its_method() {
        assert_eq!(parsed("/reload"), Some((Method::POST, Ok(AdminCommand::Reload(None)))));
        assert_eq!(parsed("/status"), Some((Method::GET, Ok(AdminCommand::Status))));
        let endpoint = AdminCommand::Endpoint { upstream: "a".into(), endpoint: "[::1]:80".into(), draining: true };
        assert_eq!(parsed("/upstreams/a/endpoints/%5B::1%5D:80/drain"), Some((Method::POST, Ok(endpoint))));
        for none in ["/", "/reload/", "/rollout", "/upstreams/a/endpoints/b/kill", "/upstreams/%FF/endpoints/b/drain"] {
            assert_eq!(parsed(none), None, "{none}");
        }
    }

    #[test]
    fn the_terms_of_a_roll_out_are_in_the_query() {
        let query = "canary=5%25&for=90s&min_requests=7&max_errors=2%25&max_refusals=0%25&max_latency=3";
        let terms = Terms {
            share: 0.05,
            duration: Duration::from_secs(90),
            min_requests: 7,
            max_errors: 0.02,
            max_refusals: 0.0,
            max_latency: 3.0,
        };
        assert_eq!(parsed(&format!("/reload?{query}")), Some((Method::POST, Ok(AdminCommand::Reload(Some(terms))))));
        for wrong in
            ["canary=5", "canary=101%25", "canary=0%25", "canary=5%25&for=soon", "for=5s", "to=1", "canary=5%25&x"]
        {
            let Some((_, Err(error))) = parsed(&format!("/reload?{wrong}")) else { panic!("{wrong}") };
            assert_eq!(error.code, ErrorCode::QueryInvalid, "{wrong}");
        }
    }
}
