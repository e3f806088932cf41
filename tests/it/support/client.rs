//! An HTTP/1.1 client that sends exactly the given bytes and returns the complete answer.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, SupportedProtocolVersion};
use socket2::{Domain, Socket, Type};

use super::wait::DEADLINE;

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// `HTTP/1.1`, `HTTP/1.0` or `HTTP/2`.
    pub version: String,
    /// In order, with the case and the repetitions as sent.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Every value of `name`, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The value of `name`; panics when it is sent more than once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() <= 1, "{name} is sent {} times: {self:?}", values.len());
        values.first().copied()
    }

    /// Whether the connection may carry another request.
    pub fn leaves_open(&self) -> bool {
        !self.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a body in UTF-8")
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// Asserts the status, with the whole answer in the message.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}\n{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Asserts that exactly one field `name` left, with `value`.
    #[track_caller]
    pub fn expect_header(self, name: &str, value: &str) -> Self {
        assert_eq!(self.values(name), [value], "{name} of {self:?}");
        self
    }

    /// Asserts that no field `name` left.
    #[track_caller]
    pub fn expect_no_header(self, name: &str) -> Self {
        assert_eq!(self.values(name), [""; 0], "{name} of {self:?}");
        self
    }
}

/// GET on a new connection.
#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> Response {
    Client::connect(address).request("GET", path, &[], b"")
}

/// GET on a new connection, by the address: an admin listener without a token answers nothing else.
#[track_caller]
pub fn get_by_address(address: SocketAddr, path: &str) -> Response {
    Client::connect(address).request("GET", path, &[("Host", &address.to_string())], b"")
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One connection.
pub struct Client {
    stream: Box<dyn Stream>,
    socket: TcpStream,
    /// Read and not yet used.
    buffer: Vec<u8>,
}

/// How a client speaks TLS.
pub struct Tls {
    pub server_name: String,
    pub root: CertificateDer<'static>,
    pub versions: &'static [&'static SupportedProtocolVersion],
    pub alpn: Vec<Vec<u8>>,
}

impl Tls {
    /// TLS 1.3 or 1.2 without ALPN, trusting only `root`.
    pub fn new(server_name: &str, root: &CertificateDer<'static>) -> Self {
        Tls { server_name: server_name.to_owned(), root: root.clone(), versions: rustls::ALL_VERSIONS, alpn: vec![] }
    }

    pub fn versions(mut self, versions: &'static [&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions;
        self
    }

    pub fn alpn(mut self, protocol: &str) -> Self {
        self.alpn.push(protocol.as_bytes().to_vec());
        self
    }

    pub fn config(&self) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).expect("a valid root certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .expect("versions that the provider has")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = self.alpn.clone();
        Arc::new(config)
    }

    pub fn name(&self) -> ServerName<'static> {
        ServerName::try_from(self.server_name.clone()).expect("a valid server name")
    }
}

impl Client {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    pub fn try_connect(address: SocketAddr) -> io::Result<Client> {
        Client::over(open(address)?)
    }

    /// Continues a connection on which something was sent already.
    pub fn over(socket: TcpStream) -> io::Result<Client> {
        Ok(Client { stream: Box::new(socket.try_clone()?), socket, buffer: Vec::new() })
    }

    /// Connects from the address `from`: all of 127.0.0.0/8 is this machine.
    #[track_caller]
    pub fn connect_from(from: IpAddr, address: SocketAddr) -> Client {
        Client::over(open_from(from, address)).expect("an open socket")
    }

    /// Connects and completes the handshake; gives what was agreed too.
    pub fn tls(address: SocketAddr, tls: &Tls) -> io::Result<(Client, Agreed)> {
        Client::tls_over(open(address)?, tls)
    }

    /// Completes the handshake on a connection that something was sent on already.
    pub fn tls_over(mut socket: TcpStream, tls: &Tls) -> io::Result<(Client, Agreed)> {
        let mut connection = ClientConnection::new(tls.config(), tls.name()).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let agreed = Agreed {
            version: connection.protocol_version().expect("a finished handshake"),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            certificate: connection.peer_certificates().expect("a finished handshake")[0].clone().into_owned(),
        };
        let stream = rustls::StreamOwned::new(connection, socket.try_clone()?);
        Ok((Client { stream: Box::new(stream), socket, buffer: Vec::new() }, agreed))
    }

    /// Sends these bytes and nothing else.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Writes a request; `Host: gateway.test` is added where `headers` has no `Host`.
    pub fn send_request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        let has = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !has("host") {
            head.push_str("Host: gateway.test\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() && !has("transfer-encoding") && !has("content-length") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.try_send([head.as_bytes(), body].concat())
    }

    /// One request and its answer; the connection can be used again.
    #[track_caller]
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        // A gateway that refuses early may close before it has taken the whole body; its answer is still there.
        let _ = self.send_request(method, path, headers, body);
        match self.try_read_response(method == "HEAD") {
            Ok(response) => response,
            Err(error) => panic!("no answer to {method} {path}: {error}"),
        }
    }

    #[track_caller]
    pub fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// Reads one answer to a request other than HEAD.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.try_read_response(false).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Reads one final answer; interim ones (1xx) are passed over.
    pub fn try_read_response(&mut self, to_head: bool) -> io::Result<Response> {
        loop {
            let mut response = self.read_head()?;
            if (100..200).contains(&response.status) {
                continue;
            }
            if to_head || matches!(response.status, 204 | 304) {
                return Ok(response);
            }
            response.body = self.read_body(&response)?;
            return Ok(response);
        }
    }

    /// Everything that comes up to `end`, with it.
    #[track_caller]
    pub fn read_until(&mut self, end: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.buffer).into_owned();
            if let Some(at) = text.find(end) {
                self.buffer.clear();
                return text[..at + end.len()].to_owned();
            }
            if let Err(error) = self.fill() {
                panic!("{error}, and no {end:?} in {text:?}");
            }
        }
    }

    /// Whether the other side closes without sending anything more.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        self.buffer.is_empty()
            && match self.stream.read(&mut byte) {
                Ok(count) => count == 0,
                Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
            }
    }

    /// Whether the other side has sent something that is not read yet, or has closed.
    pub fn has_input(&mut self) -> bool {
        self.socket.set_nonblocking(true).expect("a socket");
        let peeked = self.socket.peek(&mut [0]);
        self.socket.set_nonblocking(false).expect("a socket");
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// What comes, as it comes.
    pub fn stream(&mut self) -> &mut impl Read {
        &mut self.stream
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    fn read_head(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end;
            }
            self.fill()?;
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        parse_head(&head).ok_or_else(|| io::Error::other(format!("not an answer: {head:?}")))
    }

    fn read_body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        let value = |name: &str| response.values(name).last().map(|v| v.to_ascii_lowercase());
        if value("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
            return self.read_chunks();
        }
        if let Some(length) = value("content-length") {
            let length: usize = length.parse().map_err(io::Error::other)?;
            return self.take(length);
        }
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.buffer));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                while !self.take_line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size)?);
            self.take(2)?;
        }
    }

    fn take_line(&mut self) -> io::Result<String> {
        let end = loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                break end;
            }
            self.fill()?;
        };
        let line = self.take(end + 2)?;
        Ok(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill()?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 << 10];
        let count = self.stream.read(&mut piece)?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the connection was closed after {:?}", String::from_utf8_lossy(&self.buffer)),
            ));
        }
        self.buffer.extend_from_slice(&piece[..count]);
        Ok(())
    }
}

/// What a TLS handshake agreed on.
pub struct Agreed {
    pub version: rustls::ProtocolVersion,
    pub alpn: Option<Vec<u8>>,
    /// The server's own certificate.
    pub certificate: CertificateDer<'static>,
}

/// A connection from `source`, which is an address of this machine, such as any of 127.0.0.0/8.
#[track_caller]
pub fn open_from(source: IpAddr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(source, 0).into()).expect("an address of this machine");
    socket.connect_timeout(&address.into(), DEADLINE).expect("a connection");
    prepared(socket.into()).expect("an open socket")
}

pub fn open(address: SocketAddr) -> io::Result<TcpStream> {
    prepared(TcpStream::connect_timeout(&address, DEADLINE)?)
}

fn prepared(socket: TcpStream) -> io::Result<TcpStream> {
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.set_write_timeout(Some(DEADLINE))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn parse_head(head: &str) -> Option<Response> {
    let mut lines = head.strip_suffix("\r\n\r\n")?.split("\r\n");
    let mut status_line = lines.next()?.splitn(3, ' ');
    let version = status_line.next()?.to_owned();
    let status = status_line.next()?.parse().ok()?;
    let headers = lines
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
        .collect::<Option<_>>()?;
    Some(Response { status, version, headers, body: Vec::new() })
}
