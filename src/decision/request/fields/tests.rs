//! A table of slices over a received head answers as a header map of that head does.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use proptest::prelude::*;
use proptest::sample::select;

use super::table::FieldTable;
use super::*;
use crate::decision::access::Permit;
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::request::cookies::cookies;
use crate::decision::request::{RawRequest, ReadRules, Scheme, read};
use crate::decision::rewrite::{Edit, forwarded};

/// Names that the code knows, one that the configuration mentions, and others, as clients write them.
const NAMES: &[&str] = &[
    "Host",
    "host",
    "Cookie",
    "COOKIE",
    "Authorization",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Expect",
    "Forwarded",
    "X-Forwarded-For",
    "x-forwarded-for",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X_Forwarded_For",
    "X-Request-Id",
    "X-Portcullis-Principal",
    "x-tenant",
    "X-Tenant",
    "X-Other",
    "x-OTHER",
    "x_api_key",
    "Proxy",
];
const VALUES: &[&str] = &[
    "",
    "a.example",
    "5",
    "0",
    "chunked",
    "close, x",
    "keep-alive",
    "100-continue",
    "http",
    "https",
    "203.0.113.9, 10.0.0.2",
    "for=203.0.113.9;proto=https",
    "sid=1; b=2;sid=3",
    "Bearer a.b.c",
    "caf\u{e9}",
];

/// The lines of a head, their names and values as sent.
fn heads() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![4 => select(NAMES).prop_map(str::to_owned), 1 => "[A-Za-z!_.-]{1,12}"];
    let value = prop_oneof![4 => select(VALUES).prop_map(str::to_owned), 1 => "([!-~][ -~]{0,20})?[!-~]"];
    prop::collection::vec((name, value), 0..12)
}

fn head_of(lines: &[(String, String)]) -> String {
    lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>() + "\r\n"
}

fn map_of(lines: &[(String, String)]) -> HeaderMap {
    let pair = |(name, value): &(String, String)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    lines.iter().map(pair).fold(HeaderMap::new(), |mut map, (name, value)| {
        map.append(name, value);
        map
    })
}

fn sorted(fields: Fields<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut lines: Vec<_> = fields.lines().map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect();
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
}

proptest! {
    #[test]
    fn both_backings_hold_the_same_fields(lines in heads(), asked in select(NAMES)) {
        let mut names = FieldNames::default();
        let tenant = names.add(HeaderName::from_static("x-tenant"));
        let (map, head) = (map_of(&lines), head_of(&lines));
        let table = FieldTable::read(head.as_bytes(), &names);
        let (by_map, by_table) = (Fields::from(&map), Fields(Backing::FieldTable(&table)));

        prop_assert_eq!(by_map.len(), by_table.len());
        prop_assert_eq!(by_map.is_empty(), by_table.is_empty());
        prop_assert_eq!(sorted(by_map), sorted(by_table));
        let unlisted = FieldName::from(HeaderName::from_bytes(asked.as_bytes()).unwrap());
        for name in [&HOST, &COOKIE, &X_FORWARDED_FOR, &CONTENT_LENGTH, &tenant, &unlisted] {
            prop_assert_eq!(by_map.get(name), by_table.get(name));
            prop_assert_eq!(by_map.contains(name), by_table.contains(name));
            prop_assert!(by_map.get_all(name).eq(by_table.get_all(name)));
            prop_assert!(by_map.get_all(name).rev().eq(by_table.get_all(name).rev()));
        }
        prop_assert!(cookies(by_map, b"sid").eq(cookies(by_table, b"sid")));
    }

    #[test]
    fn both_backings_lead_to_the_same_request(lines in heads(), trusted in any::<bool>(), tls in any::<bool>()) {
        let (map, head) = (map_of(&lines), head_of(&lines));
        let table = FieldTable::read(head.as_bytes(), &FieldNames::default());
        let rules = ReadRules {
            max_uri: 100,
            max_header_bytes: 300,
            max_header_count: 10,
            trusted_proxies: if trusted { vec!["10.0.0.0/8".parse().unwrap()] } else { Vec::new() },
            ..ReadRules::for_test()
        };
        let scheme = if tls { Scheme::Https } else { Scheme::Http };
        let connection = ConnectionFacts::supposed([10, 0, 0, 1].into(), scheme);
        let raw = |fields| RawRequest {
            method: &Method::GET,
            target: b"/a",
            authority: Some("a.example"),
            fields,
            version: Version::HTTP_11,
            connection: &connection,
        };
        let (by_map, by_table) = (raw(Fields::from(&map)), raw(Fields(Backing::FieldTable(&table))));
        let normal = read(&rules, &by_map);
        prop_assert_eq!(&normal, &read(&rules, &by_table));

        if let Ok(normal) = normal {
            let credentials = [HeaderName::from_static("x-api-key")];
            let edits = |raw: &RawRequest<'_>| {
                let id = HeaderValue::from_static("id-1");
                let mut edits = forwarded(&Permit::for_test(), &raw.view(&normal), &credentials, &id, &id).into_vec();
                edits.sort_by(|one, other| one.name().as_str().cmp(other.name().as_str()));
                edits
            };
            let (by_map, by_table): (Vec<Edit>, Vec<Edit>) = (edits(&by_map), edits(&by_table));
            prop_assert_eq!(by_map, by_table);
        }
    }
}
