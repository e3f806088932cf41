//! The same for HTTP/2 origins that end a connection without GOAWAY.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::{PASS, post_many, random};
use crate::support::raw_origin::{RawOrigin, Wire};
use crate::support::{Gateway, Setup, wait};

/// Answers requests until none is under way for a random time of up to `longest` microseconds, which it never announces.
struct FickleHttp2 {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<HashMap<String, usize>>>,
    /// How often something came between the last look at a connection and its end.
    crossed: Arc<AtomicUsize>,
}

impl FickleHttp2 {
    fn start(longest: u64) -> FickleHttp2 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (connections, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(HashMap::new())));
        let crossed = Arc::new(AtomicUsize::new(0));
        let fickle =
            FickleHttp2 { address, connections: connections.clone(), seen: seen.clone(), crossed: crossed.clone() };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let number = connections.fetch_add(1, Ordering::SeqCst) as u64;
                    tokio::spawn(converse(stream, number, longest, seen.clone(), crossed.clone()));
                }
            });
        });
        fickle
    }
}

async fn converse(
    stream: TcpStream,
    number: u64,
    longest: u64,
    seen: Arc<Mutex<HashMap<String, usize>>>,
    crossed: Arc<AtomicUsize>,
) {
    let _ = stream.set_nodelay(true);
    let socket = stream.into_std().unwrap();
    let stream = TcpStream::from_std(socket.try_clone().unwrap()).unwrap();
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let under_way = Arc::new(AtomicUsize::new(0));
    let mut state = number;
    let mut answered = false;
    loop {
        let patience = if answered { Duration::from_micros(1 + random(&mut state) % longest) } else { wait::DEADLINE };
        tokio::select! {
            biased;
            accepted = connection.accept() => {
                let Some(Ok((request, mut respond))) = accepted else { return };
                under_way.fetch_add(1, Ordering::SeqCst);
                answered = true;
                let (seen, under_way) = (seen.clone(), under_way.clone());
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    let mut text = Vec::new();
                    while let Some(Ok(piece)) = body.data().await {
                        text.extend_from_slice(&piece);
                    }
                    *seen.lock().unwrap().entry(String::from_utf8_lossy(&text).into_owned()).or_default() += 1;
                    let answer = http::Response::builder().status(200).body(()).unwrap();
                    if let Ok(mut stream) = respond.send_response(answer, false) {
                        let _ = stream.send_data("ok".into(), true);
                    }
                    under_way.fetch_sub(1, Ordering::SeqCst);
                });
            }
            () = tokio::time::sleep(patience) => {
                // Nobody can tell whether a request was read that lies in the kernel when the connection is closed.
                if under_way.load(Ordering::SeqCst) == 0 && socket.peek(&mut [0]).is_err() {
                    let _ = socket.shutdown(Shutdown::Both);
                    // What comes from here on is refused by the kernel; what is there came since the look before.
                    if socket.peek(&mut [0]).is_ok_and(|count| count > 0) {
                        crossed.fetch_add(1, Ordering::SeqCst);
                    }
                    return;
                }
            }
        }
    }
}

fn before(address: SocketAddr, upstream: &str) -> Gateway {
    Setup::new(&format!(
        "process: {{ threads: 2 }}\nupstreams: {{ origin: {{ endpoints: [\"<o>\"], http2: true, {upstream} }} }}\nbounds: {{ \
         requests_per_connection: 100000 }}\n{PASS}"
    ))
    .with("o", address)
    .start()
}

#[test]
fn no_post_is_lost_to_an_origin_that_closes_at_random() {
    // On a busy machine the origin may be held up between its look and the end, and a frame of the connection's own (an
    // acknowledgement of a PING, say) may go before the request and be acknowledged: such a run proves nothing.
    let runs = (0..5).map(|_| {
        let fickle = FickleHttp2::start(5000);
        let gateway = before(fickle.address, "timeouts: { response: 5s }");
        post_many(&gateway, &fickle.seen, 500) + fickle.crossed.load(Ordering::SeqCst)
    });
    let mut seen = Vec::new();
    let clear = runs.inspect(|run| seen.push(*run)).any(|run| run == 0);
    assert!(clear, "lost or unclear in every run: {seen:?}");
}

#[test]
fn posts_share_the_connections_of_an_origin_that_keeps_them() {
    let fickle = FickleHttp2::start(1_000_000_000_000);
    let gateway = before(fickle.address, "timeouts: { response: 5s, idle_unsafe: 30s }");
    assert_eq!(post_many(&gateway, &fickle.seen, 100), 0);
    let connections = fickle.connections.load(Ordering::SeqCst);
    assert!(connections < 20, "{connections} connections for 400 requests");
}

/// The head of the next frame, and its payload.
fn frame(wire: &mut Wire) -> Option<(u8, u8, Vec<u8>)> {
    let head = wire.take(9)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    Some((head[3], head[4], wire.take(length)?))
}

/// Acknowledges the settings and reads up to a request's header.
fn request(wire: &mut Wire) -> bool {
    while let Some((kind, flags, _)) = frame(wire) {
        match kind {
            4 if flags == 0 => drop(wire.send([0, 0, 0, 4, 1, 0, 0, 0, 0])),
            1 => return true,
            _ => {}
        }
    }
    false
}

#[test]
fn a_post_that_the_origin_may_have_read_is_not_sent_twice() {
    // The first request of a connection is answered; the second is read, and the connection ends without a word.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let origin = RawOrigin::start(move |wire| {
        wire.until(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        wire.send([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        if request(wire) {
            count.fetch_add(1, Ordering::SeqCst);
            // HEADERS of stream 1, END_HEADERS and END_STREAM: `:status: 200`.
            wire.send([0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88]);
        }
        if request(wire) {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let gateway = before(origin.address(), "timeouts: { idle_unsafe: 30s }");
    let mut client = gateway.connect();
    client.request("POST", "/", &[], b"x").expect_status(200);
    client.request("POST", "/", &[], b"x").expect_status(502);
    assert_eq!((asked.load(Ordering::SeqCst), origin.connections()), (2, 1));
}
