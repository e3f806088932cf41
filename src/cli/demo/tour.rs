//! What the demo prints: every line can be pasted.

use std::net::SocketAddr;

use super::DemoOrigin;
use super::credentials::Credentials;

/// The tour, for the addresses and credentials of this run.
pub fn text(listen: SocketAddr, admin: SocketAddr, credentials: &Credentials, origins: &[DemoOrigin; 2]) -> String {
    let [first, second] = origins;
    let token = credentials.token_file.display();
    let api_key = &credentials.api_key;
    format!(
        "\
Portcullis listens on http://{listen}, in front of two origins: {} (pid {}) and {} (pid {}).
Paste these into another terminal. Ctrl-C ends the demo.

# 200, proxied. The origin says X-Frame-Options: ALLOWALL; what leaves is DENY.
curl -si http://{listen}/hello

# 401: no credential.
curl -si http://{listen}/v1/orders/7

# 200 with a JWT, and with an API key. The origin sees who it is, and not the credential.
curl -si -H \"Authorization: Bearer $(cat {token})\" http://{listen}/v1/orders/7
curl -si -H 'X-Api-Key: {api_key}' http://{listen}/v1/orders/7

# 403: recognised, but not an admin.
curl -si -H \"Authorization: Bearer $(cat {token})\" http://{listen}/v1/admin/users

# 429 with Retry-After, after a burst of three.
for i in 1 2 3 4 5; do curl -si http://{listen}/limited | grep -iE '^(http|retry-after)'; done

# One origin dies; no request fails.
kill {}
for i in $(seq 1 20); do curl -s -o /dev/null -w '%{{http_code}} ' http://{listen}/hello; done; echo

# Metrics.
curl -s http://{admin}/metrics | grep '^portcullis_requests_total'

The JWT: {}
The API key: {api_key}

",
        first.name,
        first.process.id(),
        second.name,
        second.process.id(),
        first.process.id(),
        credentials.token,
    )
}
