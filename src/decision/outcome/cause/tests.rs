use std::collections::HashSet;

use super::*;

#[test]
fn codes_are_unique_and_snake_case() {
    let codes: HashSet<_> = Cause::ALL.iter().map(|c| c.code()).collect();
    assert_eq!(codes.len(), Cause::ALL.len());
    for cause in Cause::ALL {
        assert!(cause.code().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{cause}");
        assert_eq!(Cause::from_code(cause.code()), Some(*cause));
        assert!(cause.status().is_client_error() || cause.status().is_server_error());
    }
}

#[test]
fn exactly_the_upstream_causes_have_a_proxy_status_and_all_of_them_are_failures() {
    for cause in Cause::ALL {
        let upstream = cause.code().starts_with("upstream_");
        assert_eq!(cause.proxy_status().is_some(), upstream, "{cause}");
        assert!(!(upstream && cause.is_refusal()), "{cause}");
    }
}

#[test]
fn exactly_what_is_wrong_with_a_token_has_a_bearer_challenge() {
    for cause in Cause::ALL {
        let token = cause.code().starts_with("token_");
        let of_tokens = token || matches!(cause, Cause::CredentialsAmbiguous | Cause::ScopeMissing);
        assert_eq!(cause.bearer_challenge().is_some(), of_tokens, "{cause}");
    }
    assert_eq!(
        Cause::TokenExpired.bearer_challenge(),
        Some(r#"Bearer realm="portcullis", error="invalid_token", error_description="The token has expired""#)
    );
}

#[test]
fn no_refusal_reads_as_success_to_grpc_and_every_title_needs_no_encoding_there() {
    for cause in Cause::ALL {
        assert_ne!(cause.grpc_status() as u16, 0, "{cause}");
        assert!(cause.title().bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'%'), "{cause}");
    }
}

#[test]
fn a_call_that_may_have_been_carried_out_invites_no_further_try() {
    for cause in [Cause::RequestTimeout, Cause::UpstreamTimeout] {
        assert_eq!(cause.grpc_status(), GrpcStatus::DeadlineExceeded);
    }
}

#[test]
fn what_is_shown_instead_of_a_cause_differs_in_nothing_that_a_stranger_sees() {
    let hidden: Vec<_> = Cause::ALL.iter().filter(|cause| cause.shown() != **cause).collect();
    assert_eq!(hidden, [&Cause::RouteHidden]);
    for cause in hidden {
        let (cause, shown) = (*cause, cause.shown());
        assert_eq!((cause.status(), cause.title()), (shown.status(), shown.title()));
        assert_eq!(cause.grpc_status(), shown.grpc_status());
        assert_eq!((cause.proxy_status(), cause.bearer_challenge()), (shown.proxy_status(), shown.bearer_challenge()));
    }
}

#[test]
fn every_help_is_in_sentences() {
    for cause in Cause::ALL {
        assert!(cause.help().ends_with(['.', '?']) && cause.help().len() < 200, "{cause}");
    }
}
