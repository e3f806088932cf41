use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use nix::unistd::Uid;

use super::client::{self, Inheritance, PendingHandover};
use super::server::{HandoverHost, HandoverServer, ListenerHandle};
use super::*;

const LONG: Duration = Duration::from_secs(10);

/// What the new process says that it listens on.
fn listened() -> SocketAddr {
    ([127, 0, 0, 1], 80).into()
}

#[derive(Debug, PartialEq)]
enum Turn {
    Failed { granted: bool },
    Published(u32),
    HandedOver(u32),
}

struct Recorder(Mutex<Sender<Turn>>);

impl HandoverHost for Recorder {
    fn refuses(&self) -> Option<&'static str> {
        None
    }

    fn handover_failed(&self, granted: bool) {
        self.0.lock().unwrap().send(Turn::Failed { granted }).unwrap();
    }
    fn publish_for(&self, pid: u32) -> io::Result<()> {
        self.0.lock().unwrap().send(Turn::Published(pid)).unwrap();
        Ok(())
    }
    fn handed_over(&self, pid: u32, listens: Option<Vec<SocketAddr>>) {
        assert_eq!(listens, Some(vec![listened()]));
        self.0.lock().unwrap().send(Turn::HandedOver(pid)).unwrap();
    }
}

impl HandoverServer {
    /// Whether the next process may ask.
    fn is_free(&self) -> bool {
        self.state().begin().map(|()| self.state().fail()).is_ok()
    }
}

struct OldProcess {
    folder: tempfile::TempDir,
    sockets: Vec<Arc<TcpListener>>,
    server: Arc<HandoverServer>,
    turns: Receiver<Turn>,
}

impl OldProcess {
    fn start(listeners: usize) -> OldProcess {
        let sockets: Vec<_> =
            (0..listeners).map(|_| Arc::new(TcpListener::bind("127.0.0.1:0").expect("a free port"))).collect();
        let handle = |socket: &Arc<TcpListener>| ListenerHandle {
            name: "a-listener".repeat(20),
            address: socket.local_addr().expect("a bound socket"),
            socket: Arc::downgrade(socket),
        };
        let (sender, turns) = mpsc::channel();
        let host = Arc::new(Recorder(Mutex::new(sender)));
        let folder = tempfile::tempdir().unwrap();
        let server = HandoverServer::new(sockets.iter().map(handle).collect(), NotifySettings::default(), host);
        server.clone().serve(UnixListener::bind(folder.path().join("s")).unwrap()).unwrap();
        OldProcess { folder, sockets, server, turns }
    }

    fn ask(&self) -> Result<(Inheritance, PendingHandover), HandoverError> {
        client::request(&self.folder.path().join("s"), &[Uid::effective().as_raw()], LONG, vec![listened()])
    }

    fn turn(&self) -> Turn {
        let turn = self.turns.recv_timeout(LONG).unwrap();
        while matches!(turn, Turn::Failed { .. }) && !self.server.is_free() {
            std::thread::yield_now();
        }
        turn
    }
}

#[test]
fn any_number_of_sockets_is_handed_over_in_order() {
    let old = OldProcess::start(200);
    let (mut inheritance, pending) = old.ask().unwrap();
    for socket in &old.sockets {
        let address = socket.local_addr().unwrap();
        let taken = inheritance.listeners.take(address).unwrap();
        assert_eq!(taken.local_addr().unwrap(), address);
        assert!(inheritance.listeners.take(address).is_none(), "each is given once");
    }
    pending.ready().unwrap().serving().unwrap();
    assert_eq!(old.turn(), Turn::HandedOver(std::process::id()));
    let refused = old.ask().unwrap_err().to_string();
    assert!(refused.contains("has taken over already"), "{refused}");
}

#[test]
fn the_old_process_replaces_the_links_for_one_that_may_not() {
    let old = OldProcess::start(1);
    let granted = old.ask().unwrap().1.ready().unwrap();
    granted.publish().unwrap();
    assert_eq!(old.turn(), Turn::Published(std::process::id()));
    granted.serving().unwrap();
    assert_eq!(old.turn(), Turn::HandedOver(std::process::id()));
}

#[test]
fn a_socket_that_listens_elsewhere_is_refused() {
    let mut old = OldProcess::start(0);
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let handle = ListenerHandle { name: "a".to_owned(), address: listened(), socket: Arc::downgrade(&socket) };
    let (sender, turns) = mpsc::channel();
    let host = Arc::new(Recorder(Mutex::new(sender)));
    old.server = HandoverServer::new(vec![handle], NotifySettings::default(), host);
    old.turns = turns;
    std::fs::remove_file(old.folder.path().join("s")).unwrap();
    old.server.clone().serve(UnixListener::bind(old.folder.path().join("s")).unwrap()).unwrap();
    let refused = old.ask().unwrap_err().to_string();
    assert!(refused.contains("listens elsewhere"), "{refused}");
    assert_eq!(old.turn(), Turn::Failed { granted: false });
}

#[test]
fn whoever_breaks_off_at_any_step_leaves_the_old_process_going_on_and_open_to_the_next() {
    let old = OldProcess::start(1);
    drop(old.ask().unwrap());
    assert_eq!(old.turn(), Turn::Failed { granted: false });
    drop(old.ask().unwrap().1.ready().unwrap());
    assert_eq!(old.turn(), Turn::Failed { granted: true });
    drop(UnixStream::connect(old.folder.path().join("s")).unwrap());
    assert_eq!(old.turn(), Turn::Failed { granted: false });
    old.ask().unwrap().1.ready().unwrap().serving().unwrap();
    assert_eq!(old.turn(), Turn::HandedOver(std::process::id()));
}

#[test]
fn one_process_at_a_time() {
    let old = OldProcess::start(1);
    let first = old.ask().unwrap();
    assert!(old.ask().unwrap_err().to_string().contains("just now"));
    drop(first);
    assert_eq!(old.turn(), Turn::Failed { granted: false });
}

#[test]
fn an_order_is_carried_out_while_a_process_gets_ready_which_then_may_not_take_over() {
    let old = OldProcess::start(1);
    let (_, pending) = old.ask().unwrap();
    drop(old.server.order().unwrap());
    let refused = pending.ready().unwrap_err().to_string();
    assert!(refused.contains("upgrade again"), "{refused}");
    assert_eq!(old.turn(), Turn::Failed { granted: false });
    let granted = old.ask().unwrap().1.ready().unwrap();
    old.server.order().unwrap_err();
    granted.serving().unwrap();
    assert_eq!(old.turn(), Turn::HandedOver(std::process::id()));
}

#[test]
fn a_process_that_drains_hands_nothing_over() {
    let mut old = OldProcess::start(2);
    let (inheritance, pending) = old.ask().unwrap();
    old.sockets.pop();
    assert!(pending.ready().unwrap_err().to_string().contains("draining"));
    assert_eq!(old.turn(), Turn::Failed { granted: false });
    drop(inheritance);
    assert!(old.ask().unwrap_err().to_string().contains("draining"));
}

#[test]
fn a_process_of_somebody_else_is_not_trusted() {
    let old = OldProcess::start(1);
    let stranger = client::request(&old.folder.path().join("s"), &[], LONG, vec![listened()]).unwrap_err();
    assert!(matches!(stranger, HandoverError::Stranger(_)), "{stranger}");
}

#[test]
fn another_protocol_and_nonsense_are_refused() {
    let old = OldProcess::start(1);
    let stream = UnixStream::connect(old.folder.path().join("s")).unwrap();
    let request = HandoverRequest { protocol: PROTOCOL + 1, pid: 1, version: String::new(), timeout: 0, listens: None };
    wire::send(&stream, &request).unwrap();
    let answer: HandoverAnswer = wire::receive(&stream).unwrap();
    assert!(matches!(&answer, HandoverAnswer::Refused(reason) if reason.contains("version 1")), "{answer:?}");
    assert_eq!(old.turn(), Turn::Failed { granted: false });

    let stream = UnixStream::connect(old.folder.path().join("s")).unwrap();
    std::io::Write::write_all(&mut &stream, &[0xff; 8]).unwrap();
    assert_eq!(old.turn(), Turn::Failed { granted: false });
}

#[test]
fn whoever_asks_for_nothing_is_in_nobodys_way() {
    let old = OldProcess::start(1);
    let path = old.folder.path().join("s");
    let mut silent: Vec<_> = (0..20).map(|_| UnixStream::connect(&path).unwrap()).collect();
    std::io::Write::write_all(&mut &silent[19], &[0, 0]).unwrap();
    // All of them are accepted: the first are closed, since there are too many.
    silent[0].set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(std::io::Read::read(&mut silent[0], &mut [0]).unwrap(), 0);
    assert!(old.server.is_free());
    old.ask().unwrap().1.ready().unwrap().serving().unwrap();
    let taken_over = |turn: &Turn| matches!(turn, Turn::HandedOver(_));
    assert!(std::iter::from_fn(|| old.turns.recv_timeout(LONG).ok()).any(|turn| taken_over(&turn)));
}

#[test]
fn another_socket_takes_the_place_of_one_that_was_deleted() {
    let old = OldProcess::start(1);
    let path = old.folder.path().join("s");
    let first = UnixStream::connect(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    old.server.clone().serve(UnixListener::bind(&path).unwrap()).unwrap();
    old.ask().unwrap().1.ready().unwrap().serving().unwrap();
    drop(first);
    let taken_over = |turn: &Turn| matches!(turn, Turn::HandedOver(_));
    assert!(std::iter::from_fn(|| old.turns.recv_timeout(LONG).ok()).any(|turn| taken_over(&turn)));
}
