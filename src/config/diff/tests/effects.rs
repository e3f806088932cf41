//! One test a group of effects: from what was written before and after to what is said.

use super::*;

/// Wraps what a route says besides its name and destination.
fn route(written: &str) -> String {
    format!("routes: [{{name: r, {written}, upstream: a}}]")
}

/// Each of `cases`: before, after, and the only thing that is said.
#[track_caller]
fn each(wrap: impl Fn(&str) -> String, cases: &[(&str, &str, &str)]) {
    for (before, after, expected) in cases {
        let said = said(&wrap(before), &wrap(after));
        assert_eq!(said, [*expected], "{before} -> {after}");
    }
}

const IDENTITIES: &str = "identities:
  i: {jwt: {issuer: x, audience: y, keys: {secret: {env: SECRET_A}}}}
  k: {api_key: {keys: {list: [{id: ann, hash: 'sha256:0000000000000000000000000000000000000000000000000000000000000001'}]}}}
";

#[test]
fn who_may_come_in() {
    let wrap = |access: &str| {
        // Both identities are used elsewhere, so that they are there before and after.
        format!(
            "{IDENTITIES}routes: [{{name: r, access: {access}, upstream: a}}, \
             {{name: other, match: {{path: /other}}, access: {{identity: [i, k]}}, upstream: a}}]"
        )
    };
    each(
        wrap,
        &[
            ("{identity: i}", "public", "route r: access: i -> public (weaker)"),
            ("public", "{identity: i}", "route r: access: public -> i (stronger)"),
            ("{identity: i}", "{identity: [i, k]}", "route r: access: i -> i or k (weaker)"),
            ("{identity: i, allow: {scope: a}}", "{identity: i}", "route r: access: i, with scope a -> i (weaker)"),
            (
                "{identity: i, allow: {role: [x]}}",
                "{identity: i, allow: {role: [x, y]}}",
                "route r: access: i, with role x -> i, with role x or y (weaker)",
            ),
            (
                "{identity: i, allow: {scope: a}}",
                "{identity: i, allow: {scope: a, claims: {tier: gold}}}",
                "route r: access: i, with scope a -> i, with scope a, with claim tier = gold (stronger)",
            ),
            (
                "{identity: i}",
                "{identity: i, forward_credentials: true}",
                "route r: credentials: none -> shown to the origin (weaker)",
            ),
        ],
    );
}

#[test]
fn from_where() {
    each(
        |written| route(&format!("access: public{written}")),
        &[
            (", addresses: {allow: [10.0.0.0/8]}", "", "route r: addresses allowed: 10.0.0.0/8 -> none (weaker)"),
            (
                ", addresses: {allow: [10.0.0.0/8]}",
                ", addresses: {allow: [10.1.0.0/16, 10.2.0.0/16]}",
                "route r: addresses allowed: 10.0.0.0/8 -> 10.1.0.0/16, 10.2.0.0/16 (stronger)",
            ),
            (
                ", addresses: {deny: [10.0.0.1]}",
                ", addresses: {deny: [10.0.0.1, '2001:db8::/32']}",
                "route r: addresses denied: 10.0.0.1/32 -> 10.0.0.1/32, 2001:db8::/32 (stronger)",
            ),
        ],
    );
    let ten: Vec<String> = (0..10).map(|n| format!("10.0.{n}.1")).collect();
    let deny = |list: &[String]| route(&format!("access: public, addresses: {{deny: [{}]}}", list.join(", ")));
    let said = said(&deny(&ten), &deny(&ten[..9]));
    assert!(
        said[0].contains("10.0.7.1/32, 2 more ranges -> ") && said[0].ends_with("1 more ranges (weaker)"),
        "{said:?}"
    );
}

#[test]
fn a_rule_that_only_reports_protects_nothing() {
    let enforced = route("access: public, addresses: {allow: [10.0.0.0/8]}");
    let reported = route("access: public, addresses: {allow: [10.0.0.0/8], mode: report}");
    assert_eq!(said(&enforced, &reported), ["route r: addresses mode: none -> reports only (weaker)"]);
    assert_eq!(said(&reported, &enforced), ["route r: addresses mode: reports only -> none (stronger)"]);
}

#[test]
fn how_much() {
    each(
        |limit| route(&format!("access: public, limits: [{limit}]")),
        &[
            (
                "{name: l, rate: 5/s}",
                "{name: l, rate: 50/s}",
                "route r: limit l: 5 per second, burst 5, by client address, counted for this route alone -> \
                 50 per second, burst 50, by client address, counted for this route alone (weaker)",
            ),
            (
                "{name: l, rate: 5/s, burst: 9}",
                "{name: l, rate: 300/m, burst: 8}",
                "route r: limit l: 5 per second, burst 9, by client address, counted for this route alone -> \
                 300 per minute, burst 8, by client address, counted for this route alone (stronger)",
            ),
            (
                "{name: l, concurrent: 5, key: route}",
                "{name: l, concurrent: 5, key: route, mode: report}",
                "route r: limit l: 5 at the same time, by route, counted for this route alone -> \
                 5 at the same time, by route, reports only, counted for this route alone (weaker)",
            ),
            (
                "{name: l, concurrent: 5, key: route}",
                "",
                "route r: limit l: 5 at the same time, by route, counted for this route alone -> none (weaker)",
            ),
        ],
    );
}

#[test]
fn what_it_matches() {
    each(
        |matched| route(&format!("match: {{{matched}}}, access: public")),
        &[
            ("path: /a", "path: '/b/{id}'", "route r: match path: /a -> /b/{id}"),
            ("path: '/a/*'", "path: {regex: '/a.+'}", "route r: match path: /a/* -> matching ^(?:/a.+)$"),
            ("host: a.test", "host: '*.b.test'", "route r: match host: a.test -> *.b.test"),
            ("path: /a", "path: /a, methods: [GET, POST]", "route r: match method: any -> GET, POST"),
            ("path: /a", "path: /a, headers: {X-A: b}", "route r: match header x-a: none -> b"),
            ("path: /a", "path: /a, query: {q: {present: true}}", "route r: match query q: none -> present"),
        ],
    );
}

#[test]
fn where_it_goes() {
    each(
        |written| {
            format!(
                "upstreams: {{a: {{endpoints: [127.0.0.1:9001]}}, b: {{endpoints: [127.0.0.1:9002]}}}}\nroutes: [{{name: r, match: {{path: '/x/{{id}}'}}, access: public, {written}}}]"
            )
        },
        &[
            ("upstream: a", "upstream: b", "route r: destination: upstream a -> upstream b"),
            ("upstream: a", "upstream: a, rewrite: {path: '/y/{id}'}", "route r: path for the origin: none -> /y/{id}"),
            ("upstream: a", "upstream: a, rewrite: {host: c.test}", "route r: host for the origin: none -> c.test"),
            (
                "respond: {status: 200, body: abc}",
                "redirect: {status: 302, host: c.test, path: '/y/{id}'}",
                "route r: destination: answer 200, 3B of text/plain; charset=utf-8 -> redirect 302 to host c.test, path /y/{id}",
            ),
            // What is answered is not shown.
            (
                "respond: {body: abc}",
                "respond: {body: abd}",
                "route r: destination: answer 200, 3B of text/plain; charset=utf-8 -> changed",
            ),
        ],
    );
}

#[test]
fn what_answers_carry() {
    each(
        str::to_owned,
        &[
            (
                "response_headers: {set: {X-Frame-Options: DENY}}",
                "response_headers: {default: {X-Frame-Options: DENY}}",
                "every answer: header x-frame-options: DENY -> DENY if absent (weaker)",
            ),
            (
                "response_headers: {set: {X-Frame-Options: DENY}}",
                "",
                "every answer: header x-frame-options: DENY -> none (weaker)",
            ),
            ("response_headers: {remove: [Server]}", "", "every answer: header server: removed -> none (weaker)"),
            ("", "response_headers: {append: {X-A: b}}", "every answer: header x-a: none -> b added (stronger)"),
            (
                "framing: deny",
                "framing: same_origin",
                "every answer: framing: frame-ancestors 'none' -> frame-ancestors 'self' (weaker)",
            ),
            (
                "error_pages: {404: {body: a}}",
                "error_pages: {404: {body: b}}",
                "every answer: error page 404: text/html; charset=utf-8 -> changed",
            ),
        ],
    );
}

#[test]
fn what_is_inherited_is_told_once() {
    let routes = "routes: [{name: p, match: {path: /p}, access: public, respond: {}}, {name: q, match: {path: /q}, access: public, respond: {}, response_headers: {set: {X-Frame-Options: SAMEORIGIN}}}, {name: s, match: {path: /s}, access: public, respond: {}}]\n";
    let said_of = |old: &str, new: &str| said(&format!("{routes}{old}"), &format!("{routes}{new}"));
    assert_eq!(
        said_of(
            "response_headers: {set: {X-Frame-Options: DENY}}",
            "response_headers: {set: {X-Frame-Options: SAMEORIGIN}}"
        ),
        [
            "routes p, s: header x-frame-options: DENY -> SAMEORIGIN (weaker)",
            "answers without a route: header x-frame-options: DENY -> SAMEORIGIN (weaker)",
        ]
    );
    assert_eq!(said_of("bounds: {body: 1MiB}", "bounds: {body: 2MiB}"), ["every route: body: 1MiB -> 2MiB (weaker)"]);
}

#[test]
fn routes_come_and_go() {
    let one = "{name: one, match: {path: /one}, access: public, upstream: a}";
    let two = "{name: two, match: {path: /two}, access: public, upstream: a}";
    let list = |routes: &[&str]| format!("routes: [{}]", routes.join(", "));
    let facts = "match host: any; match path: /two; match method: any; match encoded_separators: reject; access: public; \
                 destination: upstream a";
    let (less, more) = (list(&[one]), list(&[one, two]));
    assert_eq!(said(&less, &more), [format!("route two: added: {facts} (weaker)")]);
    assert_eq!(said(&more, &less), [format!("route two: removed: {facts}")]);
    assert_eq!(said(&more, &list(&[two, one])), [""; 0]);
    let [a, b] =
        ["a", "b"].map(|n| format!("{{name: {n}, match: {{path: {{regex: '/{n}.'}}}}, access: public, upstream: a}}"));
    assert_eq!(said(&list(&[&a, &b]), &list(&[&b, &a])), ["routes b, a: match order: a, b -> b, a"]);
}

#[test]
fn what_a_laxer_route_takes_over_is_told() {
    let list = |routes: &[&str]| format!("{IDENTITIES}routes: [{}]", routes.join(", "));
    let guarded =
        |path: &str| format!("{{name: admin, match: {{path: '{path}'}}, access: {{identity: [i, k]}}, upstream: a}}");
    let open = "{name: site, match: {path: '/*'}, access: public, upstream: a}";
    let closed = "{name: site, match: {path: '/*'}, access: {identity: [i, k]}, upstream: a}";
    let opened = "route admin: access: i or k -> public, by route site (weaker)";
    let (wide, narrow) = (guarded("/admin/*"), guarded("/admin/{id}"));
    let other = "{name: other, match: {host: other.test}, access: {identity: [i, k]}, upstream: a}";

    let removed = said(&list(&[&wide, open, other]), &list(&[open, other]));
    assert!(
        removed[0] == opened && removed[1].starts_with("route admin: removed") && removed.len() == 2,
        "{removed:#?}"
    );
    let moved = said(&list(&[&wide, open]), &list(&[&guarded("/staff/*"), open]));
    assert_eq!(moved, [opened, "route admin: match path: /admin/* -> /staff/*"]);
    // Another route that asks for as much, or nothing at all, opens nothing.
    for last in [&[closed][..], &[other]] {
        let all: Vec<&str> = [&[narrow.as_str()], last].concat();
        let said = said(&list(&all), &list(last));
        assert!(said.iter().all(|line| !line.contains("weaker")), "{said:#?}");
    }
}

#[test]
fn how_callers_are_recognised() {
    let wrap = |identity: &str| format!("identities: {{i: {identity}}}\n{}", route("access: {identity: i}"));
    let jwt = |written: &str| format!("{{jwt: {{issuer: x, keys: {{secret: {{env: SECRET_A}}}}, {written}}}}}");
    each(
        |written| wrap(&jwt(written)),
        &[
            ("audience: y", "audience: [y, z]", "identity i: audience: y -> y or z (weaker)"),
            ("audience: y", "audience: y, leeway: 1m", "identity i: leeway: 30s -> 1m (weaker)"),
            ("audience: y", "audience: y, header: X-Token", "identity i: header: authorization -> x-token"),
            ("audience: y", "audience: y, scope_claim: scp", "identity i: scope claim: scope -> scp"),
        ],
    );
    let key = |hash: u8, more: &str| {
        wrap(&format!("{{api_key: {{keys: {{list: [{{id: ann, hash: 'sha256:{hash:064x}'{more}}}]}}}}}}"))
    };
    assert_eq!(said(&key(1, ""), &key(2, "")), ["identity i: key ann: without end -> changed"]);
    assert_eq!(
        said(&key(1, ""), &key(1, ", scopes: [a, b], expires: 2100-01-01T00:00:00Z")),
        ["identity i: key ann: without end -> scope a and b, until 2100-01-01T00:00:00Z"]
    );
}

#[test]
fn secrets_are_never_shown() {
    let text = |end: &str| {
        format!(
            "identities: {{i: {{jwt: {{issuer: x, audience: y, keys: {{secret: {{env: SECRET_{end}}}}}}}}}}}
admin: {{address: 127.0.0.1:9900, token: {{env: SECRET_{end}}}}}
{}",
            route("access: {identity: i}")
        )
    };
    assert_eq!(
        said(&text("OLD"), &text("NEW")),
        ["identity i: key without id: for HS256 -> changed", "admin: token: asked for -> changed"]
    );
    let without = text("OLD").replace(", token: {env: SECRET_OLD}", "");
    assert_eq!(said(&text("OLD"), &without), ["admin: token: asked for -> none (weaker)"]);
}

#[test]
fn how_origins_are_reached() {
    each(
        |upstream| format!("upstreams: {{a: {{{upstream}}}}}\n{}", route("access: public")),
        &[
            (
                "endpoints: [127.0.0.1:9001]",
                "endpoints: [{address: '127.0.0.1:9001', weight: 3}]",
                "upstream a: endpoint 127.0.0.1:9001: weight 1 -> weight 3",
            ),
            (
                "endpoints: ['[::1]:9001']",
                "endpoints: ['[::1]:9001', localhost:9002]",
                "upstream a: endpoint localhost:9002: none -> weight 1",
            ),
            (
                "endpoints: [127.0.0.1:9001]",
                "endpoints: [127.0.0.1:9001], balance: least_requests",
                "upstream a: balance: round_robin -> least_requests",
            ),
            (
                "endpoints: [127.0.0.1:9001]",
                "endpoints: [127.0.0.1:9001], health: {http: {path: /up, interval: 1s}}",
                "upstream a: health: none -> GET /up, expecting 200, every 1s within 1s, healthy after 2, unhealthy after 3",
            ),
            (
                "endpoints: [127.0.0.1:9001]",
                "endpoints: [127.0.0.1:9001], timeouts: {response: 5s}",
                "upstream a: timeout response: 30s -> 5s",
            ),
            (
                "endpoints: [127.0.0.1:9001]",
                "endpoints: [127.0.0.1:9001], retries: off",
                "upstream a: retries: 3 tries on connect, after 25ms to 250ms; 20% or 3 each 1s -> off",
            ),
            (
                "endpoints: [127.0.0.1:9001]",
                "endpoints: [127.0.0.1:9001], http2: true",
                "upstream a: http2: false -> true",
            ),
            (
                "endpoints: [127.0.0.1:9001]",
                "endpoints: [127.0.0.1:9001], proxy_protocol: v2",
                "upstream a: proxy_protocol: none -> v2",
            ),
        ],
    );
    let tls =
        |tls: &str| format!("upstreams: {{a: {{endpoints: [127.0.0.1:9001]{tls}}}}}\n{}", route("access: public"));
    assert_eq!(
        said(&tls(", tls: {sni: a.test}"), &tls("")),
        [
            "upstream a: TLS: on -> off (weaker)",
            "upstream a: TLS authorities: the system's -> none",
            "upstream a: TLS name: a.test -> none",
        ]
    );
}

#[test]
fn bounds_trust_and_the_log() {
    each(
        str::to_owned,
        &[
            ("bounds: {uri: 4KiB}", "bounds: {uri: 8KiB}", "bounds: uri: 4KiB -> 8KiB (weaker)"),
            (
                "bounds: {answer_rate: 1KiB/s}",
                "bounds: {answer_rate: 2KiB/s}",
                "bounds: answer_rate: 1KiB/s -> 2KiB/s (stronger)",
            ),
            ("bounds: {limit_keys: 5000}", "bounds: {limit_keys: 4000}", "bounds: limit_keys: 5000 -> 4000 (stronger)"),
            (
                "bounds: {upstream_pool: 512}",
                "bounds: {upstream_pool: 513}",
                "bounds: upstream_pool: 512 -> 513 (weaker) (by `portcullis upgrade`)",
            ),
            (
                "trusted_proxies: [10.0.0.0/8]",
                "trusted_proxies: [10.0.0.0/8, 192.0.2.1]",
                "bounds: trusted_proxies: 10.0.0.0/8 -> 10.0.0.0/8, 192.0.2.1/32 (weaker)",
            ),
            (
                "request: {target: encode}",
                "request: {target: strict}",
                "bounds: request.target: none -> strict (stronger)",
            ),
            (
                "access_log: {output: stdout}",
                "access_log: {output: off}",
                "access log: output: standard output -> off (weaker)",
            ),
            ("access_log: {format: json}", "access_log: {format: combined}", "access log: format: json -> combined"),
            ("process: {drain_idle: 1s}", "process: {drain_idle: 2s}", "process: drain idle: 1s -> 2s"),
        ],
    );
}

#[test]
fn listeners_and_their_certificates() {
    let certificate = |names: &[&str]| {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2100, 1, 1);
        (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let files = |names: &[&str]| {
        let (cert, key) = certificate(names);
        Files(HashMap::from([("cert", cert), ("key", key)]))
    };
    let tls = "listeners: [{name: l, address: 127.0.0.1:8080, tls: {certificates: [{cert: cert, key: key}]}}]";
    let said = |old: (&str, &Files), new: (&str, &Files)| -> Vec<String> {
        diff(&snapshot(old.0, old.1), &snapshot(new.0, new.1)).iter().map(ToString::to_string).collect()
    };
    let (one, renewed, other) = (files(&["a.test"]), files(&["a.test"]), files(&["a.test", "b.test"]));
    let until = "until 2100-01-01T00:00:00Z";
    assert_eq!(said((tls, &one), (tls, &one)), [""; 0]);
    assert_eq!(said((tls, &one), (tls, &renewed)), [format!("listener l: certificate a.test: {until} -> changed")]);
    assert_eq!(
        said((tls, &one), (tls, &other)),
        [
            "listener l: TLS for unknown names: certificate a.test -> certificate a.test, b.test".to_owned(),
            format!("listener l: certificate a.test: {until} -> none"),
            format!("listener l: certificate a.test, b.test: none -> {until}"),
        ]
    );
    let plain = "listeners: [{name: l, address: 127.0.0.1:8080, http2: true}]";
    assert_eq!(
        said((tls, &one), (plain, &one)),
        [
            "listener l: TLS: on -> off (weaker)".to_owned(),
            "listener l: TLS for unknown names: certificate a.test -> none".to_owned(),
            format!("listener l: certificate a.test: {until} -> none"),
        ]
    );
    let listener = |more: &str| format!("listeners: [{{name: l, address: 127.0.0.1:8080{more}}}]");
    each(
        listener,
        &[
            (", http2: false", ", http2: true", "listener l: http2: false -> true"),
            ("", ", proxy_protocol: {from: [10.0.0.0/8]}", "listener l: proxy_protocol: none -> 10.0.0.0/8 (weaker)"),
            (", addresses: {allow: [10.0.0.0/8]}", "", "listener l: addresses allowed: 10.0.0.0/8 -> none (weaker)"),
        ],
    );
}
