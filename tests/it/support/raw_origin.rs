//! An origin that a test drives byte by byte, where the other origins would be too well-behaved.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::ServerConnection;

use super::wait::{self, DEADLINE};

/// Listens until the test's process ends.
pub struct RawOrigin {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What came on one connection.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub bytes: Vec<u8>,
    /// How it ended, once it has.
    pub end: Option<End>,
}

impl Seen {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// How the gateway ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
}

trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// One connection, as the test's script sees it.
pub struct Wire {
    stream: Box<dyn Duplex>,
    socket: TcpStream,
    /// Counted from 0.
    pub number: usize,
    seen: Arc<Mutex<Vec<Seen>>>,
    buffer: Vec<u8>,
}

impl RawOrigin {
    /// Runs `script` for each connection, on a thread of its own; the connection is closed when it returns.
    pub fn start(script: impl Fn(&mut Wire) + Send + Sync + 'static) -> RawOrigin {
        RawOrigin::listen(None, script)
    }

    pub fn start_tls(tls: Arc<rustls::ServerConfig>, script: impl Fn(&mut Wire) + Send + Sync + 'static) -> RawOrigin {
        RawOrigin::listen(Some(tls), script)
    }

    /// Answers each request with these bytes, however many come on one connection, once its head is there.
    pub fn answering(bytes: impl Into<Vec<u8>>) -> RawOrigin {
        let bytes = bytes.into();
        RawOrigin::start(move |wire| {
            while wire.head().is_some() {
                wire.send(&bytes);
            }
        })
    }

    /// The same, and the end of the connection.
    pub fn answering_then_closing(bytes: impl Into<Vec<u8>>) -> RawOrigin {
        let bytes = bytes.into();
        RawOrigin::start(move |wire| {
            if wire.head().is_some() {
                wire.send(&bytes);
            }
        })
    }

    fn listen(tls: Option<Arc<rustls::ServerConfig>>, script: impl Fn(&mut Wire) + Send + Sync + 'static) -> RawOrigin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let origin = RawOrigin { address, connections: connections.clone(), seen: seen.clone() };
        let script = Arc::new(script);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                seen.lock().unwrap().push(Seen::default());
                let (script, tls, seen) = (script.clone(), tls.clone(), seen.clone());
                thread::spawn(move || {
                    if let Ok(mut wire) = Wire::accept(socket, tls, number, seen) {
                        script(&mut wire);
                        let _ = wire.stream.flush();
                    }
                });
            }
        });
        origin
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What came on connection `number` so far.
    pub fn seen(&self, number: usize) -> Seen {
        self.seen.lock().unwrap().get(number).cloned().unwrap_or_default()
    }

    /// Waits until the gateway has ended connection `number`.
    #[track_caller]
    pub fn ended(&self, number: usize) -> Seen {
        wait::until("the gateway to end its connection", || Some(self.seen(number)).filter(|seen| seen.end.is_some()))
    }
}

impl Wire {
    fn accept(
        socket: TcpStream,
        tls: Option<Arc<rustls::ServerConfig>>,
        number: usize,
        seen: Arc<Mutex<Vec<Seen>>>,
    ) -> io::Result<Wire> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.set_write_timeout(Some(DEADLINE))?;
        let stream: Box<dyn Duplex> = match tls {
            None => Box::new(socket.try_clone()?),
            Some(tls) => {
                let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
                Box::new(rustls::StreamOwned::new(connection, socket.try_clone()?))
            }
        };
        Ok(Wire { stream, socket, number, seen, buffer: Vec::new() })
    }

    /// Reads up to the end of a head; `None` at the end of the connection.
    pub fn head(&mut self) -> Option<String> {
        self.until(b"\r\n\r\n").map(|head| String::from_utf8_lossy(&head).into_owned())
    }

    /// Reads up to and with `end`.
    pub fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            if !self.read() {
                return None;
            }
        }
    }

    /// Reads `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.read() {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// Reads until the gateway ends the connection.
    pub fn drain(&mut self) {
        while self.read() {}
    }

    /// Whether the gateway could still take these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Ends the connection with a reset, as a process that crashes does.
    pub fn reset(&self) {
        let socket = socket2::SockRef::from(&self.socket);
        let _ = socket.set_linger(Some(std::time::Duration::ZERO));
    }

    fn read(&mut self) -> bool {
        let mut piece = [0; 16 << 10];
        let read = self.stream.read(&mut piece);
        let mut seen = self.seen.lock().unwrap();
        let seen = &mut seen[self.number];
        match read {
            Ok(0) => seen.end = Some(End::Closed),
            Ok(count) => {
                // Enough to judge by, and a large upload does not fill the memory.
                if seen.bytes.len() < 1 << 20 {
                    seen.bytes.extend_from_slice(&piece[..count]);
                }
                self.buffer.extend_from_slice(&piece[..count]);
                return true;
            }
            // Silence for so long is neither.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => seen.end = Some(End::Reset),
        }
        false
    }
}
