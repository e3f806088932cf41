use http::HeaderMap;
use proptest::prelude::*;

use super::*;

fn denied(value: &'static str) -> String {
    let sealed = FramingPolicy::deny().put_into(value.as_bytes());
    sealed.to_str().expect("sealed policies are text").to_owned()
}

#[test]
fn the_origins_directive_is_replaced_where_it_stood() {
    assert_eq!(
        denied("default-src 'self'; Frame-Ancestors *;\timg-src  a b "),
        "default-src 'self'; frame-ancestors 'none';\timg-src  a b "
    );
    assert_eq!(denied("frame-ancestors"), "frame-ancestors 'none'");
    assert_eq!(denied("frame-ancestors\t*"), "frame-ancestors 'none'");
}

#[test]
fn a_missing_directive_is_added_at_the_end() {
    assert_eq!(denied("default-src 'self'"), "default-src 'self'; frame-ancestors 'none'");
    assert_eq!(denied("default-src 'self';"), "default-src 'self'; frame-ancestors 'none'");
    assert_eq!(denied("default-src 'self'; "), "default-src 'self';  frame-ancestors 'none'");
    assert_eq!(denied(""), "frame-ancestors 'none'");
    assert_eq!(denied(";"), "; frame-ancestors 'none'");
}

#[test]
fn names_that_only_begin_alike_are_other_directives() {
    assert_eq!(denied("frame-ancestors-x *"), "frame-ancestors-x *; frame-ancestors 'none'");
    assert_eq!(denied("x frame-ancestors *"), "x frame-ancestors *; frame-ancestors 'none'");
}

#[test]
fn each_policy_of_a_list_is_sealed() {
    assert_eq!(
        denied("img-src a, frame-ancestors b; img-src c"),
        "img-src a; frame-ancestors 'none', frame-ancestors 'none'; img-src c"
    );
}

#[test]
fn a_second_occurrence_is_dropped() {
    assert_eq!(denied("frame-ancestors 'none'; frame-ancestors *; x"), "frame-ancestors 'none'; x");
    assert_eq!(denied("; ;frame-ancestors a;frame-ancestors b"), "; ;frame-ancestors 'none'");
}

#[test]
fn a_value_that_is_not_ascii_is_given_up() {
    let value = HeaderValue::from_bytes(b"default-src 'self'; frame-ancestors \xff").unwrap();
    assert_eq!(FramingPolicy::deny().put_into(value.as_bytes()), "frame-ancestors 'none'");
}

#[test]
fn origins_take_x_frame_options_away() {
    let mut headers = HeaderMap::new();
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    FramingPolicy::origins(&["https://a.example", "https://*.b.example"]).unwrap().apply(&mut headers);
    assert!(!headers.contains_key(X_FRAME_OPTIONS));
    assert_eq!(headers[CONTENT_SECURITY_POLICY], "frame-ancestors https://a.example https://*.b.example");
}

#[test]
fn a_report_only_policy_is_edited_and_never_added() {
    let mut headers = HeaderMap::new();
    FramingPolicy::same_origin().apply(&mut headers);
    assert!(!headers.contains_key(CONTENT_SECURITY_POLICY_REPORT_ONLY));
    assert_eq!(headers[X_FRAME_OPTIONS], "SAMEORIGIN");

    headers.insert(CONTENT_SECURITY_POLICY_REPORT_ONLY, HeaderValue::from_static("frame-ancestors *; report-to r"));
    FramingPolicy::same_origin().apply(&mut headers);
    assert_eq!(headers[CONTENT_SECURITY_POLICY_REPORT_ONLY], "frame-ancestors 'self'; report-to r");
}

/// What a browser makes of a policy: the first directive of each name (CSP3 §2.2.1), written apart from the code above.
fn as_a_browser_reads(policy: &str) -> Vec<(String, String)> {
    let mut directives: Vec<(String, String)> = Vec::new();
    for token in policy.split(';') {
        let token = token.trim_matches([' ', '\t']);
        let end = token.find([' ', '\t']).unwrap_or(token.len());
        let name = token[..end].to_ascii_lowercase();
        if !token.is_empty() && directives.iter().all(|(known, _)| *known != name) {
            directives.push((name, token[end..].trim_matches([' ', '\t']).to_owned()));
        }
    }
    directives
}

fn directive() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("default-src 'self'".to_owned()),
        Just("Frame-Ancestors *".to_owned()),
        Just("frame-ancestors 'none'".to_owned()),
        Just("\tFRAME-ANCESTORS\thttps://a.example ".to_owned()),
        Just("frame-ancestor *".to_owned()),
        Just(String::new()),
        "[ -~\t]{0,20}",
    ]
}

fn policy_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(
            prop::collection::vec(directive(), 0..5).prop_map(|d| d.join(";")), 0..4,
        ).prop_map(|p| p.join(",").into_bytes()),
        1 => prop::collection::vec(prop_oneof![Just(b'\t'), 0x20u8..0x7f, 0x80u8..=0xff], 0..40),
    ]
}

fn field() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
    let name = prop_oneof![
        Just(X_FRAME_OPTIONS),
        Just(CONTENT_SECURITY_POLICY),
        Just(CONTENT_SECURITY_POLICY_REPORT_ONLY),
        Just(HeaderName::from_static("x-other")),
    ];
    (name, policy_value()).prop_map(|(name, value)| {
        (name, HeaderValue::from_bytes(&value).expect("the strategy makes only bytes that a value may hold"))
    })
}

proptest! {
    #[test]
    fn deny_leaves_one_x_frame_options_and_no_policy_that_allows(fields in prop::collection::vec(field(), 0..8)) {
        let before: HeaderMap = fields.into_iter().collect();
        let mut after = before.clone();
        FramingPolicy::deny().apply(&mut after);

        prop_assert_eq!(after.get_all(X_FRAME_OPTIONS).iter().collect::<Vec<_>>(), ["DENY"]);
        prop_assert!(after.contains_key(CONTENT_SECURITY_POLICY));
        for name in [CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY] {
            for value in after.get_all(&name) {
                for policy in value.to_str().unwrap().split(',') {
                    let read = as_a_browser_reads(policy);
                    let ancestors: Vec<_> = read.iter().filter(|(name, _)| name == "frame-ancestors").collect();
                    prop_assert_eq!(ancestors.len(), 1);
                    prop_assert_eq!(&ancestors[0].1, "'none'");
                }
            }
        }
    }

    #[test]
    fn other_directives_and_headers_stay_as_they_were(fields in prop::collection::vec(field(), 0..8)) {
        let before: HeaderMap = fields.into_iter().collect();
        let mut after = before.clone();
        FramingPolicy::deny().apply(&mut after);

        let other = HeaderName::from_static("x-other");
        prop_assert!(before.get_all(&other).iter().eq(after.get_all(&other).iter()));
        for name in [CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY] {
            for (old, new) in before.get_all(&name).iter().zip(after.get_all(&name)) {
                let Ok(old) = old.to_str() else { continue };
                for (old, new) in old.split(',').zip(new.to_str().unwrap().split(',')) {
                    let others = |policy: &str| -> Vec<String> {
                        policy
                            .split(';')
                            .filter(|d| !d.trim().is_empty() && !is_frame_ancestors(d.as_bytes()))
                            .map(|d| d.trim().to_owned())
                            .collect()
                    };
                    prop_assert_eq!(others(old), others(new));
                }
            }
        }
    }

    #[test]
    fn applying_twice_changes_nothing(fields in prop::collection::vec(field(), 0..8)) {
        let mut once: HeaderMap = fields.into_iter().collect();
        FramingPolicy::deny().apply(&mut once);
        let mut twice = once.clone();
        FramingPolicy::deny().apply(&mut twice);
        prop_assert_eq!(once, twice);
    }
}
