//! A PROXY header, read from a socket without a byte of what follows it.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::decision::proxy_protocol::{Header, MAX_LENGTH, Malformed, parse};

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum ProxyHeaderError {
    #[error("nothing was sent")]
    Silent,
    #[error("the header was not complete in time")]
    Late,
    #[error("the header was cut off")]
    CutOff,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Lost(#[from] io::Error),
}

/// Enough for every header without extensions; the rest grows with what arrives.
const FIRST: usize = 256;

/// Waits until the header is complete.
///
/// Bytes are looked at in the kernel's buffer, and taken from there once it is clear that they belong to the header: all of
/// them while it is incomplete, so that looking again waits for new ones.
pub async fn read(socket: &mut TcpStream) -> Result<Header, ProxyHeaderError> {
    let mut bytes = vec![0; FIRST];
    let mut taken = 0;
    loop {
        if taken == bytes.len() {
            bytes.resize(MAX_LENGTH, 0);
        }
        let seen = match socket.peek(&mut bytes[taken..]).await {
            Ok(0) | Err(_) if taken == 0 => return Err(ProxyHeaderError::Silent),
            Ok(0) => return Err(ProxyHeaderError::CutOff),
            seen => taken + seen?,
        };
        let header = parse(&bytes[..seen])?;
        let end = header.map_or(seen, |header| header.length);
        socket.read_exact(&mut bytes[taken..end]).await?;
        match header {
            Some(header) => return Ok(header),
            None => taken = end,
        }
    }
}
