//! Files that list the endpoints of an upstream.

use std::io;

use super::endpoints;
use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::environment::Environment;
use crate::config::load;
use crate::config::raw;
use crate::config::snapshot::EndpointConfig;
use crate::decision::defaults::ENDPOINTS_PER_FILE;
use crate::diagnostics::{Diagnostic, has_errors};

/// The endpoints that `content` lists, in its order; never none. `file` is its name, for what is wrong.
///
/// # Errors
/// Everything that is wrong with it, in its order.
pub fn endpoints_in_file(file: &str, content: &[u8]) -> Result<Vec<EndpointConfig>, Vec<Diagnostic>> {
    let list = load::load_list::<raw::upstream::Endpoint>(file, content)?;
    let mut ctx = CompileContext::new(&list.places, &Nothing);
    let root = DocPath::root();
    if list.items.is_empty() && list.diagnostics.is_empty() {
        ctx.error_with_help(
            &root,
            "endpoints_empty",
            "the file lists no endpoint",
            "write at least one; to take a service out, say so on its routes",
        );
    }
    if list.items.len() > ENDPOINTS_PER_FILE {
        let message = format!("the file lists {} endpoints; at most {ENDPOINTS_PER_FILE} are used", list.items.len());
        ctx.error_with_help(&root, "too_many_endpoints", message, "put a load balancer or a DNS name before them");
    }
    let compiled = endpoints(&mut ctx, &root, list.items.iter().enumerate());
    let mut found = list.diagnostics;
    found.append(&mut ctx.into_diagnostics());
    if has_errors(&found) { Err(crate::config::compile::in_order(found)) } else { Ok(compiled) }
}

/// A list of endpoints names nothing outside itself.
struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn listed(content: &str) -> Vec<(String, u16, u32)> {
        let endpoints = endpoints_in_file("orders.yaml", content.as_bytes()).unwrap();
        endpoints.into_iter().map(|endpoint| (endpoint.host, endpoint.port, endpoint.weight)).collect()
    }

    /// As `line:column code`.
    #[track_caller]
    fn wrong(content: &str) -> Vec<String> {
        let found = endpoints_in_file("orders.yaml", content.as_bytes()).unwrap_err();
        assert!(found.iter().all(|found| &*found.place.file == "orders.yaml"), "{found:?}");
        found.iter().map(|found| format!("{}:{} {}", found.place.line, found.place.column, found.code)).collect()
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let expected = [("10.0.0.1".to_owned(), 80, 1), ("orders.internal".to_owned(), 81, 3)];
        assert_eq!(listed("# two\n- 10.0.0.1:80\n- address: Orders.internal:81\n  weight: 3\n"), expected);
        assert_eq!(listed("[\"10.0.0.1:80\", {\"address\": \"orders.internal:81\", \"weight\": 3}]"), expected);
    }

    #[test]
    fn every_mistake_has_its_place_in_the_file() {
        assert_eq!(
            wrong("- 10.0.0.1:80\n- nowhere\n- {address: 'b:1', weigth: 2}\n- {srv: _http._tcp.x}\n- '10.0.0.1:80'\n"),
            [
                "2:3 invalid_address",
                "3:20 unknown_field",
                "4:3 missing_field",
                "4:4 unknown_field",
                "5:3 duplicate_endpoint"
            ]
        );
        assert_eq!(wrong("- {address: 'b:1', weight: many}"), ["1:28 invalid_value"]);
    }

    #[test]
    fn what_is_no_list_of_endpoints_is_refused() {
        assert_eq!(wrong(""), ["1:1 endpoints_empty"]);
        assert_eq!(wrong("[]"), ["1:1 endpoints_empty"]);
        assert_eq!(wrong("endpoints: ['a:1']"), ["1:1 invalid_value"]);
        assert_eq!(wrong("- 'a:1\n"), ["1:3 yaml_syntax"]);
        let many: String = (0..=ENDPOINTS_PER_FILE).map(|n| format!("- a{n}:1\n")).collect();
        assert_eq!(wrong(&many), ["1:1 too_many_endpoints"]);
    }

    proptest! {
        #[test]
        fn any_content_is_a_list_or_wrong(content in "(- )?[a-z0-9.:'{}\\[\\], \\n-]{0,60}|\\PC{0,40}") {
            match endpoints_in_file("f", content.as_bytes()) {
                Ok(endpoints) => prop_assert!(!endpoints.is_empty()),
                Err(found) => prop_assert!(!found.is_empty()),
            }
        }
    }
}
