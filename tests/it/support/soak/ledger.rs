//! The access log, compared with what the clients saw and with the metrics.
//!
//! The equalities, each exact:
//!
//! * each request of which a client has sent the complete head over HTTP/1, or has seen an answer, has one line; one that was given
//!   up before that, or whose stream was reset, has one or none; nothing else has a line;
//! * a line has the status that the client saw;
//! * the lines are as many as the requests in the metrics, by decision and class of the status, and those of a cause as many as
//!   the refusals and failures of that cause;
//! * a line with 5xx has a cause, or the origin answered with 5xx.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;

use super::super::gateway::Metrics;
use super::super::load::Fate;
use super::Demand;

/// Why a request of this load may be answered 5xx: an origin that is dead or wrong, and what only the client does wrong.
const SERVER_ERRORS: &[&str] =
    &["upstream_connect_failed", "upstream_closed", "upstream_protocol", "upstream_timeout", "version_unsupported"];

#[derive(Deserialize)]
struct LogLine<'a> {
    #[serde(default)]
    status: u16,
    #[serde(borrow)]
    decision: Cow<'a, str>,
    #[serde(borrow, default)]
    cause: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    query: Option<Cow<'a, str>>,
}

/// What stands in a log.
#[derive(Default)]
pub(super) struct Ledger {
    lines: usize,
    by_decision: BTreeMap<(&'static str, String), u64>,
    /// By decision and cause.
    by_cause: BTreeMap<(String, String), u64>,
    server_errors: BTreeMap<Option<String>, u64>,
    /// The status by client and number; of a request with two lines, the last.
    statuses: BTreeMap<(usize, usize), u16>,
    faults: Vec<String>,
}

impl Ledger {
    pub(super) fn read(log: impl BufRead) -> Ledger {
        let mut ledger = Ledger::default();
        for line in log.lines() {
            let line = line.expect("a readable log");
            match serde_json::from_str::<LogLine<'_>>(&line) {
                Ok(read) => ledger.add(&read, &line),
                Err(error) => ledger.faults.push(format!("{error}: {line}")),
            }
        }
        ledger
    }

    fn add(&mut self, line: &LogLine<'_>, text: &str) {
        self.lines += 1;
        let class = match line.status / 100 {
            0 => "none",
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        *self.by_decision.entry((class, line.decision.to_string())).or_default() += 1;
        let cause = line.cause.as_deref().map(str::to_owned);
        if class == "5xx" {
            *self.server_errors.entry(cause.clone()).or_default() += 1;
        }
        if let Some(cause) = cause {
            *self.by_cause.entry((line.decision.to_string(), cause)).or_default() += 1;
        }
        match line.query.as_deref().and_then(mark) {
            None => self.faults.push(format!("a line of no request that was sent: {text}")),
            Some(mark) if self.statuses.insert(mark, line.status).is_some() => {
                self.faults.push(format!("a second line: {text}"));
            }
            Some(_) => {}
        }
    }

    /// Each request has its line, and each line its request. `fates` by client and number.
    pub(super) fn lines_are(&self, fates: &[&[Fate]]) -> Demand {
        let mut faults = self.faults.clone();
        let (mut answered, mut left, mut unread) = (0, 0, 0);
        for (client, fates) in fates.iter().enumerate() {
            for (number, fate) in fates.iter().enumerate() {
                let logged = self.statuses.get(&(client, number));
                match (fate, logged) {
                    (Fate::Answered(status), Some(logged)) if status == logged => answered += 1,
                    (Fate::Left, Some(_)) => left += 1,
                    (Fate::Unread, _) => unread += usize::from(logged.is_some()),
                    (_, None) => faults.push(format!("{fate:?} has no line: {client}.{number}")),
                    (_, Some(logged)) => faults.push(format!("{fate:?} was logged {logged}: {client}.{number}")),
                }
            }
        }
        let known = |&&(client, number): &&(usize, usize)| fates.get(client).is_some_and(|fates| number < fates.len());
        let strange = self.statuses.keys().filter(|mark| !known(mark));
        faults
            .extend(strange.map(|(client, number)| format!("a line of a request that nobody sent: {client}.{number}")));
        let measured = format!(
            "{} lines: {answered} answered, {left} left, {unread} given up before the head was read",
            self.lines
        );
        Demand::new("each request has one line with its status", measured, faults)
    }

    /// The metrics count what the log tells.
    pub(super) fn counts_are(&self, metrics: &Metrics) -> Demand {
        let mut faults = Vec::new();
        let mut same = |what: String, logged: u64, counted: f64| {
            let counted = counted as u64;
            if logged != counted {
                faults.push(format!("{what}: {logged} lines, and {counted} in the metrics"));
            }
        };
        same("requests".to_owned(), self.lines as u64, metrics.sum("portcullis_requests_total", &[]));
        for ((class, decision), lines) in &self.by_decision {
            let labels = [("status_class", *class), ("decision", decision)];
            same(format!("{decision} {class}"), *lines, metrics.sum("portcullis_requests_total", &labels));
        }
        for (decision, name) in [("deny", "portcullis_denials_total"), ("fail", "portcullis_failures_total")] {
            let causes = self.by_cause.iter().filter(|((of, _), _)| of == decision);
            same(name.to_owned(), causes.clone().map(|(_, lines)| lines).sum(), metrics.sum(name, &[]));
            for ((_, cause), lines) in causes {
                same(cause.clone(), *lines, metrics.sum(name, &[("cause", cause)]));
            }
        }
        let measured = format!("{} classes, {} causes", self.by_decision.len(), self.by_cause.len());
        Demand::new("the metrics count what the log tells", measured, faults)
    }

    /// Each 5xx has a cause that this load has, or is the origin's own answer.
    pub(super) fn has_causes(&self, metrics: &Metrics) -> Demand {
        let mut faults = Vec::new();
        let own = self.server_errors.get(&None).copied().unwrap_or(0);
        let answered = metrics.sum("portcullis_upstream_requests_total", &[("status_class", "5xx")]);
        if own as f64 != answered {
            faults.push(format!("{own} lines with 5xx have no cause, and origins answered {answered} times with 5xx"));
        }
        for (cause, lines) in &self.server_errors {
            if let Some(cause) = cause.as_deref().filter(|cause| !SERVER_ERRORS.contains(cause)) {
                faults.push(format!("{lines} lines have the cause {cause}, for which there is no reason"));
            }
        }
        let name = |cause: &Option<String>| cause.clone().unwrap_or_else(|| "the origin's own".to_owned());
        let causes: Vec<_> =
            self.server_errors.iter().map(|(cause, lines)| format!("{lines} {}", name(cause))).collect();
        Demand::new("each 5xx has a cause", causes.join(", "), faults)
    }
}

/// Client and number of a query like `r=3.17`.
fn mark(query: &str) -> Option<(usize, usize)> {
    let (client, number) = query.strip_prefix("r=")?.split_once('.')?;
    Some((client.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"status":200,"decision":"allow","query":"r=0.0"}
{"status":502,"decision":"fail","cause":"upstream_closed","query":"r=0.1"}
{"status":500,"decision":"allow","query":"r=1.0"}
"#;
    const METRICS: &str = r#"portcullis_requests_total{decision="allow",route="a",status_class="2xx"} 1
portcullis_requests_total{decision="allow",route="a",status_class="5xx"} 1
portcullis_requests_total{decision="fail",route="a",status_class="5xx"} 1
portcullis_failures_total{cause="upstream_closed",route="a"} 1
portcullis_upstream_requests_total{status_class="5xx",upstream="a"} 1
"#;
    const FATES: [&[Fate]; 2] = [&[Fate::Answered(200), Fate::Left], &[Fate::Answered(500), Fate::Unread]];

    fn faults(log: &str, fates: &[&[Fate]], metrics: &str) -> Vec<String> {
        let (ledger, metrics) = (Ledger::read(log.as_bytes()), Metrics(metrics.to_owned()));
        [ledger.lines_are(fates), ledger.counts_are(&metrics), ledger.has_causes(&metrics)]
            .into_iter()
            .flat_map(|demand| demand.faults)
            .collect()
    }

    #[track_caller]
    fn one_fault(faults: &[String], wanted: &str) {
        assert!(faults.iter().any(|fault| fault.contains(wanted)), "{faults:#?}");
    }

    #[test]
    fn a_log_that_tells_everything_has_no_fault() {
        assert_eq!(faults(LOG, &FATES, METRICS), [""; 0]);
    }

    #[test]
    fn a_line_too_many_and_one_too_few_are_found() {
        let twice = LOG.to_owned() + "{\"status\":200,\"decision\":\"allow\",\"query\":\"r=0.0\"}\n";
        one_fault(&faults(&twice, &FATES, METRICS), "a second line");
        one_fault(&faults(&twice, &FATES, METRICS), "requests: 4 lines, and 3");
        let more = [&[Fate::Answered(200), Fate::Left, Fate::Left][..], FATES[1]];
        one_fault(&faults(LOG, &more, METRICS), "Left has no line: 0.2");
        one_fault(&faults(LOG, &FATES[..1], METRICS), "nobody sent: 1.0");
        one_fault(&faults(&LOG.replace("r=1.0", "x"), &FATES, METRICS), "no request that was sent");
    }

    #[test]
    fn another_status_than_the_client_saw_is_found() {
        let other = [&[Fate::Answered(204), Fate::Left][..], FATES[1]];
        one_fault(&faults(LOG, &other, METRICS), "Answered(204) was logged 200: 0.0");
    }

    #[test]
    fn counts_that_differ_are_found() {
        let other = METRICS.replace("upstream_closed", "upstream_timeout");
        one_fault(&faults(LOG, &FATES, &other), "upstream_closed: 1 lines, and 0");
        let more = METRICS.to_owned() + "portcullis_denials_total{cause=\"route_denied\",route=\"a\"} 1\n";
        one_fault(&faults(LOG, &FATES, &more), "portcullis_denials_total: 0 lines, and 1");
    }

    #[test]
    fn a_server_error_without_a_reason_is_found() {
        one_fault(&faults(&LOG.replace("upstream_closed", "internal_error"), &FATES, METRICS), "internal_error");
        one_fault(&faults(LOG, &FATES, &METRICS.replace("portcullis_upstream_requests_total", "x")), "have no cause");
    }
}
