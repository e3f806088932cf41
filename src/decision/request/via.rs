//! `Via` (RFC 9110 §7.6.3): by which way a message has come, so that a loop ends.

use http::{HeaderValue, Version};

/// What the gateway calls itself in `Via`, with the values made once.
#[derive(Clone, Debug, PartialEq)]
pub struct Via {
    pseudonym: Box<str>,
    /// Whether answers carry the field too.
    pub on_responses: bool,
    /// After what was received as HTTP/1.0, HTTP/1.1 and HTTP/2.
    values: [HeaderValue; 3],
}

impl Default for Via {
    fn default() -> Self {
        Via::new(Via::DEFAULT_PSEUDONYM, true).expect("BUG: the default is a token")
    }
}

impl Via {
    /// What a gateway is called that has no other name.
    pub const DEFAULT_PSEUDONYM: &str = "portcullis";

    /// `None` where `pseudonym` is no token (RFC 9110 §5.6.2), so that the field could not be read.
    pub fn new(pseudonym: &str, on_responses: bool) -> Option<Via> {
        if !super::syntax::is_token(pseudonym.as_bytes()) {
            return None;
        }
        let value = |version: &str| HeaderValue::try_from([version, " ", pseudonym].concat());
        let values = ["1.0", "1.1", "2"].map(|version| value(version).expect("BUG: tokens are fit for a field"));
        Some(Via { pseudonym: pseudonym.into(), on_responses, values })
    }

    /// The name by which the gateway is known.
    pub fn pseudonym(&self) -> &str {
        &self.pseudonym
    }

    /// What the gateway adds to a message that it received by `version`.
    pub fn value(&self, version: Version) -> &HeaderValue {
        match version {
            Version::HTTP_10 => &self.values[0],
            Version::HTTP_2 => &self.values[2],
            _ => &self.values[1],
        }
    }

    /// How often a field line names this gateway: `1.1 edge, 2 portcullis (comment)`. Names are compared without regard to case, as
    /// hosts are.
    pub fn passes(&self, line: &[u8]) -> usize {
        let named = |element: &&[u8]| {
            let mut words = element.split(|&b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
            words.nth(1).is_some_and(|by| by.eq_ignore_ascii_case(self.pseudonym.as_bytes()))
        };
        line.split(|&b| b == b',').filter(named).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_elements_of_the_own_name_count() {
        let via = Via::new("edge-1", true).unwrap();
        for (line, passes) in [
            ("", 0),
            ("1.1 edge-1", 1),
            ("1.0 fred, 1.1 EDGE-1 (Portcullis), HTTP/2 edge-1", 2),
            ("1.1 edge-10, 1.1 edge, edge-1, 1.1 x edge-1", 0),
            (",, 2 \t edge-1 ,", 1),
        ] {
            assert_eq!(via.passes(line.as_bytes()), passes, "{line}");
        }
    }

    #[test]
    fn the_value_names_the_version_that_was_received() {
        let via = Via::default();
        for (version, value) in [
            (Version::HTTP_10, "1.0 portcullis"),
            (Version::HTTP_11, "1.1 portcullis"),
            (Version::HTTP_2, "2 portcullis"),
        ] {
            assert_eq!(via.value(version), value);
        }
        assert_eq!(Via::new("two words", true), None);
    }
}
