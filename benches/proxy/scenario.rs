//! A scenario: the request, the expected answer, and the protocol.

/// One kind of work that every proxy is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    Plain,
    Jwt,
    Unauthorised,
    TooMany,
    Tls,
    Handshakes,
    Http2,
    Bodies,
    /// 10 KiB uploaded.
    Post,
    /// 10 MiB downloaded.
    Huge,
    Fixed,
    /// A connection for each request.
    Close,
    Routes,
}

/// How the load generator reaches a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP/1.1 keep-alive.
    Plain,
    /// HTTP/1.1 keep-alive over TLS.
    Tls,
    /// A new TLS connection for each request, never resumed.
    Handshakes,
    /// HTTP/2 over TLS, several streams a connection.
    Http2,
}

/// How many routes the scenario with many of them has.
pub const ROUTES: usize = 10_000;

/// The sizes of the origin's answers.
pub const SMALL: usize = 1 << 10;
pub const LARGE: usize = 100 << 10;
pub const HUGE: usize = 10 << 20;
/// The size of an uploaded body.
pub const UPLOAD: usize = 10 << 10;
/// What a fixed answer says.
pub const FIXED: &str = "ok";

impl Scenario {
    pub const ALL: &[Scenario] = &[
        Scenario::Plain,
        Scenario::Jwt,
        Scenario::Unauthorised,
        Scenario::TooMany,
        Scenario::Tls,
        Scenario::Handshakes,
        Scenario::Http2,
        Scenario::Bodies,
        Scenario::Post,
        Scenario::Huge,
        Scenario::Fixed,
        Scenario::Close,
        Scenario::Routes,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Scenario::Plain => "plain",
            Scenario::Jwt => "jwt",
            Scenario::Unauthorised => "401",
            Scenario::TooMany => "429",
            Scenario::Tls => "tls",
            Scenario::Handshakes => "handshakes",
            Scenario::Http2 => "http2",
            Scenario::Bodies => "bodies",
            Scenario::Post => "post",
            Scenario::Huge => "huge",
            Scenario::Fixed => "fixed",
            Scenario::Close => "close",
            Scenario::Routes => "routes",
        }
    }

    pub fn named(name: &str) -> Result<Scenario, String> {
        let found = Scenario::ALL.iter().copied().find(|scenario| scenario.name() == name);
        found.ok_or_else(|| format!("unknown scenario {name}"))
    }

    /// What the scenario answers.
    pub fn question(self) -> &'static str {
        match self {
            Scenario::Plain => "1 KiB proxied, X-Frame-Options replaced: what does standing in between cost?",
            Scenario::Jwt => "the same with a JWT (RS256) verified and its caller limited: what does the gate cost?",
            Scenario::Unauthorised => "401 for a request without a token: how cheap is refusing?",
            Scenario::TooMany => "429 beyond a limit: how cheap is refusing a flood?",
            Scenario::Tls => "1 KiB over TLS, connections kept: what does encryption cost?",
            Scenario::Handshakes => {
                "one request a TLS connection (ECDSA P-256), never resumed: what does a newcomer cost?"
            }
            Scenario::Http2 => "1 KiB by HTTP/2 over TLS, 8 streams a connection: what do streams cost?",
            Scenario::Bodies => "100 KiB proxied: what does a byte cost?",
            Scenario::Post => "10 KiB uploaded: what does a request body cost?",
            Scenario::Huge => "10 MiB proxied: what does a long answer cost?",
            Scenario::Fixed => "200 from the proxy itself: how cheap is an answer without an origin?",
            Scenario::Close => "1 KiB proxied, a client connection for each request: what does a connection cost?",
            Scenario::Routes => "10,000 routes, each with its own host: does a request pay for the others?",
        }
    }

    pub fn transport(self) -> Transport {
        match self {
            Scenario::Tls => Transport::Tls,
            Scenario::Handshakes => Transport::Handshakes,
            Scenario::Http2 => Transport::Http2,
            _ => Transport::Plain,
        }
    }

    /// The only status that counts.
    pub fn status(self) -> u16 {
        match self {
            Scenario::Unauthorised => 401,
            Scenario::TooMany => 429,
            _ => 200,
        }
    }

    pub fn path(self) -> &'static str {
        match self {
            Scenario::Bodies => "/large",
            Scenario::Huge => "/huge",
            _ => "/small",
        }
    }

    pub fn host(self) -> String {
        match self {
            Scenario::Routes => route_host(ROUTES - 7),
            _ => "bench.example".to_owned(),
        }
    }

    /// Whether each request has a connection of its own.
    pub fn closes(self) -> bool {
        matches!(self, Scenario::Close | Scenario::Handshakes)
    }

    /// How many bytes a proxied answer must have; `None` where the proxy makes the answer itself.
    pub fn body(self) -> Option<usize> {
        match self {
            Scenario::Unauthorised | Scenario::TooMany | Scenario::Fixed => None,
            Scenario::Bodies => Some(LARGE),
            Scenario::Huge => Some(HUGE),
            _ => Some(SMALL),
        }
    }
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Transport::Plain => "plain",
            Transport::Tls => "tls",
            Transport::Handshakes => "handshakes",
            Transport::Http2 => "http2",
        }
    }

    pub fn named(name: &str) -> Option<Transport> {
        [Transport::Plain, Transport::Tls, Transport::Handshakes, Transport::Http2]
            .into_iter()
            .find(|transport| transport.name() == name)
    }

    pub fn is_encrypted(self) -> bool {
        self != Transport::Plain
    }
}

/// The host of route `number` among [`ROUTES`].
pub fn route_host(number: usize) -> String {
    format!("s{number}.example")
}
