//! Nothing that an operator does, and no endpoint that dies, costs a client a request.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::certs::Authority;
use crate::support::load::{self, Load, Report, Target};
use crate::support::ports::free_address;
use crate::support::raw_origin::RawOrigin;
use crate::support::{Gateway, Origin, Setup};

/// A gateway under every kind of load.
struct Scene {
    gateway: Gateway,
    load: Load,
    /// One of the two endpoints of `/pair`.
    mortal: Origin,
    _origins: (RawOrigin, Origin),
}

/// Differs from generation to generation in what no client sees.
fn configuration(round: usize) -> String {
    format!(
        "listeners:
  - {{ name: main, address: \"<listen>\" }}
  - {{ name: secure, address: \"<secure>\", tls: {{ certificates: [{{ cert: <dir>/edge.pem, key: <dir>/edge.key }}] }} }}
process: {{ drain: 60s }}
response_headers: {{ set: {{ X-Frame-Options: DENY, X-Round: \"{round}\" }} }}
upstreams:
  app: {{ endpoints: [\"<app>\"] }}
  pair: {{ endpoints: [\"<mortal>\", \"<immortal>\"] }}
routes:
  - {{ name: pair, match: {{ path: /pair }}, access: public, upstream: pair }}
  - {{ name: app-{round}, access: public, upstream: app }}
"
    )
}

impl Scene {
    fn start() -> Scene {
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

    /// Ends the load and fails if it was anything but smooth.
    #[track_caller]
    fn end(self) {
        let reports = self.load.end();
        let failures: Vec<String> = reports.iter().filter(|report| !report.failures.is_empty()).map(describe).collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        for report in &reports {
            assert!(report.requests > 0, "{} never had an answer", report.kind);
        }
    }
}

fn describe(report: &Report) -> String {
    format!("{}: {} of {} failed: {:?}", report.kind, report.failures.len(), report.requests, report.failures)
}

#[test]
fn fifty_reloads_and_dying_endpoints_cost_nobody_a_request() {
    let scene = Scene::start();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                scene.mortal.stop();
                thread::sleep(Duration::from_millis(50));
                scene.mortal.restart();
                thread::sleep(Duration::from_millis(50));
            }
        });
        for round in 1..=50 {
            scene.gateway.reload(&configuration(round));
        }
        over.store(true, Ordering::SeqCst);
    });
    scene.end();
}
