//! The `portcullis` program: see the library's crate documentation.

use std::process::ExitCode;

// Measured: 0.88 of the CPU per request with glibc's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis::cli::run()
}
