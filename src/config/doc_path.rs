//! [`DocPath`]: the path of a value in a configuration.

/// The path of a value in the document, such as `routes[2].match.path`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DocPath(pub String);

impl DocPath {
    /// The document itself.
    pub fn root() -> Self {
        DocPath::default()
    }

    /// The field or entry `name` below this.
    pub fn key(&self, name: &str) -> Self {
        if self.0.is_empty() { DocPath(name.to_owned()) } else { DocPath(format!("{}.{name}", self.0)) }
    }

    /// The list item `index` below this.
    pub fn index(&self, index: usize) -> Self {
        DocPath(format!("{}[{index}]", self.0))
    }
}
