//! Load: files, variables and merged folders into [`super::raw::Config`] with the place of every value.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diagnostics::Place;

/// Where each value of the document stands, by its path (`routes[2].match.path`).
#[derive(Clone, Debug, Default)]
pub struct Places {
    file: Arc<str>,
    by_path: HashMap<String, Place>,
}

impl Places {
    /// The place of `path`, or of its nearest parent that was written.
    pub fn find(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = self.by_path.get(path) {
                return place.clone();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => {
                    return self.by_path.get("").cloned().unwrap_or(Place {
                        file: self.file.clone(),
                        line: 0,
                        column: 0,
                    });
                }
            }
        }
    }
}
