//! Which form of a refusal the client would rather read (RFC 9110 §12.5.1).

/// Whether `accept` puts `text/html` before JSON. A tie, or no preference at all, is for JSON: a browser always says
/// that it wants HTML.
pub fn prefers_html(accept: Option<&[u8]>) -> bool {
    let Some(accept) = accept.and_then(|value| std::str::from_utf8(value).ok()) else { return false };
    if accept == "*/*" {
        return false;
    }
    let json = quality(accept, "application", "problem+json").max(quality(accept, "application", "json"));
    quality(accept, "text", "html") > json
}

/// The weight of a media type in thousandths: that of the most specific range that covers it, 0 when none does.
///
/// Parameters other than `q` are passed over: no refusal comes in several variants of one type.
fn quality(accept: &str, kind: &str, subtype: &str) -> u16 {
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let Some((range_kind, range_subtype)) = parts.next().and_then(|range| range.split_once('/')) else { continue };
        let specificity = if range_kind.eq_ignore_ascii_case(kind) && range_subtype.eq_ignore_ascii_case(subtype) {
            3
        } else if range_kind.eq_ignore_ascii_case(kind) && range_subtype == "*" {
            2
        } else if range_kind == "*" && range_subtype == "*" {
            1
        } else {
            continue;
        };
        let weight = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("q"))
            .map_or(Some(1000), |(_, value)| thousandths(value));
        if let Some(weight) = weight {
            best = best.max((specificity, weight));
        }
    }
    best.1
}

/// A `qvalue` (RFC 9110 §12.4.2): 0 to 1 with at most three decimals.
fn thousandths(value: &str) -> Option<u16> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = decimals.bytes().chain(std::iter::repeat(b'0')).take(3);
    let fraction = fraction.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match (whole, fraction) {
        ("0", _) => Some(fraction),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(accept: &str) -> bool {
        prefers_html(Some(accept.as_bytes()))
    }

    #[test]
    fn browsers_get_html() {
        assert!(html("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(html("Text/HTML"));
        assert!(html("text/*"));
    }

    #[test]
    fn everyone_else_gets_json() {
        assert!(!prefers_html(None));
        assert!(!html("*/*"));
        assert!(!html(""));
        assert!(!html("application/json"));
        assert!(!html("text/plain"));
        assert!(!html("text/html, application/json"));
    }

    #[test]
    fn weights_decide() {
        assert!(!html("text/html;q=0.8, application/json"));
        assert!(html("text/html; level=1; Q=0.8, application/json;q=0.799"));
        assert!(!html("text/html;q=0.5, application/problem+json;q=0.6"));
        assert!(html("application/json;q=0, text/html;q=0.001"));
    }

    #[test]
    fn the_most_specific_range_counts() {
        assert!(!html("text/html;q=0, text/*, application/json;q=0.1"));
        assert!(html("application/*;q=0.1, */*, text/html;q=0.2"));
    }

    #[test]
    fn weights_out_of_bounds_are_passed_over() {
        for value in ["2", "1.1", "0.1234", ".5", "-1", "", "0.x", "01"] {
            assert_eq!(thousandths(value), None, "{value}");
        }
        assert_eq!(thousandths("0."), Some(0));
        assert_eq!(thousandths("0.05"), Some(50));
        assert_eq!(thousandths("1.000"), Some(1000));
    }
}
