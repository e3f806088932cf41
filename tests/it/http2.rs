//! HTTP/2 attacks: floods, stalls, and malformed requests.

mod flood;
mod malformed;
mod stall;
mod stream_errors;
mod verdict;

use crate::support::h2_client::H2;
use crate::support::{Gateway, Origin, Setup, wait};

/// Short bounds, so that what is slow is cut while a test looks.
const SHORT: &str = "
listeners: [{ name: main, address: \"<listen>\", http2: true }]
bounds:
  header_time: 400ms
  body_idle: 400ms
  write_idle: 400ms
  keepalive: 30s
  http2_resets: 20
  http2_control_frames: 100
response_headers: { set: { X-Frame-Options: DENY } }
routes: [{ name: all, access: public, upstream: origin }]
";

fn gate(origin: &Origin) -> Gateway {
    Setup::new(SHORT).origin(origin).start()
}

/// A client that means no harm, beside one that does.
struct Bystander {
    client: H2,
}

impl Bystander {
    #[track_caller]
    fn beside(gateway: &Gateway) -> Self {
        let mut client = H2::prior_knowledge(gateway.address());
        client.get("http://gateway.test/calm").expect_status(200);
        Bystander { client }
    }

    /// Its connection works as before.
    #[track_caller]
    fn is_unharmed(&mut self) {
        self.client.get("http://gateway.test/calm").expect_status(200);
    }
}

/// Waits until `bound` was counted.
#[track_caller]
fn bitten(gateway: &Gateway, bound: &str) {
    wait::until_true(bound, || gateway.metrics().sum("portcullis_bound_hits_total", &[("bound", bound)]) >= 1.0);
}

/// Waits until nothing is left of any connection or request.
#[track_caller]
fn all_gone(gateway: &Gateway) {
    wait::until_true("all connections and requests to be gone", || {
        let metrics = gateway.metrics();
        metrics.sum("portcullis_connections", &[]) == 0.0 && metrics.sum("portcullis_requests_in_flight", &[]) == 0.0
    });
}
