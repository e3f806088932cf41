//! Why an origin could not be reached, in words for the log. Nothing is decided by them.

use std::error::Error as StdError;
use std::io;

use pingora::{Error, ErrorType};
use rustls::AlertDescription;

/// What Pingora puts before the words of rustls when a handshake fails: it keeps no more of the error than its text.
const HANDSHAKE: &str = "tls connect error cause: ";
/// What it puts behind them.
const SERVER_NAME: &str = ", SNI: ";

/// Longest text of another library that is quoted: it names what stands in the origin's certificate.
const QUOTED: usize = 300;

/// Why, where the kind of error does not say enough.
pub(super) fn reason(e: &Error) -> Option<String> {
    if let Some(tls) = io_error(e).and_then(|e| e.get_ref()).and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Some(of_tls(tls));
    }
    let system = || io_error(e).map(|e| format!(": {e}")).unwrap_or_default();
    match e.etype() {
        ErrorType::TLSHandshakeFailure => handshake_text(e).map(of_handshake),
        ErrorType::ConnectRefused => Some(format!("the endpoint refuses connections{}", system())),
        ErrorType::ConnectTimedout => Some("no connection within `timeouts.connect`, TLS included".to_owned()),
        ErrorType::ConnectNoRoute => Some(format!("there is no way to the endpoint's network or host{}", system())),
        ErrorType::ConnectError | ErrorType::InternalError => io_error(e).map(ToString::to_string),
        _ => None,
    }
}

/// What the operating system or the TLS library said, however Pingora has wrapped it.
pub(in crate::proxy::hooks) fn io_error(e: &Error) -> Option<&io::Error> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(e.root_cause());
    while let Some(error) = cause {
        let http2 = || error.downcast_ref::<h2::Error>()?.get_io();
        if let Some(found) = error.downcast_ref::<io::Error>().or_else(http2) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The words of rustls in the text of a failed handshake.
fn handshake_text(e: &Error) -> Option<&str> {
    let text = e.context.as_ref()?.as_str();
    let (_, words) = text.split_once(HANDSHAKE)?;
    Some(words.rsplit_once(SERVER_NAME).map_or(words, |(words, _)| words))
}

/// What an error of the TLS library means.
fn of_tls(error: &rustls::Error) -> String {
    match error {
        // An origin may find out about the client certificate after the handshake (RFC 8446 §4.4.2.4).
        rustls::Error::AlertReceived(alert) => of_alert(*alert, &error.to_string()),
        _ => of_handshake(&error.to_string()),
    }
}

fn of_alert(alert: AlertDescription, words: &str) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            format!("the origin asks for a client certificate (`tls.client_certificate`): {words}")
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => format!("the origin refuses the client certificate: {words}"),
        AlertDescription::ProtocolVersion
        | AlertDescription::HandshakeFailure
        | AlertDescription::InsufficientSecurity
        | AlertDescription::NoApplicationProtocol => format!("no TLS version, cipher or protocol in common: {words}"),
        AlertDescription::UnrecognisedName => format!("the origin does not know the name `tls.sni`: {words}"),
        _ => words.to_owned(),
    }
}

/// What the words of rustls mean. They are quoted, so that nothing is lost where they are not known.
fn of_handshake(words: &str) -> String {
    let end = words.char_indices().map(|(at, char)| at + char.len_utf8()).take_while(|end| *end <= QUOTED).last();
    let words = &words[..end.unwrap_or(0)];
    let mut alerts = (0..=u8::MAX).map(AlertDescription::from);
    if let Some(alert) = alerts.find(|alert| words == rustls::Error::AlertReceived(*alert).to_string()) {
        return of_alert(alert, words);
    }
    let meanings = [
        ("certificate not valid for name", "the certificate has another name than `tls.sni`"),
        ("NotValidForName", "the certificate has another name than `tls.sni`"),
        ("UnknownIssuer", "the certificate is from none of the authorities (`tls.ca`, or those of the system)"),
        ("certificate expired", "the certificate has expired"),
        ("certificate not valid yet", "the certificate is not valid yet"),
        ("CaUsedAsEndEntity", "the origin shows the certificate of an authority as its own"),
        ("extended key usage", "the certificate is not for servers"),
        ("peer is incompatible", "no TLS version, cipher or protocol in common"),
        ("received corrupt message", "what answers is not TLS"),
        ("handshake eof", "the origin closed the connection during the handshake"),
    ];
    let meaning = meanings.iter().find(|(text, _)| words.contains(text));
    meaning.map_or_else(|| words.to_owned(), |(_, meaning)| format!("{meaning}: {words}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::pki_types::{ServerName, UnixTime};
    use rustls::{CertificateError, InvalidMessage, OtherError, PeerIncompatible};

    use super::*;

    fn said(error: rustls::Error) -> String {
        let text =
            format!("TLS connect() failed:  TLSHandshakeFailure context: {HANDSHAKE}{error}{SERVER_NAME}origin.test");
        let e = Error::explain(ErrorType::TLSHandshakeFailure, text);
        let by_type =
            Error::because(ErrorType::ReadError, "reading", io::Error::new(io::ErrorKind::InvalidData, error));
        let said = reason(&e).unwrap();
        assert_eq!(reason(&by_type).unwrap(), said, "the text and the type of an error mean the same");
        said
    }

    #[test]
    fn a_failed_handshake_says_what_is_wrong_with_the_certificate() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expected = ServerName::try_from("origin.test").unwrap();
        let presented = vec!["DnsName(\"other.test\")".to_owned()];
        let ca = OtherError(Arc::from(Box::<dyn StdError + Send + Sync>::from("CaUsedAsEndEntity")));
        for (error, meaning, quoted) in [
            (CertificateError::NotValidForNameContext { expected, presented }, "another name", "other.test"),
            (CertificateError::UnknownIssuer, "none of the authorities", "UnknownIssuer"),
            (CertificateError::ExpiredContext { time: at(20), not_after: at(10) }, "has expired", "10 seconds ago"),
            (
                CertificateError::NotValidYetContext { time: at(10), not_before: at(20) },
                "not valid yet",
                "10 seconds in",
            ),
            (CertificateError::Other(ca), "certificate of an authority as its own", "CaUsedAsEndEntity"),
        ] {
            let said = said(error.into());
            assert!(said.contains(meaning) && said.contains(quoted), "{said}");
        }
    }

    #[test]
    fn a_failed_handshake_says_what_the_two_sides_do_not_have_in_common() {
        for (error, meaning) in [
            (rustls::Error::AlertReceived(AlertDescription::ProtocolVersion), "in common"),
            (PeerIncompatible::ServerDoesNotSupportTls12Or13.into(), "in common"),
            (rustls::Error::AlertReceived(AlertDescription::CertificateRequired), "asks for a client certificate"),
            (rustls::Error::AlertReceived(AlertDescription::UnknownCA), "refuses the client certificate"),
            (InvalidMessage::InvalidContentType.into(), "is not TLS"),
        ] {
            let said = said(error);
            assert!(said.contains(meaning), "{said}");
        }
        assert_eq!(of_handshake("something new"), "something new");
        assert_eq!(of_handshake(&"é".repeat(QUOTED)).len(), QUOTED);
    }

    #[test]
    fn a_failed_connection_says_why() {
        let refused = io::Error::from_raw_os_error(nix::libc::ECONNREFUSED);
        let e = Error::because(ErrorType::ConnectRefused, "Fail to connect to addr: 127.0.0.1:1", refused);
        let said = reason(&e.more_context("again")).unwrap();
        assert!(said.starts_with("the endpoint refuses connections: Connection refused"), "{said}");
        let late = Error::new(ErrorType::ConnectTimedout);
        assert!(reason(&late).unwrap().contains("timeouts.connect"));
        assert_eq!(reason(&Error::new(ErrorType::ReadTimedout)), None);
    }
}
