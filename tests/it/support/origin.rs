//! A scripted origin: records the bytes of every request and answers as the test specifies.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ServerConnection;

/// A request as the origin received it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Request line and fields as received, with their line ends.
    pub head: String,
    pub method: String,
    /// The request target, byte for byte.
    pub target: String,
    pub headers: Vec<(String, String)>,
    /// Decoded where it came in chunks.
    pub body: Vec<u8>,
}

impl Request {
    /// Every value of `name`, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The value of `name`; panics when it came more than once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() <= 1, "{name} came {} times:\n{}", values.len(), self.head);
        values.first().copied()
    }
}

/// What the origin does with a request.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    /// These bytes instead of a proper answer.
    raw: Option<Vec<u8>>,
    close: bool,
}

impl Answer {
    pub fn status(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Vec::new(), delay: Duration::ZERO, raw: None, close: false }
    }

    pub fn ok(body: impl Into<Vec<u8>>) -> Answer {
        Answer::status(200).body(body)
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Answer {
        self.body = body.into();
        self
    }

    /// A further field, its name written as given.
    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Waits before answering.
    pub fn after(mut self, delay: Duration) -> Answer {
        self.delay = delay;
        self
    }

    /// Exactly these bytes, and the end of the connection.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
        Answer { raw: Some(bytes.into()), close: true, ..Answer::status(0) }
    }

    /// No answer at all: the connection is closed.
    pub fn close() -> Answer {
        Answer::raw("")
    }

    /// Ends the connection after the answer without having said so.
    pub fn then_close(mut self) -> Answer {
        self.close = true;
        self
    }

    pub(super) fn parts(&self) -> (u16, &[(String, String)], &[u8], Duration) {
        (self.status, &self.headers, &self.body, self.delay)
    }

    fn bytes(&self, method: &str) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let framed = self.headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
        });
        let bodiless = matches!(self.status, 204 | 304);
        if !framed && !bodiless {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if method != "HEAD" && !bodiless {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

pub(super) type Handler = dyn Fn(&Request) -> Answer + Send + Sync;

/// A running origin. It ends with this value.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    handler: Box<Handler>,
    tls: Option<Arc<rustls::ServerConfig>>,
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    open: Mutex<HashMap<usize, TcpStream>>,
    stopping: AtomicBool,
    forgets: AtomicBool,
}

impl Origin {
    pub fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Origin {
        Origin::listen(Box::new(handler), None, super::ports::free_address())
    }

    /// Answers 200 with `body` to everything.
    pub fn saying(body: &str) -> Origin {
        let body = body.to_owned();
        Origin::start(move |_| Answer::ok(body.clone()))
    }

    /// Like [`Origin::saying`] at an address of this machine, such as 127.0.0.2, that nobody else uses.
    pub fn saying_at(address: SocketAddr, body: &str) -> Origin {
        let body = body.to_owned();
        Origin::listen(Box::new(move |_| Answer::ok(body.clone())), None, address)
    }

    /// Answers with the same answer to everything.
    pub fn always(answer: Answer) -> Origin {
        Origin::start(move |_| answer.clone())
    }

    /// HTTP/1.1 over TLS.
    pub fn start_tls(
        tls: Arc<rustls::ServerConfig>,
        handler: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Origin {
        Origin::listen(Box::new(handler), Some(tls), super::ports::free_address())
    }

    fn listen(handler: Box<Handler>, tls: Option<Arc<rustls::ServerConfig>>, address: SocketAddr) -> Origin {
        let listener = TcpListener::bind(address).expect("a free port");
        let shared = Arc::new(Shared {
            handler,
            tls,
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: Mutex::default(),
            stopping: AtomicBool::new(false),
            forgets: AtomicBool::new(false),
        });
        let address = listener.local_addr().expect("a bound listener");
        let accepting = Mutex::new(Some(accept(listener, shared.clone())));
        Origin { address, shared, accepting }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, requests are not kept: for a load that goes on for long.
    pub fn forget_requests(&self) {
        self.shared.forgets.store(true, Ordering::SeqCst);
    }

    /// Everything received so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many requests were received so far.
    pub fn count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// The only request received; panics when there was none or more than one.
    #[track_caller]
    pub fn only_request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.into_iter().next().expect("one request")
    }

    /// The request received last.
    #[track_caller]
    pub fn last_request(&self) -> Request {
        self.requests().pop().expect("a request")
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until the origin has ended every connection that it accepted.
    #[track_caller]
    pub fn has_ended_all(&self) {
        super::wait::until_true("the origin to end its connections", || self.shared.open.lock().unwrap().is_empty());
    }

    /// Closes the port and cuts every connection, like a process that dies.
    pub fn stop(&self) {
        let Some(accepting) = self.accepting.lock().unwrap().take() else { return };
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then drops the listener.
        let _ = TcpStream::connect(self.address);
        let _ = accepting.join();
        for (_, stream) in self.shared.open.lock().unwrap().drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Listens again on the same port.
    pub fn restart(&self) {
        self.stop();
        let listener =
            super::wait::until("the origin's port to be free again", || TcpListener::bind(self.address).ok());
        self.shared.stopping.store(false, Ordering::SeqCst);
        *self.accepting.lock().unwrap() = Some(accept(listener, self.shared.clone()));
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            if shared.stopping.load(Ordering::SeqCst) {
                return;
            }
            let number = shared.connections.fetch_add(1, Ordering::SeqCst);
            let Ok(copy) = stream.try_clone() else { continue };
            shared.open.lock().unwrap().insert(number, copy);
            let shared = shared.clone();
            thread::spawn(move || {
                let _ = serve(stream, &shared);
                if let Some(stream) = shared.open.lock().unwrap().remove(&number) {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            });
        }
    })
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match &shared.tls {
        None => converse(stream, shared),
        Some(tls) => {
            let connection = ServerConnection::new(tls.clone()).map_err(io::Error::other)?;
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let result = converse(&mut stream, shared);
            stream.conn.send_close_notify();
            let _ = stream.flush();
            result
        }
    }
}

fn converse(mut stream: impl Read + Write, shared: &Shared) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer)? {
        if !shared.forgets.load(Ordering::SeqCst) {
            shared.requests.lock().unwrap().push(request.clone());
        }
        let answer = (shared.handler)(&request);
        thread::sleep(answer.delay);
        stream.write_all(&answer.bytes(&request.method))?;
        stream.flush()?;
        if answer.close {
            return Ok(());
        }
    }
    Ok(())
}

/// The next request, or `None` at the end of the connection.
fn read_request(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break end + 4;
        }
        if !fill(stream, buffer)? {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end);
    let mut lines = head.trim_end().split("\r\n");
    let mut request_line = lines.next().unwrap_or_default().split(' ');
    let method = request_line.next().unwrap_or_default().to_owned();
    let target = request_line.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut request = Request { head, method, target, headers, body: Vec::new() };
    let chunked = request.values("transfer-encoding").iter().any(|v| v.eq_ignore_ascii_case("chunked"));
    let length = request.values("content-length").first().and_then(|v| v.parse().ok());
    let body = if chunked { read_chunks(stream, buffer)? } else { take(stream, buffer, length.unwrap_or(0))? };
    match body {
        Some(body) => {
            request.body = body;
            Ok(Some(request))
        }
        None => Ok(None),
    }
}

fn read_chunks(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = find(buffer, b"\r\n") {
                break end;
            }
            if !fill(stream, buffer)? {
                return Ok(None);
            }
        };
        let line = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end + 2);
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16).map_err(io::Error::other)?;
        let Some(chunk) = take(stream, buffer, size + 2)? else { return Ok(None) };
        body.extend_from_slice(&chunk[..size]);
        if size == 0 {
            return Ok(Some(body));
        }
    }
}

fn take(stream: &mut impl Read, buffer: &mut Vec<u8>, count: usize) -> io::Result<Option<Vec<u8>>> {
    while buffer.len() < count {
        if !fill(stream, buffer)? {
            return Ok(None);
        }
    }
    Ok(Some(buffer.drain(..count).collect()))
}

fn fill(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 16 << 10];
    let count = stream.read(&mut piece)?;
    buffer.extend_from_slice(&piece[..count]);
    Ok(count > 0)
}

fn find(buffer: &[u8], wanted: &[u8]) -> Option<usize> {
    buffer.windows(wanted.len()).position(|window| window == wanted)
}
