//! Vocabulary: what other products call a setting, and what it is called here, or why there is none.
//!
//! A row is for an unknown field where all the fields of its first column are known, so that one word can mean different
//! things in different places.

/// One row: the fields that tell the place, the words of others, the field here (if it is one of this place), and what to say
/// beyond its name.
struct VocabularyRow {
    place: &'static str,
    words: &'static str,
    field: &'static str,
    help: &'static str,
}

const fn row(place: &'static str, words: &'static str, field: &'static str, help: &'static str) -> VocabularyRow {
    VocabularyRow { place, words, field, help }
}

/// The help for the unknown `word` where the fields `known` belong.
pub(super) fn help(word: &str, known: &[String]) -> Option<String> {
    let row = find(word, known)?;
    Some(match (row.field, row.help) {
        (field, "") => format!("it is called `{field}` here"),
        ("", help) => help.to_owned(),
        (field, help) => format!("it is called `{field}` here: {help}"),
    })
}

/// The field of this place that the unknown `word` stands for.
pub(super) fn meant(word: &str, known: &[String]) -> Option<&'static str> {
    find(word, known).map(|row| row.field).filter(|field| !field.is_empty())
}

fn find(word: &str, known: &[String]) -> Option<&'static VocabularyRow> {
    let word = word.to_lowercase().replace('-', "_");
    let here = |row: &&VocabularyRow| {
        row.place.split(' ').all(|field| field.is_empty() || known.iter().any(|name| name == field))
    };
    ROWS.iter().filter(here).find(|row| row.words.split(' ').any(|other| other == word))
}

/// Rows of a place come before those of every place.
#[rustfmt::skip]
const ROWS: &[VocabularyRow] = &[
    // The document.
    row("listeners routes", "server servers listen entrypoints entry_points frontend frontends ports", "listeners",
        "`listeners: [{name: public, address: \"0.0.0.0:8080\"}]`"),
    row("listeners routes", "services backends backend clusters origins", "upstreams",
        "`upstreams: {app: {endpoints: [\"127.0.0.1:9001\"]}}`"),
    row("listeners routes", "rules locations virtual_hosts vhosts paths ingress", "routes", ""),
    row("listeners routes", "consumers auth authentication providers jwt_providers authn users", "identities",
        "who can be recognised; a route says by `access` who may use it"),
    row("listeners routes", "log logging logs accesslog access_logs", "access_log", ""),
    row("listeners routes", "metrics prometheus stats status telemetry health", "admin",
        "metrics and health checks are always served there: `admin: {address: \"127.0.0.1:9900\"}`"),
    row("listeners routes", "real_ip set_real_ip_from trusted_ips trusted_networks forwarded_headers", "trusted_proxies", ""),
    row("listeners routes", "resolver resolvers nameservers", "dns", "`dns: {servers: [\"10.0.0.2\"]}`"),
    row("listeners routes", "worker_processes workers threads user grace_period shutdown_timeout", "process",
        "`process: {threads: 4, drain: 30s, user: portcullis}`"),
    row("listeners routes", "tls ssl certificates", "", "certificates belong to a listener: `tls: {certificates: [{cert: PATH, key: PATH}]}`"),
    row("listeners routes", "timeouts timeout", "", "times for clients are in `bounds`, those for an origin in `timeouts` of the upstream"),
    row("listeners routes", "access allow deny policies authorization", "", "each route says by `access` who may use it; there is no default"),
    // A route.
    row("upstream respond", "proxy_pass backend backend_url service target forward forward_to proxy origin cluster use_backend url", "upstream",
        "a name from `upstreams`"),
    row("upstream respond", "return direct_response response static_response body_text", "respond", "`respond: {status: 200, body: ok}`"),
    row("upstream respond", "host hosts hostname hostnames server_name domain domains path paths prefix location uri methods method query predicates", "match",
        "`match: {host: a.example, path: \"/v1/*\", methods: GET}`"),
    row("upstream respond", "auth authentication authorization authn authz security identity identities jwt api_key policy", "access",
        "`access: {identity: NAME}`, `access: public` or `access: deny`"),
    row("upstream respond", "headers add_header add_headers set_headers response_header_modifier", "response_headers",
        "`response_headers: {set: {NAME: VALUE}}`; conditions on requests are `match: {headers: …}`"),
    row("upstream respond", "strip_path strip_prefix prefix_rewrite rewrite_path path_rewrite url_rewrite rewrite_target", "rewrite",
        "`rewrite: {strip_prefix: /api}`, or `path` with the whole path"),
    row("upstream respond", "preserve_host host_header pass_host_header", "", "the origin gets the client's host; `rewrite: {host: NAME}` changes it"),
    row("upstream respond", "allow deny whitelist blacklist allowlist denylist ip_allow ip_whitelist ip_restriction source_ranges", "addresses",
        "`addresses: {allow: [\"10.0.0.0/8\"]}`"),
    row("upstream respond", "rate_limit ratelimit rate_limits rate limit throttle limit_req quota", "limits",
        "`limits: [{name: calls, rate: 50/s}]`"),
    row("upstream respond", "require_tls https_redirect tls_redirect force_https", "redirect", "`redirect: {scheme: https}`"),
    row("upstream respond", "client_max_body_size max_body_size body_size body_limit max_request_body_size", "body", "such as `body: 20MiB`"),
    row("upstream respond", "timeout timeouts read_timeout proxy_read_timeout connect_timeout", "", "times for an origin are set at its upstream: `timeouts`"),
    row("upstream respond", "priority weight order precedence", "", "the most specific route takes a request, whatever the order of the file"),
    row("upstream respond", "shadow request_mirror traffic_mirror", "mirror", ""),
    row("upstream respond", "canary traffic_split weighted_clusters weighted_backends", "upstream", "`upstream: {split: […]}`"),
    // A match.
    row("path query", "hosts hostname hostnames server_name domain domains authority", "host", "one name or a list"),
    row("path query", "paths prefix path_prefix location uri url regex", "path", "`/exact`, `\"/below/*\"`, `/orders/{id}` or `{regex: …}`"),
    row("path query", "verb verbs http_method", "methods", ""),
    row("path query", "query_params query_parameters params args", "query", ""),
    row("path query", "client_ip remote_addr source_ip ip", "", "rules on client addresses are `addresses` of the route"),
    // An upstream.
    row("endpoints balance", "server servers host hosts node nodes target targets backends url urls address addresses instances load_assignment", "endpoints",
        "`host:port`, one or a list"),
    row("endpoints balance", "load_balancing load_balancer lb lb_policy lb_method algorithm strategy policy", "balance", ""),
    row("endpoints balance", "health_check health_checks healthcheck healthchecks check probe probes active", "health", "`health: {http: {path: /healthz}}`"),
    row("endpoints balance", "outlier_detection passive passive_health max_fails fail_timeout", "ejection", ""),
    row("endpoints balance", "max_connections max_conns maxconn max_requests max_pending_requests limits", "circuit_breaker", "`circuit_breaker: {requests: 1000}`"),
    row("endpoints balance", "keepalive keep_alive pool connection_pool keepalive_pool", "", "connections are always pooled: `timeouts.idle` says how long, `bounds.upstream_pool` how many"),
    row("endpoints balance", "session_affinity sticky_session sticky_sessions cookie affinity", "sticky", ""),
    row("endpoints balance", "ip_hash hash hash_on consistent_hash", "balance", "`balance: {consistent_hash: client_address}`"),
    row("endpoints balance", "ssl https secure transport_socket protocol scheme", "tls", "`tls: {sni: NAME}`"),
    row("endpoints balance", "connect_timeout read_timeout send_timeout write_timeout timeout proxy_read_timeout proxy_connect_timeout", "timeouts",
        "`timeouts: {connect: 2s, response: 30s}`"),
    row("endpoints balance", "h2 http2_protocol_options grpc h2c", "http2", "`http2: true`"),
    row("endpoints balance", "retry retry_policy proxy_next_upstream num_retries", "retries", ""),
    row("sni ca", "insecure insecure_skip_verify skip_verify tls_skip_verify verify ssl_verify proxy_ssl_verify verify_hostname", "",
        "certificates are always verified; `ca` names a private authority, `sni` the name in the certificate"),
    row("sni ca", "server_name servername hostname name host", "sni", ""),
    row("sni ca", "ca_file cacert ca_cert ca_certificates trusted_ca root_ca trusted_certificate ca_bundle", "ca", ""),
    row("sni ca", "cert key certificate client_cert mtls", "client_certificate", "`client_certificate: {cert: PATH, key: PATH}`"),
    row("connect response send", "read read_timeout first_byte ttfb response_header", "response", ""),
    row("connect response send", "write write_timeout send_timeout", "send", ""),
    row("connect response send", "keepalive keep_alive keepalive_timeout idle_timeout", "idle", ""),
    row("connect response send", "total overall timeout route_timeout", "request", ""),
    row("healthy_after", "rise healthy_threshold success_threshold passes", "healthy_after", ""),
    row("healthy_after", "fall unhealthy_threshold failure_threshold fails", "unhealthy_after", ""),
    row("expected_status", "status statuses expect codes match expected_statuses", "expected_status", ""),
    row("expected_status", "uri url endpoint http_path", "path", ""),
    // Identities.
    row("jwks_file", "jwks_url jwks_uri uri url remote_jwks discovery openid_configuration well_known oidc", "jwks_file",
        "key sets are read from files; fetch the issuer's set by a timer, and a new file takes effect by a reload or by `run --watch`"),
    row("jwks_file", "pem key key_file public_key public_key_file rsa_public_key certificate", "pem_file", ""),
    row("jwks_file", "shared_secret hmac hs256 client_secret password", "secret", "`secret: {env: NAME}` or `secret: {file: PATH}`"),
    row("issuer keys", "jwks jwks_url jwks_uri jwks_file jwk_set remote_jwks local_jwks public_key secret", "keys", "`keys: {jwks_file: PATH}`"),
    row("issuer keys", "iss", "issuer", ""),
    row("issuer keys", "aud", "audience", ""),
    row("issuer keys", "alg", "algorithms", ""),
    row("issuer keys", "clock_skew skew clock_skew_seconds", "leeway", ""),
    row("issuer keys", "cookie query_param from_params", "", "tokens are read from a header: `Authorization`, or the one that `header` names"),
    row("header keys", "query key_in_query query_param cookie key_in_body", "", "API keys are read from a header"),
    row("jwt api_key", "oidc openid_connect openid oauth2 introspection", "jwt", "tokens of OpenID Connect are JSON Web Tokens"),
    row("jwt api_key", "key_auth apikey apikeys api_keys", "api_key", ""),
    row("jwt api_key", "basic basic_auth htpasswd ldap mtls", "", "callers are recognised by `jwt` or `api_key`"),
    row("identity forward_credentials", "identities provider providers jwt api_key auth issuer", "identity", "names from `identities`"),
    row("identity forward_credentials", "scope scopes role roles claims groups", "allow", "`allow: {scope: NAME}`"),
    row("identity forward_credentials", "ip addresses client_ip cidr", "", "rules on client addresses are `addresses` of the route"),
    row("scope role claims", "groups group", "role", "the claim of the roles is `roles_claim` of the identity"),
    row("scope role claims", "users user sub principal principals", "claims", "`claims: {sub: [ann, bob]}`"),
    // Limits.
    row("rate burst", "requests rps requests_per_second average max limit count", "rate", "such as `50/s`"),
    row("rate burst", "period window per interval unit", "", "the period is part of the rate: `50/s`, `1000/h`"),
    row("rate burst", "by source limit_by dimension descriptor", "key", ""),
    row("rate burst", "connections max_connections conn in_flight", "concurrent", ""),
    // Listeners.
    row("proxy_protocol address", "port bind listen host socket_address ip", "address", "`address: \"0.0.0.0:8080\"`"),
    row("proxy_protocol address", "ssl https certificates certificate cert ssl_certificate", "tls", "`tls: {certificates: [{cert: PATH, key: PATH}]}`"),
    row("proxy_protocol address", "protocol protocols type alpn h2", "http2", "HTTP/1.1 is always served, and HTTP/2 beside it by `http2`"),
    row("proxy_protocol address", "http3 quic h3", "", "HTTP/3 is not served"),
    row("certificates unknown_name", "cert certificate cert_file ssl_certificate key key_file ssl_certificate_key", "certificates",
        "`certificates: [{cert: PATH, key: PATH}]`"),
    row("certificates unknown_name", "min_version protocols versions ciphers cipher_suites ssl_protocols ssl_ciphers curves", "",
        "always TLS 1.2 and 1.3 with cipher suites that are safe"),
    row("cert key", "certificate certificate_file cert_file certfile chain fullchain crt", "cert", ""),
    row("cert key", "private_key private_key_file key_file keyfile", "key", ""),
    // Bounds.
    row("header_bytes uri", "client_max_body_size max_body_size body_size body_limit max_request_body_size", "body", ""),
    row("header_bytes uri", "client_header_timeout read_header_timeout header_timeout", "header_time", ""),
    row("header_bytes uri", "client_body_timeout read_timeout request_timeout", "body_idle", ""),
    row("header_bytes uri", "keepalive_timeout idle_timeout keep_alive", "keepalive", ""),
    row("header_bytes uri", "max_header_size max_header_bytes large_client_header_buffers header_size max_request_headers_kb", "header_bytes", ""),
    row("header_bytes uri", "send_timeout write_timeout", "write_idle", ""),
    row("header_bytes uri", "max_connections worker_connections maxconn", "connections", ""),
    row("header_bytes uri", "max_concurrent_streams http2_max_concurrent_streams", "http2_streams", ""),
    row("header_bytes uri", "keepalive_requests max_requests", "requests_per_connection", ""),
    row("header_bytes uri", "websocket_timeout tunnel_timeout upgrade_timeout", "tunnel_idle", ""),
    row("header_bytes uri", "token_size max_token_size jwt_size", "token", ""),
    // Answers, the log, the admin listener.
    row("append rename", "add", "append", "or `set`, which replaces what the origin sent"),
    row("append rename", "delete hide del unset", "remove", ""),
    row("append rename", "override overwrite", "set", ""),
    row("output format", "path filename log_file destination", "file", ""),
    row("token time", "port bind listen host", "address", "`address: \"127.0.0.1:9900\"`"),
    row("token time", "metrics prometheus metrics_path health readiness", "", "`/metrics`, `/livez` and `/readyz` are always served"),
    // Every place.
    row("", "websocket websockets ws enable_websocket enable_websockets allow_websocket upgrade upgrades upgrade_configs allow_upgrade", "",
        "always on: WebSocket and other upgrades pass without a setting; `bounds.tunnel_idle` ends silent ones"),
    row("", "proxy_buffering buffering request_buffering response_buffering", "", "bodies are always streamed"),
    row("", "gzip compress compression brotli zstd", "", "answers pass as the origin compressed them"),
    row("", "cors cors_policy allow_origins", "", "there is no setting for CORS: the origin answers preflights"),
    row("", "cache caching proxy_cache", "", "nothing is cached"),
    row("", "plugins plugin middlewares middleware filters http_filters", "", "there are no plugins: what a route does is said by its fields, in an order that is fixed"),
    row("", "proxy_set_header request_headers set_request_headers", "", "the origin gets `X-Forwarded-*`, `Forwarded` and `X-Request-Id` without a setting, and `rewrite: {host: …}` sets its `Host`"),
    row("", "request_id x_request_id correlation_id", "", "always on: each request has an `X-Request-Id`"),
    row("", "server_tokens", "", "`response_headers: {remove: [Server]}`"),
    row("", "include includes import", "", "name a folder instead of a file: its `*.yaml` files are merged"),
    row("", "http3 quic", "", "HTTP/3 is not served"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::config::raw::Config;

    /// The fields of each mapping of the schema.
    fn mappings(schema: &Value, found: &mut Vec<BTreeSet<String>>) {
        match schema {
            Value::Object(entries) => {
                // A mapping with one field is one of several forms.
                let fields = entries.get("properties").and_then(Value::as_object);
                found.extend(fields.filter(|fields| fields.len() > 1).map(|fields| fields.keys().cloned().collect()));
                // The names of an enum are each a mapping with one field.
                if let Some(forms) = entries.get("oneOf").and_then(Value::as_array) {
                    let field =
                        |form: &Value| form["properties"].as_object().and_then(|one| one.keys().next().cloned());
                    found.push(forms.iter().filter_map(field).collect());
                }
                entries.values().for_each(|value| mappings(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| mappings(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_row_is_for_a_place_of_the_schema_and_names_a_field_of_it() {
        let mut places = Vec::new();
        mappings(&schemars::schema_for!(Config).into(), &mut places);
        for row in ROWS.iter().filter(|row| !row.place.is_empty()) {
            let here: Vec<_> =
                places.iter().filter(|fields| row.place.split(' ').all(|name| fields.contains(name))).collect();
            assert!(!here.is_empty(), "no place has {}", row.place);
            for fields in here {
                assert!(
                    row.field.is_empty() || fields.contains(row.field),
                    "{} is not beside {}",
                    row.field,
                    row.place
                );
                let known = row.words.split(' ').find(|word| fields.contains(*word));
                assert_eq!(known, None, "a field beside {} is no unknown word", row.place);
            }
        }
    }

    #[test]
    fn a_word_means_what_its_place_says() {
        let known = |fields: &[&str]| fields.iter().map(|&field| field.to_owned()).collect::<Vec<_>>();
        let (route, matching) = (known(&["upstream", "respond", "match"]), known(&["host", "path", "query"]));
        assert_eq!(meant("hosts", &route), Some("match"));
        assert_eq!(meant("hosts", &matching), Some("host"));
        assert_eq!(
            help("proxy-pass", &route).as_deref(),
            Some("it is called `upstream` here: a name from `upstreams`")
        );
        assert!(help("WebSocket", &matching).unwrap().starts_with("always on"));
        assert_eq!((help("hots", &matching), meant("websocket", &route)), (None, None));
    }
}
