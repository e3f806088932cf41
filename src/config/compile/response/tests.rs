use std::io;

use http::HeaderMap;

use super::super::Environment;
use super::*;
use crate::config::load::SourceMap;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::response::refusal_body;
use crate::diagnostics::Severity;

/// A world with one file, `page.html`, and an oversized one.
struct World;

impl Environment for World {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match path {
            "page.html" => Ok(b"<p>{code}".to_vec()),
            "large.html" => Ok(vec![b'x'; (256 << 10) + 1]),
            "binary.html" => Ok(vec![0xff]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Compiles the file's rules and those of its first route, if it has one; the findings as `severity code path`.
fn compile(yaml: &str) -> (Arc<ResponseRules>, Arc<ResponseRules>, Vec<String>) {
    let raw: raw::Config = serde_yaml::from_str(&format!("version: 1\n{yaml}")).expect("the test's YAML fits");
    let places = SourceMap::default();
    let mut ctx = Context::new(&places, &World);
    let file = rules(&mut ctx, &raw, None);
    let path = DocPath::root().key("routes").index(0);
    let route = rules(&mut ctx, &raw, raw.routes.first().map(|route| (&path, route)));
    let findings = ctx.into_diagnostics().into_iter().map(|found| {
        let severity = if found.severity == Severity::Error { "error" } else { "warning" };
        assert!(!found.message.ends_with('.'), "{}", found.message);
        format!("{severity} {} {}", found.code, found.path)
    });
    (file, route, findings.collect())
}

fn findings(yaml: &str) -> Vec<String> {
    compile(yaml).2
}

/// What an answer without headers leaves with.
fn empty_answer(rules: &ResponseRules) -> Vec<String> {
    let mut headers = HeaderMap::new();
    rules.apply(None, &mut headers);
    let mut lines: Vec<_> = headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
    lines.sort();
    lines
}

const NONE: [&str; 0] = [];

#[test]
fn a_route_overrides_by_name_and_inherits_the_rest() {
    let (file, route, findings) = compile(
        "response_headers:
  set: {X-Frame-Options: DENY, X-Content-Type-Options: nosniff, Referrer-Policy: no-referrer}
  append: {Link: [a, b]}
routes:
  - name: a
    response_headers: {set: {x-frame-options: SAMEORIGIN}, default: {link: c}}
",
    );
    assert_eq!(findings, NONE);
    assert_eq!(
        empty_answer(&file),
        [
            "link: a",
            "link: b",
            "referrer-policy: no-referrer",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY"
        ]
    );
    assert_eq!(
        empty_answer(&route),
        ["link: c", "referrer-policy: no-referrer", "x-content-type-options: nosniff", "x-frame-options: SAMEORIGIN"]
    );
}

#[test]
fn a_route_that_declares_nothing_shares_the_files_rules() {
    let (file, route, findings) = compile("framing: deny\nroutes: [{name: a}]\n");
    assert_eq!(findings, NONE);
    assert!(Arc::ptr_eq(&file, &route));
}

#[test]
fn the_files_mistakes_are_reported_once() {
    let yaml = "response_headers: {set: {Connection: close}}\nroutes: [{name: a, framing: deny}]\n";
    assert_eq!(findings(yaml), ["error header_reserved response_headers.set.Connection"]);
}

#[test]
fn off_needs_a_reason_and_something_to_switch_off() {
    let route = |off: &str| {
        compile(&format!(
            "response_headers: {{set: {{Referrer-Policy: no-referrer}}}}
routes: [{{name: a, response_headers: {{off: {off}}}}}]
"
        ))
    };
    let (_, rules, findings) = route("{referrer-policy: an old client breaks}");
    assert_eq!(findings, ["warning header_switched_off routes[0].response_headers.off.referrer-policy"]);
    assert_eq!(empty_answer(&rules), NONE);
    assert_eq!(
        route("{Referrer-Policy: ' '}").2[0],
        "error reason_missing routes[0].response_headers.off.Referrer-Policy"
    );
    assert_eq!(
        route("{Referer-Policy: x}").2,
        ["error nothing_to_switch_off routes[0].response_headers.off.Referer-Policy"]
    );
    assert_eq!(self::findings("response_headers: {off: {A: b}}\n"), ["error off_outside_route response_headers.off.A"]);
}

#[test]
fn removing_an_inherited_protection_is_pointed_out() {
    let yaml = "response_headers: {set: {X-Frame-Options: DENY, X-Other: a}}
routes: [{name: a, response_headers: {remove: [X-Frame-Options, X-Other]}}]
";
    assert_eq!(findings(yaml), ["warning header_switched_off routes[0].response_headers.remove[0]"]);
}

#[test]
fn names_and_values_that_http_cannot_carry_are_refused() {
    let at = |word: &str| format!("response_headers.{word}");
    let cases = [
        ("set: {'a b': c}", "header_name_invalid", "set.a b"),
        ("set: {'a:': c}", "header_name_invalid", "set.a:"),
        ("remove: ['']", "header_name_invalid", "remove[0]"),
        ("rename: {a: 'b c'}", "header_name_invalid", "rename.a"),
        ("set: {a: \"b\\r\\nc: d\"}", "header_value_invalid", "set.a"),
        ("append: {a: [ok, \"b\\x01\"]}", "header_value_invalid", "append.a[1]"),
        ("default: {a: é}", "header_value_invalid", "default.a"),
        ("remove: [Content-Length]", "header_reserved", "remove[0]"),
        ("rename: {a: Transfer-Encoding}", "header_reserved", "rename.a"),
        ("replace: {Upgrade: x}", "header_reserved", "replace.Upgrade"),
    ];
    for (operation, code, place) in cases {
        let found = findings(&format!("response_headers: {{{operation}}}\n"));
        assert_eq!(found, [format!("error {code} {}", at(place))], "{operation}");
    }
}

#[test]
fn operations_that_fight_are_refused() {
    let fights = [
        "{set: {a: b}, remove: [A]}",
        "{set: {a: b}, default: {A: c}}",
        "{set: {a: b}, replace: {a: c}}",
        "{set: {a: b, A: c}}",
        "{remove: [a, A]}",
        "{remove: [a], default: {a: b}}",
        "{rename: {a: b}, append: {a: c}}",
        "{rename: {a: b}, set: {b: c}}",
        "{rename: {a: b, b: c}}",
    ];
    for operations in fights {
        let found = findings(&format!("response_headers: {operations}\n"));
        assert!(found.len() == 1 && found[0].starts_with("error header_conflict"), "{operations}: {found:?}");
    }
    for operations in [
        "{set: {a: b}, append: {a: [c, d]}}",
        "{replace: {a: b}, default: {a: c}}",
        "{rename: {a: b}, default: {b: c}}",
    ] {
        assert_eq!(findings(&format!("response_headers: {operations}\n")), NONE, "{operations}");
    }
}

#[test]
fn values_that_protect_nothing_are_refused() {
    let cases = [
        ("X-Frame-Options: ALLOW-FROM https://a.example", "error x_frame_options_obsolete"),
        ("X-Frame-Options: ALLOWALL", "error x_frame_options_invalid"),
        ("X-Frame-Options: 'DENY, DENY'", "error x_frame_options_invalid"),
        ("X-Content-Type-Options: sniff", "error x_content_type_options_invalid"),
        ("Strict-Transport-Security: includeSubDomains", "error strict_transport_security_invalid"),
        ("Strict-Transport-Security: max-age=1y", "error strict_transport_security_invalid"),
        ("Strict-Transport-Security: 'max-age=1; max-age=2'", "error strict_transport_security_invalid"),
        ("X-Frame-Option: DENY", "warning header_unknown"),
        ("Content-Security-Polcy: default-src 'self'", "warning header_unknown"),
        ("Content-Security-Policy: frame-ancestor 'none'", "warning policy_directive_unknown"),
        ("Content-Security-Policy: 'default-src: self'", "warning policy_directive_unknown"),
    ];
    for (header, finding) in cases {
        let found = findings(&format!("response_headers: {{set: {{{header}}}}}\n"));
        assert!(found.len() == 1 && found[0].starts_with(finding), "{header}: {found:?}");
    }
    for header in [
        "X-Frame-Options: sameorigin",
        "Strict-Transport-Security: 'max-age=\"31536000\" ; includeSubDomains; preload'",
        "Content-Security-Policy: \"default-src 'self'; new-thing x\"",
        "X-Frame-Counter: 7",
    ] {
        assert_eq!(findings(&format!("response_headers: {{set: {{{header}}}}}\n")), NONE, "{header}");
    }
    assert_eq!(
        findings("response_headers: {append: {X-Frame-Options: DENY}}\n"),
        ["error x_frame_options_appended response_headers.append.X-Frame-Options"]
    );
}

#[test]
fn x_frame_options_may_not_contradict_frame_ancestors() {
    let both = |option: &str, sources: &str| {
        findings(&format!(
            "response_headers:
  set: {{X-Frame-Options: {option}}}
  default: {{Content-Security-Policy: \"img-src a; frame-ancestors {sources}\"}}
"
        ))
    };
    for (option, sources) in [("DENY", "'none'"), ("deny", ""), ("SAMEORIGIN", "'self'")] {
        assert_eq!(both(option, sources), NONE, "{option} {sources}");
    }
    for (option, sources) in
        [("DENY", "'self'"), ("SAMEORIGIN", "'none'"), ("DENY", "https://a.example"), ("DENY", "*")]
    {
        let expected = ["error framing_contradiction response_headers.set.X-Frame-Options"];
        assert_eq!(both(option, sources), expected, "{option} {sources}");
    }
}

#[test]
fn a_contradiction_across_levels_is_found_on_the_route() {
    let yaml = "response_headers: {set: {X-Frame-Options: DENY, Content-Security-Policy: frame-ancestors 'none'}}
routes: [{name: a, response_headers: {set: {X-Frame-Options: SAMEORIGIN}}}]
";
    assert_eq!(findings(yaml), ["error framing_contradiction routes[0].response_headers.set.X-Frame-Options"]);
    let yaml = "response_headers: {set: {X-Frame-Options: DENY}}\nroutes: [{name: a, framing: same_origin}]\n";
    assert_eq!(findings(yaml), ["error framing_contradiction routes[0].framing"]);
}

#[test]
fn nothing_may_contradict_framing() {
    let with = |framing: &str, operations: &str| {
        findings(&format!("framing: {framing}\nresponse_headers: {operations}\n")).len()
    };
    assert_eq!(with("deny", "{set: {X-Frame-Options: DENY}}"), 0);
    assert_eq!(with("deny", "{set: {Content-Security-Policy: default-src 'self'}}"), 0);
    assert_eq!(with("deny", "{set: {X-Frame-Options: SAMEORIGIN}}"), 1);
    assert_eq!(with("deny", "{remove: [X-Frame-Options]}"), 1);
    assert_eq!(with("deny", "{append: {Content-Security-Policy: frame-ancestors *}}"), 1);
    assert_eq!(with("same_origin", "{set: {Content-Security-Policy-Report-Only: frame-ancestors 'none'}}"), 1);
    assert_eq!(with("['https://a.example']", "{default: {X-Frame-Options: DENY}}"), 1);
    assert_eq!(with("['https://a.example']", "{remove: [X-Frame-Options]}"), 0);
    let agreeing = "{set: {Content-Security-Policy: frame-ancestors HTTPS://a.example 'self'}}";
    assert_eq!(with("[same_origin, 'https://a.example']", agreeing), 0);
    assert_eq!(with("off", "{set: {X-Frame-Options: SAMEORIGIN}}"), 0);
}

#[test]
fn framing_is_inherited_and_overridden() {
    let route = |framing: &str| compile(&format!("framing: deny\nroutes: [{{name: a, {framing}}}]\n"));
    let (file, rules, found) = route("framing: same_origin");
    assert_eq!(found, NONE);
    assert_eq!(empty_answer(&file), ["content-security-policy: frame-ancestors 'none'", "x-frame-options: DENY"]);
    assert_eq!(
        empty_answer(&rules),
        ["content-security-policy: frame-ancestors 'self'", "x-frame-options: SAMEORIGIN"]
    );

    let (_, rules, found) = route("response_headers: {set: {Content-Security-Policy: img-src a}}");
    assert_eq!(found, NONE);
    assert_eq!(empty_answer(&rules)[0], "content-security-policy: img-src a; frame-ancestors 'none'");

    assert_eq!(route("framing: off").2, ["error reason_missing routes[0].framing"]);
    assert_eq!(route("framing: {off: ' '}").2, ["error reason_missing routes[0].framing"]);
    let (_, rules, found) = route("framing: {off: the widget is made for frames}");
    assert_eq!(found, ["warning framing_switched_off routes[0].framing"]);
    assert_eq!(empty_answer(&rules), NONE);
    assert_eq!(findings("routes: [{name: a, framing: off}]\n"), NONE);
}

#[test]
fn framing_origins_are_checked() {
    for wrong in [
        "a.example",
        "https://a.example/",
        "https://a.example/path",
        "ftp://a.example",
        "https://*",
        "https://a.*.example",
        "https://a.example:0",
        "https://a.example:99999",
        "https://",
        "https://a b",
        "https://a.example; script-src *",
        "*",
        "'self'",
    ] {
        let (file, _, found) = compile(&format!("framing: [\"{wrong}\"]\n"));
        assert_eq!(found, ["error framing_origin_invalid framing[0]"], "{wrong}");
        assert!(empty_answer(&file).contains(&"x-frame-options: DENY".to_owned()));
    }
    assert_eq!(findings("framing: []\n"), ["error framing_origins_empty framing"]);
    let (file, _, found) = compile("framing: [same_origin, 'https://*.Example.com:8443', 'http://localhost']\n");
    assert_eq!(found, NONE);
    assert_eq!(
        empty_answer(&file),
        ["content-security-policy: frame-ancestors 'self' https://*.example.com:8443 http://localhost"]
    );
}

#[test]
fn pages_are_inherited_by_key() {
    let (file, route, found) = compile(
        "error_pages:
  4xx: {file: page.html}
  default: {body: 'all {status}', content_type: text/plain}
routes:
  - name: a
    error_pages: {4xx: {body: 'mine'}}
",
    );
    assert_eq!(found, NONE);
    let body = |rules: &ResponseRules, cause| refusal_body(rules, &Denial::new(cause, ""), None, "7").content;
    assert_eq!(body(&file, Cause::RouteNotFound), "<p>route_not_found");
    assert_eq!(body(&route, Cause::RouteNotFound), "mine");
    assert_eq!(body(&route, Cause::InternalError), "all 500");
}

#[test]
fn pages_are_checked() {
    let cases = [
        ("200: {body: a}", "error error_page_key_unknown error_pages.200"),
        ("rate_exeeded: {body: a}", "error error_page_key_unknown error_pages.rate_exeeded"),
        ("418: {body: a}", "warning error_page_unused error_pages.418"),
        ("404: {}", "error error_page_source error_pages.404"),
        ("404: {body: a, file: b}", "error error_page_source error_pages.404"),
        ("404: {file: missing}", "error file_unreadable error_pages.404.file"),
        ("404: {file: large.html}", "error error_page_too_large error_pages.404.file"),
        ("404: {file: binary.html}", "error error_page_not_text error_pages.404.file"),
        ("404: {body: a, content_type: html}", "error content_type_invalid error_pages.404.content_type"),
        ("404: {body: '{staus} p {color: red}'}", "warning placeholder_unknown error_pages.404.body"),
        ("{404: {body: a}, '404': {body: b}}", "error error_page_repeated error_pages.404"),
    ];
    for (page, finding) in cases {
        let page = if page.starts_with('{') { page.to_owned() } else { format!("{{{page}}}") };
        assert_eq!(findings(&format!("error_pages: {page}\n")), [finding], "{page}");
    }
}
