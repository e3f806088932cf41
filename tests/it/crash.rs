//! Crash safety: after a kill, the next process starts without leftovers.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Client, Origin, Setup, wait};

const ROUNDS: usize = 6;

#[test]
fn a_gateway_that_is_killed_under_load_starts_again_in_its_folder_and_its_log_stays_readable() {
    let origin = Origin::saying("ok");
    let mut gateway = Setup::new(
        "access_log: { output: { file: \"<dir>/access.log\" } }\nroutes: [{ name: all, access: public, upstream: origin }]\n",
    )
    .origin(&origin)
    .start();
    let (address, log) = (gateway.address(), gateway.dir().join("access.log"));
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));

    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut client) = Client::try_connect(address) else {
                        thread::yield_now();
                        continue;
                    };
                    while client.send_request("GET", "/", &[], b"").is_ok()
                        && client.try_read_response(false).is_ok_and(|answer| answer.status == 200)
                    {
                        answered.fetch_add(1, Ordering::Relaxed);
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                }
            });
        }
        for round in 0..ROUNDS {
            let before = answered.load(Ordering::Relaxed);
            wait::until_true("answers after the start", || answered.load(Ordering::Relaxed) >= before + 20);
            thread::sleep(Duration::from_millis(fastrand::u64(0..40)));
            gateway.kill_and_restart();
            let status = gateway.order(&["status"]);
            assert_eq!(status.status.code(), Some(0), "round {round}: {}", String::from_utf8_lossy(&status.stderr));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(gateway.pids(), [gateway.pid()], "nothing of the killed ones is left");
    assert_eq!(gateway.terminate().code(), Some(0));

    // A kill may cut the line that was being written; the next process begins a new one.
    let text = fs::read_to_string(&log).expect("the log");
    let broken = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
    assert!(broken <= ROUNDS, "{broken} lines of {} are broken", text.lines().count());
    assert!(text.lines().count() > ROUNDS * 10 && text.ends_with('\n'));
}
