//! Decoding part by part finds what decoding the whole again and again would find.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

use super::*;
use crate::config::raw::Config;
use crate::config::raw::tests::strategy;

/// What a decoder made of a document: the configuration, the mistakes, what is lacking, and where later items stand.
type Outcome = (Option<Config>, Vec<String>, Vec<String>, Vec<String>);

fn outcome(document: &Value, run: impl FnOnce(&mut Decoder) -> Result<Config, TooManyMistakes>) -> Outcome {
    let mut diagnostics = Vec::new();
    let mut decoder = Decoder::new(document.clone(), SourceMap::default(), Vec::new(), &mut diagnostics);
    let config = run(&mut decoder).ok();
    let mut lacking: Vec<String> = decoder.lacking.iter().cloned().collect();
    let lists = ["listeners", "limits", "routes", "routes[0].limits", "routes[1].limits", "upstreams.a.endpoints"];
    let items = lists.iter().flat_map(|list| (0..4).map(move |index| format!("{list}[{index}]")));
    let written = items.map(|item| decoder.places.as_written(&item).into_owned()).collect();
    let mut said: Vec<String> = diagnostics.iter().map(Diagnostic::to_string).collect();
    said.sort();
    lacking.sort();
    (config, said, lacking, written)
}

/// Something that stands where it should not.
#[derive(Clone, Debug)]
enum Damage {
    Replace(Value),
    Add(&'static str),
    Remove,
}

fn damage() -> impl Strategy<Value = Damage> {
    let values =
        [json!(null), json!(true), json!(12), json!("x"), json!([1]), json!(["a", {}]), json!({"x": 1}), json!({})];
    prop_oneof![
        select(values.to_vec()).prop_map(Damage::Replace),
        select(vec!["nam", "x", "upstream", "off"]).prop_map(Damage::Add),
        Just(Damage::Remove),
    ]
}

/// Damages the value that comes `at`th in the order of the document, the document itself aside.
fn apply(value: &mut Value, at: &mut usize, damage: &Damage) -> bool {
    let keys: Vec<String> = value.as_object().into_iter().flat_map(|entries| entries.keys().cloned()).collect();
    for key in keys {
        if *at == 0 {
            match (damage, &mut value[&key]) {
                (Damage::Replace(new), old) => *old = new.clone(),
                (Damage::Add(field), Value::Object(entries)) => drop(entries.insert((*field).into(), json!("y"))),
                _ => drop(value.as_object_mut().and_then(|entries| entries.shift_remove(&key))),
            }
            return true;
        }
        *at -= 1;
        if apply(&mut value[&key], at, damage) {
            return true;
        }
    }
    value.as_array_mut().is_some_and(|items| items.iter_mut().any(|item| apply(item, at, damage)))
}

fn count(value: &Value) -> usize {
    match value {
        Value::Object(entries) => entries.values().map(|value| 1 + count(value)).sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn parts_are_judged_as_in_the_whole(
        document in strategy::document(),
        damages in prop::collection::vec((any::<Index>(), damage()), 1..8),
    ) {
        let mut document = document;
        for (index, damage) in damages {
            let places = count(&document).max(1);
            apply(&mut document, &mut index.index(places), &damage);
        }
        let whole = outcome(&document, |decoder| decoder.prune());
        prop_assert_eq!(outcome(&document, |decoder| decoder.run()), whole, "{:#}", document);
    }
}
