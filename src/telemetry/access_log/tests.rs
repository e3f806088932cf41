use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderValue, Method};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::log_template::{FIELDS, LogTemplate};
use crate::config::snapshot::{LogFormat, LogOutput};
use crate::decision::access::Principal;
use crate::decision::outcome::Cause;
use crate::decision::request::Scheme;
use crate::telemetry::record::{RecordedDecision, UpstreamRecord};

fn record() -> RequestRecord {
    RequestRecord {
        time: UNIX_EPOCH + Duration::from_millis(1_795_316_400_123),
        duration: Duration::from_micros(12_345),
        request_id: "r1".to_owned(),
        listener: "public".into(),
        client: "203.0.113.7".parse().unwrap(),
        peer: "[2001:db8::1]:4711".parse().unwrap(),
        via: None,
        protocol: "HTTP/2",
        lane: Some("full"),
        scheme: Scheme::Https,
        tls: Some("TLSv1.3"),
        method: Method::GET,
        host: "api.example.com".to_owned(),
        path: "/v1/orders/7".to_owned(),
        query: Some("page=2".to_owned()),
        user_agent: Some(HeaderValue::from_bytes(b"say \"hi\" \xe9").unwrap()),
        referer: None,
        status: 200,
        bytes_sent: 512,
        bytes_received: 0,
        route: Some("orders".into()),
        generation: 1,
        decision: RecordedDecision::Allow,
        cause: None,
        detail: None,
        would_deny: Some(Cause::RateExceeded),
        principal: Some(Arc::new(Principal {
            id: "ada lovelace".to_owned(),
            identity: "corp".into(),
            scopes: Vec::new(),
            roles: Vec::new(),
            claims: serde_json::Map::new(),
            expires: None,
        })),
        upstream: Some(UpstreamRecord {
            name: "orders".into(),
            endpoint: Some("127.0.0.1:9001".parse().unwrap()),
            attempts: 1,
            retried: None,
            reused: true,
            connect: Some(Duration::ZERO),
            response: Some(Duration::from_micros(11_000)),
        }),
    }
}

/// The record of a request that was neither parsed nor answered.
fn unparsed() -> RequestRecord {
    RequestRecord {
        protocol: "",
        lane: None,
        tls: None,
        host: String::new(),
        path: String::new(),
        query: None,
        user_agent: None,
        status: 0,
        bytes_sent: 0,
        route: None,
        decision: RecordedDecision::Deny,
        cause: Some(Cause::MalformedRequest),
        detail: Some(Cow::Borrowed("the head is not HTTP")),
        would_deny: None,
        principal: None,
        upstream: None,
        ..record()
    }
}

fn line(format: &LineFormat, record: &RequestRecord) -> String {
    let mut line = Vec::new();
    format.write_line(record, &mut line);
    String::from_utf8(line).unwrap()
}

fn template(text: &str) -> LineFormat {
    LineFormat::Template(LogTemplate::parse(text).unwrap())
}

#[test]
fn a_json_line_holds_every_field_that_is_known() {
    let value: serde_json::Value = serde_json::from_str(&line(&LineFormat::Json, &record())).unwrap();
    assert_eq!(
        value,
        json!({
            "time": "2026-11-22T03:00:00.123Z", "duration_ms": 12.345, "request_id": "r1", "listener": "public",
            "client": "203.0.113.7", "peer": "[2001:db8::1]:4711", "protocol": "HTTP/2", "lane": "full", "scheme": "https",
            "tls": "TLSv1.3", "method": "GET", "host": "api.example.com", "path": "/v1/orders/7", "query": "page=2",
            "user_agent": "say \"hi\" \u{fffd}", "status": 200, "bytes_sent": 512, "bytes_received": 0,
            "route": "orders", "generation": 1, "decision": "allow", "would_deny": "rate_exceeded", "principal": "ada lovelace",
            "identity": "corp", "upstream": "orders", "endpoint": "127.0.0.1:9001", "attempts": 1,
            "upstream_reused": true, "upstream_connect_ms": 0.0, "upstream_response_ms": 11.0,
        })
    );
}

#[test]
fn absent_fields_are_left_out_of_json() {
    let value: serde_json::Value = serde_json::from_str(&line(&LineFormat::Json, &unparsed())).unwrap();
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "time",
        "duration_ms",
        "request_id",
        "listener",
        "client",
        "peer",
        "scheme",
        "bytes_sent",
        "bytes_received",
        "generation",
        "decision",
        "cause",
        "detail",
    ];
    keys.sort_unstable();
    expected.sort_unstable();
    assert_eq!(keys, expected);
}

#[test]
fn combined_is_what_its_readers_expect() {
    assert_eq!(
        line(&LineFormat::Combined, &record()),
        "203.0.113.7 - ada\\x20lovelace [22/Nov/2026:03:00:00 +0000] \"GET /v1/orders/7?page=2 HTTP/2.0\" 200 512 \"-\" \
         \"say \\\"hi\\\" \\xe9\"\n"
    );
    assert_eq!(
        line(&LineFormat::Combined, &unparsed()),
        "203.0.113.7 - - [22/Nov/2026:03:00:00 +0000] \"-\" - - \"-\" \"-\"\n"
    );
}

#[test]
fn a_template_escapes_values_and_marks_absent_ones() {
    let format = template("{time} {duration_ms} {client} \"{user_agent}\" {upstream_reused} {referer} {{{status}}}");
    assert_eq!(
        line(&format, &record()),
        "2026-11-22T03:00:00.123Z 12.345 203.0.113.7 \"say \\\"hi\\\" \\xe9\" true - {200}\n"
    );
}

#[test]
fn no_format_writes_a_credential_of_the_query() {
    let mut record = record();
    record.query = Some("a=1&access_token=s3cret".to_owned());
    record.referer = Some(HeaderValue::from_static("https://ann:s3cret@a/?token=s3cret"));
    record.path = "/app;jsessionid=s3cret".to_owned();
    for format in [LineFormat::Json, LineFormat::Combined, template("{path} {query} {referer}")] {
        let line = line(&format, &record);
        assert!(!line.contains("s3cret") && line.contains("a=1&access_token=[redacted]"), "{line}");
    }
}

#[test]
fn no_request_makes_a_long_line() {
    let long = "a".repeat(900_000);
    let mut record = record();
    record.method = Method::from_bytes(long.as_bytes()).unwrap();
    record.host = long.clone();
    record.path = format!("/{long}");
    record.query = Some(long.clone());
    record.user_agent = Some(HeaderValue::from_str(&long).unwrap());
    record.referer = Some(HeaderValue::from_str(&long).unwrap());
    record.detail = Some(Cow::Owned(long.clone()));
    Arc::make_mut(record.principal.as_mut().unwrap()).id = long;
    let every_field = FIELDS.iter().map(|field| format!("{{{field}}}")).collect::<String>();
    for format in [LineFormat::Json, LineFormat::Combined, template(&every_field)] {
        let line = line(&format, &record);
        assert!(line.len() < 20 << 10, "{}", line.len());
        assert!(line.contains(&format!("{}[+899968_bytes]", "a".repeat(32))), "{line}");
    }
}

#[test]
fn a_template_can_hold_every_field() {
    let text = FIELDS.iter().map(|field| format!("{{{field}}}")).collect::<Vec<_>>().join("|");
    assert_eq!(line(&template(&text), &record()).split('|').count(), FIELDS.len());
}

proptest! {
    #[test]
    fn whatever_a_stranger_sends_stays_in_its_line_and_its_quotes(
        path: String, query: Option<String>, id: String, agent in proptest::collection::vec(32u8..=255, 0..20),
    ) {
        let mut record = record();
        record.path = path;
        record.query = query;
        record.user_agent = HeaderValue::from_bytes(&agent).ok();
        Arc::make_mut(record.principal.as_mut().unwrap()).id = id;

        let json = line(&LineFormat::Json, &record);
        prop_assert_eq!(json.matches('\n').count(), 1);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());

        let combined = line(&LineFormat::Combined, &record);
        prop_assert_eq!(combined.matches('\n').count(), 1);
        let quotes = combined.replace("\\\\", "").replace("\\\"", "").matches('"').count();
        prop_assert_eq!(quotes, 6);
        prop_assert_eq!(combined.split(' ').nth(3), Some("[22/Nov/2026:03:00:00"));
    }
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn start(path: &Path, queue: usize) -> AccessLogger {
    AccessLogger::start(&snapshot::AccessLogConfig {
        format: LogFormat::Template(LogTemplate::parse("{request_id}").unwrap()),
        output: LogOutput::File(path.to_owned()),
        queue,
    })
    .unwrap()
}

fn numbered(number: u32) -> RequestRecord {
    RequestRecord { request_id: number.to_string(), ..record() }
}

#[test]
fn lines_are_written_in_order_after_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, "before\n").unwrap();
    let log = start(&path, 100);
    log.record(numbered(1));
    log.record(numbered(2));
    assert!(log.flush(deadline()));
    assert_eq!(fs::read_to_string(&path).unwrap(), "before\n1\n2\n");
}

#[test]
fn rotation_loses_and_tears_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = start(&path, 100_000);
    for round in 0..10 {
        for number in 0..500 {
            log.record(numbered(round * 500 + number));
        }
        fs::rename(&path, folder.path().join(format!("access.log.{round}"))).unwrap();
        log.reopen();
        // Until the file is open under its name again, it can't be moved.
        assert!(log.flush(deadline()));
    }
    assert!(path.exists());
    let mut numbers: Vec<u32> = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        numbers.extend(text.lines().map(|line| line.parse::<u32>().unwrap()));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..5000).collect::<Vec<_>>());
    assert_eq!((log.dropped(), log.write_errors()), (0, 0));
}

#[test]
fn an_output_that_stands_still_costs_lines_not_time() {
    let log = start(Path::new("/dev/full"), 4);
    for number in 0..1000 {
        log.record(numbered(number));
    }
    assert!(!log.flush(Instant::now() + Duration::from_millis(300)));
    assert!(log.write_errors() >= 1);
    // The queue's capacity, and the records that the thread took before the error.
    for number in 0..100 {
        log.record(numbered(number));
    }
    assert!(log.dropped() >= 90, "{}", log.dropped());
}

#[test]
fn a_folder_that_does_not_exist_is_an_error_at_once() {
    let output = LogOutput::File("/nonexistent/access.log".into());
    let error =
        AccessLogger::start(&snapshot::AccessLogConfig { format: LogFormat::Json, output, queue: 1 }).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/access.log"));
}

#[test]
fn a_log_that_is_off_takes_and_drops_nothing() {
    let log =
        AccessLogger::start(&snapshot::AccessLogConfig { format: LogFormat::Json, output: LogOutput::Off, queue: 1 })
            .unwrap();
    log.record(record());
    log.reopen();
    assert!(log.flush(deadline()) && log.dropped() == 0);
}

#[test]
fn dropping_the_handle_writes_what_is_queued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let sink = LogSink::open(&LogOutput::File(path.clone())).unwrap().unwrap();
    let (queue, receiver) = mpsc::sync_channel(10);
    let writer = LogWriter::new(receiver, Arc::default(), sink, template("{request_id}"), 10);
    queue.send(QueueMessage::Line(numbered(1))).unwrap();
    queue.send(QueueMessage::Line(numbered(2))).unwrap();
    drop(queue);
    writer.run();
    assert_eq!(fs::read_to_string(&path).unwrap(), "1\n2\n");
}
