use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use nix::unistd::Uid;

use super::give::{Giver, Handle, Old};
use super::take::{self, Pending};
use super::*;

const LONG: Duration = Duration::from_secs(10);

#[derive(Debug, PartialEq)]
enum Turn {
    GoesOn { granted: bool },
    Followed(u32),
}

struct Recorder(Mutex<Sender<Turn>>);

impl Old for Recorder {
    fn refuses(&self) -> Option<&'static str> {
        None
    }

    fn goes_on(&self, granted: bool) {
        self.0.lock().unwrap().send(Turn::GoesOn { granted }).unwrap();
    }
    fn is_followed(&self, pid: u32) {
        self.0.lock().unwrap().send(Turn::Followed(pid)).unwrap();
    }
}

struct OldProcess {
    folder: tempfile::TempDir,
    sockets: Vec<Arc<TcpListener>>,
    giver: Arc<Giver>,
    turns: Receiver<Turn>,
}

impl OldProcess {
    fn start(listeners: usize) -> OldProcess {
        let sockets: Vec<_> =
            (0..listeners).map(|_| Arc::new(TcpListener::bind("127.0.0.1:0").expect("a free port"))).collect();
        let handle = |socket: &Arc<TcpListener>| Handle {
            name: "a-listener".repeat(20),
            address: socket.local_addr().expect("a bound socket"),
            socket: Arc::downgrade(socket),
        };
        let (sender, turns) = mpsc::channel();
        let old = Arc::new(Recorder(Mutex::new(sender)));
        let folder = tempfile::tempdir().unwrap();
        let giver = Giver::new(sockets.iter().map(handle).collect(), Terms::default(), old);
        giver.clone().serve(UnixListener::bind(folder.path().join("s")).unwrap()).unwrap();
        OldProcess { folder, sockets, giver, turns }
    }

    fn ask(&self) -> Result<(take::Inheritance, Pending), Error> {
        take::ask(&self.folder.path().join("s"), &[Uid::effective().as_raw()], LONG)
    }

    fn turn(&self) -> Turn {
        let turn = self.turns.recv_timeout(LONG).unwrap();
        while matches!(turn, Turn::GoesOn { .. }) && self.giver.is_giving() {
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
    assert_eq!(old.turn(), Turn::Followed(std::process::id()));
    let refused = old.ask().unwrap_err().to_string();
    assert!(refused.contains("has taken over already"), "{refused}");
}

#[test]
fn whoever_breaks_off_at_any_step_leaves_the_old_process_going_on_and_open_to_the_next() {
    let old = OldProcess::start(1);
    drop(old.ask().unwrap());
    assert_eq!(old.turn(), Turn::GoesOn { granted: false });
    drop(old.ask().unwrap().1.ready().unwrap());
    assert_eq!(old.turn(), Turn::GoesOn { granted: true });
    drop(UnixStream::connect(old.folder.path().join("s")).unwrap());
    assert_eq!(old.turn(), Turn::GoesOn { granted: false });
    old.ask().unwrap().1.ready().unwrap().serving().unwrap();
    assert_eq!(old.turn(), Turn::Followed(std::process::id()));
}

#[test]
fn one_process_at_a_time() {
    let old = OldProcess::start(1);
    let first = old.ask().unwrap();
    assert!(old.ask().unwrap_err().to_string().contains("just now"));
    drop(first);
    assert_eq!(old.turn(), Turn::GoesOn { granted: false });
}

#[test]
fn a_process_that_drains_hands_nothing_over() {
    let mut old = OldProcess::start(2);
    let (inheritance, pending) = old.ask().unwrap();
    old.sockets.pop();
    assert!(pending.ready().unwrap_err().to_string().contains("draining"));
    assert_eq!(old.turn(), Turn::GoesOn { granted: false });
    drop(inheritance);
    assert!(old.ask().unwrap_err().to_string().contains("draining"));
}

#[test]
fn a_process_of_somebody_else_is_not_trusted() {
    let old = OldProcess::start(1);
    let stranger = take::ask(&old.folder.path().join("s"), &[], LONG).unwrap_err();
    assert!(matches!(stranger, Error::Stranger(_)), "{stranger}");
}

#[test]
fn another_protocol_and_nonsense_are_refused() {
    let old = OldProcess::start(1);
    let stream = UnixStream::connect(old.folder.path().join("s")).unwrap();
    let request = Request { protocol: PROTOCOL + 1, pid: 1, version: String::new(), patience: 0 };
    wire::send(&stream, &request).unwrap();
    let answer: Answer = wire::receive(&stream).unwrap();
    assert!(matches!(&answer, Answer::Refused(reason) if reason.contains("version 1")), "{answer:?}");
    assert_eq!(old.turn(), Turn::GoesOn { granted: false });

    let stream = UnixStream::connect(old.folder.path().join("s")).unwrap();
    std::io::Write::write_all(&mut &stream, &[0xff; 8]).unwrap();
    assert_eq!(old.turn(), Turn::GoesOn { granted: false });
}
