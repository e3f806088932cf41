//! Compile: `process.sandbox`.

use std::path::Path;

use crate::config::compile::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw::sandbox::{self as raw, Sandbox};
use crate::config::snapshot::{SandboxConfig, SandboxMode};

/// What the process may open after its start. That a folder is missing is a warning here, since a file may be checked on another
/// machine than the one that runs it.
pub(super) fn sandbox(ctx: &mut CompileContext, path: &DocPath, written: &Sandbox) -> SandboxConfig {
    let mode = match written.mode {
        raw::SandboxMode::BestEffort => SandboxMode::BestEffort,
        raw::SandboxMode::Required => SandboxMode::Required,
        raw::SandboxMode::Off => SandboxMode::Off,
    };
    let list = path.key("readable");
    if mode == SandboxMode::Off && !written.readable.is_empty() {
        let help = "leave `readable` out, or choose `best_effort` or `required`";
        ctx.error_with_help(
            &list,
            "sandbox_off",
            "without a sandbox, the process may read all that its user may",
            help,
        );
    }
    for (index, readable) in written.readable.iter().enumerate() {
        let path = list.index(index);
        match readable.as_str() {
            "" => ctx.error(&path, "invalid_path", "it names no file and no folder"),
            all if Path::new(all) == Path::new("/") => {
                let message = "the process may read every file that its user may";
                ctx.warning(&path, "sandbox_open", message, "name the folders of the files that a reload will read");
            }
            one if !ctx.has_mode(one) => {
                let message = format!("`{one}` does not exist, so that the process is not given it");
                ctx.warning(&path, "sandbox_path_missing", message, "make it before the gateway starts");
            }
            _ => {}
        }
    }
    SandboxConfig { mode, readable: written.readable.iter().map(Into::into).collect() }
}
