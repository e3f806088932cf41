//! Reads one answer from a connection; the TLS client that every part uses.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name in the certificate that every proxy shows.
pub const SERVER_NAME: &str = "bench.example";

/// What a head says, as far as the load test cares.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    pub length: usize,
    /// Where the head ends in the buffer.
    pub end: usize,
    pub close: bool,
}

/// Reads one answer into `buffer` and gives its head; `buffer` holds exactly the answer afterwards.
pub async fn read_answer(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<Head> {
    buffer.clear();
    let head = loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break parse(&buffer[..end + 4])?;
        }
    };
    while buffer.len() < head.end + head.length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn find(buffer: &[u8], wanted: &[u8]) -> Option<usize> {
    buffer.windows(wanted.len()).position(|window| window == wanted)
}

fn parse(head: &[u8]) -> io::Result<Head> {
    let malformed = || io::Error::other(format!("not an answer with a length: {}", String::from_utf8_lossy(head)));
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|d| d.parse().ok());
    let length = field(head, b"content-length").and_then(|value| value.parse().ok());
    let close = field(head, b"connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok(Head { status: status.ok_or_else(malformed)?, length: length.ok_or_else(malformed)?, end: head.len(), close })
}

fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a str> {
    fields(head).find(|(found, _)| found.eq_ignore_ascii_case(name)).and_then(|(_, v)| std::str::from_utf8(v).ok())
}

/// The names and values of a head.
pub fn fields(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

/// A TLS client that trusts only the certificate in `root`, and never resumes.
pub fn connector(root: &str, alpn: &[&str]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).expect("the root certificate")).expect("a valid certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions that the provider has")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

pub async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub async fn connect_tls(address: &str, connector: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(SERVER_NAME).expect("a valid name");
    connector.connect(name, connect(address).await?).await
}
