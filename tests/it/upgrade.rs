//! Binary upgrade: a new process takes over the sockets, and no request fails.

mod failing;
mod root;
mod supervised;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;

use nix::unistd::{Uid, User};
use std::os::unix::fs::MetadataExt;

use crate::support::certs::Authority;
use crate::support::client::{self, Client, Tls};
use crate::support::gateway::{BINARY, runs};
use crate::support::ports::free_address;
use crate::support::raw_origin::RawOrigin;
use crate::support::wait::{self, DEADLINE};
use crate::support::{Gateway, Origin, Setup};

const PASS: &str = "routes: [{ name: all, access: public, upstream: origin }]\n";
const FIXED: &str = "routes: [{ name: all, access: public, respond: { body: one } }]\n";

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `portcullis upgrade` on its way.
fn begin(gateway: &Gateway) -> Child {
    Command::new(BINARY)
        .args(["upgrade", "--runtime"])
        .arg(gateway.runtime())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

#[track_caller]
fn ends(pid: u32) {
    wait::until_true("the process to end", || !runs(pid));
}

#[test]
fn upgrades_one_after_another_lose_no_request() {
    let origin = Origin::saying("ok");
    let authority = Authority::new("test");
    let tls_address = free_address();
    let setup = Setup::new(&format!(
        r#"
listeners:
  - {{ name: main, address: "<listen>" }}
  - {{ name: tls, address: "<tls>", tls: {{ certificates: [{{ cert: "<dir>/edge.pem", key: "<dir>/edge.key" }}] }} }}
{PASS}"#
    ))
    .with("tls", tls_address)
    .origin(&origin);
    authority.issue(&["gateway.test"]).write(setup.dir(), "edge");
    let mut gateway = setup.start();
    let (address, certificate) = (gateway.address(), authority.certificate());

    let stop = AtomicBool::new(false);
    let failures = Mutex::new(Vec::new());
    let done = [const { AtomicUsize::new(0) }; 3];
    let settled = |result: std::io::Result<client::Response>, kind: usize| match result {
        Ok(answer) if answer.status == 200 => {
            done[kind].fetch_add(1, Ordering::Relaxed);
            true
        }
        Ok(answer) => {
            failures.lock().unwrap().push(format!("{kind}: {}", answer.status));
            false
        }
        Err(error) => {
            failures.lock().unwrap().push(format!("{kind}: {error}"));
            false
        }
    };
    let exchange = |client: &mut Client| {
        client.send_request("GET", "/", &[], b"")?;
        client.try_read_response(false)
    };
    // A connection may end while its request is on its way to an old process that drains; a client then asks again (RFC 9112
    // §9.3.1). That nobody listens, or an answer that is cut, is never met.
    let again = |client: &mut Client, connect: &dyn Fn() -> std::io::Result<Client>| match exchange(client) {
        Ok(answer) => Ok(answer),
        Err(_) => {
            *client = connect()?;
            exchange(client)
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                settled(
                    Client::try_connect(address)
                        .and_then(|mut client| again(&mut client, &|| Client::try_connect(address))),
                    0,
                );
            }
        });
        scope.spawn(|| {
            let tls = Tls::new("gateway.test", &certificate);
            while !stop.load(Ordering::Relaxed) {
                let connect = || Client::tls(tls_address, &tls).map(|(client, _)| client);
                settled(connect().or_else(|_| connect()).and_then(|mut client| again(&mut client, &connect)), 1);
            }
        });
        scope.spawn(|| {
            let mut client = Client::connect(address);
            while !stop.load(Ordering::Relaxed) {
                let answer = again(&mut client, &|| Client::try_connect(address));
                let last = match &answer {
                    Ok(answer) => answer.header("connection") == Some("close"),
                    Err(_) => true,
                };
                settled(answer, 2);
                if last {
                    client = Client::connect(address);
                }
            }
        });
        let mut replaced = vec![gateway.pid()];
        for _ in 0..3 {
            let before: Vec<usize> = done.iter().map(|kind| kind.load(Ordering::Relaxed)).collect();
            replaced.push(gateway.upgrade());
            wait::until_true("requests of each kind after the upgrade", || {
                done.iter().zip(&before).all(|(kind, before)| kind.load(Ordering::Relaxed) > before + 5)
            });
        }
        stop.store(true, Ordering::Relaxed);
        replaced.pop();
        assert_eq!(gateway.wait().code(), Some(0));
        replaced.into_iter().for_each(ends);
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{failures:?} of {done:?}");
}

#[test]
fn what_is_under_way_finishes_on_the_old_process_which_then_ends() {
    let (go_on, waiting) = mpsc::channel::<()>();
    let waiting = Mutex::new(waiting);
    let origin = RawOrigin::start(move |wire| {
        let Some(head) = wire.head() else { return };
        if head.contains("/ws") {
            wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
            while let Some(piece) = wire.take(4) {
                wire.send(piece);
            }
            return;
        }
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        let _ = waiting.lock().unwrap().recv_timeout(DEADLINE);
        wire.send("half");
    });
    let yaml = format!("upstreams: {{ origin: {{ endpoints: [\"<o>\"] }} }}\n{PASS}");
    let mut gateway = Setup::new(&yaml).with("o", origin.address()).start();

    let open = |request: &str| {
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        stream
    };
    let mut socket = open("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    let mut download = open("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut half = [0; 4];
    download.read_exact(&mut half).unwrap();

    let old = gateway.pid();
    gateway.upgrade();
    wait::until_true("the old process to close its listener", || gateway.stderr().contains("listener main closed"));
    assert!(runs(old));
    socket.write_all(b"ping").unwrap();
    socket.read_exact(&mut half).unwrap();
    assert_eq!(&half, b"ping");
    go_on.send(()).unwrap();
    download.read_exact(&mut half).unwrap();
    assert_eq!(&half, b"half");
    assert!(runs(old), "the tunnel is still open");
    drop((socket, download));
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn many_listeners_are_handed_over() {
    let addresses: Vec<_> = (0..70).map(|_| free_address()).collect();
    let listeners: String = addresses
        .iter()
        .enumerate()
        .map(|(number, address)| {
            format!("  - {{ name: listener-{number}-{}, address: \"{address}\" }}\n", "long".repeat(10))
        })
        .collect();
    let mut gateway =
        Setup::new(&format!("listeners:\n  - {{ name: main, address: \"<listen>\" }}\n{listeners}{FIXED}")).start();
    gateway.upgrade();
    assert_eq!(gateway.wait().code(), Some(0));
    for address in addresses {
        client::get(address, "/").expect_status(200);
    }
}

#[test]
fn an_upgrade_applies_what_a_reload_can_not() {
    let mut gateway = Setup::new(&format!(
        "listeners: [{{ name: main, address: \"<listen>\" }}, {{ name: old, address: \"<old>\" }}]\n{FIXED}"
    ))
    .with("old", free_address())
    .start();
    let text = fs::read_to_string(gateway.file()).unwrap();
    let old = text.split("name: old, address: \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    let new = free_address();
    fs::write(gateway.file(), text.replace(&old, &new.to_string()).replace("body: one", "body: two")).unwrap();
    gateway.upgrade();
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(gateway.get("/").text(), "two");
    assert_eq!(client::get(new, "/").text(), "two");
    assert!(TcpStream::connect(old).is_err(), "the address that is gone is closed");
    assert_eq!(client::get_by_address(gateway.admin(), "/readyz").status, 200);
}

#[test]
fn lines_and_messages_go_where_those_of_the_old_process_went() {
    let mut gateway = Gateway::start(FIXED);
    gateway.get("/before").expect_status(200);
    gateway.logged_path("/before");
    let (old, new) = (gateway.pid(), gateway.upgrade());
    assert_eq!(gateway.wait().code(), Some(0));
    gateway.get("/after").expect_status(200);
    gateway.logged_path("/after");
    gateway.logged_path("/before");
    gateway.says(&format!("process {new} has taken over"));
    // The output of the new process from now on.
    assert!(crate::support::gateway::kill(new, "TERM"));
    ends(new);
    assert_eq!(gateway.stderr().matches("no request cut").count(), 2, "{}", gateway.stderr());
    assert_ne!(old, new);
}

#[test]
fn the_next_process_is_started_like_the_first() {
    let gateway = Gateway::start(FIXED);
    let status = |gateway: &Gateway| -> serde_json::Value {
        serde_json::from_slice(&gateway.order(&["status", "--json"]).stdout).unwrap()
    };
    let first = status(&gateway);
    gateway.upgrade();
    gateway.upgrade();
    let third = status(&gateway);
    assert_eq!(first["start"], third["start"]);
    assert_ne!(first["pid"], third["pid"]);
}

#[test]
fn arguments_that_end_the_options_are_in_no_upgrades_way() {
    let gateway = Setup::new(FIXED).arguments(&["--"]).start();
    gateway.upgrade();
    gateway.upgrade();
    gateway.get("/").expect_status(200);
}

#[test]
fn a_gateway_that_gave_up_root_is_followed_by_one_that_does() {
    if !Uid::effective().is_root() {
        eprintln!("not tested, because only root can become somebody else: a gateway that gave up root is followed");
        return;
    }
    let nobody = User::from_name("nobody").expect("a list of users").expect("the user nobody");
    let mut gateway = Setup::new(&format!("process: {{ user: nobody }}\n{FIXED}")).start();
    for file in ["", "control.sock", "upgrade.sock"] {
        assert_eq!(fs::metadata(gateway.runtime().join(file)).unwrap().uid(), nobody.uid.as_raw(), "{file}");
    }
    for _ in 0..2 {
        let pid = gateway.upgrade();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains(&format!("Uid:\t{0}\t{0}\t{0}\t{0}\n", nobody.uid)), "{status}");
    }
    assert_eq!(gateway.wait().code(), Some(0));
    gateway.get("/").expect_status(200);
    // The folder stays within reach of a process that could not pass through what is above it any more.
    let last = gateway.serving_pid().unwrap();
    assert!(crate::support::gateway::kill(last, "TERM"));
    ends(last);
    assert_eq!(fs::read_dir(gateway.runtime()).unwrap().count(), 0);
}
