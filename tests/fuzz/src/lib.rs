//! What the fuzz targets share: a world that they make up, and configurations compiled in it.

pub mod keys;

use std::hash::RandomState;
use std::io;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use portcullis::config::compile::compile;
use portcullis::config::environment::Environment;
use portcullis::config::load::load_text;
use portcullis::config::snapshot::Snapshot;
use portcullis::decision::access::BucketHasher;

/// Files and variables that exist only here, and a clock that stands still.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub files: Vec<(String, Vec<u8>)>,
    pub variables: Vec<(String, String)>,
}

impl World {
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Environment for World {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let found = self.files.iter().find(|(own, _)| own == path);
        found.map(|(_, content)| content.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list_dir(&self, path: &str) -> io::Result<Vec<String>> {
        if self.files.iter().any(|(own, _)| own == path) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let inside = self.files.iter().filter_map(|(own, _)| own.strip_prefix(path)?.strip_prefix('/'));
        let names: Vec<String> = inside.map(str::to_owned).collect();
        if names.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(names) }
    }

    fn now(&self) -> SystemTime {
        now()
    }
}

/// The moment at which everything takes place.
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// The snapshot of a configuration that is known to be good.
pub fn snapshot(text: &str, world: &World) -> Snapshot {
    let document = load_text("f", text.as_bytes(), world).expect("a configuration");
    let (snapshot, diagnostics) = compile(&document, world);
    snapshot.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

/// What configurations may refer to: key sets and keys, API keys, a secret, a certificate, addresses.
pub fn files() -> World {
    let certified = rcgen::generate_simple_self_signed(["example.com".to_owned()]).expect("a certificate");
    World::default()
        .file("jwks.json", keys::jwks().to_string())
        .file("ed25519.pem", keys::ed25519_pem())
        .file("keys.yaml", keys::api_keys())
        .file("secret", keys::SECRET)
        .file("cert.pem", certified.cert.pem())
        .file("key.pem", certified.signing_key.serialize_pem())
        .file("addresses", "10.0.0.0/8\n2001:db8::/32\n")
        .file("page.html", "<p>{{status}}</p>")
}

/// Names buckets of limits; which, matters to no target.
pub fn hasher() -> &'static BucketHasher {
    static HASHER: LazyLock<BucketHasher> = LazyLock::new(|| BucketHasher::new(RandomState::new(), RandomState::new()));
    &HASHER
}

/// Where `length` bytes are cut into pieces: the ends of the pieces, the last of which is `length`.
pub fn pieces(length: usize, seed: u8) -> Vec<usize> {
    let mut state = u32::from(seed);
    let mut ends = Vec::new();
    let mut end = 0;
    while end < length {
        // Any sequence will do that a byte can choose: single bytes, and pieces of up to 32.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        end += if seed < 8 { 1 } else { 1 + (state >> 24) as usize % 32 };
        ends.push(end.min(length));
    }
    ends
}
