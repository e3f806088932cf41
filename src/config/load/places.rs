//! [`Places`]: where each value of the document stands, by its path.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use crate::config::doc_path::DocPath;
use crate::diagnostics::Place;

/// Where each value of the document stands, by its path (`routes[2].match.path`).
#[derive(Clone, Debug, Default)]
pub struct Places {
    file: Arc<str>,
    by_path: HashMap<String, Spot>,
    /// Indices, sorted, of items that were left out, by the path of their list as written.
    removed: HashMap<String, Vec<usize>>,
}

#[derive(Clone, Debug)]
struct Spot {
    /// Of a mapping's entry: where its key stands.
    key: Option<Place>,
    value: Place,
    /// A mapping or list, whose value may begin lines below its key.
    collection: bool,
}

impl Places {
    pub(super) fn new(root: &Node) -> Self {
        let mut places = Places { file: root.value.file.clone(), ..Places::default() };
        places.add(&DocPath::root(), root);
        places
    }

    fn add(&mut self, path: &DocPath, node: &Node) {
        let collection = !matches!(node.children, Children::None);
        let spot = Spot { key: node.key.clone(), value: node.value.clone(), collection };
        self.by_path.entry(path.0.clone()).or_insert(spot);
        match &node.children {
            Children::None => {}
            Children::Listed(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.add(&path.index(index), item);
                }
            }
            Children::Keyed(entries) => {
                for (key, entry) in entries {
                    self.add(&path.key(key), entry);
                }
            }
        }
    }

    /// The place of the value at `path`, or of its nearest parent that was written. A mapping or list stands where its
    /// key does.
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

    fn nearest(&self, path: &str, place: impl Fn(&Spot) -> Place) -> Place {
        let written = self.as_written(path);
        let mut path = &*written;
        loop {
            if let Some(spot) = self.by_path.get(path) {
                return place(spot);
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                // The root stands where its first key does, which says nothing: name the file's beginning.
                None => return Place { file: self.file.clone(), line: 1, column: 1 },
            }
        }
    }

    /// `path` as it is in the file: list items that were left out because of a mistake count there.
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

    /// Notes that item `index` of `list`, both as written, was left out.
    pub(super) fn remove(&mut self, list: &str, index: usize) {
        let removed = self.removed.entry(list.to_owned()).or_default();
        if let Err(position) = removed.binary_search(&index) {
            removed.insert(position, index);
        }
    }
}

/// Where one value and everything below it stands: a tree of the same shape as the values.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub key: Option<Place>,
    pub value: Place,
    pub children: Children,
}

#[derive(Clone, Debug)]
pub(super) enum Children {
    /// A scalar, or an alias to something that stands elsewhere.
    None,
    Listed(Vec<Node>),
    Keyed(Vec<(String, Node)>),
}

impl Node {
    pub fn leaf(value: Place) -> Self {
        Node { key: None, value, children: Children::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32) -> Place {
        Place { file: "f".into(), line, column: 1 }
    }

    fn keyed(line: u32, key: &str, node: Node) -> (String, Node) {
        (key.to_owned(), Node { key: Some(at(line)), ..node })
    }

    fn tree() -> Places {
        let list = Node {
            key: None,
            value: at(11),
            children: Children::Listed((11..15).map(|line| Node::leaf(at(line))).collect()),
        };
        let claims = vec![keyed(21, "https://x.y/z[0]", Node::leaf(at(22)))];
        let claims = Node { key: None, value: at(21), children: Children::Keyed(claims) };
        let entries = vec![keyed(10, "list", list), keyed(20, "claims", claims)];
        Places::new(&Node { key: None, value: at(1), children: Children::Keyed(entries) })
    }

    #[test]
    fn the_nearest_parent_stands_in_for_what_was_not_written() {
        assert_eq!(tree().find("list[2].a.b[7]"), at(13));
        assert_eq!(tree().find("list[9]"), at(10));
        assert_eq!(tree().find("other"), at(1));
        assert_eq!(Places::default().find("a.b").line, 1);
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
