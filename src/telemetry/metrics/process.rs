//! Metrics of this process from `/proc`, under the standard names of Prometheus clients.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Counter, Gauge, IntGauge, Registry};

use super::registration::{EXPECT, register};

/// The unit of processor time in `/proc` (`USER_HZ` in proc(5)): 100 on every architecture that Rust's standard library
/// supports, independent of the kernel's timer frequency.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug)]
pub struct ProcessMetrics {
    cpu: Counter,
    resident: IntGauge,
    virtual_size: IntGauge,
    open_fds: IntGauge,
    max_fds: Gauge,
    threads: IntGauge,
}

impl ProcessMetrics {
    /// Registers the metrics; the time of this call counts as the start of the process.
    pub fn new(registry: &Registry) -> Self {
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help).expect(EXPECT));
        let started =
            Gauge::new("process_start_time_seconds", "Start time of the process since the epoch.").expect(EXPECT);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        register(registry, started).set(since_epoch.as_secs_f64());
        ProcessMetrics {
            cpu: register(
                registry,
                Counter::new("process_cpu_seconds_total", "User and system CPU time spent.").expect(EXPECT),
            ),
            resident: gauge("process_resident_memory_bytes", "Resident memory."),
            virtual_size: gauge("process_virtual_memory_bytes", "Virtual memory."),
            open_fds: gauge("process_open_fds", "Open file descriptors."),
            max_fds: register(
                registry,
                Gauge::new("process_max_fds", "Largest number of open file descriptors.").expect(EXPECT),
            ),
            threads: gauge("process_threads", "Threads."),
        }
    }

    /// Reads `/proc`; what can't be read keeps its last value.
    pub fn update(&self) {
        if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
            self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            let set = |gauge: &IntGauge, field, unit| {
                if let Some(value) = status_field(&status, field) {
                    gauge.set(value * unit);
                }
            };
            set(&self.resident, "VmRSS:", 1024);
            set(&self.virtual_size, "VmSize:", 1024);
            set(&self.threads, "Threads:", 1);
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // The listing itself holds one.
            self.open_fds.set(entries.count() as i64 - 1);
        }
        if let Some(limit) = fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(max_fds) {
            self.max_fds.set(limit);
        }
    }
}

/// `utime` and `stime` of proc_pid_stat(5). The second field, the program's name, may hold spaces and parentheses.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn status_field(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn max_fds(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_shifts_no_field() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 100 1000 10";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("42 (a"), None);
    }

    #[test]
    fn limits_may_be_without_end() {
        assert_eq!(
            max_fds("Limit  Soft  Hard\nMax open files            1024                 4096     files\n"),
            Some(1024.0)
        );
        assert_eq!(
            max_fds("Max open files            unlimited            unlimited     files\n"),
            Some(f64::INFINITY)
        );
    }

    #[test]
    fn this_process_has_memory_threads_and_files() {
        let process = ProcessMetrics::new(&Registry::new());
        process.update();
        assert!(process.resident.get() > 0 && process.virtual_size.get() >= process.resident.get());
        assert!(process.threads.get() > 0 && process.open_fds.get() > 0 && process.max_fds.get() > 0.0);
    }
}
