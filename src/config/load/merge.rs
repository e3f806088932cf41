//! Merge: several files of a folder into one document.
//!
//! Mappings merge by key and the lists of the document concatenate in the order of the files' names. What is set in two
//! files is a mistake, because neither file shows which one counts.

use std::collections::HashMap;
use std::mem;

use serde_json::Value;

use super::file::ParsedFile;
use super::secret_fields;
use super::source_map::{NodeChildren, SourceNode};
use crate::config::doc_path::DocPath;
use crate::diagnostics::{Diagnostic, Severity};

/// The lists of the document, which are concatenated.
pub(super) const LISTS: [&str; 4] = ["listeners", "trusted_proxies", "limits", "routes"];
/// The mappings of named things, each of which is defined in one file.
pub(super) const NAMED: [&str; 3] = ["upstreams", "identities", "error_pages"];

/// Adds `part` to `whole`.
pub(super) fn merge(whole: &mut ParsedFile, part: ParsedFile, diagnostics: &mut Vec<Diagnostic>) {
    mapping(&DocPath::root(), &mut whole.value, &mut whole.node, part.value, part.node, diagnostics);
}

fn mapping(
    path: &DocPath,
    into: &mut Value,
    into_node: &mut SourceNode,
    from: Value,
    from_node: SourceNode,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { return };
    if !matches!(into_node.children, NodeChildren::Keyed(_)) {
        into_node.children = NodeChildren::Keyed(Vec::new());
    }
    let NodeChildren::Keyed(into_nodes) = &mut into_node.children else { return };
    let mut from_nodes: HashMap<String, SourceNode> = match from_node.children {
        NodeChildren::Keyed(nodes) => nodes.into_iter().collect(),
        NodeChildren::None | NodeChildren::Listed(_) => HashMap::new(),
    };

    for (key, value) in from {
        // Below an alias, the alias is the nearest place there is.
        let mut node = from_nodes.remove(&key).unwrap_or_else(|| SourceNode::leaf(from_node.value.clone()));
        let existing = into.get_mut(&key).filter(|existing| !existing.is_null());
        let position = existing.as_ref().and_then(|_| into_nodes.iter().position(|(name, _)| *name == key));
        let (Some(existing), Some(position)) = (existing, position) else {
            // What was null, or came from an alias, may have a place already.
            if into.insert(key.clone(), value).is_some() {
                into_nodes.retain(|(name, _)| *name != key);
            }
            into_nodes.push((key, node));
            continue;
        };
        let existing_node = &mut into_nodes[position].1;
        let below = path.key(&key);
        match (&mut *existing, value) {
            (_, Value::Null) => {}
            (Value::Array(items), Value::Array(more)) if path.0.is_empty() && LISTS.contains(&key.as_str()) => {
                let mut nodes = listed(existing_node, items.len());
                nodes.extend(listed(&mut node, more.len()));
                existing_node.children = NodeChildren::Listed(nodes);
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
                path: secret_fields::shown(below.0),
                help: Some("keep it in one of the two files".to_owned()),
            }),
        }
    }
}

/// Takes the places of a list's `count` items.
fn listed(node: &mut SourceNode, count: usize) -> Vec<SourceNode> {
    match &mut node.children {
        NodeChildren::Listed(nodes) if nodes.len() == count => mem::take(nodes),
        _ => vec![SourceNode::leaf(node.value.clone()); count],
    }
}
