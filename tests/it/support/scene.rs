//! A gateway before origins for every kind of load, one of which is killed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::certs::Authority;
use super::load::{self, KEY_HASH, Target};
use super::ports::free_address;
use super::raw_origin::RawOrigin;
use super::{Gateway, Origin, Setup};

/// A gateway for every kind of load.
pub struct Scene {
    pub gateway: Gateway,
    pub target: Target,
    /// One of the two endpoints of `/pair`.
    pub mortal: Origin,
    _origins: (RawOrigin, Origin),
}

/// Differs from generation to generation in what no client sees.
pub fn configuration(round: usize) -> String {
    format!(
        "listeners:
  - {{ name: main, address: \"<listen>\" }}
  - {{ name: secure, address: \"<secure>\", tls: {{ certificates: [{{ cert: <dir>/edge.pem, key: <dir>/edge.key }}] }} }}
process: {{ drain: 60s }}
response_headers: {{ set: {{ X-Frame-Options: DENY, X-Round: \"{round}\" }} }}
upstreams:
  app: {{ endpoints: [\"<app>\"] }}
  pair: {{ endpoints: [\"<mortal>\", \"<immortal>\"], retries: {{ on: [connect, reset], budget: 100% }} }}
routes:
  - {{ name: pair, match: {{ path: /pair }}, access: public, upstream: pair }}
  - {{ name: app-{round}, access: public, upstream: app }}
"
    )
}

impl Scene {
    /// A gateway on `yaml`, for which `<app>`, `<mortal>` and `<immortal>` are origins, `<dead>` is none, `<secure>` is the address of its
    /// TLS listener, and `<hash>` that of the clients' API key.
    pub fn start(yaml: &str) -> Scene {
        let authority = Authority::new("test");
        let (app, mortal, immortal) = (load::origin(), Origin::saying("mortal"), Origin::saying("immortal"));
        mortal.forget_requests();
        immortal.forget_requests();
        let secure: SocketAddr = free_address();
        let setup = Setup::new(yaml)
            .with("secure", secure)
            .with("app", app.address())
            .with("dead", free_address())
            .with("mortal", mortal.address())
            .with("immortal", immortal.address())
            .with("hash", KEY_HASH);
        authority.issue(&["edge.test"]).write(setup.dir(), "edge");
        let gateway = setup.start();
        let target = Target {
            plain: gateway.address(),
            tls: secure,
            name: "edge.test".to_owned(),
            root: authority.certificate(),
        };
        Scene { gateway, target, mortal, _origins: (app, immortal) }
    }

    /// Kills and revives one endpoint of `/pair`, over and over, while `work` is done.
    pub fn while_endpoints_die<T>(&self, work: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| self.kill_endpoints(|| Duration::from_millis(50), || !over.load(Ordering::SeqCst)));
            let done = work();
            over.store(true, Ordering::SeqCst);
            done
        })
    }

    /// The same while it `goes_on`. It is dead and alive for a `pause` each, and alive in the end.
    pub fn kill_endpoints(&self, mut pause: impl FnMut() -> Duration, goes_on: impl Fn() -> bool) {
        while goes_on() {
            self.mortal.stop();
            thread::sleep(pause());
            self.mortal.restart();
            thread::sleep(pause());
        }
    }
}
