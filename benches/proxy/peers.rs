//! The proxies and their equivalent configurations.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{Owned, PROXY_CPU, pinned};
use crate::scenario::{FIXED, ROUTES, Scenario, route_host};
use crate::tokens::{AUDIENCE, ISSUER};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    Portcullis,
    /// Another build of this gateway, to compare with.
    Baseline,
    /// This build without its fast lane.
    FullLane,
    Nginx,
    Haproxy,
}

/// What a configuration is made from.
pub struct Site<'a> {
    pub dir: &'a Path,
    /// Where the proxy listens.
    pub address: &'a str,
    pub origin: &'a str,
}

impl Proxy {
    pub const ALL: [Proxy; 5] = [Proxy::Portcullis, Proxy::Baseline, Proxy::FullLane, Proxy::Nginx, Proxy::Haproxy];

    pub fn name(self) -> &'static str {
        match self {
            Proxy::Portcullis => "portcullis",
            Proxy::Baseline => "baseline",
            Proxy::FullLane => "full-lane",
            Proxy::Nginx => "nginx",
            Proxy::Haproxy => "haproxy",
        }
    }

    /// The program: for this gateway the one that `PORTCULLIS_BIN` names, else the one that Cargo built; for the baseline the
    /// one that `PORTCULLIS_BASELINE` names, and none without it.
    pub fn program(self) -> Option<String> {
        match self {
            Proxy::Portcullis | Proxy::FullLane => {
                let built = || env!("CARGO_BIN_EXE_portcullis").to_owned();
                Some(std::env::var("PORTCULLIS_BIN").unwrap_or_else(|_| built()))
            }
            Proxy::Baseline => std::env::var("PORTCULLIS_BASELINE").ok(),
            Proxy::Nginx => Some("nginx".to_owned()),
            Proxy::Haproxy => Some("haproxy".to_owned()),
        }
    }

    fn is_portcullis(self) -> bool {
        matches!(self, Proxy::Portcullis | Proxy::Baseline | Proxy::FullLane)
    }

    pub fn is_installed(self) -> bool {
        let Some(program) = self.program() else { return false };
        let flag = if self.is_portcullis() { "--version" } else { "-v" };
        Command::new(program).arg(flag).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    }

    /// Starts the proxy for `scenario`, or gives `None` where it has no such feature.
    pub fn start(self, scenario: Scenario, site: &Site<'_>) -> io::Result<Option<Owned>> {
        let file = match self {
            _ if self.is_portcullis() => portcullis(self, scenario, site)?,
            // Without JavaScript or a subscription, nginx knows no JWT.
            Proxy::Nginx if scenario == Scenario::Jwt => return Ok(None),
            Proxy::Nginx => nginx(scenario, site)?,
            _ => haproxy(scenario, site)?,
        };
        let Some(program) = self.program() else { return Ok(None) };
        let mut command = pinned(PROXY_CPU, &program);
        match self {
            _ if self.is_portcullis() => command.arg("run").arg(&file),
            Proxy::Nginx => command.arg("-p").arg(site.dir).arg("-c").arg(&file),
            _ => command.arg("-db").arg("-f").arg(&file),
        };
        Owned::start(command, &log(self, site)).map(Some)
    }
}

/// Where a proxy's own words go.
pub fn log(proxy: Proxy, site: &Site<'_>) -> PathBuf {
    site.dir.join(format!("{}.log", proxy.name()))
}

fn write(site: &Site<'_>, name: &str, text: &str) -> io::Result<PathBuf> {
    let path = site.dir.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

fn portcullis(proxy: Proxy, scenario: Scenario, site: &Site<'_>) -> io::Result<PathBuf> {
    let dir = site.dir.display();
    let tls = match scenario.transport().is_encrypted() {
        true => format!(", tls: {{ certificates: [{{ cert: \"{dir}/edge.pem\", key: \"{dir}/edge.key\" }}] }}"),
        false => String::new(),
    };
    let lane = if proxy == Proxy::FullLane { ", fast_lane: \"off\"" } else { "" };
    let mut text = format!(
        "version: 1\nprocess: {{ threads: 1{lane} }}\naccess_log: {{ output: off }}\nlisteners: [{{ name: main, address: \
         \"{}\"{tls} }}]\nupstreams: {{ origin: {{ endpoints: [\"{}\"] }} }}\nresponse_headers: {{ set: {{ X-Frame-Options: \
         DENY }} }}\nidentities: {{ corp: {{ jwt: {{ issuer: \"{ISSUER}\", audience: {AUDIENCE}, algorithms: RS256, keys: {{ \
         pem_file: \"{dir}/jwt.pem\" }} }} }} }}\nroutes:\n",
        site.address, site.origin,
    );
    match scenario {
        Scenario::Jwt | Scenario::Unauthorised => text.push_str(
            "  - { name: all, access: { identity: corp }, upstream: origin, limits: [{ name: calls, key: principal, rate: \
             1000000/s }] }\n",
        ),
        Scenario::TooMany => text.push_str(
            "  - { name: all, access: public, upstream: origin, limits: [{ name: calls, rate: 1/h, burst: 1 }] }\n",
        ),
        Scenario::Fixed => {
            let _ = writeln!(text, "  - {{ name: all, access: public, respond: {{ status: 200, body: {FIXED} }} }}");
        }
        Scenario::Routes => {
            for number in 0..ROUTES {
                let host = route_host(number);
                let _ = writeln!(
                    text,
                    "  - {{ name: route-{number}, match: {{ host: {host} }}, access: public, upstream: origin }}"
                );
            }
        }
        _ => text.push_str("  - { name: all, access: public, upstream: origin }\n"),
    }
    write(site, &format!("{}.yaml", proxy.name()), &text)
}

fn nginx(scenario: Scenario, site: &Site<'_>) -> io::Result<PathBuf> {
    let dir = site.dir.display();
    let tls = match scenario.transport().is_encrypted() {
        true => format!(
            " ssl http2;\n    ssl_certificate {dir}/edge.pem;\n    ssl_certificate_key {dir}/edge.key;\n    \
             ssl_protocols TLSv1.2 TLSv1.3"
        ),
        false => String::new(),
    };
    let listen = format!("    listen {}{tls};\n", site.address);
    let pass = "location / { proxy_pass http://origin; }";
    let servers = match scenario {
        Scenario::Unauthorised => format!(
            "  server {{\n{listen}    add_header WWW-Authenticate 'Bearer realm=\"bench\"' always;\n    add_header \
             X-Frame-Options DENY always;\n    if ($http_authorization = \"\") {{ return 401; }}\n    {pass}\n  }}\n"
        ),
        Scenario::Fixed => format!(
            "  server {{\n{listen}    add_header X-Frame-Options DENY always;\n    location / {{ return 200 {FIXED}; }}\n  }}\n"
        ),
        Scenario::TooMany => format!("  server {{\n{listen}    limit_req zone=calls;\n    {pass}\n  }}\n"),
        Scenario::Routes => {
            let mut text = String::new();
            for number in 0..ROUTES {
                let _ =
                    writeln!(text, "  server {{\n{listen}    server_name {};\n    {pass}\n  }}", route_host(number));
            }
            text
        }
        _ => format!("  server {{\n{listen}    {pass}\n  }}\n"),
    };
    let text = format!(
        "daemon off;\nworker_processes 1;\npid {dir}/nginx.pid;\nerror_log {dir}/nginx.err crit;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {dir}/n1;\n  proxy_temp_path {dir}/n2;\n  fastcgi_temp_path \
         {dir}/n3;\n  uwsgi_temp_path {dir}/n4;\n  scgi_temp_path {dir}/n5;\n  keepalive_requests 1000000000;\n  \
         server_names_hash_max_size 65536;\n  server_names_hash_bucket_size 128;\n  upstream origin {{ server {}; keepalive \
         128; keepalive_requests 1000000000; }}\n  proxy_http_version 1.1;\n  proxy_set_header Connection \"\";\n  \
         proxy_set_header Host $host;\n  proxy_set_header X-Forwarded-For $remote_addr;\n  proxy_set_header \
         X-Forwarded-Proto $scheme;\n  proxy_set_header X-Request-Id $request_id;\n  proxy_buffers 16 16k;\n  \
         proxy_max_temp_file_size 0;\n  proxy_hide_header X-Frame-Options;\n  add_header X-Frame-Options DENY always;\n  \
         limit_req_zone $binary_remote_addr zone=calls:10m rate=1r/m;\n  limit_req_status 429;\n{servers}}}\n",
        site.origin,
    );
    write(site, "nginx.conf", &text)
}

fn haproxy(scenario: Scenario, site: &Site<'_>) -> io::Result<PathBuf> {
    let dir = site.dir.display();
    let tls = match scenario.transport().is_encrypted() {
        true => format!(" ssl crt {dir}/edge.both alpn h2,http/1.1 ssl-min-ver TLSv1.2"),
        false => String::new(),
    };
    let rules = match scenario {
        Scenario::Jwt | Scenario::Unauthorised => format!(
            "  stick-table type string len 64 size 100k expire 10s store http_req_rate(1s)\n  http-request return status 401 \
             content-type application/problem+json string \"{{}}\" hdr WWW-Authenticate \"Bearer realm=\\\"bench\\\"\" unless \
             {{ req.hdr(authorization) -m found }}\n  http-request set-var(txn.token) http_auth_bearer\n  http-request \
             set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')\n  http-request set-var(txn.iss) \
             var(txn.token),jwt_payload_query('$.iss')\n  http-request set-var(txn.aud) \
             var(txn.token),jwt_payload_query('$.aud')\n  http-request set-var(txn.sub) \
             var(txn.token),jwt_payload_query('$.sub')\n  http-request set-var(txn.exp) \
             var(txn.token),jwt_payload_query('$.exp','int')\n  http-request deny deny_status 401 unless {{ var(txn.alg) -m \
             str RS256 }}\n  http-request deny deny_status 401 unless {{ var(txn.iss) -m str {ISSUER} }}\n  http-request deny \
             deny_status 401 unless {{ var(txn.aud) -m str {AUDIENCE} }}\n  http-request set-var(txn.now) date()\n  \
             http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}\n  http-request deny \
             deny_status 401 unless {{ var(txn.token),jwt_verify(txn.alg,\"{dir}/jwt.pem\") 1 }}\n  http-request \
             track-sc0 var(txn.sub)\n  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 1000000 }}\n  \
             http-request del-header authorization\n  http-request set-header X-Principal %[var(txn.sub)]\n"
        ),
        Scenario::TooMany => {
            "  stick-table type ip size 100k expire 1h store http_req_rate(1h)\n  http-request track-sc0 src\n  \
                              http-request return status 429 content-type application/problem+json string \"{}\" hdr \
                              Retry-After 3600 if { sc_http_req_rate(0) gt 1 }\n"
                .to_owned()
        }
        Scenario::Fixed => format!("  http-request return status 200 content-type text/plain string {FIXED}\n"),
        Scenario::Routes => {
            let map: String = (0..ROUTES).map(|number| format!("{} origin\n", route_host(number))).collect();
            write(site, "hosts.map", &map)?;
            format!("  use_backend %[req.hdr(host),lower,map({dir}/hosts.map)]\n")
        }
        _ => String::new(),
    };
    let default = if scenario == Scenario::Routes { "" } else { "  default_backend origin\n" };
    let text = format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 30s\n  timeout http-keep-alive \
         60s\n  http-reuse always\n\
         frontend edge\n  bind {}{tls}\n  http-after-response set-header X-Frame-Options DENY\n{rules}  http-request \
         set-header X-Forwarded-For %[src]\n  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]\n  \
         http-request set-header X-Request-Id %[uuid]\n{default}\
         backend origin\n  server one {} pool-max-conn 128\n",
        site.address, site.origin,
    );
    write(site, "haproxy.cfg", &text)
}
