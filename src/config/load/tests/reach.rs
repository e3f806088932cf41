//! What is said of how requests reach routes: by which listener and scheme, again and again, or past a guard.

use super::{Fake, said_by};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What is said of a file with a plain listener `plain`, a second one `inner`, the upstream `app` and these routes.
fn said(routes: &str) -> Vec<String> {
    said_with("", routes)
}

fn said_with(more: &str, routes: &str) -> Vec<String> {
    let text = format!(
        "version: 1\nlisteners: [{{name: plain, address: 127.0.0.1:8080}}, {{name: inner, address: '0.0.0.0:8081'}}]\n\
         upstreams: {{app: {{endpoints: [127.0.0.1:9001]}}}}\n\
         identities: {{corp: {{jwt: {{issuer: i, audience: a, keys: {{secret: {{env: SECRET}}}}}}}}}}\n\
         limits: [{{name: all, key: client_address, rate: 100/s}}]\n{more}\nroutes:\n\
         - {{name: rest, match: {{path: /*}}, access: public, upstream: app}}\n\
         - {{name: staff, match: {{host: staff.example}}, access: {{identity: corp}}, upstream: app}}\n{routes}"
    );
    let environment = Fake { variables: [("SECRET", SECRET)].into(), ..Fake::default() };
    said_by(&text, &environment)
}

/// Asserts that one thing is said, with all of the words.
#[track_caller]
fn one(said: &[String], words: &[&str]) {
    assert_eq!(said.len(), 1, "{said:#?}");
    for word in words {
        assert!(said[0].contains(word), "{} lacks {word}", said[0]);
    }
}

const NOTHING: [&str; 0] = [];

fn route(matches: &str, action: &str) -> String {
    format!("- {{name: r, match: {{{matches}}}, access: public, {action}}}\n")
}

#[test]
fn listeners_and_their_tls_are_known() {
    let forward = |matches| said(&route(matches, "upstream: app"));
    assert_eq!(forward("listener: plain"), NOTHING);
    assert_eq!(forward("listener: [plain, inner], tls: false, path: /a"), NOTHING);
    one(&forward("listener: plane"), &["unknown_listener", "there is no listener `plane`", "`plain`, `inner`"]);
    one(&forward("listener: [plain, innner]"), &["match.listener[1]: there is no", "did you mean `inner`?"]);
    one(&forward("tls: true"), &["condition_never_holds", "no listener has TLS"]);
    one(&forward("listener: plain, tls: true"), &["condition_never_holds", "none of these listeners"]);
    one(&forward("scheme: https"), &["warning[route_unreachable]", "`trusted_proxies`"]);
    assert_eq!(said_with("trusted_proxies: [10.0.0.1]", &route("scheme: https", "upstream: app")), NOTHING);
}

#[test]
fn a_redirect_to_the_scheme_that_was_used_is_an_error() {
    let to_https = "redirect: {scheme: https}";
    // Nobody brings HTTPS requests.
    assert_eq!(said(&route("path: /a", to_https)), NOTHING);
    let behind = |routes: &str| said_with("trusted_proxies: [10.0.0.1]", routes);
    for matches in ["path: /a", "host: [a.example, '*.b.example']", "path: {regex: '/x.*'}", "listener: inner"] {
        one(&behind(&route(matches, to_https)), &["error[redirect_loop]", "redirect.scheme", "match: {scheme: http}"]);
    }
    assert_eq!(behind(&route("path: /a, scheme: http", to_https)), NOTHING);
    // Another route takes what has come by HTTPS.
    let other = "- {name: s, match: {scheme: https, path: /a}, access: public, upstream: app}\n";
    assert_eq!(behind(&format!("{}{other}", route("path: /a", to_https))), NOTHING);
    one(&said(&route("path: /a", "redirect: {scheme: http}")), &["error[redirect_loop]", "match: {scheme: https}"]);
}

#[test]
fn a_redirect_that_its_own_route_takes_is_a_warning() {
    let redirect = |matches, target: &str| said(&route(matches, &format!("redirect: {{{target}}}")));
    for (matches, target, location) in [
        ("path: /old/*", "to: /old/new", "`/old/new`"),
        ("path: /old/*", "to: 'https://elsewhere.example/x'", ""),
        ("path: /old/*", "to: 'http://elsewhere.example/old/x?y#z'", "`http://elsewhere.example/old/x?y#z`"),
        ("host: [a.example, b.example]", "host: b.example", "`http://b.example/any`"),
        ("host: a.example", "host: b.example", ""),
        ("path: '/{a}/{b}'", "path: '/{b}/{a}'", "`http://any/any/any`"),
        ("path: '/blog/{post}'", "path: '/articles/{post}'", ""),
        ("path: /p, query: {a: '1'}", "path: /p", "`http://any/p?a=1`"),
        ("path: /p, query: {a: '1'}", "path: /p, keep_query: false", ""),
        ("path: /p, headers: {x-a: '1'}, methods: POST", "host: c.example", "`http://c.example/p`"),
        ("path: /p, listener: plain", "to: 'https://c.example/p'", ""),
        ("path: {regex: '/x/.*'}", "to: 'http://c.example/x/y'", "`http://c.example/x/y`"),
        ("path: {regex: '/x/.*'}", "to: 'http://c.example/y'", ""),
        ("path: {regex: '/x/.*'}", "host: c.example", ""),
    ] {
        let said = redirect(matches, target);
        if location.is_empty() {
            assert_eq!(said, NOTHING, "{matches} {target}");
        } else {
            one(&said, &["warning[redirect_loop]", location]);
        }
    }
}

#[test]
fn the_parent_of_a_guarded_prefix_is_guarded_or_it_is_said() {
    let guarded = |guard: &str, parent: &str| {
        said(&format!(
            "- {{name: inside, match: {{path: /admin/*}}, {guard}, upstream: app}}\n\
             - {{name: front, match: {{path: /admin}}, {parent}}}\n"
        ))
    };
    let public = "access: public, upstream: app";
    let by_address = "access: public, addresses: {allow: [10.0.0.0/8], deny: [10.9.0.0/16]}";
    let by_limit = "access: public, limits: [{name: few, key: client_address, rate: 1/s}]";
    for (guard, word) in [("access: {identity: corp}", "`access`"), (by_address, "`addresses`"), (by_limit, "`limits`")]
    {
        one(&guarded(guard, public), &["warning[prefix_parent_open]", "`/admin` is taken by the route `front`", word]);
        assert_eq!(guarded(guard, &format!("{guard}, upstream: app")), NOTHING, "{guard}");
        assert_eq!(guarded(guard, "access: public, respond: {}"), NOTHING, "what is not forwarded opens nothing");
    }
    for (guard, parent) in [
        ("access: {identity: corp, allow: {scope: [a, b]}}", "access: {identity: corp, allow: {scope: a}}"),
        ("access: {identity: corp, allow: {role: a}}", "access: {identity: corp, allow: {role: [a, b]}}"),
        ("access: {identity: corp, allow: {claims: {c: x}}}", "access: {identity: corp}"),
        (by_address, "access: public, addresses: {allow: [10.0.0.0/7], deny: [10.9.0.0/16]}"),
        (by_address, "access: public, addresses: {allow: [10.0.0.0/8]}"),
        (by_address, "access: public, addresses: {allow: [10.0.0.0/8], deny: [10.9.0.0/16], mode: report}"),
    ] {
        one(&guarded(guard, &format!("{parent}, upstream: app")), &["prefix_parent_open"]);
    }
    for (guard, parent) in [
        ("access: {identity: corp, allow: {role: [a, b]}}", "access: {identity: corp, allow: {role: a}}"),
        (by_address, "access: public, addresses: {allow: [10.1.0.0/16], deny: [10.0.0.0/8]}"),
        ("access: public", "access: public"),
    ] {
        assert_eq!(guarded(guard, &format!("{parent}, upstream: app")), NOTHING, "{guard}");
    }
    // By default the prefix takes its parent.
    assert_eq!(said("- {name: inside, match: {path: /admin/*}, access: {identity: corp}, upstream: app}"), NOTHING);
    // On one host, by one method and by one listener only.
    let narrow = "host: '*.b.example', methods: PUT, listener: inner";
    let inside =
        format!("- {{name: inside, match: {{{narrow}, path: /admin/*}}, access: {{identity: corp}}, upstream: app}}\n");
    let front = |matches| {
        format!("{inside}- {{name: front, match: {{{matches}, path: /admin}}, access: public, upstream: app}}\n")
    };
    one(&said(&front(narrow)), &["prefix_parent_open"]);
    assert_eq!(said(&front("host: '*.b.example', methods: PUT")), NOTHING, "the prefix goes before it");
    assert_eq!(said(&front("host: '*.b.example', methods: GET, listener: inner")), NOTHING);
}

#[test]
fn an_upstream_that_is_a_listener_is_a_warning() {
    let endpoint = |address: &str| {
        let text = format!(
            "version: 1\nlisteners: [{{name: plain, address: 127.0.0.1:8080}}, {{name: all, address: '[::]:8081'}}]\n\
             upstreams: {{app: {{endpoints: ['{address}', 192.0.2.1:80]}}}}\n\
             routes: [{{name: r, access: public, upstream: app}}]\n"
        );
        said_by(&text, &Fake::default())
    };
    for (address, listener) in [
        ("127.0.0.1:8080", "`plain`"),
        ("localhost:8080", "`plain`"),
        ("127.9.9.9:8081", "`all`"),
        ("[::1]:8081", "`all`"),
        ("0.0.0.0:8081", "`all`"),
    ] {
        one(&endpoint(address), &["warning[upstream_is_listener]", "upstreams.app.endpoints[0]", listener]);
    }
    for address in ["127.0.0.1:8082", "127.0.0.2:8080", "10.0.0.1:8081", "all.example:8081"] {
        assert_eq!(endpoint(address), NOTHING, "{address}");
    }
}

#[test]
fn a_pseudonym_is_a_token() {
    let rest = route("path: /a", "upstream: app");
    assert_eq!(said_with("via: {pseudonym: edge-1, responses: false}", &rest), NOTHING);
    for wrong in ["edge 1", "", "a,b", "'1.1 (x)'"] {
        one(&said_with(&format!("via: {{pseudonym: \"{wrong}\"}}"), &rest), &["error[invalid_pseudonym]", "edge-1"]);
    }
}

#[test]
fn keeping_slashes_needs_an_upstream() {
    one(&said(&route("path: /a/*", "merge_slashes: false, respond: {}")), &["setting_without_effect", "merge_slashes"]);
    assert_eq!(said(&route("path: /a/*", "merge_slashes: false, upstream: app")), NOTHING);
}
