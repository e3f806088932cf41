//! Clients over HTTP/2.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::super::client::Tls;
use super::super::wait::DEADLINE;
use super::{Fate, Marked, Target, Turn, refused, wrong};

pub(super) fn one_by_one(target: &Target, turn: &mut Turn) -> io::Result<()> {
    block_on(small(target, turn, 1))
}

pub(super) fn ten_at_once(target: &Target, turn: &mut Turn) -> io::Result<()> {
    block_on(small(target, turn, 10))
}

/// Asks for `/small`, `at_once` times over, until the gateway says that the connection ends.
async fn small(target: &Target, turn: &mut Turn, at_once: usize) -> io::Result<()> {
    let (sender, _connection) = connect(target).await?;
    while turn.goes_on() {
        let mut answers = Vec::with_capacity(at_once);
        for _ in 0..at_once {
            // GOAWAY came: nothing was sent.
            let Some(sent) = send(target, turn, &sender, "/small", None).await else { break };
            answers.push(sent);
        }
        let over = answers.len() < at_once;
        for (request, answer) in answers {
            match in_time(whole(answer)).await? {
                Ok((200, body)) if body == b"small" => turn.end(&request, Fate::Answered(200)),
                Ok((status, body)) => {
                    return Err(wrong(format!("over HTTP/2: {status} {}", String::from_utf8_lossy(&body))));
                }
                // RFC 9113 §8.7: it was not processed, and may be sent again whatever it is.
                Err(error) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => {}
                Err(error) if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) => {}
                Err(error) => return Err(wrong(format!("over HTTP/2: {error}"))),
            }
        }
        if over {
            break;
        }
        tokio::time::sleep(turn.pause.max(Duration::from_millis(1))).await;
    }
    Ok(())
}

/// What [`refused::REFUSED`] lists, over HTTP/2.
pub(super) fn refused(target: &Target, turn: &mut Turn) -> io::Result<()> {
    block_on(async {
        let (sender, _connection) = connect(target).await?;
        for _ in 0..20 {
            if !turn.goes_on() {
                break;
            }
            let case = &refused::REFUSED[turn.rng.usize(..refused::REFUSED.len())];
            let Some((request, answer)) = send(target, turn, &sender, case.path, case.key).await else { break };
            let (status, _) = in_time(whole(answer)).await?.map_err(io::Error::other)?;
            turn.end(&request, Fate::Answered(status));
            case.check(status)?;
            tokio::time::sleep(turn.pause).await;
        }
        Ok(())
    })
}

/// Resets streams, or leaves with the connection while they are open.
pub(super) fn leaves(target: &Target, turn: &mut Turn) -> io::Result<()> {
    block_on(async {
        let (sender, connection) = connect(target).await?;
        let mut left = Vec::new();
        for path in ["/late", "/big", "/late", "/small"] {
            let Some((_, answer)) = send(target, turn, &sender, path, None).await else { break };
            left.push(answer);
        }
        tokio::time::sleep(Duration::from_millis(turn.rng.u64(0..100))).await;
        if turn.rng.bool() {
            // Resets them.
            drop(left);
            // Lets the connection's task write that.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        connection.abort();
        tokio::time::sleep(turn.pause.max(Duration::from_millis(100))).await;
        Ok(())
    })
}

/// Sends a GET. `None`: the connection takes no further request, and nothing was sent.
async fn send(
    target: &Target,
    turn: &mut Turn,
    sender: &SendRequest<Bytes>,
    path: &str,
    key: Option<&str>,
) -> Option<(Marked, ResponseFuture)> {
    let mut ready = sender.clone().ready().await.ok()?;
    let marked = turn.begin(path);
    let mut request = http::Request::get(format!("https://{}{}", target.name, marked.target));
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    let (answer, _) = ready.send_request(request.body(()).expect("a request"), true).ok()?;
    Some((marked, answer))
}

async fn connect(target: &Target) -> io::Result<(SendRequest<Bytes>, JoinHandle<()>)> {
    let settings = Tls::new(&target.name, &target.root).alpn("h2");
    let socket = TcpStream::connect(target.tls).await?;
    let stream = TlsConnector::from(settings.config()).connect(settings.name(), socket).await?;
    let (sender, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok((sender, connection))
}

async fn whole(answer: ResponseFuture) -> Result<(u16, Vec<u8>), h2::Error> {
    let answer = answer.await?;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        let _ = body.flow_control().release_capacity(piece.len());
        bytes.extend_from_slice(&piece);
    }
    Ok((status, bytes))
}

async fn in_time<T>(future: impl Future<Output = T>) -> io::Result<T> {
    tokio::time::timeout(DEADLINE, future).await.map_err(|_| wrong("over HTTP/2: no answer in time"))
}

fn block_on(future: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
