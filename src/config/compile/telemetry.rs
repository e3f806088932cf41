//! Compile: `access_log`, `admin`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Context, DocPath, listener};
use crate::config::raw;
use crate::config::raw::telemetry::{Format, Output};
use crate::config::snapshot::{AccessLog, LogFormat, LogOutput};
use crate::decision::rules::defaults;
use crate::telemetry::access_log::Template;

/// Most lines that may wait: some hundred MiB of memory when the disk stands still.
const MAX_QUEUE: u64 = 1 << 20;

/// The access log.
pub fn access_log(ctx: &mut Context, raw: &raw::Config) -> AccessLog {
    let path = DocPath::root().key("access_log");
    let raw = &raw.access_log;
    let format = match &raw.format {
        Format::Json => LogFormat::Json,
        Format::Combined => LogFormat::Combined,
        Format::Template(template) => {
            if let Err(wrong) = Template::parse(template) {
                ctx.error(&path.key("format").key("template"), "invalid_template", wrong);
            }
            LogFormat::Template(template.clone())
        }
    };
    let output = match &raw.output {
        Output::Stdout => LogOutput::Stdout,
        Output::Off => LogOutput::Off,
        Output::File(file) => {
            if file.is_empty() {
                ctx.error(&path.key("output").key("file"), "invalid_value", "the name of the file is empty");
            }
            LogOutput::File(PathBuf::from(file))
        }
    };
    let queue = raw.queue.map_or(defaults::LOG_QUEUE as u64, |count| count.0);
    if !(1..=MAX_QUEUE).contains(&queue) {
        ctx.error(&path.key("queue"), "out_of_range", format!("{queue} is not between 1 and {MAX_QUEUE}"));
    }
    AccessLog { format, output, queue: queue.clamp(1, MAX_QUEUE) as usize }
}

/// The address of the admin listener.
pub fn admin(ctx: &mut Context, raw: &raw::Config) -> Option<SocketAddr> {
    let path = DocPath::root().key("admin").key("address");
    let address = listener::parse_address(ctx, &path, &raw.admin.as_ref()?.address)?;
    if !address.ip().to_canonical().is_loopback() {
        let message =
            format!("{} is not a loopback address, and the admin listener has no authentication", address.ip());
        let help = format!("write `127.0.0.1:{}`", address.port());
        ctx.error_with_help(&path, "admin_not_loopback", message, help);
        return None;
    }
    let taken = |other: &raw::listener::Listener| {
        other.address.trim().parse().is_ok_and(|other| listener::overlap(address, other))
    };
    if let Some(index) = raw.listeners.iter().position(taken) {
        let other = DocPath::root().key("listeners").index(index).key("address");
        let message = format!("{address} overlaps with the listener at {}", ctx.place(&other));
        ctx.error(&path, "duplicate_address", message);
    }
    Some(address)
}
