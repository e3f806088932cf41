//! The options of a `Connection` field (RFC 9110 §7.6.1).

use http::HeaderName;

/// Whether any of `values` lists `option`, which is compared without regard to case.
pub fn lists<'a>(mut values: impl Iterator<Item = &'a [u8]>, option: &[u8]) -> bool {
    values.any(|value| value.split(|byte| *byte == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(option)))
}

/// The fields that `values` name: they end at this hop. `close` names none, and `Keep-Alive` does so whoever names it.
pub fn nominated<'a>(values: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = HeaderName> {
    let words = values.flat_map(|value| value.split(|byte| *byte == b','));
    let words = words.map(<[u8]>::trim_ascii);
    let is_option = |word: &&[u8]| !word.eq_ignore_ascii_case(b"keep-alive") && !word.eq_ignore_ascii_case(b"close");
    words.filter(is_option).filter_map(|word| HeaderName::from_bytes(word).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_words_of_lists_in_any_case() {
        let values = [&b"keep-alive, X-One"[..], b"", b"Close ,x two"];
        assert!(lists(values.into_iter(), b"close") && lists(values.into_iter(), b"x-one"));
        assert!(!lists(values.into_iter(), b"clos") && !lists(values.into_iter(), b"keep"));
        let named: Vec<_> = nominated(values.into_iter()).collect();
        assert_eq!(named, ["x-one"]);
    }
}
