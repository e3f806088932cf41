//! Record: one line for each request, on every path.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::h2_client::H2;
use crate::support::{Answer, Gateway, Origin, Setup, jwt, wait};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";
const FIXED: &str = "routes: [{ name: all, access: public, respond: { body: ok } }]\n";

#[test]
fn a_json_line_tells_what_happened() {
    let origin = Origin::saying("hello");
    let gateway = Gateway::before(&origin, PASS);
    let fields = [("User-Agent", "tester/1 \"quoted\""), ("Referer", "https://from.example/")];
    gateway.get_with("/a?b=c", &fields).expect_status(200);
    let line = &gateway.logged(1)[0];
    for (name, expected) in [
        ("method", "GET"),
        ("path", "/a"),
        ("host", "gateway.test"),
        ("protocol", "HTTP/1.1"),
        ("scheme", "http"),
        ("listener", "main"),
        ("route", "all"),
        ("decision", "allow"),
        ("client", "127.0.0.1"),
        ("user_agent", "tester/1 \"quoted\""),
        ("referer", "https://from.example/"),
    ] {
        assert_eq!(line[name], expected, "{name} in {line}");
    }
    assert_eq!((line["status"].as_u64(), line["bytes_sent"].as_u64()), (Some(200), Some(5)), "{line}");
    assert!(line.to_string().contains(&origin.address().to_string()), "{line}");
    assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
}

#[test]
fn there_is_exactly_one_line_for_each_request() {
    let origin = Origin::saying("hello");
    let gateway = Gateway::before(&origin, PASS);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut client = gateway.connect();
                for n in 0..50 {
                    client.get(&format!("/{thread}/{n}")).expect_status(200);
                }
            });
        }
    });
    let mut paths: Vec<_> = gateway.logged(200).iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(paths.len(), 200);
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), 200);
}

#[test]
fn a_malformed_request_has_its_line() {
    let gateway = Gateway::before(&Origin::saying("unused"), PASS);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nno colon here\r\n\r\n");
    client.read_response().expect_status(400);
    let line = gateway.eventually_logged(|line| line["status"] == 400);
    assert_eq!(line["cause"], "malformed_request");
    assert_eq!(gateway.log_lines().len(), 1);
}

#[test]
fn connect_has_its_line() {
    let gateway = Gateway::before(&Origin::saying("unused"), PASS);
    let mut client = gateway.connect();
    client.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
    client.read_response().expect_status(405);
    let line = gateway.eventually_logged(|line| line["status"] == 405);
    assert_eq!(line["cause"], "connect_refused");
    assert_eq!(gateway.log_lines().len(), 1);
}

#[test]
fn a_client_that_leaves_has_its_line() {
    let origin = Origin::always(Answer::ok("late").after(Duration::from_millis(400)));
    let gateway = Gateway::before(&origin, PASS);
    let mut client = gateway.connect();
    client.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until_true("the request to reach the origin", || origin.count() == 1);
    drop(client);
    assert_eq!(gateway.logged_path("/left")["cause"], "client_closed");
}

#[test]
fn a_cancelled_stream_has_its_line() {
    let origin = Origin::always(Answer::ok("late").after(Duration::from_millis(400)));
    let gateway =
        Gateway::before(&origin, &format!("listeners: [{{ name: main, address: \"<listen>\", http2: true }}]\n{PASS}"));
    let mut client = H2::prior_knowledge(gateway.address());
    client.cancel("http://gateway.test/cancelled");
    // The reset may overtake the request: then the stream never was one.
    client.get("http://gateway.test/kept").expect_status(200);
    gateway.logged_path("/kept");
    if origin.requests().iter().any(|request| request.target == "/cancelled") {
        assert_eq!(gateway.logged_path("/cancelled")["cause"], "client_closed");
    }
}

#[test]
fn a_head_that_never_ends_has_its_line() {
    let gateway = Gateway::before(&Origin::saying("unused"), &format!("bounds: {{ header_time: 200ms }}\n{PASS}"));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    gateway.eventually_logged(|line| line["cause"] == "request_timeout");
}

#[test]
fn a_connection_without_a_request_has_no_line() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::before(&origin, PASS);
    drop(gateway.connect());
    let client = gateway.connect();
    client.finish_sending();
    drop(client);
    gateway.get("/").expect_status(200);
    assert_eq!(gateway.logged(1).len(), 1);
}

#[test]
fn combined_is_what_log_readers_know() {
    let origin = Origin::saying("hello");
    let gateway = Setup::new(&format!("access_log: {{ format: combined, output: {{ file: \"<dir>/log\" }} }}\n{PASS}"))
        .origin(&origin)
        .start();
    gateway.get_with("/a", &[("User-Agent", "tester/1")]).expect_status(200);
    let log = gateway.dir().join("log");
    let text = wait::until("a line", || fs::read_to_string(&log).ok().filter(|text| text.ends_with('\n')));
    assert!(text.starts_with("127.0.0.1 - - ["), "{text}");
    assert!(text.contains("] \"GET /a HTTP/1.1\" 200 5 \"-\" \"tester/1\""), "{text}");
}

#[test]
fn a_template_writes_the_fields_it_names() {
    let origin = Origin::saying("hello");
    let gateway = Setup::new(&format!(
        "access_log: {{ format: {{ template: \"{{{{ {{method}} {{path}} {{status}} {{route}} {{cause}}\" }}, output: {{ file: \
         \"<dir>/log\" }} }}\n{PASS}"
    ))
    .origin(&origin)
    .start();
    gateway.get("/a").expect_status(200);
    let log = gateway.dir().join("log");
    let text = wait::until("a line", || fs::read_to_string(&log).ok().filter(|text| text.ends_with('\n')));
    assert_eq!(text, "{ GET /a 200 all -\n");
}

#[test]
fn nobody_can_write_a_line_of_their_own() {
    let origin = Origin::saying("hello");
    let gateway = Setup::new(&format!("access_log: {{ format: combined, output: {{ file: \"<dir>/log\" }} }}\n{PASS}"))
        .origin(&origin)
        .start();
    gateway.get_with("/", &[("User-Agent", "a\" 200 5 \"x\ty")]).expect_status(200);
    gateway.get("/%0d%0aforged").expect_status(400);
    let log = gateway.dir().join("log");
    let text = wait::until("two lines", || fs::read_to_string(&log).ok().filter(|text| text.lines().count() >= 2));
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains("\"a\" 200"), "{text}");
}

#[test]
fn the_file_is_reopened_on_sigusr1() {
    let origin = Origin::saying("hello");
    let gateway =
        Setup::new(&format!("access_log: {{ output: {{ file: \"<dir>/log\" }} }}\n{PASS}")).origin(&origin).start();
    let (log, rotated) = (gateway.dir().join("log"), gateway.dir().join("log.1"));
    gateway.get("/before").expect_status(200);
    wait::until_true("the first line", || fs::read_to_string(&log).is_ok_and(|text| text.contains("/before")));
    fs::rename(&log, &rotated).expect("a rename");
    gateway.signal("USR1");
    wait::until_true("the new file", || log.exists());
    gateway.get("/after").expect_status(200);
    wait::until_true("the second line", || fs::read_to_string(&log).is_ok_and(|text| text.contains("/after")));
    assert!(!fs::read_to_string(&rotated).expect("the rotated file").contains("/after"));
}

#[test]
fn the_log_can_be_switched_off() {
    let origin = Origin::saying("hello");
    let mut gateway = Gateway::before(&origin, &format!("access_log: {{ output: off }}\n{PASS}"));
    gateway.get("/").expect_status(200);
    gateway.terminate();
    assert_eq!(gateway.stdout(), "");
}

#[test]
fn every_line_is_written_before_the_process_ends() {
    let origin = Origin::saying("hello");
    let mut gateway = Gateway::before(&origin, PASS);
    for n in 0..100 {
        gateway.get(&format!("/{n}")).expect_status(200);
    }
    gateway.terminate();
    assert_eq!(gateway.log_lines().len(), 100);
}

#[test]
fn the_principal_is_logged_and_never_the_token() {
    let gateway = Setup::new(
        r#"
identities: { corp: { jwt: { issuer: "https://id.example.com", audience: orders, keys: { secret: { env: JWT_SECRET } } } } }
routes: [{ name: all, access: { identity: corp }, respond: { body: ok } }]
"#,
    )
    .variable("JWT_SECRET", jwt::SECRET)
    .start();
    let token = jwt::SHARED.sign(&jwt::claims("ann", serde_json::json!({})));
    gateway.get_with("/", &[("Authorization", &jwt::bearer(&token))]).expect_status(200);
    assert_eq!(gateway.logged(1)[0]["principal"], "ann");
    assert!(!gateway.stdout().contains(&token));
}

/// A gateway whose access log is the file `log`, which it has written a line to.
fn logging_to_a_file() -> (Gateway, PathBuf) {
    let gateway = Setup::new(&format!("access_log: {{ file: \"<dir>/log\" }}\n{FIXED}")).start();
    let log = gateway.dir().join("log");
    gateway.get("/before").expect_status(200);
    wait::until_true("the first line", || holds(&log, "/before"));
    (gateway, log)
}

fn holds(log: &Path, path: &str) -> bool {
    fs::read_to_string(log).is_ok_and(|text| text.contains(path))
}

fn errors(gateway: &Gateway) -> f64 {
    gateway.metrics().sum("portcullis_access_log_write_errors_total", &[])
}

#[test]
fn a_name_that_can_not_be_opened_on_sigusr1_is_told_counted_and_tried_again() {
    let (gateway, log) = logging_to_a_file();
    let rotated = gateway.dir().join("log.1");
    fs::rename(&log, &rotated).expect("a rename");
    fs::create_dir(&log).expect("a folder");
    gateway.signal("USR1");
    wait::until_true("the failure to be counted", || errors(&gateway) >= 1.0);
    gateway.says("can't be opened again, and lines go on");
    gateway.get("/meanwhile").expect_status(200);
    wait::until_true("the line in the old file", || holds(&rotated, "/meanwhile"));

    fs::remove_dir(&log).expect("an empty folder");
    wait::until_true("the new file", || log.is_file());
    gateway.get("/after").expect_status(200);
    wait::until_true("the line in the new file", || holds(&log, "/after"));
    assert!(!holds(&rotated, "/after"));
    wait::until_true("it to be told", || gateway.stderr().contains("is open again"));
}

#[test]
fn a_pipe_on_sigusr1_takes_lines_once_somebody_reads_it() {
    let (gateway, log) = logging_to_a_file();
    let rotated = gateway.dir().join("log.1");
    fs::rename(&log, &rotated).expect("a rename");
    mkfifo(&log, Mode::S_IRWXU).expect("a pipe");
    gateway.signal("USR1");
    wait::until_true("the failure to be counted", || errors(&gateway) >= 1.0);
    gateway.get("/meanwhile").expect_status(200);
    wait::until_true("the line in the old file", || holds(&rotated, "/meanwhile"));

    let open = || OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&log).expect("a pipe");
    let reads = |reader: &mut File, path: &str| {
        let mut text = String::new();
        wait::until_true("the line in the pipe", || {
            let mut piece = [0; 4096];
            if let Ok(length) = reader.read(&mut piece) {
                text.push_str(&String::from_utf8_lossy(&piece[..length]));
            }
            text.contains(path)
        });
    };
    let mut reader = open();
    wait::until_true("the pipe to be opened", || gateway.stderr().contains("is open again"));
    gateway.get("/after").expect_status(200);
    reads(&mut reader, "/after");

    // A reader that ends is waited for.
    drop(reader);
    let before = errors(&gateway);
    gateway.get("/unread").expect_status(200);
    wait::until_true("the end of the reader to be counted", || errors(&gateway) > before);
    reader = open();
    reads(&mut reader, "/unread");

    // A reader that stands still loses lines at most, and is left by the next rotation.
    let before = errors(&gateway);
    for n in 0..600 {
        gateway.get(&format!("/{n}?{}", "a".repeat(200))).expect_status(200);
    }
    wait::until_true("the full pipe to be counted", || errors(&gateway) > before);
    fs::remove_file(&log).expect("a pipe of ours");
    gateway.signal("USR1");
    wait::until_true("the new file", || log.is_file());
    gateway.get("/last").expect_status(200);
    wait::until_true("the line in the new file", || holds(&log, "/last"));
}

#[test]
fn a_pipe_that_nobody_reads_ends_the_start_and_no_reload_hangs_on_it() {
    let setup = Setup::new(&format!("access_log: {{ file: \"<dir>/log\" }}\n{FIXED}"));
    mkfifo(&setup.dir().join("log"), Mode::S_IRWXU).expect("a pipe");
    let output = setup.output("run", &[]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{words}");
    assert!(words.contains("no process reads this pipe"), "{words}");

    // In the same folder: the process was given no other.
    let gateway = Setup::new(&format!("access_log: {{ file: \"<dir>/first\" }}\n{FIXED}")).start();
    mkfifo(&gateway.dir().join("log"), Mode::S_IRWXU).expect("a pipe");
    gateway.rewrite(&format!("access_log: {{ file: \"<dir>/log\" }}\n{FIXED}"));
    assert_eq!(gateway.hang_up(), "refused");
    gateway.says("no process reads this pipe");
    gateway.get("/").expect_status(200);
    let line = || fs::read_to_string(gateway.dir().join("first")).is_ok_and(|text| text.contains("\"path\":\"/\""));
    wait::until_true("the line in the log that is open", line);
}
