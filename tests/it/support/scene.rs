//! A gateway under every kind of load, with an endpoint that is killed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::certs::Authority;
use super::load::{self, Load, Target};
use super::ports::free_address;
use super::raw_origin::RawOrigin;
use super::{Gateway, Origin, Setup};

/// A gateway under every kind of load.
pub struct Scene {
    pub gateway: Gateway,
    pub load: Load,
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
    pub fn start() -> Scene {
        let authority = Authority::new("test");
        let (app, mortal, immortal) = (load::origin(), Origin::saying("mortal"), Origin::saying("immortal"));
        let secure: SocketAddr = free_address();
        let setup = Setup::new(&configuration(0))
            .with("secure", secure)
            .with("app", app.address())
            .with("mortal", mortal.address())
            .with("immortal", immortal.address());
        authority.issue(&["edge.test"]).write(setup.dir(), "edge");
        let gateway = setup.start();
        let target = Target {
            plain: gateway.address(),
            tls: secure,
            name: "edge.test".to_owned(),
            root: authority.certificate(),
        };
        let load = Load::start(&target);
        Scene { gateway, load, mortal, _origins: (app, immortal) }
    }

    /// Kills and revives one endpoint of `/pair`, over and over, while `work` is done.
    pub fn while_endpoints_die<T>(&self, work: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    self.mortal.stop();
                    thread::sleep(Duration::from_millis(50));
                    self.mortal.restart();
                    thread::sleep(Duration::from_millis(50));
                }
            });
            let done = work();
            over.store(true, Ordering::SeqCst);
            done
        })
    }
}
