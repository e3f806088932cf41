//! [`SourceMap`]: the place of each value of the document in its file, by path.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use crate::config::doc_path::DocPath;
use crate::diagnostics::Place;

/// The place of each value of the document in its file, by path (`routes[2].match.path`).
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    file: Arc<str>,
    by_path: HashMap<String, NodePlace>,
    /// Sorted indices of items that were removed, by the path of their list as written.
    removed: HashMap<String, Vec<usize>>,
}

#[derive(Clone, Debug)]
struct NodePlace {
    /// The place of the key, for an entry of a mapping.
    key: Option<Place>,
    value: Place,
    /// A mapping or list, whose value may begin lines below its key.
    collection: bool,
}

impl SourceMap {
    pub(super) fn new(root: &SourceNode) -> Self {
        let mut places = SourceMap { file: root.value.file.clone(), ..SourceMap::default() };
        places.add(&DocPath::root(), root);
        places
    }

    fn add(&mut self, path: &DocPath, node: &SourceNode) {
        let collection = !matches!(node.children, NodeChildren::None);
        let spot = NodePlace { key: node.key.clone(), value: node.value.clone(), collection };
        self.by_path.entry(path.0.clone()).or_insert(spot);
        match &node.children {
            NodeChildren::None => {}
            NodeChildren::Listed(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.add(&path.index(index), item);
                }
            }
            NodeChildren::Keyed(entries) => {
                for (key, entry) in entries {
                    self.add(&path.key(key), entry);
                }
            }
        }
    }

    /// The place of the value at `path`, or of its nearest parent that was written. For a mapping or list, the
    /// place of its key.
    pub fn find(&self, path: &str) -> Place {
        self.nearest(path, |spot| match &spot.key {
            Some(key) if spot.collection => key.clone(),
            _ => spot.value.clone(),
        })
    }

    /// The place of the key of the entry at `path`, or of its nearest parent that was written.
    pub fn find_key(&self, path: &str) -> Place {
        self.nearest(path, |spot| spot.key.clone().unwrap_or_else(|| spot.value.clone()))
    }

    fn nearest(&self, path: &str, place: impl Fn(&NodePlace) -> Place) -> Place {
        let written = self.as_written(path);
        let mut path = &*written;
        loop {
            if let Some(spot) = self.by_path.get(path) {
                return place(spot);
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                // The root has the place of its first key, which is misleading: the beginning of the file is better.
                None => return Place { file: self.file.clone(), line: 1, column: 1 },
            }
        }
    }

    /// `path` as in the file, where the indices count the items that were removed because of a mistake.
    pub fn as_written<'p>(&self, path: &'p str) -> Cow<'p, str> {
        if self.removed.is_empty() {
            return Cow::Borrowed(path);
        }
        let mut written = String::with_capacity(path.len());
        let mut rest = path;
        while let Some((before, after)) = rest.split_once('[') {
            let Some((index, tail)) = after.split_once(']') else { break };
            written.push_str(before);
            match (self.removed.get(&written), index.parse::<usize>()) {
                (Some(removed), Ok(index)) => {
                    let shifted = removed.iter().fold(index, |index, &gone| index + usize::from(gone <= index));
                    let _ = write!(written, "[{shifted}]");
                }
                _ => {
                    let _ = write!(written, "[{index}]");
                }
            }
            rest = tail;
        }
        written.push_str(rest);
        Cow::Owned(written)
    }

    /// Records that item `index` of `list`, both as written, was removed.
    pub(super) fn remove(&mut self, list: &str, index: usize) {
        let removed = self.removed.entry(list.to_owned()).or_default();
        if let Err(position) = removed.binary_search(&index) {
            removed.insert(position, index);
        }
    }
}

/// The place of a value and of everything below it: a tree of the same shape as the values.
#[derive(Clone, Debug)]
pub(super) struct SourceNode {
    pub key: Option<Place>,
    pub value: Place,
    pub children: NodeChildren,
}

#[derive(Clone, Debug)]
pub(super) enum NodeChildren {
    /// A scalar, or an alias.
    None,
    Listed(Vec<SourceNode>),
    Keyed(Vec<(String, SourceNode)>),
}

impl SourceNode {
    pub fn leaf(value: Place) -> Self {
        SourceNode { key: None, value, children: NodeChildren::None }
    }

    /// Adds the children of `later`, which stands for the same key, as [`join`](super::values) does with the values.
    pub fn join(&mut self, later: SourceNode) {
        match (&mut self.children, later.children) {
            (NodeChildren::Listed(items), NodeChildren::Listed(more)) => items.extend(more),
            (NodeChildren::Keyed(entries), NodeChildren::Keyed(more)) => {
                for (key, node) in more {
                    match entries.iter_mut().find(|(earlier, _)| *earlier == key) {
                        Some((_, earlier)) => earlier.join(node),
                        None => entries.push((key, node)),
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32) -> Place {
        Place { file: "f".into(), line, column: 1 }
    }

    fn keyed(line: u32, key: &str, node: SourceNode) -> (String, SourceNode) {
        (key.to_owned(), SourceNode { key: Some(at(line)), ..node })
    }

    fn tree() -> SourceMap {
        let list = SourceNode {
            key: None,
            value: at(11),
            children: NodeChildren::Listed((11..15).map(|line| SourceNode::leaf(at(line))).collect()),
        };
        let claims = vec![keyed(21, "https://x.y/z[0]", SourceNode::leaf(at(22)))];
        let claims = SourceNode { key: None, value: at(21), children: NodeChildren::Keyed(claims) };
        let entries = vec![keyed(10, "list", list), keyed(20, "claims", claims)];
        SourceMap::new(&SourceNode { key: None, value: at(1), children: NodeChildren::Keyed(entries) })
    }

    #[test]
    fn the_nearest_parent_stands_in_for_what_was_not_written() {
        assert_eq!(tree().find("list[2].a.b[7]"), at(13));
        assert_eq!(tree().find("list[9]"), at(10));
        assert_eq!(tree().find("other"), at(1));
        assert_eq!(SourceMap::default().find("a.b").line, 1);
    }

    #[test]
    fn keys_may_hold_dots_and_brackets() {
        assert_eq!(tree().find("claims.https://x.y/z[0]"), at(22));
        assert_eq!(tree().find_key("claims.https://x.y/z[0]"), at(21));
        assert_eq!(tree().find("claims.https://other.y/z[0]"), at(20));
    }

    #[test]
    fn items_that_were_left_out_still_count() {
        let mut places = tree();
        places.remove("list", 2);
        places.remove("list", 0);
        assert_eq!(places.as_written("list[0]"), "list[1]");
        assert_eq!(places.as_written("list[1].x[4]"), "list[3].x[4]");
        assert_eq!(places.find("list[1]"), at(14));
        assert_eq!(places.as_written("other[1]"), "other[1]");
        assert_eq!(places.as_written("odd[1"), "odd[1");
    }
}
