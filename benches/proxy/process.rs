//! Processes: pinned to a CPU, measured by `/proc`, ended when dropped.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where the proxies run; everything else runs on [`OTHERS_CPU`].
pub const PROXY_CPU: usize = 0;
pub const OTHERS_CPU: usize = 1;

/// A command that runs only on `cpu`, where this machine can do that.
pub fn pinned(cpu: usize, program: &str) -> Command {
    if !can_pin() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &cpu.to_string(), program]);
    command
}

/// Whether there are two CPUs to keep apart, and taskset(1).
pub fn can_pin() -> bool {
    std::thread::available_parallelism().is_ok_and(|count| count.get() > OTHERS_CPU)
        && Command::new("taskset").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A process that ends with this value.
pub struct Owned(pub Child);

impl Owned {
    /// Starts `command` with its words in the file `log`.
    pub fn start(mut command: Command, log: &Path) -> io::Result<Owned> {
        let log = File::create(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().map(Owned)
    }

    /// CPU time of the process and all below it, user and system.
    pub fn cpu(&self) -> Duration {
        let ticks: u64 = self.tree().iter().filter_map(|pid| stat(*pid)).map(|stat| stat.ticks).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    /// Resident memory of the process and all below it, in bytes.
    pub fn memory(&self) -> u64 {
        let resident = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        self.tree().iter().filter_map(resident).sum::<u64>() * 1024
    }

    fn tree(&self) -> HashSet<u32> {
        let parents: HashMap<u32, u32> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, stat(pid)?.parent)))
            .collect();
        let mut tree = HashSet::from([self.0.id()]);
        loop {
            let below: Vec<u32> = parents
                .iter()
                .filter(|(pid, parent)| tree.contains(parent) && !tree.contains(pid))
                .map(|(p, _)| *p)
                .collect();
            if below.is_empty() {
                return tree;
            }
            tree.extend(below);
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        for pid in self.tree() {
            if pid != self.0.id() {
                let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            }
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `USER_HZ`, which is 100 in every Linux that people run.
const TICKS_PER_SECOND: u64 = 100;

struct Stat {
    parent: u32,
    /// User and system time, of children that have ended too.
    ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything; the rest is counted from behind it (proc(5), fields 3 and on).
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat { parent: number(4)? as u32, ticks: number(14)? + number(15)? + number(16)? + number(17)? })
}
