//! Balance: which of several endpoints takes a request.

use std::collections::HashMap;
use std::time::Duration;

use super::before_all;
use crate::support::{Answer, Origin, wait};

#[test]
fn round_robin_takes_turns() {
    let origins = [Origin::saying("a"), Origin::saying("b"), Origin::saying("c")];
    let gateway = before_all(&origins.each_ref(), "endpoints: [\"<0>\", \"<1>\", \"<2>\"]");
    let mut client = gateway.connect();
    let order: String = (0..9).map(|_| client.get("/").expect_status(200).text()).collect();
    assert_eq!(order[..3], order[3..6], "{order}");
    assert_eq!(order[..3], order[6..], "{order}");
    assert!(origins.iter().all(|origin| origin.count() == 3), "{order}");
}

#[test]
fn weights_are_shares_and_the_turns_are_spread() {
    let origins = [Origin::saying("a"), Origin::saying("b")];
    let gateway = before_all(
        &origins.each_ref(),
        "endpoints: [{ address: \"<0>\", weight: 4 }, { address: \"<1>\", weight: 2 }]",
    );
    let mut client = gateway.connect();
    let order: String = (0..30).map(|_| client.get("/").expect_status(200).text()).collect();
    assert_eq!((origins[0].count(), origins[1].count()), (20, 10), "{order}");
    assert!(!order.contains("aaa") && !order.contains("bb"), "{order}");
}

#[test]
fn random_reaches_every_endpoint() {
    let origins = [Origin::saying("a"), Origin::saying("b")];
    let gateway = before_all(&origins.each_ref(), "endpoints: [\"<0>\", \"<1>\"], balance: random");
    let mut client = gateway.connect();
    for _ in 0..60 {
        client.get("/").expect_status(200);
    }
    assert!(origins.iter().all(|origin| origin.count() >= 10), "{} {}", origins[0].count(), origins[1].count());
}

#[test]
fn least_requests_spares_the_busy() {
    let busy = Origin::always(Answer::ok("busy").after(Duration::from_millis(1500)));
    let idle = Origin::saying("idle");
    let gateway = before_all(&[&busy, &idle], "endpoints: [\"<0>\", \"<1>\"], balance: least_requests");
    // A request to the busy endpoint waits there, so that it has more active requests than the other.
    let mut held = Vec::new();
    while busy.count() == 0 {
        let (idle_before, mut client) = (idle.count(), gateway.connect());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        held.push(client);
        wait::until_true("the request to arrive", || busy.count() == 1 || idle.count() > idle_before);
    }
    let mut client = gateway.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/").expect_status(200).text(), "idle");
    }
    assert_eq!(busy.count(), 1);
}

#[test]
fn consistent_hash_keeps_equals_together() {
    let origins = [Origin::saying("a"), Origin::saying("b"), Origin::saying("c")];
    for (key, field) in [("{ header: X-User }", "X-User"), ("{ cookie: sid }", "Cookie")] {
        let upstream = format!("endpoints: [\"<0>\", \"<1>\", \"<2>\"], balance: {{ consistent_hash: {key} }}");
        let gateway = before_all(&origins.each_ref(), &upstream);
        let mut client = gateway.connect();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for user in 0..30 {
            let value = if field == "Cookie" { format!("a=1; sid={user}") } else { user.to_string() };
            let mut ask = || client.request("GET", "/", &[(field, &value)], b"").expect_status(200).text();
            let first = ask();
            assert_eq!([ask(), ask()], [first.clone(), first.clone()], "{value}");
            *seen.entry(first).or_default() += 1;
        }
        assert_eq!(seen.len(), 3, "{seen:?}");
    }
}

#[test]
fn consistent_hash_by_path_and_by_client_stick() {
    let origins = [Origin::saying("a"), Origin::saying("b")];
    let by_path = before_all(&origins.each_ref(), "endpoints: [\"<0>\", \"<1>\"], balance: { consistent_hash: path }");
    let answers: Vec<_> = (0..20).map(|n| by_path.get(&format!("/{n}")).text()).collect();
    let again: Vec<_> = (0..20).map(|n| by_path.get(&format!("/{n}?other")).text()).collect();
    assert_eq!(answers, again);
    assert!(answers.contains(&"a".to_owned()) && answers.contains(&"b".to_owned()));
    let by_client =
        before_all(&origins.each_ref(), "endpoints: [\"<0>\", \"<1>\"], balance: { consistent_hash: client_address }");
    let answers: Vec<_> = (0..10).map(|n| by_client.get(&format!("/{n}")).text()).collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}
