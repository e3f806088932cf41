//! What the gateway runs.

/// Differs from generation to generation in what no client sees, and has the same routes in each: the series of a route that is
/// gone stay, and would look like a drift.
pub(super) fn configuration(round: usize) -> String {
    let name = ["even", "odd"][round % 2];
    format!(
        "listeners:
  - {{ name: main, address: \"<listen>\" }}
  - {{ name: secure, address: \"<secure>\", tls: {{ certificates: [{{ cert: <dir>/edge.pem, key: <dir>/edge.key }}] }} }}
access_log: {{ output: {{ file: \"<dir>/access.log\" }} }}
bounds: {{ header_time: 500ms, write_idle: 1s, body: 512KiB }}
response_headers: {{ set: {{ X-Frame-Options: DENY, X-Round: {name} }} }}
identities: {{ partners: {{ api_key: {{ keys: {{ list: [{{ id: acme, hash: \"<hash>\" }}] }} }} }} }}
upstreams:
  app: {{ endpoints: [\"<app>\"], timeouts: {{ idle: 1s }} }}
  hasty: {{ endpoints: [\"<app>\"], timeouts: {{ idle: 1s, response: 300ms }} }}
  dead: {{ endpoints: [\"<dead>\"] }}
  mortal: {{ endpoints: [\"<mortal>\"], timeouts: {{ idle: 1s }} }}
  pair:
    endpoints: [\"<mortal>\", \"<immortal>\"]
    health: {{ tcp: {{ interval: 500ms, timeout: 500ms }} }}
    ejection: {{ for: 200ms, longest: 1s }}
    retries: {{ on: [connect, reset], budget: 100% }}
    timeouts: {{ idle: 1s }}
routes:
  - {{ name: keyed, match: {{ path: /keyed }}, access: {{ identity: partners }}, respond: {{ body: known }} }}
  - {{ name: denied, match: {{ path: /denied }}, access: deny }}
  - {{ name: limited, match: {{ path: /limited }}, access: public, limits: [{{ name: few, rate: 5/s }}], respond: {{ body: ok }} }}
  - {{ name: pair, match: {{ path: /pair }}, access: public, upstream: pair }}
  - {{ name: mortal, match: {{ path: /mortal }}, access: public, upstream: mortal }}
  - {{ name: dead, match: {{ path: /dead }}, access: public, upstream: dead }}
  - {{ name: never, match: {{ path: /never }}, access: public, upstream: hasty }}
  - {{ name: upload, match: {{ path: /upload, methods: [POST] }}, access: public, upstream: app }}
"
    ) + &["small", "big", "ws", "late", "fail", "cut", "half", "garbage"]
        .map(|path| {
            format!("  - {{ name: {path}, match: {{ path: /{path}, methods: [GET] }}, access: public, upstream: app }}\n")
        })
        .concat()
}

/// A configuration that must be refused: a route leads to an upstream that is not there.
pub(super) fn broken() -> String {
    configuration(0) + "  - { name: broken, match: { path: /broken }, access: public, upstream: absent }\n"
}
