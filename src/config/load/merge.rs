//! Merge: several files of a folder into one document.
//!
//! Mappings merge by key and the lists of the document concatenate in the order of the files' names. What is set in two
//! files is a mistake, because neither file shows which one counts.

use std::collections::HashMap;

use serde_json::Value;

use super::Part;
use super::places::{Children, Node};
use crate::config::doc_path::DocPath;
use crate::diagnostics::{Diagnostic, Severity};

/// The lists that concatenate.
const LISTS: [&str; 4] = ["listeners", "trusted_proxies", "limits", "routes"];
/// The mappings whose entries are things of their own: each stands in one file.
const NAMED: [&str; 3] = ["upstreams", "identities", "error_pages"];

/// Adds `part` to `whole`.
pub(super) fn merge(whole: &mut Part, part: Part, diagnostics: &mut Vec<Diagnostic>) {
    mapping(&DocPath::root(), &mut whole.value, &mut whole.node, part.value, part.node, diagnostics);
}

fn mapping(
    path: &DocPath,
    into: &mut Value,
    into_node: &mut Node,
    from: Value,
    from_node: Node,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { return };
    if !matches!(into_node.children, Children::Keyed(_)) {
        into_node.children = Children::Keyed(Vec::new());
    }
    let Children::Keyed(into_nodes) = &mut into_node.children else { return };
    let mut from_nodes: HashMap<String, Node> = match from_node.children {
        Children::Keyed(nodes) => nodes.into_iter().collect(),
        Children::None | Children::Listed(_) => HashMap::new(),
    };

    for (key, value) in from {
        // Below an alias, the alias is the nearest place there is.
        let node = from_nodes.remove(&key).unwrap_or_else(|| Node::leaf(from_node.value.clone()));
        let existing = into.get_mut(&key).filter(|existing| !existing.is_null());
        let position = existing.as_ref().and_then(|_| into_nodes.iter().position(|(name, _)| *name == key));
        let (Some(existing), Some(position)) = (existing, position) else {
            into_nodes.retain(|(name, _)| *name != key);
            into_nodes.push((key.clone(), node));
            into.insert(key, value);
            continue;
        };
        let existing_node = &mut into_nodes[position].1;
        let below = path.key(&key);
        match (&mut *existing, value) {
            (_, Value::Null) => {}
            (Value::Array(items), Value::Array(more)) if path.0.is_empty() && LISTS.contains(&key.as_str()) => {
                let mut nodes = listed(existing_node, items.len());
                nodes.extend(listed(&node, more.len()));
                existing_node.children = Children::Listed(nodes);
                items.extend(more);
            }
            (Value::Object(_), value @ Value::Object(_)) if !NAMED.contains(&path.0.as_str()) => {
                mapping(&below, existing, existing_node, value, node, diagnostics);
            }
            (existing, value) if below.0 == "version" && *existing == value => {}
            _ => diagnostics.push(Diagnostic {
                code: "set_twice",
                severity: Severity::Error,
                place: node.key.unwrap_or(node.value),
                message: format!("already set at {}", existing_node.key.as_ref().unwrap_or(&existing_node.value)),
                path: below.0,
                help: Some("keep it in one of the two files".to_owned()),
            }),
        }
    }
}

/// The places of a list's items.
fn listed(node: &Node, count: usize) -> Vec<Node> {
    match &node.children {
        Children::Listed(nodes) if nodes.len() == count => nodes.clone(),
        _ => vec![Node::leaf(node.value.clone()); count],
    }
}
