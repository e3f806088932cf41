//! Compile: `access_log`, `admin`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::{CompileContext, listener, numbers};
use crate::config::doc_path::DocPath;
use crate::config::log_template::LogTemplate;
use crate::config::raw;
use crate::config::raw::shape::SecretSource;
use crate::config::raw::telemetry::{Format, Output};
use crate::config::raw::units::Count;
use crate::config::snapshot::{AccessLogConfig, AdminConfig, LogFormat, LogOutput};
use crate::decision::defaults;
use crate::secret::Secret;

/// Most lines that may wait: some hundred MiB of memory when the disk stands still.
const MAX_QUEUE: u64 = 1 << 20;
/// Beyond, they are no bound: probes and scrapers are a handful.
const MAX_ADMIN_CONNECTIONS: u64 = 10_000;
/// 128 bits, if it is random bytes; hexadecimal ones still have 64.
const MIN_TOKEN_BYTES: usize = 16;

/// The access log.
pub fn access_log(ctx: &mut CompileContext, raw: &raw::Config) -> AccessLogConfig {
    let path = DocPath::root().key("access_log");
    let raw = &raw.access_log;
    let format = match &raw.format {
        Format::Json => LogFormat::Json,
        Format::Combined => LogFormat::Combined,
        Format::Template(text) => match LogTemplate::parse(text) {
            Ok(template) => LogFormat::Template(template),
            Err(wrong) => {
                ctx.error(&path.key("format").key("template"), "invalid_template", wrong);
                LogFormat::Json
            }
        },
    };
    let output = match (&raw.output, &raw.file) {
        (Some(_), Some(_)) => {
            let message = "`file` is short for `output: {file: …}`, and `output` is given too";
            ctx.error_with_help(&path.key("file"), "output_conflict", message, "write one of them");
            LogOutput::Stdout
        }
        (Some(Output::Stdout) | None, None) => LogOutput::Stdout,
        (Some(Output::Off), None) => LogOutput::Off,
        (Some(Output::File(file)), None) => log_file(ctx, &path.key("output").key("file"), file),
        (None, Some(file)) => log_file(ctx, &path.key("file"), file),
    };
    let queue = raw.queue.map_or(defaults::LOG_QUEUE as u64, |count| count.0);
    if !(1..=MAX_QUEUE).contains(&queue) {
        ctx.error(&path.key("queue"), "out_of_range", format!("{queue} is not between 1 and {MAX_QUEUE}"));
    }
    AccessLogConfig { format, output, queue: queue.clamp(1, MAX_QUEUE) as usize }
}

fn log_file(ctx: &mut CompileContext, path: &DocPath, file: &str) -> LogOutput {
    if file.is_empty() {
        ctx.error(path, "invalid_value", "the name of the file is empty");
    }
    LogOutput::File(PathBuf::from(file))
}

/// The admin listener.
pub fn admin(ctx: &mut CompileContext, raw: &raw::Config) -> Option<AdminConfig> {
    let written = raw.admin.as_ref()?;
    let path = DocPath::root().key("admin");
    // Each of them reports by itself, so all are asked before any may end this.
    let token = written.token.as_ref().map(|source| token(ctx, &path.key("token"), source));
    let connections = connections(ctx, &path.key("connections"), written.connections);
    let time = numbers::wait(ctx, &path.key("time"), written.time, defaults::ADMIN_TIME);
    let address = admin_address(ctx, &path.key("address"), raw, &written.address, token.is_some())?;
    let token = match token {
        Some(token) => Some(Arc::new(token?)),
        None => None,
    };
    Some(AdminConfig { address, token, connections, time })
}

fn admin_address(
    ctx: &mut CompileContext,
    path: &DocPath,
    raw: &raw::Config,
    written: &str,
    authenticated: bool,
) -> Option<SocketAddr> {
    let address = listener::parse_address(ctx, path, written)?;
    if !authenticated && !address.ip().to_canonical().is_loopback() {
        let message =
            format!("{} is not a loopback address, and the admin listener has no authentication", address.ip());
        let port = address.port();
        let help = format!("write `127.0.0.1:{port}`, or set `admin.token`, such as `token: {{ env: ADMIN_TOKEN }}`");
        ctx.error_with_help(path, "admin_not_loopback", message, help);
        return None;
    }
    let taken = |other: &raw::listener::Listener| {
        other.address.trim().parse().is_ok_and(|other| listener::overlap(address, other))
    };
    if let Some(index) = raw.listeners.iter().position(taken) {
        let other = DocPath::root().key("listeners").index(index).key("address");
        let message = format!("{address} overlaps with the listener at {}", ctx.place(&other));
        ctx.error(path, "duplicate_address", message);
    }
    Some(address)
}

/// The token, which has to be long enough that nobody guesses it, and to fit a header.
fn token(ctx: &mut CompileContext, path: &DocPath, source: &SecretSource) -> Option<Secret<Vec<u8>>> {
    let token = ctx.read_secret(path, source)?;
    let help = "make one with `openssl rand -hex 32`";
    if token.expose().len() < MIN_TOKEN_BYTES {
        let message = format!("the token has fewer than {MIN_TOKEN_BYTES} characters, and could be guessed");
        ctx.error_with_help(path, "secret_too_short", message, help);
        return None;
    }
    if !token.expose().iter().all(u8::is_ascii_graphic) {
        let message = "the token has characters that a header can't carry as they are";
        ctx.error_with_help(path, "invalid_token", message, help);
        return None;
    }
    Some(token)
}

fn connections(ctx: &mut CompileContext, path: &DocPath, written: Option<Count>) -> usize {
    let connections = written.map_or(defaults::ADMIN_CONNECTIONS as u64, |count| count.0);
    if !(1..=MAX_ADMIN_CONNECTIONS).contains(&connections) {
        ctx.error(path, "out_of_range", format!("{connections} is not between 1 and {MAX_ADMIN_CONNECTIONS}"));
    }
    connections.clamp(1, MAX_ADMIN_CONNECTIONS) as usize
}
