//! Mounts the admin handlers on a listener of their own.

use std::net::TcpListener as StdListener;
use std::sync::Arc;

use async_trait::async_trait;
use log::error;
use pingora::apps::{HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use tokio::net::TcpListener;

use crate::admin::Admin;

/// For one request and its answer.
const EXCHANGE: std::time::Duration = std::time::Duration::from_secs(10);

/// Serves the admin listener.
pub struct AdminService {
    pub socket: Option<StdListener>,
    pub app: Arc<AdminApp>,
}

#[async_trait]
impl Service for AdminService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        let Some(socket) = self.socket.take() else { return };
        let socket = match TcpListener::from_std(socket) {
            Ok(socket) => socket,
            Err(e) => {
                error!("the admin listener cannot accept: {e}");
                return;
            }
        };
        // Goes on while draining, since that is when readiness is asked for.
        loop {
            match socket.accept().await {
                Ok((stream, _)) => {
                    let app = self.app.clone();
                    let shutdown = shutdown.clone();
                    tokio::spawn(async move {
                        let exchange = app.process_new(Box::new(L4Stream::from(stream)), &shutdown);
                        // One request a connection, and nobody may hold one open.
                        let _ = tokio::time::timeout(EXCHANGE, exchange).await;
                    });
                }
                Err(e) => {
                    error!("the admin listener failed to accept: {e}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn name(&self) -> &str {
        "admin"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

/// Translates between Pingora's sessions and the plain handlers.
pub struct AdminApp(pub Admin);

#[async_trait]
impl HttpServerApp for AdminApp {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !matches!(session.read_request().await, Ok(true)) {
            return None;
        }
        session.set_keepalive(None);
        let header = session.req_header();
        let mut request = http::Request::new(());
        *request.method_mut() = header.method.clone();
        *request.uri_mut() = header.uri.clone();
        *request.headers_mut() = header.headers.clone();
        let (parts, body) = self.0.handle(&request).into_parts();
        let mut answer = ResponseHeader::build(parts.status, Some(parts.headers.len() + 1)).ok()?;
        for (name, value) in &parts.headers {
            answer.append_header(name, value).ok()?;
        }
        answer.insert_header(http::header::CONTENT_LENGTH, body.len()).ok()?;
        #[expect(clippy::disallowed_methods, reason = "the admin handlers set their own headers")]
        session.write_response_header(Box::new(answer)).await.ok()?;
        if request.method() != http::Method::HEAD {
            session.write_response_body(body, true).await.ok()?;
        }
        session.finish().await.ok()?;
        None
    }
}
