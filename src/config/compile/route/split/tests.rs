use std::time::Duration;

use super::super::tests::{compiled, done, refused};
use super::*;
use crate::decision::policy::Action;
use crate::decision::upstream::mirror::Mirror;

fn compiled_split(text: &str) -> Split {
    match done(&format!("upstream: {text}")) {
        Action::Forward { to: Destination::Split(split), .. } => *split,
        other => panic!("not a split: {other:?}"),
    }
}

fn compiled_mirror(text: &str) -> Mirror {
    match done(&format!("upstream: orders\nmirror: {text}")) {
        Action::Forward { mirror: Some(mirror), .. } => *mirror,
        other => panic!("no mirror: {other:?}"),
    }
}

#[test]
fn a_split_is_compiled() {
    let split = compiled_split(
        "{split: [{upstream: users, share: 2.5%, when: [{header: X-Canary, value: '1'}, {cookie: canary}]},
                  {upstream: orders}], sticky_by: {cookie: sid}, when_unavailable: refuse}",
    );
    assert_eq!((split.rest, split.falls_back), (UpstreamId(0), false));
    assert_eq!(split.sticky_by, Some(StickyBy::Cookie("sid".into())));
    let [canary, rest] = &split.sides[..] else { panic!("two sides") };
    assert_eq!((canary.upstream, canary.share), (UpstreamId(1), Share::millionths(25_000)));
    assert_eq!((rest.upstream, rest.share, rest.when.len()), (UpstreamId(0), Share::NONE, 0));
    assert_eq!(canary.when[0].field, SplitField::Header(HeaderName::from_static("x-canary").into()));
    assert_eq!(canary.when[1].field, SplitField::Cookie("canary".into()));
}

#[test]
fn chance_and_the_rest_are_the_defaults() {
    let split = compiled_split("{split: [{upstream: orders}, {upstream: users, share: 100%}]}");
    assert!(split.sticky_by.is_none() && split.falls_back);
    for (written, expected) in [
        ("none", None),
        ("client_address", Some(StickyBy::ClientAddress)),
        ("{header: x-user}", Some(StickyBy::Header(HeaderName::from_static("x-user").into()))),
    ] {
        let text = format!("{{split: [{{upstream: orders}}, {{upstream: users, share: 5%}}], sticky_by: {written}}}");
        assert_eq!(compiled_split(&text).sticky_by, expected, "{written}");
    }
}

#[test]
fn a_split_has_one_rest_and_shares_within_the_whole() {
    let at = "routes[0].upstream.split";
    refused(&[
        (
            "upstream: {split: [{upstream: orders, share: 95%}, {upstream: users, share: 5%}]}",
            &[at, "split_without_rest"],
        ),
        ("upstream: {split: []}", &["split_without_rest"]),
        ("upstream: {split: [{upstream: orders}, {upstream: users}]}", &["split[1]: split_rest_twice", "`0%`"]),
        (
            "upstream: {split: [{upstream: orders}, {upstream: orders, share: 5%}]}",
            &["split[1].upstream: split_side_twice"],
        ),
        (
            "upstream: {split: [{upstream: orders}, {upstream: user, share: 5%}]}",
            &["split[1].upstream: unknown_upstream", "did you mean `users`?"],
        ),
    ]);
}

#[test]
fn shares_over_the_whole_are_refused() {
    let sides = "{upstream: orders}, {upstream: users, share: 60%}, {upstream: more, share: 40.0001%}";
    let said = compiled(&format!("upstream: {{split: [{sides}]}}")).unwrap_err();
    assert!(said[0].contains("upstream.split: split_over_whole"), "{said:?}");
    let exact = sides.replace("40.0001%", "40%");
    let said = compiled(&format!("upstream: {{split: [{exact}]}}")).unwrap_err();
    assert!(said.len() == 1 && said[0].contains("unknown_upstream"), "{said:?}");
}

#[test]
fn conditions_and_keys_are_checked() {
    let cases = [
        ("when: [{header: a, cookie: b}]", "", "when[0]: invalid_condition"),
        ("when: [{value: b}]", "", "when[0]: invalid_condition"),
        ("when: [{header: a}, {header: 'a b'}]", "", "when[1]: invalid_condition"),
        ("when: [{cookie: 'a=b'}]", "", "is not a cookie's name"),
        ("when: [{header: a, value: {regex: '('}}]", "", "invalid_condition"),
        ("when: []", "sticky_by: principal", "sticky_by: invalid_sticky_key"),
        ("when: []", "sticky_by: {header: 'a b'}", "invalid_sticky_key"),
    ];
    for (when, key, expected) in cases {
        let key = if key.is_empty() { "sticky_by: none" } else { key };
        let text =
            format!("upstream: {{split: [{{upstream: orders}}, {{upstream: users, share: 5%, {when}}}], {key}}}");
        refused(&[(&text, &[expected])]);
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let said = compiled(
        "upstream: {split: [{upstream: a, share: 90%, when: [{}]}, {upstream: b, share: 20%}], sticky_by: principal}
mirror: {upstream: c, methods: [get], body: 1GiB, timeout: 0s, concurrent: 0}",
    );
    // No rest, over the whole, the key, a, its condition, b; the mirror's upstream, method, body, timeout and number.
    assert_eq!(said.unwrap_err().len(), 11);
}

#[test]
fn a_mirror_copies_what_is_safe_unless_told_otherwise() {
    let mirror = compiled_mirror("{upstream: users}");
    assert_eq!((mirror.upstream, mirror.share), (UpstreamId(1), Share::ALL));
    assert_eq!(mirror.methods, [http::Method::GET, http::Method::HEAD, http::Method::OPTIONS]);
    assert_eq!((mirror.body, mirror.timeout, mirror.concurrent), (64 << 10, Duration::from_secs(5), 100));
    let mirror =
        compiled_mirror("{upstream: users, share: 10%, methods: POST, body: 1MiB, timeout: 1s, concurrent: 7}");
    assert_eq!((mirror.share, &mirror.methods[..]), (Share::millionths(100_000), &[http::Method::POST][..]));
    assert_eq!((mirror.body, mirror.timeout, mirror.concurrent), (1 << 20, Duration::from_secs(1), 7));
}

#[test]
fn a_mirror_has_another_upstream_and_a_real_one() {
    refused(&[
        ("upstream: orders\nmirror: {upstream: orders}", &["mirror.upstream: mirror_to_itself"]),
        ("upstream: orders\nmirror: {upstream: user}", &["mirror.upstream: unknown_upstream", "`users`"]),
        ("respond: {}\nmirror: {upstream: users}", &["mirror: mirror_without_upstream"]),
    ]);
}
