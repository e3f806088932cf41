//! Tests of the support: client and origin agree without a gateway between them.

use serde_json::json;

use super::certs::Authority;
use super::client::Tls;
use super::h2_client::H2;
use super::h2_origin::H2Origin;
use super::{Answer, Client, Origin, get, jwt};

#[test]
fn client_and_origin_agree_byte_for_byte() {
    let origin = Origin::start(|request| Answer::ok(request.body.clone()).header("x-OdD", "1").header("X-Odd", "2"));
    let mut client = Client::connect(origin.address());
    let chunked = [("Transfer-Encoding", "chunked"), ("X-Twice", "a"), ("x-twice", "b")];
    let response = client.request("POST", "/a?b", &chunked, b"3\r\nabc\r\n0\r\n\r\n");
    assert_eq!((response.status, response.text().as_str()), (200, "abc"));
    assert_eq!(response.values("X-ODD"), ["1", "2"]);
    assert_eq!(response.headers[0], ("x-OdD".to_owned(), "1".to_owned()));
    assert_eq!(client.request("HEAD", "/", &[], b"").header("Content-Length"), Some("0"));
    let requests = origin.requests();
    assert_eq!(requests[0].values("x-twice"), ["a", "b"]);
    assert_eq!((requests[0].target.as_str(), requests[0].body.as_slice()), ("/a?b", &b"abc"[..]));
    assert_eq!((requests.len(), origin.connections()), (2, 1));
}

#[test]
fn an_origin_stops_and_starts_again() {
    let origin = Origin::saying("ok");
    let mut client = Client::connect(origin.address());
    client.get("/").expect_status(200);
    origin.stop();
    assert!(client.is_closed());
    assert!(Client::try_connect(origin.address()).is_err());
    origin.restart();
    assert_eq!(get(origin.address(), "/").text(), "ok");
}

#[test]
fn raw_answers_and_closed_connections_come_through() {
    let raw = Origin::always(Answer::raw("HTTP/1.1 299 Odd\r\n\r\nuntil the end"));
    assert_eq!(get(raw.address(), "/").expect_status(299).text(), "until the end");
    let mut client = Client::connect(Origin::always(Answer::close()).address());
    assert!(client.send_request("GET", "/", &[], b"").is_ok() && client.try_read_response(false).is_err());
}

#[test]
fn tls_is_verified_on_both_sides() {
    let (authority, clients) = (Authority::new("test"), Authority::new("clients"));
    let identity = authority.issue(&["origin.test"]);
    let origin = Origin::start_tls(identity.server(&[], None), |_| Answer::ok("secret"));
    let (mut client, agreed) =
        Client::tls(origin.address(), &Tls::new("origin.test", &authority.certificate())).expect("a handshake");
    assert_eq!(client.get("/").text(), "secret");
    assert_eq!(agreed.certificate, identity.certificate);
    assert!(Client::tls(origin.address(), &Tls::new("other.test", &authority.certificate())).is_err());
    assert!(Client::tls(origin.address(), &Tls::new("origin.test", &clients.certificate())).is_err());
    let strict = Origin::start_tls(identity.server(&[], Some(&clients)), |_| Answer::ok("secret"));
    let refused = match Client::tls(strict.address(), &Tls::new("origin.test", &authority.certificate())) {
        // TLS 1.3: the refusal comes after the client's own part of the handshake is over.
        Ok((mut client, _)) => {
            client.send_request("GET", "/", &[], b"").and_then(|()| client.try_read_response(false)).is_err()
        }
        Err(_) => true,
    };
    assert!(refused);
}

#[test]
fn http2_client_and_origin_agree() {
    let authority = Authority::new("test");
    let tls = authority.issue(&["origin.test"]).server(&["h2"], None);
    let secure = H2Origin::start(Some(tls), |request| Answer::ok(request.body.clone()));
    let mut client = H2::tls(secure.address(), "origin.test", &authority.certificate());
    let response = client.request("POST", "https://origin.test/a?b", &[("x-a", "1")], b"hello").expect("an answer");
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    assert_eq!(secure.requests()[0].target, "/a?b");
    let plain = H2Origin::start(None, |_| Answer::ok("plain"));
    let mut client = H2::prior_knowledge(plain.address());
    assert_eq!(client.get_together("http://origin.test/", &[], 20).len(), 20);
    assert_eq!((plain.requests().len(), plain.connections()), (20, 1));
}

#[test]
fn tokens_are_what_the_key_set_verifies() {
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&jwt::jwks()).expect("a key set");
    for (key, good) in [(&jwt::RSA, true), (&jwt::EC, true), (&jwt::FORGED, false)] {
        let token = key.sign(&jwt::claims("ann", json!({})));
        let jwk = set.find(key.id).expect("a public key");
        let decoding = jsonwebtoken::DecodingKey::from_jwk(jwk).expect("a key");
        let mut validation = jsonwebtoken::Validation::new(key.algorithm);
        validation.set_audience(&[jwt::AUDIENCE]);
        assert_eq!(jsonwebtoken::decode::<serde_json::Value>(&token, &decoding, &validation).is_ok(), good);
    }
}
