//! Both sides of the PROXY protocol: headers as load balancers send them, and an origin that asks for them.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::wait;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a load balancer sends in version 1.
pub fn v1(client: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (client.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", client.port(), destination.port()).into_bytes()
}

/// What a load balancer sends in version 2, with `extensions`.
pub fn v2(client: SocketAddr, destination: SocketAddr, extensions: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for address in [client.ip(), destination.ip()] {
        match address {
            IpAddr::V4(address) => block.extend(address.octets()),
            IpAddr::V6(address) => block.extend(address.octets()),
        }
    }
    block.extend(client.port().to_be_bytes());
    block.extend(destination.port().to_be_bytes());
    block.extend(extensions);
    v2_raw(0x21, if client.is_ipv4() { 0x11 } else { 0x21 }, &block)
}

/// Version 2 with any command, family and content.
pub fn v2_raw(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("a short block").to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, block].concat()
}

/// Stands before an origin, takes the PROXY header off each connection, and passes on the rest. It ends with this value.
pub struct Terminator {
    address: SocketAddr,
    headers: Arc<Mutex<Vec<Vec<u8>>>>,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Terminator {
    pub fn before(origin: SocketAddr) -> Terminator {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, super::ports::free_port())).expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let headers = Arc::new(Mutex::default());
        let stopping = Arc::new(AtomicBool::new(false));
        let (kept, stop) = (headers.clone(), stopping.clone());
        let accepting = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let kept = kept.clone();
                thread::spawn(move || {
                    let _ = serve(stream, origin, &kept);
                });
            }
        });
        Terminator { address, headers, stopping, accepting: Some(accepting) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The header of each connection so far.
    pub fn headers(&self) -> Vec<Vec<u8>> {
        self.headers.lock().unwrap().clone()
    }

    /// Waits until `count` connections have brought their header.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Vec<u8>> {
        wait::until("enough PROXY headers", || Some(self.headers()).filter(|headers| headers.len() >= count))
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(mut client: TcpStream, origin: SocketAddr, headers: &Mutex<Vec<Vec<u8>>>) -> io::Result<()> {
    let header = read_header(&mut client)?;
    headers.lock().unwrap().push(header);
    let upstream = TcpStream::connect(origin)?;
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let (from_client, to_upstream) = (client.try_clone()?, upstream.try_clone()?);
    let up = thread::spawn(move || pass(from_client, to_upstream));
    pass(upstream, client);
    let _ = up.join();
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to).and_then(|_| to.flush());
    let _ = to.shutdown(Shutdown::Write);
}

/// Panics, and so takes nothing, where there is no header.
fn read_header(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut header = vec![0; 12];
    stream.read_exact(&mut header)?;
    if header == SIGNATURE {
        let mut rest = [0; 4];
        stream.read_exact(&mut rest)?;
        let mut block = vec![0; usize::from(u16::from_be_bytes([rest[2], rest[3]]))];
        stream.read_exact(&mut block)?;
        return Ok([&header[..], &rest, &block].concat());
    }
    assert!(header.starts_with(b"PROXY "), "no PROXY header: {header:?}");
    while !header.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        header.push(byte[0]);
    }
    Ok(header)
}
