//! A scripted name server: counts the questions and answers as the test specifies, over UDP and TCP (RFC 1035).

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{ports, wait};

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// Longest answer over UDP; what is longer is truncated.
const LONGEST: usize = 512;

/// A question that came.
#[derive(Clone, Debug)]
struct Asked {
    /// Repeated questions have the same.
    id: u16,
    name: String,
    kind: u16,
    tcp: bool,
    at: Instant,
}

/// What is known of a name. Without records of the kind that is asked for, there are none.
#[derive(Clone, Debug, Default)]
struct Zone {
    records: Vec<(u16, u32, Vec<u8>)>,
    /// So many questions are answered with SERVFAIL first.
    failures: usize,
    silent: bool,
    delay: Duration,
}

#[derive(Default)]
struct Shared {
    zones: Mutex<HashMap<String, Zone>>,
    asked: Mutex<Vec<Asked>>,
    stopping: AtomicBool,
}

/// A running name server. Names that it was told nothing about do not exist. It ends with this value.
pub struct DnsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl DnsServer {
    pub fn start() -> DnsServer {
        let (udp, tcp) = wait::until("a port for a name server", || {
            let address = (Ipv4Addr::LOCALHOST, ports::free_port());
            Some((UdpSocket::bind(address).ok()?, TcpListener::bind(address).ok()?))
        });
        let address = udp.local_addr().expect("a bound socket");
        udp.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout that is not zero");
        let shared = Arc::new(Shared::default());
        let over_udp = shared.clone();
        thread::spawn(move || serve_udp(&udp, &over_udp));
        let over_tcp = shared.clone();
        thread::spawn(move || serve_tcp(&tcp, &over_tcp));
        DnsServer { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, `name` has these addresses and no others.
    pub fn addresses(&self, name: &str, ttl: u32, addresses: &[&str]) {
        let record = |text: &&str| match text.parse().expect("an address") {
            IpAddr::V4(ip) => (A, ttl, ip.octets().to_vec()),
            IpAddr::V6(ip) => (AAAA, ttl, ip.octets().to_vec()),
        };
        self.set(name, Zone { records: addresses.iter().map(record).collect(), ..Zone::default() });
    }

    /// From now on, the service `name` has these records: priority, weight, port and target.
    pub fn services(&self, name: &str, ttl: u32, records: &[(u16, u16, u16, &str)]) {
        let record = |(priority, weight, port, target): &(u16, u16, u16, &str)| {
            let mut data: Vec<u8> = [priority, weight, port].iter().flat_map(|number| number.to_be_bytes()).collect();
            data.extend(encoded(target));
            (SRV, ttl, data)
        };
        self.set(name, Zone { records: records.iter().map(record).collect(), ..Zone::default() });
    }

    /// From now on, `name` does not exist.
    pub fn remove(&self, name: &str) {
        self.shared.zones.lock().unwrap().remove(name);
    }

    /// The next `count` questions for `name` are answered with SERVFAIL.
    pub fn fail(&self, name: &str, count: usize) {
        self.change(name, |zone| zone.failures = count);
    }

    /// Questions for `name` are not answered any more.
    pub fn silence(&self, name: &str) {
        self.change(name, |zone| zone.silent = true);
    }

    /// Questions for `name` are answered after this time.
    pub fn delay(&self, name: &str, delay: Duration) {
        self.change(name, |zone| zone.delay = delay);
    }

    /// How often anything was asked.
    pub fn count(&self) -> usize {
        self.shared.asked.lock().unwrap().len()
    }

    /// How often the A records of `name` were asked for. What is sent again for want of an answer counts once.
    pub fn a_questions(&self, name: &str) -> usize {
        self.times(name, A).len()
    }

    pub fn aaaa_questions(&self, name: &str) -> usize {
        self.times(name, AAAA).len()
    }

    pub fn srv_questions(&self, name: &str) -> usize {
        self.times(name, SRV).len()
    }

    /// When the A records of `name` were asked for.
    pub fn a_times(&self, name: &str) -> Vec<Instant> {
        self.times(name, A)
    }

    /// Whether `name` was asked for over TCP.
    pub fn was_asked_over_tcp(&self, name: &str) -> bool {
        self.shared.asked.lock().unwrap().iter().any(|asked| asked.tcp && asked.name == name)
    }

    fn times(&self, name: &str, kind: u16) -> Vec<Instant> {
        let asked = self.shared.asked.lock().unwrap();
        let mut first: Vec<&Asked> = Vec::new();
        for one in asked.iter().filter(|asked| asked.name == name && asked.kind == kind) {
            if first.iter().all(|earlier| earlier.id != one.id) {
                first.push(one);
            }
        }
        first.into_iter().map(|asked| asked.at).collect()
    }

    fn set(&self, name: &str, zone: Zone) {
        self.shared.zones.lock().unwrap().insert(name.to_owned(), zone);
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Zone)) {
        change(self.shared.zones.lock().unwrap().entry(name.to_owned()).or_default());
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve_udp(socket: &UdpSocket, shared: &Arc<Shared>) {
    let mut packet = [0; 1500];
    while !shared.stopping.load(Ordering::SeqCst) {
        let Ok((length, from)) = socket.recv_from(&mut packet) else { continue };
        let (shared, socket) = (shared.clone(), socket.try_clone().expect("an open socket"));
        let question = packet[..length].to_vec();
        thread::spawn(move || {
            if let Some(answer) = shared.answer(&question, false) {
                let _ = socket.send_to(&answer, from);
            }
        });
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let shared = shared.clone();
        thread::spawn(move || stream.and_then(|stream| converse(stream, &shared)));
    }
}

/// RFC 1035 §4.2.2: each message has its length before it.
fn converse(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(wait::DEADLINE))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut question = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut question)?;
        let Some(answer) = shared.answer(&question, true) else { return Ok(()) };
        let length = u16::try_from(answer.len()).expect("a short answer");
        stream.write_all(&[&length.to_be_bytes()[..], &answer].concat())?;
    }
}

impl Shared {
    fn answer(&self, packet: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let id = u16::from_be_bytes([*packet.first()?, *packet.get(1)?]);
        let (name, end) = decoded(packet.get(12..)?)?;
        let question = packet.get(12..12 + end + 4)?;
        let kind = u16::from_be_bytes([question[end], question[end + 1]]);
        self.asked.lock().unwrap().push(Asked { id, name: name.clone(), kind, tcp, at: Instant::now() });

        let (zone, fails) = {
            let mut zones = self.zones.lock().unwrap();
            let zone = zones.get_mut(&name);
            let fails = zone.as_ref().is_some_and(|zone| zone.failures > 0);
            let zone = zone.map(|zone| {
                zone.failures = zone.failures.saturating_sub(1);
                zone.clone()
            });
            (zone, fails)
        };
        let code = match &zone {
            None => 3,
            Some(zone) if zone.silent => return None,
            Some(_) if fails => 2,
            Some(_) => 0,
        };
        let zone = zone.unwrap_or_default();
        thread::park_timeout(zone.delay);
        let records: Vec<_> = zone.records.iter().filter(|(of, ..)| code == 0 && *of == kind).collect();
        let size: usize = 12 + question.len() + records.iter().map(|(.., data)| 12 + data.len()).sum::<usize>();
        let truncated = !tcp && size > LONGEST;
        let records = if truncated { Vec::new() } else { records };
        // A response to a query with recursion, which is available.
        let flags = 0x8180 | code | if truncated { 0x0200 } else { 0 };
        let count = u16::try_from(records.len()).expect("a few records");
        let mut answer: Vec<u8> = [id, flags, 1, count, 0, 0].iter().flat_map(|number| number.to_be_bytes()).collect();
        answer.extend(question);
        for (kind, ttl, data) in records {
            // The name of the question, the class IN.
            answer.extend([0xc0, 12]);
            answer.extend([kind.to_be_bytes(), 1u16.to_be_bytes()].concat());
            answer.extend(ttl.to_be_bytes());
            answer.extend(u16::try_from(data.len()).expect("short data").to_be_bytes());
            answer.extend(data);
        }
        Some(answer)
    }
}

/// The name at the beginning of `bytes`, lower case, and where it ends.
fn decoded(bytes: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 0);
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(bytes.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).expect("a short label"));
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes
}
