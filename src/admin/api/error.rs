//! The one form of an error: a stable code for programs, and words for people.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::RolloutStatus;

/// Why a request of the admin listener or of the control socket was not carried out. Its status is that of its code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdminError {
    /// For people; the words may change.
    pub error: String,
    #[serde(default)]
    pub code: ErrorCode,
    /// Everything that is wrong with a configuration that was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<String>,
    /// The generation that stays in force instead of a configuration that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// What the two configurations did until the end of a roll-out that could not be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
}

impl AdminError {
    pub fn new(code: ErrorCode, error: impl Into<String>) -> Self {
        AdminError { error: error.into(), code, diagnostics: Vec::new(), generation: None, rollout: None }
    }
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident $status:ident;)*) => {
        /// What programs tell errors apart by.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
            /// A code that this program does not know, or the error of a gateway that sent none.
            #[default]
            #[serde(other)]
            Unknown,
        }

        impl ErrorCode {
            /// The status of an answer with this code.
            pub const fn status(self) -> StatusCode {
                match self {
                    $(ErrorCode::$name => StatusCode::$status,)*
                    ErrorCode::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
                }
            }
        }
    };
}

error_codes! {
    /// The request is no HTTP/1 request that could be handled.
    RequestMalformed BAD_REQUEST;
    /// A parameter of the query is not known, or has no valid value.
    QueryInvalid BAD_REQUEST;
    /// The request does not present the token of `admin.token` (RFC 6750).
    TokenRequired UNAUTHORIZED;
    /// The listener has no token, and answers only who asks it by its address: a web page of this machine's browser can have a name
    /// of its own lead here (DNS rebinding).
    HostMisdirected MISDIRECTED_REQUEST;
    /// The listener has no token, and therefore changes nothing.
    ChangesForbidden FORBIDDEN;
    PathUnknown NOT_FOUND;
    /// The generation is not in the history.
    GenerationUnknown NOT_FOUND;
    UpstreamUnknown NOT_FOUND;
    EndpointUnknown NOT_FOUND;
    MethodNotAllowed METHOD_NOT_ALLOWED;
    /// Another process takes over, or has done so.
    HandoverRunning CONFLICT;
    /// Another configuration is being rolled out.
    RolloutRunning CONFLICT;
    /// No configuration is being rolled out.
    RolloutMissing CONFLICT;
    /// The configuration changes what only `portcullis upgrade` can change.
    UpgradeRequired CONFLICT;
    /// The request has a body.
    BodyRefused PAYLOAD_TOO_LARGE;
    /// The configuration does not compile.
    ConfigurationInvalid UNPROCESSABLE_ENTITY;
    /// The configuration compiles, and a file or key that it names can't be used.
    ConfigurationUnusable UNPROCESSABLE_ENTITY;
    /// The request line and the header fields are too long, or too many.
    HeadTooLarge REQUEST_HEADER_FIELDS_TOO_LARGE;
    /// The process can't have another thread.
    ThreadUnavailable SERVICE_UNAVAILABLE;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_a_code_and_leaves_out_what_it_has_not() {
        let error = AdminError::new(ErrorCode::RolloutRunning, "a roll-out is running");
        let wire = serde_json::to_string(&error).unwrap();
        assert_eq!(wire, r#"{"error":"a roll-out is running","code":"rollout_running"}"#);
        assert_eq!(serde_json::from_str::<AdminError>(&wire).unwrap(), error);
    }

    #[test]
    fn an_error_of_another_version_is_read() {
        let older: AdminError = serde_json::from_str(r#"{"error":"x"}"#).unwrap();
        let newer: AdminError = serde_json::from_str(r#"{"error":"x","code":"later"}"#).unwrap();
        assert_eq!((older.code, newer.code), (ErrorCode::Unknown, ErrorCode::Unknown));
    }
}
