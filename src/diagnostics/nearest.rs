//! Names that an owner may have meant.

/// The name that was probably meant by `word`: one that it almost is, or else the shortest that begins with it.
pub fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str, IntoIter: Clone>) -> Option<&'n str> {
    let names = names.into_iter();
    slip(word, names.clone()).or_else(|| {
        // Nothing is the beginning of a word of one or two letters, since it is that of too many.
        let word = fold(word);
        names.filter(|name| word.len() > 2 && fold(name).starts_with(&word)).min_by_key(|name| name.len())
    })
}

/// The name that `word` almost is: a slip or two of the finger away. Case counts for nothing, nor does `-` for `_`.
pub fn slip<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // In a short word, two edits make anything of everything.
    let allowed = match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        // Distances cost the product of the lengths, and no name is that long.
        10..=64 => 3,
        _ => return None,
    };
    let word = fold(word);
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&word, &fold(name)), name))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// "did you mean `x`?", or `otherwise` when nothing is near.
pub fn did_you_mean<'n>(
    word: &str,
    names: impl IntoIterator<Item = &'n str, IntoIter: Clone>,
    otherwise: impl Into<String>,
) -> String {
    match nearest(word, names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => otherwise.into(),
    }
}

fn fold(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        let names = ["timeouts", "endpoints", "tls", "balance", "Per-Client"];
        assert_eq!(nearest("timeout", names), Some("timeouts"));
        assert_eq!(nearest("end-point", names), Some("endpoints"));
        assert_eq!(nearest("Balance", names), Some("balance"));
        assert_eq!(nearest("per_cleint", names), Some("Per-Client"));
        assert_eq!(nearest("retries", names), None);
        assert_eq!(nearest("x", names), None);
    }

    #[test]
    fn a_beginning_finds_the_shortest_name_unless_a_slip_is_nearer() {
        let names = ["jwks_file_name", "jwks_file", "jwk"];
        assert_eq!(nearest("jwks_", names), Some("jwks_file"));
        assert_eq!(nearest("jwks", names), Some("jwk"));
        assert_eq!(slip("jwks_", names), None);
        assert_eq!(nearest("jw", names), None);
    }

    #[test]
    fn a_word_that_is_no_name_costs_nothing() {
        assert_eq!(slip(&"a".repeat(65), ["a"]), None);
    }
}
