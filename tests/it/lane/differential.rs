//! Both lanes get the same requests, and the same answers of their origins: the origin, the client and the log must see the same.
//!
//! What may differ is written down here: ids, times and ports; whether a connection with several options is kept; the order of
//! fields with different names; where chunks begin; that the full lane neither asks for trailers nor announces any
//! ([`crate::trailers`]); and in the log the lane, how the origin's connection was come by, and of what
//! failed its words, whose cause must agree, and how far its bytes had come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::client::Client;
use crate::support::raw_origin::{RawOrigin, Wire};
use crate::support::{Gateway, Setup};

/// How many exchanges are compared.
const CASES: usize = 400;

const RULES: &str = "bounds: { body: 30KiB }
access_log: { output: stdout }
response_headers: { set: { X-Frame-Options: DENY }, remove: [Server], default: { X-Default: gateway } }
upstreams: { origin: { endpoints: [\"<o>\"], timeouts: { response: 2s }, retries: off } }
routes:
  - { name: all, access: public, upstream: origin }
  - { name: limited, match: { path: /limited, methods: [GET] }, access: public, upstream: origin }
  - { name: denied, match: { path: /denied }, access: deny }
";

/// One exchange: what the client sends, and what the origin answers, in pieces.
struct Exchange {
    request: Vec<Vec<u8>>,
    answer: Vec<Vec<u8>>,
    /// The origin closes behind its answer.
    closes: bool,
    to_head: bool,
}

/// What somebody saw: a start line, the fields, and the body.
type Message = (String, Vec<(String, String)>, Vec<u8>);

/// What the origin got, by the name of the exchange.
type Got = Arc<Mutex<HashMap<String, Vec<Message>>>>;

/// Numbers that look like chance, and are the same in every run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn one_of<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    fn some_of(&mut self, of: &[&str], most: usize) -> String {
        (0..self.below(most + 1)).map(|_| self.one_of(of).to_owned()).collect()
    }

    /// `text` as one piece, or as several.
    fn pieces(&mut self, text: Vec<u8>) -> Vec<Vec<u8>> {
        if text.len() < 2 || self.below(2) == 0 {
            return vec![text];
        }
        let cut = 1 + self.below(text.len() - 1);
        vec![text[..cut].to_vec(), text[cut..].to_vec()]
    }
}

const REQUEST_FIELDS: &[&str] = &[
    "Accept: text/html\r\n",
    "Accept: application/json;q=0.5\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\n",
    "TE: trailers\r\n",
    "Trailer: X-Sum\r\n",
    "Cookie: a=b; c=d\r\n",
    "X-Forwarded-For: 192.0.2.1\r\n",
    "Forwarded: for=192.0.2.1\r\n",
    "X_Forwarded_For: 192.0.2.1\r\n",
    "X-Portcullis-Principal: ann\r\n",
    "Proxy-Connection: keep-alive\r\n",
    "Proxy-Authorization: Basic eA==\r\n",
    "Keep-Alive: timeout=5\r\n",
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n",
    "Via: 1.0 other\r\n",
    "User-Agent: \tthe agent \r\n",
    "X-Request-Id: mine\r\n",
    "X-Empty:\r\n",
    "X-Twice: 1\r\nX-Twice: 2\r\n",
    "X-Latin: caf\u{e9}\r\n",
    "Expect:\r\n",
];

const ANSWER_FIELDS: &[&str] = &[
    "X-Frame-Options: SAMEORIGIN\r\n",
    "x-frame-options: A\r\nX-FRAME-OPTIONS: B\r\n",
    "Server: origin\r\n",
    "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n",
    "Connection: close\r\n",
    "Connection: X-Hop\r\nX-Hop: 1\r\n",
    "Keep-Alive: timeout=5\r\n",
    "Trailer: X-Sum\r\n",
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
    "X-Folded: one\r\n two\r\n",
    "X-Default: origin\r\n",
    "Content-Type: text/event-stream\r\n",
    "Upgrade: h2c\r\n",
    "Via: 1.1 inner\r\n",
    "X-Empty:\r\n",
];

fn exchange(number: usize, chance: &mut Chance) -> Exchange {
    let method = chance.one_of(&["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]);
    let version = chance.one_of(&["1.1", "1.1", "1.1", "1.0"]);
    let target = chance.one_of(&[
        "/",
        "/a?b=c",
        "/a/../b",
        "/%7Ea",
        "http://gateway.test/abs?x",
        "/limited",
        "/denied",
        "/a%2fb",
        "/a|b",
        "/{x}?\"",
        "*",
    ]);
    let mut request =
        format!("{method} {target} HTTP/{version}\r\nHost: gateway.test\r\nX-Case: {number}\r\n").into_bytes();
    request.extend_from_slice(chance.some_of(REQUEST_FIELDS, 4).as_bytes());
    let length = chance.one_of(&[&0, &1, &5, &20_000, &40_000]);
    let body = vec![b'x'; *length];
    match chance.below(if version == "1.1" { 5 } else { 4 }) {
        0 | 1 => request.extend_from_slice(b"\r\n"),
        2 => request.extend_from_slice(b"Content-Length: 0\r\n\r\n"),
        3 => request.extend([format!("Content-Length: {length}\r\n\r\n").into_bytes(), body].concat()),
        _ => {
            request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in body.chunks(7000) {
                request.extend([format!("{:x};e=1\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
            }
            request.extend_from_slice(b"0\r\nX-Sum: 1\r\n\r\n");
        }
    }
    let status = chance.one_of(&[
        "200 OK",
        "200 Fine",
        "201",
        "204 No",
        "304 Not",
        "404 Not Found",
        "500 Oh",
        "299 What",
        "99 x",
        "abc",
    ]);
    let version = chance.one_of(&["1.1", "1.1", "1.1", "1.0", "1.2", "2.0"]);
    let interim = chance.one_of(&["", "", "", "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n", "\r\n"]);
    let mut answer = format!("{interim}HTTP/{version} {status}\r\n").into_bytes();
    answer.extend_from_slice(chance.some_of(ANSWER_FIELDS, 4).as_bytes());
    answer.extend_from_slice(match chance.below(12) {
        0..=3 => b"Content-Length: 5\r\n\r\nhello".as_slice(),
        4 => b"Content-Length: 5, 5\r\nContent-Length: 5\r\n\r\nhello",
        5 => b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        6 => b"Content-Length: 50\r\n\r\nhello",
        7 => b"Content-Length: 3\r\n\r\nhello",
        8 => b"Transfer-Encoding: chunked\r\n\r\n2;x\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n",
        9 => b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        10 => b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
        _ => b"\r\nhello",
    });
    let closes = chance.below(3) == 0 || answer.ends_with(b"\r\n\r\nhello");
    Exchange { request: chance.pieces(request), answer: chance.pieces(answer), closes, to_head: method == "HEAD" }
}

fn origin(cases: Arc<Vec<Exchange>>, got: Got) -> RawOrigin {
    RawOrigin::start(move |wire| {
        while let Some(message) = request(wire) {
            let name = value(&message.1, "x-case").unwrap_or_default();
            got.lock().unwrap().entry(name.clone()).or_default().push(message);
            let case = &cases[name.parse::<usize>().expect("the name of an exchange")];
            for (index, piece) in case.answer.iter().enumerate() {
                if index > 0 {
                    thread::sleep(Duration::from_millis(1));
                }
                wire.send(piece);
            }
            if case.closes {
                return;
            }
        }
    })
}

fn request(wire: &mut Wire) -> Option<Message> {
    let head = wire.head()?;
    let (line, fields) = taken_apart(&head);
    let body = match (value(&fields, "transfer-encoding"), value(&fields, "content-length")) {
        (Some(_), _) => chunks(wire)?,
        (None, Some(length)) => wire.take(length.parse().expect("a length"))?,
        (None, None) => Vec::new(),
    };
    Some((line, fields, body))
}

fn chunks(wire: &mut Wire) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = wire.until(b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&line).ok()?.trim(), 16).expect("a plain size");
        let data = wire.take(size + 2)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&data[..size]);
    }
}

/// The start line of a head, and its fields in the order of their names. Those of one name stay in order.
fn taken_apart(head: &str) -> (String, Vec<(String, String)>) {
    let mut lines = head.trim_end().lines();
    let first = lines.next().unwrap_or_default().to_owned();
    let fields = lines.filter_map(|line| line.split_once(':'));
    (first, comparable(fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned()))))
}

fn comparable(fields: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let made_anew = ["x-request-id", "date"];
    let of_trailers = |name: &str, value: &str| matches!((name, value), ("te" | "trailer", _) | ("connection", "TE"));
    let mut fields: Vec<_> = fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, value)| !of_trailers(name, value))
        .map(|(name, value)| if made_anew.contains(&&*name) { (name, String::new()) } else { (name, value) })
        .collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

fn value(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
}

/// Whether `Connection` has several options, or comes several times: Pingora looks at the first field alone, and so may keep a
/// connection that its client wants closed, or close one of HTTP/1.0 that is to be kept.
fn has_many_options(case: &Exchange) -> bool {
    let request = String::from_utf8_lossy(&case.request.concat()).into_owned();
    let options: Vec<_> = request.lines().filter_map(|line| line.strip_prefix("Connection: ")).collect();
    options.len() > 1 || options.iter().any(|options| options.contains(','))
}

/// What the client sees of `case`: an answer, or how the connection ended without one.
fn answer(gateway: &Gateway, case: &Exchange) -> Result<(Message, bool), String> {
    let mut client = Client::connect(gateway.address());
    for (index, piece) in case.request.iter().enumerate() {
        if index > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        // An answer may come, and the connection close, before the body is sent.
        let _ = client.try_send(piece);
    }
    let answer = client.try_read_response(case.to_head).map_err(|error| error.kind().to_string())?;
    let many = has_many_options(case);
    let keeps = !many && answer.values("connection") == ["keep-alive"];
    // The words of an error page have the id of their request.
    let own = answer.values("content-type").iter().any(|kind| kind.contains("problem") || kind.contains("text/html"));
    let body = if own { Vec::new() } else { answer.body };
    let headers = answer.headers.into_iter().filter(|(name, _)| !many || !name.eq_ignore_ascii_case("connection"));
    Ok(((answer.status.to_string(), comparable(headers), body), keeps))
}

fn line(gateway: &Gateway, count: usize) -> Value {
    let mut line = gateway.logged(count)[count - 1].clone();
    let differs = [
        "time",
        "duration_ms",
        "request_id",
        "peer",
        "lane",
        "detail",
        "endpoint",
        "attempts",
        "upstream_reused",
        "upstream_connect_ms",
        "upstream_response_ms",
    ];
    let whole = line["decision"] == "allow";
    let bytes = ["bytes_sent", "bytes_received"];
    let fields = line.as_object_mut().expect("a line");
    fields.retain(|name, _| !differs.contains(&name.as_str()) && (whole || !bytes.contains(&name.as_str())));
    line
}

#[test]
fn both_lanes_do_the_same_with_whatever_comes() {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let cases: Arc<Vec<Exchange>> = Arc::new((0..CASES).map(|number| exchange(number, &mut chance)).collect());
    let lanes = ["on", "off"].map(|switch| {
        let got = Got::default();
        let origin = origin(cases.clone(), got.clone());
        let yaml = format!("process: {{ threads: 1, fast_lane: \"{switch}\" }}\n{RULES}");
        let gateway = Setup::new(&yaml).with("o", origin.address()).start();
        (gateway, got, origin)
    });
    let mut differences = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let [fast, full] = [&lanes[0], &lanes[1]].map(|(gateway, got, _)| {
            let answer = answer(gateway, case);
            let line = line(gateway, number + 1);
            let got = got.lock().unwrap().get(&number.to_string()).cloned();
            (answer, line, got)
        });
        let text = |pieces: &[Vec<u8>]| String::from_utf8_lossy(&pieces.concat()).chars().take(600).collect::<String>();
        let about = || format!("{number}:\n{}\n----\n{}\n", text(&case.request), text(&case.answer));
        if fast.0 != full.0 {
            differences.push(format!("the client of {}fast: {:?}\nfull: {:?}\n", about(), fast.0, full.0));
        }
        if fast.1 != full.1 {
            differences.push(format!("the log of {}fast: {}\nfull: {}\n", about(), fast.1, full.1));
        }
        if fast.2 != full.2 {
            differences.push(format!("the origin of {}fast: {:?}\nfull: {:?}\n", about(), fast.2, full.2));
        }
    }
    let count = differences.len();
    assert_eq!(count, 0, "{}", differences.into_iter().take(12).collect::<String>());
}
