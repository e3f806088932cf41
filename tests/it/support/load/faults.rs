//! Clients whose requests lead to origins that fail.

use std::io;

use super::super::client::Client;
use super::{Fate, Target, Turn, wrong};

/// What an origin does wrong, by the path, and the status of it.
const FAULTS: &[(&str, u16)] =
    &[("/fail", 500), ("/cut", 502), ("/garbage", 502), ("/never", 504), ("/dead", 502), ("/half", 200)];

pub(super) fn of_the_origin(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut client = Client::try_connect(target.plain)?;
    for _ in 0..20 {
        if !turn.goes_on() {
            break;
        }
        let (path, expected) = FAULTS[turn.rng.usize(..FAULTS.len())];
        let request = turn.begin(path);
        client.send_request("GET", &request.target, &[], b"")?;
        let answer = client.try_read_response(false);
        turn.rest();
        match answer {
            Ok(answer) => {
                turn.end(&request, Fate::Answered(answer.status));
                if answer.status != expected || path == "/half" {
                    return Err(wrong(format!("{path} was answered {}: {}", answer.status, answer.text())));
                }
                if !answer.leaves_open() {
                    break;
                }
            }
            // An answer that breaks off has to end with its connection.
            Err(error) if path == "/half" && error.kind() == io::ErrorKind::UnexpectedEof => {
                turn.end(&request, Fate::Answered(expected));
                break;
            }
            Err(error) => return Err(wrong(format!("{path}: {error}"))),
        }
    }
    Ok(())
}

/// `/mortal` leads to one endpoint, which may be dead. A POST is not sent again.
pub(super) fn of_a_mortal_origin(target: &Target, turn: &mut Turn) -> io::Result<()> {
    let mut client = Client::try_connect(target.plain)?;
    while turn.goes_on() {
        let (method, body) = if turn.rng.bool() { ("GET", &b""[..]) } else { ("POST", &b"something"[..]) };
        let answer = turn.ask("/mortal", |path| {
            client.send_request(method, path, &[], body)?;
            let answer = client.try_read_response(false)?;
            Ok((answer.status, answer))
        })?;
        if !matches!(answer.status, 200 | 502) {
            return Err(wrong(format!("/mortal was answered {}: {}", answer.status, answer.text())));
        }
        turn.rest();
        if !answer.leaves_open() {
            break;
        }
    }
    Ok(())
}
