//! Failed upgrades: the old process continues to serve.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::thread;
use std::time::Duration;

use super::{FIXED, begin, ends, words};
use crate::support::gateway::{kill, output_in_time};
use crate::support::{Gateway, Setup, wait};

/// The old process serves, is found, and can still be followed.
#[track_caller]
fn goes_on(gateway: &Gateway) {
    assert_eq!(gateway.serving_pid(), Some(gateway.pid()));
    assert_eq!(gateway.get("/").expect_status(200).text(), "one");
    gateway.upgrade();
    gateway.get("/").expect_status(200);
}

fn failures(gateway: &Gateway) -> f64 {
    gateway.metrics().sum("portcullis_handover_failures_total", &[])
}

/// The process that `upgrade` has started.
fn child_of(upgrade: &Child) -> u32 {
    let file = format!("/proc/{0}/task/{0}/children", upgrade.id());
    wait::until("the new process", || fs::read_to_string(&file).ok()?.split_whitespace().next()?.parse().ok())
}

#[test]
fn a_broken_configuration() {
    let gateway = Gateway::start(FIXED);
    let text = fs::read_to_string(gateway.file()).unwrap();
    fs::write(gateway.file(), text.replace("access: public", "acces: public")).unwrap();
    let output = gateway.order(&["upgrade"]);
    assert_eq!(output.status.code(), Some(78), "{}", words(&output));
    assert!(words(&output).contains("`acces`"), "{}", words(&output));
    assert!(words(&output).contains(&format!("process {} goes on", gateway.pid())), "{}", words(&output));
    fs::write(gateway.file(), text).unwrap();
    goes_on(&gateway);
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::start(FIXED);
    let text = fs::read_to_string(gateway.file()).unwrap();
    let more = format!("listeners: [{{ name: more, address: \"{}\" }}, ", taken.local_addr().unwrap());
    fs::write(gateway.file(), text.replace("listeners: [", &more)).unwrap();
    let output = gateway.order(&["upgrade"]);
    assert_eq!(output.status.code(), Some(69), "{}", words(&output));
    assert!(words(&output).contains("listener `more` cannot bind"), "{}", words(&output));
    wait::until_true("the failure to be counted", || failures(&gateway) == 1.0);
    gateway.says("did not take over");
    fs::write(gateway.file(), text).unwrap();
    goes_on(&gateway);
}

#[test]
fn not_becoming_ready_in_time() {
    let gateway = Gateway::start(FIXED);
    let output = gateway.order(&["upgrade", "--wait", "1ms"]);
    assert_eq!(output.status.code(), Some(69), "{}", words(&output));
    assert!(words(&output).contains("was not ready in time"), "{}", words(&output));
    wait::until_true("the failure to be counted", || failures(&gateway) == 1.0);
    goes_on(&gateway);
}

#[test]
fn the_new_processs_death_at_any_moment() {
    let gateway = Gateway::start(FIXED);
    for round in 0..8_u64 {
        let mut upgrade = begin(&gateway);
        let new = child_of(&upgrade);
        thread::sleep(Duration::from_millis(round * 12));
        // Stopped first, so that it can be seen whether it had taken over by then.
        if !kill(new, "STOP") || gateway.serving_pid() == Some(new) {
            kill(new, "CONT");
            let _ = upgrade.wait();
            break;
        }
        kill(new, "KILL");
        let output = output_in_time(upgrade);
        assert_eq!(output.status.code(), Some(69), "{}", words(&output));
        gateway.get("/").expect_status(200);
    }
    let now = gateway.serving_pid().expect("a gateway that is found");
    gateway.get("/").expect_status(200);
    if now == gateway.pid() {
        wait::until_true("the last handover to be over", || gateway.order(&["upgrade"]).status.success());
    }
}

#[test]
fn nonsense_on_the_upgrade_socket() {
    let gateway = Gateway::start(FIXED);
    for nonsense in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64], b"\0\0\0\x02{}", b"\0\0\0\x10"] {
        let mut stream = UnixStream::connect(gateway.runtime().join("upgrade.sock")).unwrap();
        // It may have been refused unread: one at a time.
        let _ = stream.write_all(nonsense);
        let _ = stream.shutdown(Shutdown::Write);
        wait::until_true("the failure to be counted", || failures(&gateway) > 0.0);
        gateway.get("/").expect_status(200);
    }
    wait::until_true("the last handover to be over", || failures(&gateway) >= 1.0);
    wait::until_true("another upgrade", || gateway.order(&["upgrade"]).status.success());
}

#[test]
fn sigterm_in_the_midst_drains_the_old_process_and_leaves_no_new_one() {
    let mut gateway = Gateway::start(FIXED);
    let upgrade = begin(&gateway);
    let new = child_of(&upgrade);
    assert!(kill(new, "STOP"));
    if gateway.serving_pid() == Some(new) {
        // It was faster than this test.
        assert!(kill(new, "CONT"));
        let _ = output_in_time(upgrade);
        return;
    }
    assert_eq!(gateway.terminate().code(), Some(0));
    assert!(kill(new, "CONT"));
    let output = output_in_time(upgrade);
    assert_eq!(output.status.code(), Some(69), "{}", words(&output));
    ends(new);
}

#[test]
fn two_upgrades_at_once_are_one_after_the_other_or_one() {
    let gateway = Gateway::start(FIXED);
    let (first, second) = (begin(&gateway), begin(&gateway));
    let outputs = [output_in_time(first), output_in_time(second)];
    let succeeded = outputs.iter().filter(|output| output.status.success()).count();
    assert!(succeeded >= 1, "{}\n{}", words(&outputs[0]), words(&outputs[1]));
    gateway.get("/").expect_status(200);
    wait::until_true("one process to be left", || gateway.pids().len() == 1);
    assert_eq!(gateway.pids()[0], gateway.serving_pid().unwrap());
}

#[test]
fn a_gateway_without_a_runtime_folder_can_not_be_followed_and_says_so() {
    let gateway = Setup::new(FIXED)
        .without_variable("PORTCULLIS_RUNTIME")
        .without_variable("XDG_RUNTIME_DIR")
        .variable("RUNTIME_DIRECTORY", "/nowhere/at/all")
        .start();
    gateway.says("there is no control socket");
    assert_eq!(gateway.order(&["upgrade"]).status.code(), Some(69));
    gateway.get("/").expect_status(200);
}
