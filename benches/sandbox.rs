//! What the sandbox costs: entering it, and system calls before and after.
//!
//! Each row is the median of rounds, so that one disturbed round does not count. The sandbox can't be left, so that everything
//! is measured before, then it is entered, then everything is measured again.

#![allow(clippy::print_stdout, reason = "a bench prints what it measures")]

use std::fs::File;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use portcullis::sandbox::{self, SandboxGrants};

const ROUNDS: usize = 31;
const CALLS: u32 = 20_000;

type Step = (&'static str, Box<dyn FnMut()>);

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let deep = folder.path().join("a/b/c/d");
    std::fs::create_dir_all(&deep).expect("a folder");
    let file = deep.join("file");
    std::fs::write(&file, "content").expect("a file");

    let mut steps = steps(file);
    let before: Vec<Duration> = steps.iter_mut().map(|(_, step)| median(step)).collect();
    let mut grants = SandboxGrants::default();
    grants.read(folder.path());
    let began = Instant::now();
    let state = sandbox::enter(grants);
    let entered = began.elapsed();
    println!("Landlock: {:?}; seccomp: {:?}; entered in {entered:?}", state.landlock, state.seccomp);
    println!("{:<44} {:>12} {:>12}", "", "before", "in it");
    for ((name, step), before) in steps.iter_mut().zip(before) {
        println!("{name:<44} {before:>12.0?} {:>12.0?}", median(step));
    }
}

fn steps(file: PathBuf) -> Vec<Step> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_nonblocking(true).expect("a socket of ours");
    vec![
        ("a system call that is never refused: getppid", Box::new(|| _ = std::hint::black_box(nix::unistd::getppid()))),
        ("a read that finds nothing: recvfrom", Box::new(move || _ = socket.recv_from(&mut [0; 16]))),
        ("a call that is looked at: socket and close", Box::new(|| drop(unix_socket()))),
        ("to open a file, six folders deep, and close it", Box::new(move || drop(File::open(&file).expect("a file")))),
    ]
}

fn unix_socket() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None).expect("a socket")
}

/// The time of one call.
fn median(step: &mut dyn FnMut()) -> Duration {
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            for _ in 0..CALLS {
                step();
            }
            began.elapsed() / CALLS
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}
