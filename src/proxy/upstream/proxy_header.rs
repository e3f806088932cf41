//! Connections to origins that begin with a PROXY header.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::ext;
use pingora::protocols::l4::socket::SocketAddr as AnyAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::{Error, ErrorType, OrErr, Result};
use tokio::io::AsyncWriteExt;

use crate::decision::proxy_protocol::{self, Announced, Version};

/// Connects, and sends the header before anything else, TLS included. Bounded by the peer's total connection timeout.
#[derive(Debug)]
pub struct ProxyHeaderConnector {
    version: Version,
    /// `None` where the gateway speaks for itself.
    announced: Option<Announced>,
}

impl ProxyHeaderConnector {
    /// Speaks for a client.
    pub fn client(version: Version, announced: Announced) -> Arc<Self> {
        Arc::new(ProxyHeaderConnector { version, announced: Some(announced) })
    }

    /// Speaks for the gateway itself, as for health checks.
    pub fn local(version: Version) -> Arc<Self> {
        Arc::new(ProxyHeaderConnector { version, announced: None })
    }
}

#[async_trait]
impl L4Connect for ProxyHeaderConnector {
    async fn connect(&self, address: &AnyAddr) -> Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Error::e_explain(ErrorType::InternalError, "BUG: endpoints are TCP addresses");
        };
        let mut socket = ext::connect(address, None).await?;
        let written = match &self.announced {
            Some(announced) => socket.write_all(&proxy_protocol::announce(self.version, announced)).await,
            None => socket.write_all(proxy_protocol::local(self.version)).await,
        };
        written.or_err(ErrorType::ConnectError, "the PROXY header could not be sent")?;
        Ok(socket.into())
    }
}
