//! Any input compiles or is diagnosed, and nothing panics.

use proptest::prelude::*;

use super::{Fake, GOOD};
use crate::config::compile::compile;
use crate::config::load::load_text;
use crate::diagnostics::has_errors;

/// Text made of what configurations are made of.
fn yaml_like() -> impl Strategy<Value = String> {
    let pieces = [
        "version: 1\n",
        "routes:\n",
        "  - name: a\n",
        "    match: { path: ",
        "/a/{b}",
        "\"",
        "'",
        "\n",
        " ",
        "  ",
        "- ",
        ": ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&a ",
        "*a",
        "!x ",
        "? ",
        "|\n",
        ">-\n",
        "# c\n",
        "---\n",
        "...\n",
        "${A}",
        "${A:-",
        "$${",
        "404",
        "null",
        "true",
        "1e99",
        "-1",
        ".inf",
        "upstreams:",
        "limits: ",
        "access: public\n",
        "listeners",
        "address: 127.0.0.1:8080",
        "é",
        "\t",
        "%TAG ! x\n",
        "<<: *a\n",
        "18446744073709551616",
        "~",
        "identities: {a: {jwt: ",
        "\u{0}",
        "\u{feff}",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn random_bytes_never_panic(content in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(document) = load_text("f", &content, &Fake::default()) {
            compile(&document, &Fake::default());
        }
    }

    #[test]
    fn random_yaml_compiles_or_is_diagnosed(text in yaml_like()) {
        compiles_or_is_diagnosed(text.as_bytes())?;
    }

    #[test]
    fn a_damaged_file_compiles_or_is_diagnosed(
        from in 0..GOOD.len(), length in 0..40_usize, patch in yaml_like(), file in prop::sample::select(vec![
            GOOD,
            include_str!("../../../../conf/quickstart.yaml"),
            include_str!("../../../../conf/examples/limits.yaml"),
            include_str!("../../../../conf/examples/routing.yaml"),
        ]),
    ) {
        let mut content = file.as_bytes().to_vec();
        let from = from * file.len() / GOOD.len();
        let to = (from + length).min(content.len());
        content.splice(from..to, patch.bytes());
        compiles_or_is_diagnosed(&content)?;
    }
}

fn compiles_or_is_diagnosed(content: &[u8]) -> Result<(), TestCaseError> {
    let environment = Fake::default();
    match load_text("f", content, &environment) {
        Ok(document) => {
            let (snapshot, diagnostics) = compile(&document, &environment);
            prop_assert_eq!(snapshot.is_some(), !has_errors(&diagnostics));
        }
        Err(diagnostics) => prop_assert!(has_errors(&diagnostics)),
    }
    Ok(())
}
