//! Log rotation by the real `logrotate`, on the file that the package installs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::unistd::{Gid, Group, Uid, User};

use super::read;
use crate::support::{Setup, wait};

const ROTATIONS: usize = 3;

#[test]
fn rotation_under_load_loses_no_line() {
    // Debian keeps it where only root's PATH leads.
    let Some(logrotate) = ["/usr/sbin/logrotate", "/sbin/logrotate"].into_iter().find(|path| Path::new(path).exists())
    else {
        eprintln!("not tested, because logrotate is not installed: rotation under load loses no line");
        return;
    };
    let setup = Setup::new(
        "access_log: { queue: 65536, format: { template: \"{path}\" }, output: { file: \"<dir>/logs/access.log\" } }\n\
         routes: [{ name: all, access: public, respond: {} }]\n",
    );
    let logs = setup.dir().join("logs");
    fs::create_dir(&logs).expect("a writable temporary folder");
    let gateway = setup.start();
    let rules = gateway.dir().join("logrotate.conf");
    fs::write(&rules, here(&read("deploy/logrotate/portcullis"), &logs, gateway.pid())).expect("a writable folder");

    let enough = AtomicBool::new(false);
    let sent: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let (gateway, enough) = (&gateway, &enough);
                scope.spawn(move || {
                    let mut sent = 0;
                    while !enough.load(Ordering::Relaxed) {
                        gateway.get(&format!("/{client}/{sent}")).expect_status(200);
                        sent += 1;
                    }
                    sent
                })
            })
            .collect();
        let _in_the_end = Raise(&enough);
        let mut last = 0;
        for rotation in 1..=ROTATIONS {
            // Rotated files are named by the second, of a clock that may lag behind this one; and empty ones are not rotated.
            wait::until_true("another second", || this_second() > last + 1);
            wait::until_true("a line", || fs::metadata(logs.join("access.log")).is_ok_and(|file| file.len() > 0));
            let state = gateway.dir().join("state");
            let output = Command::new(logrotate).arg("--force").arg("--state").arg(state).arg(&rules).output();
            let output = output.expect("logrotate starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            last = this_second();
            assert_eq!(files(&logs).len(), rotation + 1, "{:?}", files(&logs));
        }
        enough.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("every request was answered")).sum()
    });

    assert!(files(&logs).iter().any(|file| file.ends_with(".gz")), "{:?}", files(&logs));
    wait::until_true("every line, once", || {
        let mut lines: Vec<String> = files(&logs).iter().flat_map(|file| content(&logs.join(file))).collect();
        let all = lines.len();
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), all, "a line was written twice");
        all == sent
    });
}

/// Ends the load, however the test ends.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn this_second() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that was set").as_secs()
}

/// The rules as they are for this user, folder and process.
fn here(rules: &str, logs: &Path, pid: impl ToString) -> String {
    let user = User::from_uid(Uid::current()).expect("a list of users").expect("a user with a name").name;
    let group = Group::from_gid(Gid::current()).expect("a list of groups").expect("a group with a name").name;
    let rules = replaced(rules, "/var/log/portcullis", &logs.display().to_string());
    let rules = replaced(&rules, " portcullis portcullis\n", &format!(" {user} {group}\n"));
    let (before, rest) = rules.split_once("    postrotate\n").expect("a script");
    let (script, after) = rest.split_once("    endscript\n").expect("the script's end");
    assert!(script.contains("--signal=USR1 portcullis.service"), "{script}");
    format!("{before}    postrotate\n        kill -USR1 {}\n    endscript\n{after}", pid.to_string())
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the rules say nothing of {from}");
    text.replace(from, to)
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder of ours");
    entries.map(|entry| entry.expect("a readable folder").file_name().to_string_lossy().into_owned()).collect()
}

fn content(file: &Path) -> Vec<String> {
    let bytes = if file.extension().is_some_and(|extension| extension == "gz") {
        Command::new("gzip").arg("-dc").arg(file).output().expect("gzip starts").stdout
    } else {
        fs::read(file).expect("a file of ours")
    };
    String::from_utf8(bytes).expect("paths").lines().map(str::to_owned).collect()
}
